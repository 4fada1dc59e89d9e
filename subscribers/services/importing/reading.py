"""A CSV file as records, in bounded memory, where a stray quotation mark costs its own line and no other.

Python's csv module would read from an opening quote to the next closing one, however many people lie between, so the
reader here goes line by line and joins lines only while they really look like one record.
"""

from __future__ import annotations

import csv
import io
import re
from collections import deque
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import BinaryIO, Final, TextIO

PLAIN: Final = "plain"  # no character in it needs escaping anywhere
QUOTED: Final = "quoted"
UNCLOSED_QUOTE: Final = "unclosed_quote"
MALFORMED_QUOTE: Final = "malformed_quote"
TOO_LONG: Final = "row_too_long"
FAULTS: Final = frozenset({UNCLOSED_QUOTE, MALFORMED_QUOTE, TOO_LONG})

MAX_LINE = 256 * 1024  # characters
MAX_JOINED_LINES = 100
_BLOCK = 256 * 1024

Record = tuple[int, list[str], str]  # number of its first line, cells, kind
RowTest = Callable[[list[str]], bool]

# Whatever COPY or JSON would want escaped. A tab is harmless where it separates, since no cell can hold one.
_special = re.compile(r'["\\\x00-\x09\x0b-\x1f\x7f]')
_special_in_tsv = re.compile(r'["\\\x00-\x08\x0b-\x1f\x7f]')


def open_text(path: Path, encoding: str, errors: str = "strict") -> io.TextIOWrapper:
    """Open the file with every kind of line end read as a newline."""
    return as_text(path.open("rb"), encoding, errors)


def as_text(file: BinaryIO, encoding: str, errors: str = "strict") -> io.TextIOWrapper:
    """Wrap an open file likewise."""
    return io.TextIOWrapper(file, encoding, errors, newline=None)


def read_records(stream: TextIO, *, delimiter: str, is_row: RowTest | None = None) -> Iterator[Record]:
    """Yield (line, cells, kind). For a kind in FAULTS the cells are what is left of the faulty line.

    `is_row` says whether cells look like a whole record of this file; with it, a stray quote can't swallow the people
    after it even when a later quote happens to close it. A first line `sep=;`, which Excel writes, is skipped.
    """
    special = _special_in_tsv if delimiter == "\t" else _special
    pending: deque[str] = deque()
    lines = _lines(stream)
    number = 0
    while True:
        if pending:
            line = pending.popleft()
        else:
            following = next(lines, None)
            if following is None:
                return
            line = following
        number += 1
        if special.search(line) is None:
            if number == 1 and len(line) == 5 and line.startswith("sep="):
                continue
            yield number, line.split(delimiter), PLAIN
            continue
        if len(line) > MAX_LINE:
            yield number, [line[:200]], TOO_LONG
            continue
        cells, kind = _parse(line, delimiter)
        taken = 0
        if kind == UNCLOSED_QUOTE:
            cells, kind, taken = _join(line, lines, pending, delimiter, is_row)
        yield number, cells, kind
        number += taken


def _lines(stream: TextIO) -> Iterator[str]:
    """Split by newlines only (str.splitlines would also split at U+2028 and friends), never holding an endless line."""
    carry = ""
    while block := stream.read(_BLOCK):
        *whole, carry = (carry + block).split("\n")
        yield from whole
        if len(carry) > 2 * MAX_LINE:
            yield from _long_line(stream, carry)
            carry = ""
    if carry:
        yield carry


def _long_line(stream: TextIO, start: str) -> Iterator[str]:
    """Skip to the end of a line that is too long; yield its start, still too long, so that it is rejected."""
    while (rest := stream.readline(_BLOCK)) and not rest.endswith("\n"):
        pass
    yield f"{start[: MAX_LINE + 1]}\x00"


def _parse(line: str, delimiter: str) -> tuple[list[str], str]:
    """Read one line as a record."""
    if '"' not in line:
        return line.split(delimiter), QUOTED
    if line[0] == '"' == line[-1]:
        # Every cell quoted, as most tools write: three times as fast as the csv module.
        parts = line[1:-1].split(f'"{delimiter}"')
        if line.count('"') == 2 * len(parts):
            return parts, QUOTED
    try:
        return next(csv.reader([line], delimiter=delimiter, strict=True)), QUOTED
    except csv.Error as error:
        reason = str(error)
        if "unexpected end" in reason:
            return line.split(delimiter), UNCLOSED_QUOTE
        return line.split(delimiter), TOO_LONG if "field larger" in reason else MALFORMED_QUOTE


def _join(
    line: str, lines: Iterator[str], pending: deque[str], delimiter: str, is_row: RowTest | None
) -> tuple[list[str], str, int]:
    """Try to close the quote on the lines that follow; give all of them back when that fails."""
    joined = [line]
    size = len(line)
    while len(joined) < MAX_JOINED_LINES and size < csv.field_size_limit():
        following = pending.popleft() if pending else next(lines, None)
        if following is None:
            break
        joined.append(following)
        size += len(following)
        if is_row is not None and is_row(following.replace('"', "").split(delimiter)):
            break  # somebody else's row
        if '"' not in following:
            continue
        try:
            cells = next(csv.reader(["\n".join(joined)], delimiter=delimiter, strict=True))
        except csv.Error as error:
            if "unexpected end" in str(error):
                continue
            break
        return cells, QUOTED, len(joined) - 1
    pending.extendleft(reversed(joined[1:]))
    return line.split(delimiter), UNCLOSED_QUOTE, 0
