"""boto3's client for S3, for what obstore lacks: copies of parts on the server, lists of unfinished uploads.

It finds credentials, region and endpoint as every AWS tool does. boto3 is imported only here and in its users.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from gpu_pack import __version__
from gpu_pack.errors import OutputError
from gpu_pack.stores.address import StoreOptions


def open_s3(options: StoreOptions, connections: int = 10) -> Any:
    """A client.

    Args:
        connections: that are open at the same time.

    Raises:
        ImportError: boto3 is not installed.
    """
    import botocore
    from boto3.session import Session
    from botocore.config import Config

    more = {"signature_version": botocore.UNSIGNED} if options.anonymous else {}
    config = Config(
        user_agent_extra=f"gpu-pack/{__version__}",
        retries={"mode": "standard"},
        max_pool_connections=connections,
        **more,
    )
    return Session().client("s3", config=config, endpoint_url=options.endpoint("s3"))


@contextmanager
def translated_errors(place: str, refusal: Callable[[Mapping[str, Any]], str]) -> Iterator[None]:
    """Turn errors of boto3 into `OutputError`.

    Args:
        place: an address, for messages.
        refusal: makes a sentence of what S3 answered.
    """
    from boto3.exceptions import Boto3Error
    from botocore.exceptions import BotoCoreError, ClientError, NoCredentialsError

    try:
        yield
    except NoCredentialsError:
        raise OutputError(
            "no AWS credentials were found: run `aws configure`, or set AWS_PROFILE, or AWS_ACCESS_KEY_ID and "
            "AWS_SECRET_ACCESS_KEY"
        ) from None
    except ClientError as error:
        raise OutputError(refusal(error.response)) from None
    except (BotoCoreError, Boto3Error, ValueError) as error:
        sentence = " ".join(str(error).split()) or type(error).__name__
        raise OutputError(f"{place}: {sentence}") from None
