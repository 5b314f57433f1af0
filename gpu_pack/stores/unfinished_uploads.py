"""Multipart uploads that a killed process left: S3 keeps their parts, unseen and paid for, until someone aborts them.

Only boto3 can list them. GCS and Azure need nothing: what obstore uploads there in parts is unseen until it is
complete, and expires after a week (Azure's uncommitted blocks; GCS's multipart uploads by the bucket's lifecycle).
"""

from __future__ import annotations

import logging
from collections.abc import Collection
from contextlib import closing

from gpu_pack.stores.address import Address, StoreOptions
from gpu_pack.stores.s3_client import open_s3

_log = logging.getLogger("gpu_pack")


def abort_unfinished_uploads(folder: Address, options: StoreOptions, names: Collection[str]) -> None:
    """Abort the unfinished uploads of objects with these names in a folder; nobody may be uploading them.

    Where it is not possible, a message is logged: the bucket's lifecycle rule has to do it.
    """
    if folder.scheme != "s3" or not names:
        return
    keys = {folder.below(name).key for name in names}
    prefix = f"{folder.key}/" if folder.key else ""
    try:
        with closing(open_s3(options)) as client:
            for page in client.get_paginator("list_multipart_uploads").paginate(Bucket=folder.bucket, Prefix=prefix):
                for upload in page.get("Uploads", ()):
                    if upload["Key"] in keys:
                        place = {name: upload[name] for name in ("Key", "UploadId")}
                        client.abort_multipart_upload(Bucket=folder.bucket, **place)
    except Exception as error:  # boto3 is missing, or refused; its errors hold no secrets
        _log.info("%s: unfinished uploads were not looked for: %s", folder, " ".join(str(error).split()))
