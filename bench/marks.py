"""Text between two marks of a page, which a program writes anew."""

from __future__ import annotations


def replace(page: str, begin: str, end: str, text: str) -> str:
    """The page with the text between its marks renewed.

    Raises:
        ValueError: it has no marks.
    """
    before, _, rest = page.partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        raise ValueError(f"a page without {begin} and {end}")
    return f"{before}{begin}\n{text}\n{end}{after}"
