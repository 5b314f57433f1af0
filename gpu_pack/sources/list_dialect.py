"""Lists as people have them: other separators, quotes, a header line, InsightFace's columns, UTF-16.

What a dialect reads becomes a line as `gpu_pack.formats.lst` has it, so that every check is made there.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gpu_pack.errors import ListError
from gpu_pack.formats import lst
from gpu_pack.formats.notices import Notice

SEPARATORS = {"\t": "tabs", ",": "commas", ";": "semicolons", " ": "blanks"}
_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
is_number = re.compile(_NUMBER).fullmatch
#: With blanks for separators: paths may have blanks in them too.
_BLANKS = re.compile(rf"(\S+)\s+((?:{_NUMBER}\s+)+)(.+)")
_ALIGNED_BLANKS = re.compile(rf"(\d+)\s+(.+\S)\s+({_NUMBER})")


@dataclass(frozen=True)
class Dialect:
    """How a list is written.

    Attributes:
        encoding: of the text.
        separator: a tab, a comma, a semicolon, or a blank for runs of blanks.
        aligned: the columns are InsightFace's: aligned, path, label; otherwise key, labels, path.
        first: the number of the first line that is an image's.
        quoted: there are quotes; for messages.
    """

    encoding: str = "utf-8-sig"
    separator: str = "\t"
    aligned: bool = False
    first: int = 1
    quoted: bool = False

    def __str__(self) -> str:
        """What a person reads."""
        columns = "aligned, path, label" if self.aligned else "key, label, path"
        quotes = " with quotes" if self.quoted else ""
        header = " below a header line" if self.first > 1 else ""
        encoding = f" in {self.encoding.upper()}" if self.encoding != Dialect.encoding else ""
        return f"{columns} separated by {SEPARATORS[self.separator]}{quotes}{header}{encoding}"

    def fields(self, line: str) -> list[str]:
        """The fields of a line, without their quotes."""
        line = line.strip()
        if self.separator != " " or line.startswith('"'):
            return [unquote(each.strip()) for each in self._split(line)]
        found = (_ALIGNED_BLANKS if self.aligned else _BLANKS).fullmatch(line)
        if found is None:
            return line.split()
        first, middle, last = map(unquote, found.groups())
        return [first, middle, last] if self.aligned else [first, *middle.split(), last]

    def row(self, fields: Sequence[str], position: int) -> str:
        """Fields as a line of `gpu_pack.formats.lst`; ``position`` is the key where the columns have none.

        Raises:
            ValueError: InsightFace's columns are not there.
        """
        if not self.aligned:
            return "\t".join(fields)
        if len(fields) < 3:
            raise ValueError(f"{len(fields)} fields, and a line needs aligned, path, label")
        return f"{position}\t{fields[2]}\t{fields[1]}"

    def fits(self, line: str) -> bool:
        """Whether a line can be read so."""
        fields = self.fields(line)
        if len(fields) < 3 or is_number(fields[1] if self.aligned else fields[-1]):
            return False
        try:
            lst.parse_line(self.row(fields, 0), "", 0)
        except ListError:
            return False
        return fields[0].isdecimal()

    def lines(self, path: str, notices: list[Notice]) -> Iterator[tuple[int, str]]:
        """Numbered lines as `gpu_pack.formats.lst` has them; what is to be said of them goes to ``notices``.

        Raises:
            ListError: a line has other columns.
        """
        position, unaligned = 0, 0
        example = ""
        for number, line in enumerate(lst.text_lines(path, self.encoding), 1):
            if number < self.first or line.isspace():
                continue
            fields = self.fields(line)
            try:
                row = self.row(fields, position)
            except ValueError as error:
                raise ListError(f"{path}:{number}: {error}") from None
            if self.aligned and fields[0] == "0":
                unaligned, example = unaligned + 1, example or fields[1]
            position += 1
            yield number, row
        if unaligned:
            notices.append(Notice("faces-unaligned", unaligned, example))

    def _split(self, line: str) -> list[str]:
        try:
            return next(csv.reader([line], delimiter=self.separator, skipinitialspace=True), [])
        except csv.Error:
            return line.split(self.separator)


def unquote(text: str) -> str:
    """A field without the quotes around it."""
    return text[1:-1] if len(text) > 2 and text[0] == text[-1] and text[0] in "\"'" else text
