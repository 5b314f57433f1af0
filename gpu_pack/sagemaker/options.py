"""The options of a training job, checked: its splits and hyperparameters."""

from __future__ import annotations

import difflib
import re
from collections import Counter
from dataclasses import dataclass

from gpu_pack.errors import UsageError
from gpu_pack.stores.data_path import PathLike

#: Hyperparameters that are counted from the records.
COUNTED = ("num_classes", "num_training_samples")
#: Every hyperparameter in the algorithm's developer guide: a job with another one fails.
KNOWN = frozenset((
    "augmentation_type", "beta_1", "beta_2", "checkpoint_frequency", "early_stopping", "early_stopping_min_epochs",
    "early_stopping_patience", "early_stopping_tolerance", "epochs", "eps", "gamma", "image_shape", "kv_store",
    "learning_rate", "lr_scheduler_factor", "lr_scheduler_step", "mini_batch_size", "momentum", "multi_label",
    "num_classes", "num_layers", "num_training_samples", "optimizer", "precision_dtype", "resize", "top_k",
    "use_pretrained_model", "use_weighted_loss", "weight_decay",
))  # fmt: skip
_POSITIVE = ("mini_batch_size", "resize", "epochs", "num_layers", "checkpoint_frequency")
_SHAPE = re.compile(r"\s*([13])\s*,\s*([1-9]\d{0,4})\s*,\s*([1-9]\d{0,4})\s*")
#: Edge in pixels that pretrained networks take, and the algorithm's own default.
USUAL_EDGE = 224
_MINI_BATCH = 32


@dataclass(frozen=True)
class JobOptions:
    """What a training job is given besides its data.

    Attributes:
        train, validation: the splits for the two channels; without ``validation`` it is the split of that name, or
            ``val`` or ``valid``, or the only other one.
        hyperparameters: ``(name, value)`` pairs of the algorithm's, but not those that are counted.
        train_from: the train channel's own source: a published folder with one split, or a .rec file; or its address.
        validation_from: the same for the validation channel.
        output: the file that receives the request's part; None for sagemaker.json beside the training
            source, or beside the copy of one in a bucket.
        overwrite: replace objects of the same names with other bytes.
        dry_run: check only: upload nothing and write nothing.

    Raises:
        UsageError: a hyperparameter that the algorithm does not have, a value that it does not take, or options that
            contradict each other.
    """

    train: str = "train"
    validation: str | None = None
    hyperparameters: tuple[tuple[str, str], ...] = ()
    train_from: PathLike | None = None
    validation_from: PathLike | None = None
    output: PathLike | None = None
    overwrite: bool = False
    dry_run: bool = False

    def __post_init__(self) -> None:
        if self.train == self.validation:
            raise UsageError(
                f"train={self.train} (--train) and validation={self.train} (--validation): the channels must differ"
            )
        if self.train_from is not None and self.train != "train":
            raise UsageError(
                f"train={self.train} (--train) names a split of OUT, and --train-from is given: leave one out"
            )
        if self.validation_from is not None and self.validation is not None:
            raise UsageError("--validation and --validation-from both name the validation channel: give one")
        times = Counter(name for name, _ in self.hyperparameters)
        for name, value in self.hyperparameters:
            _check_name(name)
            if times[name] > 1:
                raise UsageError(f"the hyperparameter {name} is given twice")
            _check_value(name, value)
        if self.pretrained and self.image_shape not in (None, (3, USUAL_EDGE, USUAL_EDGE)):
            raise UsageError("use_pretrained_model=1 takes image_shape=3,224,224 and no other")

    @property
    def pretrained(self) -> bool:
        return self._value("use_pretrained_model") == "1"

    @property
    def mini_batch_size(self) -> int:
        return int(self._value("mini_batch_size") or _MINI_BATCH)

    @property
    def resize(self) -> int | None:
        """The shorter edge in pixels to which the job itself scales images; None if it does not."""
        value = self._value("resize")
        return None if value is None else int(value)

    @property
    def image_shape(self) -> tuple[int, int, int] | None:
        """``(channels, height, width)`` as given."""
        found = _SHAPE.fullmatch(self._value("image_shape") or "")
        return None if found is None else (int(found[1]), int(found[2]), int(found[3]))

    def _value(self, name: str) -> str | None:
        return dict(self.hyperparameters).get(name)


def parse_hyperparameter(text: str) -> tuple[str, str]:
    """The name and the value of ``NAME=VALUE``.

    Raises:
        UsageError: one of the two is missing.
    """
    name, _, value = text.partition("=")
    if not name.strip() or not value.strip():
        raise UsageError(f"--hyperparameter {text}: write NAME=VALUE, as in epochs=10")
    return name.strip(), value.strip()


def _check_name(name: str) -> None:
    if name in COUNTED:
        raise UsageError(f"{name} is counted from the records: leave it out")
    if name not in KNOWN:
        near = difflib.get_close_matches(name, KNOWN - {*COUNTED}, n=1)
        hint = f": did you mean {near[0]}?" if near else ""
        raise UsageError(f"SageMaker's image classification has no hyperparameter {name}{hint}")


def _check_value(name: str, value: str) -> None:
    if name in _POSITIVE and not (value.isdecimal() and value.isascii() and 0 < int(value) < 1 << 31):
        raise UsageError(f"{name}={value}: it takes a whole number from 1")
    if name == "use_pretrained_model" and value not in ("0", "1"):
        raise UsageError(f"{name}={value}: it takes 0 or 1")
    if name == "image_shape" and _SHAPE.fullmatch(value) is None:
        raise UsageError(f"{name}={value}: it takes channels (1 or 3), height and width, as in 3,224,224")
    if name == "multi_label" and value != "0":
        raise UsageError(f"{name}={value}: several labels per image need an augmented manifest, not RecordIO files")
