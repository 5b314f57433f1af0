"""Names of members: cleaned, or refused where they would lead out of the archive."""

from __future__ import annotations

import re

#: As long as a path can be on Linux; deeper folders than these belong to no set of pictures.
_MOST_BYTES = 4096
_MOST_FOLDERS = 100
_DRIVE = re.compile(r"[A-Za-z]:")


def clean_name(name: str) -> tuple[str, str]:
    """A member's name as a relative path with single ``/``, and why it is refused; one of the two is empty.

    A name that ends with ``/`` is a folder's; its path has none.
    """
    if fault := _fault(name):
        return "", fault
    if "//" in name or "./" in name or name.endswith(("/", ".")):
        name = "/".join(part for part in name.split("/") if part not in ("", "."))
    return name, "" if name else "it has no name"


def _fault(name: str) -> str:
    if not name:
        return "it has no name"
    if len(name) > _MOST_BYTES:
        return f"its name has over {_MOST_BYTES:,} characters"
    if name.count("/") > _MOST_FOLDERS:
        return f"its name has over {_MOST_FOLDERS} folders in it"
    if "\0" in name:
        return "its name has a NUL byte in it"
    if name.startswith(("/", "\\")) or _DRIVE.match(name):
        return "its name is an absolute path, which leads out of the archive"
    if ".." in name and ".." in name.replace("\\", "/").split("/"):
        return "its name has '..' in it, which leads out of the archive"
    return ""


def shown_name(name: str) -> str:
    """A refused name as messages have it: not longer than a line."""
    return name if len(name) <= 200 else f"{name[:100]}...{name[-60:]}"


def stem(path: str) -> str:
    """The name of an archive without its folder and suffixes."""
    name = path.rpartition("/")[2]
    for ending in _ENDINGS:
        if name.lower().endswith(ending) and len(name) > len(ending):
            return name[: -len(ending)]
    return name


#: Suffixes of archives, the compressed ones first.
TAR_SUFFIXES = ("tar.gz", "tar.bz2", "tar.xz", "tar.zst", "tgz", "tbz2", "tbz", "txz", "tzst", "tar")
_ENDINGS = tuple(f".{each}" for each in (*TAR_SUFFIXES, "zip"))


def is_tar_name(name: str) -> bool:
    """Whether a name ends as a tar's, compressed or not."""
    return name.lower().endswith(_ENDINGS[: len(TAR_SUFFIXES)])
