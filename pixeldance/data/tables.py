"""Tables of clips in .csv, .jsonl and .json files, with rows by number: ten million rows cost 80 MB of memory.

Of .csv and .jsonl only the places of the rows are kept in memory, a row is read when it is asked for.
"""

import csv
import io
import json
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np

from pixeldance.data.source import Unreadable

Row = Mapping[str, Any]


class Table:
    """The rows of a file. `rows`: of a .json that is an object, the name of the list in it.

    `several`: the column that holds a list of clips; then every one of them is a row, with the other columns of the
    line it stands in. Raises ValueError for another ending and for what is not such a table.
    """

    def __init__(self, path: Path, *, rows: str = "", several: str = "") -> None:
        self.path, self.rows, self.several = path, rows, several
        self.columns: list[str] = []
        self.places, self.ends = np.empty(0, np.int64), None
        if path.suffix == ".json":
            self.count = len(_whole(path, rows))
        elif path.suffix == ".csv":
            with open(path, "rb") as file:
                header, *places = [*_row_starts(file)] or [-1]
            if header < 0:
                raise ValueError(f"cannot read the table {path}: it is empty; wanted a line of column names first")
            with open(path, encoding="utf-8-sig", newline="") as text:
                self.columns = next(csv.reader(text))
            self.places = np.array(places, np.int64)
            self.count = len(places)
        elif path.suffix == ".jsonl":
            with open(path, "rb") as file:
                found = [(at, _many(line, several)) for at, line in _lines(file) if line.strip()]
            self.places = np.array([at for at, _ in found], np.int64)
            self.ends = np.cumsum([many for _, many in found], dtype=np.int64) if several else None
            self.count = sum(many for _, many in found)
        else:
            raise ValueError(f"cannot read the table {path}: got the ending {path.suffix!r}, know .csv, .jsonl, .json")

    def __len__(self) -> int:
        return self.count

    def __iter__(self) -> Iterator[Row]:
        return (self[number] for number in range(self.count))

    def __getitem__(self, number: int) -> Row:
        """Row `number`. Raises Unreadable where it cannot be taken apart."""
        if self.path.suffix == ".json":
            return _whole(self.path, self.rows)[number]
        if self.ends is None:
            return self._line(number)
        line = int(np.searchsorted(self.ends, number, side="right"))
        whole = self._line(line)
        clips = whole.get(self.several)
        if not isinstance(clips, list):
            raise Unreadable(f"damaged: the row has no list named {self.several!r}")
        return {**whole, **clips[number - int(self.ends[line])]}  # counted from the end of the list

    def stamp(self) -> str:
        """The file that the rows are in, and which state of it."""
        state = self.path.stat()
        return f"{self.path.absolute()} {state.st_size} {state.st_mtime_ns}"

    def _line(self, number: int) -> Row:
        with open(self.path, "rb") as file:
            file.seek(int(self.places[number]))
            if number + 1 < len(self.places):
                data = file.read(int(self.places[number + 1] - self.places[number]))
            else:
                data = file.read()
        text = data.decode(errors="replace")
        if self.path.suffix == ".csv":
            values = next(csv.reader(io.StringIO(text)), [])
            if len(values) != len(self.columns):
                raise Unreadable(f"damaged: the row has {len(values)} columns, the table {len(self.columns)}")
            return dict(zip(self.columns, values, strict=True))
        try:
            row = json.loads(text)
        except ValueError as error:
            raise Unreadable(f"damaged: the row is no JSON ({error})") from None
        if not isinstance(row, dict):
            raise Unreadable("damaged: the row is no JSON object")
        return row


def _lines(file: io.BufferedReader) -> Iterator[tuple[int, bytes]]:
    """Where each line begins, and the line."""
    at = 0
    for line in file:
        yield at, line
        at += len(line)


def _row_starts(file: io.BufferedReader) -> Iterator[int]:
    """Where each row of a CSV begins, its header first: a line break inside of quotes ends no row (RFC 4180)."""
    begin, inside = 0, False
    for at, line in _lines(file):
        begin = begin if inside else at
        inside ^= line.count(b'"') % 2 == 1
        if not inside and line.strip():
            yield begin


def _many(line: bytes, several: str) -> int:
    """How many rows a line stands for. A damaged one is one row, so that it is reported where it is read."""
    if not several:
        return 1
    try:
        clips = json.loads(line)[several]
    except (ValueError, KeyError, TypeError):
        return 1
    return len(clips) if isinstance(clips, list) else 1


@cache
def _whole(path: Path, rows: str) -> list[Any]:
    try:
        data = json.loads(path.read_bytes())
    except ValueError as error:
        raise ValueError(f"cannot read the table {path}: it is no JSON ({error})") from None
    found = data.get(rows) if rows and isinstance(data, dict) else data
    if not isinstance(found, list) or not all(isinstance(row, dict) for row in found):
        named = f" named {rows!r}" if rows else ""
        raise ValueError(f"cannot read the table {path}: wanted a list of objects{named}")
    return found
