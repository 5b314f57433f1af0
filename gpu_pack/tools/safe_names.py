"""Turns names from a .lst or a classes.txt into paths that stay inside a folder, on every system.

The names are not trusted. The paths are relative, without ``..``, drives, device names of Windows, long parts, and
characters that some file system refuses. No two records get the same path, even if letter case and Unicode
normalization are ignored.
"""

from __future__ import annotations

import hashlib
import unicodedata
from collections.abc import Sequence

#: File systems take 255 bytes a part (eCryptfs 143); a suffix and a number come on top.
_MAX_PART = 120
_MAX_PARTS = 16
_MAX_BYTES = 800
_REFUSED = frozenset('<>:"|?*\\/\0')
_DEVICES = frozenset(
    ["con", "prn", "aux", "nul", "conin$", "conout$", "clock$"]
    + [kind + digit for kind in ("com", "lpt") for digit in "0123456789¹²³"]
)
_SUFFIXES = {
    "jpeg": (".jpg", ".jpeg", ".jpe", ".jfif"),
    "png": (".png",),
    "webp": (".webp",),
    "bmp": (".bmp", ".dib"),
    "tiff": (".tif", ".tiff"),
    # Those of --formats any, by the names of `gpu_pack.formats.image_headers.sniff`.
    "gif": (".gif",),
    "avif": (".avif", ".avifs"),
    "heic": (".heic", ".heif"),
    "jp2": (".jp2", ".j2k", ".jpx", ".jpf", ".j2c", ".jpc"),
    "jxl": (".jxl",),
    "exr": (".exr",),
    "hdr": (".hdr", ".pic"),
    "pnm": (".pnm", ".ppm", ".pgm", ".pbm", ".pam"),
    "pfm": (".pfm",),
    "psd": (".psd",),
    "ico": (".ico",),
    "dds": (".dds",),
    "sun raster": (".ras", ".sr"),
}


def safe_parts(path: str) -> list[str]:
    """The safe parts of a path, at least one.

    Both slashes separate. Parts that are empty, ``.`` or ``..`` are left out, and so is a drive letter.
    """
    raw = path.replace("\\", "/").split("/")
    if len(raw[0]) == 2 and raw[0][1] == ":" and raw[0][0].isalpha():
        raw = raw[1:]
    parts = [safe_part(part) for part in raw if part.strip(" .")]
    if len(parts) > _MAX_PARTS or len("/".join(parts).encode()) > _MAX_BYTES:
        parts = [f"{_digest(path)}-{parts[-1]}"]
    return parts or ["_"]


def safe_part(name: str) -> str:
    """One safe part of a path: not empty, not ``..``, at most about 130 bytes of UTF-8."""
    kept = "".join("_" if _refused(letter) else letter for letter in name).strip(" ").rstrip(" .")
    if not kept.strip("."):
        kept = "_"
    if len(kept.encode()) > _MAX_PART:
        stem = kept.encode()[: _MAX_PART - 9].decode(errors="ignore").rstrip(" .")
        kept = f"{stem}~{_digest(name)}"
    return "_" + kept if kept.split(".")[0].rstrip(" ").lower() in _DEVICES else kept


def with_suffix(name: str, kind: str | None) -> str:
    """``name`` with a suffix of the image format ``kind``; one that fits stays."""
    fitting = _SUFFIXES.get(kind or "", (".bin",))
    stem, dot, suffix = name.rpartition(".")
    if dot and "." + suffix.lower() in fitting:
        return name
    known = dot and any("." + suffix.lower() in suffixes for suffixes in _SUFFIXES.values())
    return (stem if known and stem else name) + fitting[0]


class UniquePaths:
    """Makes paths unique; keeps a hash of each."""

    def __init__(self) -> None:
        self._files: set[int] = set()
        self._folders: set[int] = set()

    def add(self, parts: Sequence[str], key: int) -> list[str]:
        """``parts``, with the key, or the key and a number, before the suffix if the path is in use."""
        folders = self._free_folders(parts[:-1])
        stem, dot, suffix = parts[-1].rpartition(".")
        name, number = parts[-1], 0
        while (identity := _identity([*folders, name])) in self._files or identity in self._folders:
            mark = f"-{key}" if not number else f"-{key}-{number}"
            name = f"{stem}{mark}{dot}{suffix}"
            number += 1
        self._files.add(identity)
        return [*folders, name]

    def _free_folders(self, parts: Sequence[str]) -> list[str]:
        """A folder cannot have a file's name."""
        folders: list[str] = []
        for part in parts:
            while (identity := _identity([*folders, part])) in self._files:
                part += "_"
            folders.append(part)
            self._folders.add(identity)
        return folders


def _identity(parts: Sequence[str]) -> int:
    return hash(unicodedata.normalize("NFC", unicodedata.normalize("NFD", "/".join(parts)).casefold()))


def _refused(letter: str) -> bool:
    # Cc: control; Cf: invisible, such as marks of writing direction; Cs: surrogates.
    return letter in _REFUSED or unicodedata.category(letter) in ("Cc", "Cf", "Cs", "Zl", "Zp")


def _digest(text: str) -> str:
    return hashlib.blake2b(text.encode("utf-8", "surrogatepass"), digest_size=4).hexdigest()
