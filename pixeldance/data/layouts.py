"""How published sets of videos lie on the disk: a record that says it, and the few functions that list their clips.

datasets.py is the table of these records. Listing opens the set's own lists and looks at names; texts beside files,
rows of tables and the videos themselves are read when their clip is.
"""

import re
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path
from types import MappingProxyType
from typing import Any

from pixeldance.data.shards import about_of, seconds
from pixeldance.data.source import Size, Unreadable
from pixeldance.data.tables import Row, Table
from pixeldance.data.videos import PICTURES, Chained, Item, Items, Listed, digest
from pixeldance.video_read import CONTAINERS, number_order


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What a person says besides the folder. split: which part, "" for all that is there. text: for clips that have
    none of their own. rate: pictures a second, of sets of pictures that do not publish theirs."""

    split: str = ""
    text: str | None = None
    rate: float | None = None


@dataclass(frozen=True, kw_only=True)
class Layout:
    """Where a set keeps its clips, below its folder. `{split}` in a pattern is the name of the split.

    list: which function lists them. note: what is published, where that was looked up, and what is our own choice.
    splits: their names.
    videos: patterns of the files, or folders of pictures; of several, the first that finds any. For a table, names
        made of its columns; of several, the first that exists. uncut: the same, of videos of which a clip is a part.
    table: patterns of the table. rows: of a JSON table, the name of its list. several: the column with a list of clips.
    span: the column or columns with the beginning and the end of a clip. column: that of the text.
    members: the file that lists a split, a name first in each line. groups: what a split is called or made of there.
    text: one for all clips; texts: one for each word that `named`, a regular expression, finds in a clip's path.
    beside: the text lies beside the file, as .txt or .json. endings: of files. rate: pictures a second. lengths: for
    folders of pictures, what a row of `table`, with start and end in frames at fps, calls the folder of its clip.
    """

    list: "Callable[[Layout, Path, Asked], Items]"
    note: str
    splits: tuple[str, ...] = ()
    videos: tuple[str, ...]
    uncut: str = ""
    table: tuple[str, ...] = ()
    rows: str = ""
    several: str = ""
    span: tuple[str, ...] = ()
    column: str = ""
    members: str = ""
    groups: Mapping[str, str] = field(default_factory=dict)
    text: str | None = None
    texts: Mapping[str, str] = field(default_factory=dict)
    named: str = ""
    beside: bool = False
    endings: tuple[str, ...] = tuple(CONTAINERS)
    rate: float | None = None
    lengths: str = ""


def files(layout: Layout, root: Path, asked: Asked) -> Items:
    """Every file that fits is a clip."""
    members = _members(layout, root, asked.split)
    paths = (path for _, path in _found(layout, root, asked.split, layout.videos))
    kept = [path for path in paths if path.suffix.lower() in layout.endings and path.is_file()]
    if members is not None:
        kept = [path for path in kept if f"{path.parent.name}/{path.name}" in members]
    return Paths(layout, kept, asked)


def folders(layout: Layout, root: Path, asked: Asked) -> Items:
    """Every folder of pictures that fits is a clip, and so is a video file that fits."""
    members = _members(layout, root, asked.split)
    paths = [path for _, path in _found(layout, root, asked.split, layout.videos)]
    folders = [path for path in paths if path.is_dir() and _pictures(path, most=1)]
    lengths = _lengths(layout, root)
    rateless = [] if asked.rate or layout.rate else [path for path in folders if path.name not in lengths]
    if rateless:
        wanted = f", and {layout.table[0]} beside the splits is not there or lacks it" if layout.lengths else ""
        raise ValueError(
            f"{rateless[0]} holds pictures, and no rate is published{wanted}; say how many make a second: ?rate=25"
        )
    kept = folders + [path for path in paths if path.is_file() and path.suffix.lower() in layout.endings]
    return Paths(layout, sorted(path for path in kept if members is None or path.name in members), asked, lengths)


def runs(layout: Layout, root: Path, asked: Asked) -> Items:
    """Pictures of many videos in one folder: those of one name whose numbers follow each other are a clip. `named`
    finds the two."""
    pictures = []
    for _, path in _found(layout, root, asked.split, layout.videos):
        match = re.fullmatch(layout.named, path.name)
        if match is None:
            raise ValueError(f"got {path}; wanted a name like {layout.named}")
        pictures.append((str(path.parent / match[1]), int(match[2]), path))
    found = []
    # Where numbers rise by one each, number minus place is the same.
    for (name, _), run in groupby(enumerate(sorted(pictures)), key=lambda each: (each[1][0], each[1][1] - each[0])):
        members = [picture for _, picture in run]
        found.append(
            Item(
                name=f"{name}_{members[0][1]:06d}",
                media=tuple(path for _, _, path in members),
                texts=_texts(layout, members[0][2], asked),
                rate=asked.rate or layout.rate or 1,
            )
        )
    return Listed(found)


def table(layout: Layout, root: Path, asked: Asked) -> Items:
    """Every row is a clip. `root` may be the table itself; the folder that it lies in then takes its place."""
    if root.is_file():
        return Rows(layout, root.parent, Table(root, rows=layout.rows, several=layout.several), asked, asked.split)
    return Chained(
        [
            Rows(layout, root, Table(path, rows=layout.rows, several=layout.several), asked, split)
            for split, path in _found(layout, root, asked.split, layout.table)
        ]
    )


def sentences(layout: Layout, root: Path, asked: Asked) -> Items:
    """MSR-VTT's JSON: `videos`, each with its split, and `sentences`, several to a video."""
    found = []
    for _, path in _found(layout, root, "", layout.table):
        said: dict[str, list[str]] = {}
        for row in Table(path, rows="sentences"):
            said.setdefault(row["video_id"], []).append(row[layout.column])
        for row in Table(path, rows="videos"):
            if asked.split in ("", row["split"]):
                video = _existing(layout.videos, root, row)
                texts = tuple(said.get(row["video_id"], ())) or _texts(layout, video, asked)
                found.append(Item(name=str(video), media=video, ending=video.suffix.lower(), texts=texts))
    return Listed(found)


def sequences(layout: Layout, root: Path, asked: Asked) -> Items:
    """KTH's list of the runs of frames in which something happens, several to a video; each is a clip."""
    videos = {path.name: path for _, path in _found(layout, root, "", layout.videos)}
    persons = layout.groups[asked.split].split() if asked.split else None
    found = []
    for _, listing in _found(layout, root, "", layout.table):
        for line in listing.read_text().splitlines():
            match = re.match(r"person(\d\d)_(\w+)_d\d", line)
            ranges = re.findall(r"(\d+)-(\d+)", line[match.end() :]) if match else []
            if match is None or not ranges or (persons is not None and match[1] not in persons):
                continue
            name = f"{match[0]}_uncomp.avi"
            path, rate = videos.get(name, root / match[2] / name), layout.rate or 1
            for begin, end in ranges:
                span = ((int(begin) - 1) / rate, int(end) / rate)
                texts = _texts(layout, path, asked)
                found.append(Item(name=f"{path}#{begin}-{end}", media=path, ending=".avi", texts=texts, span=span))
    return Listed(found)


class Paths:
    """Files, or folders of pictures, as items. lengths: in seconds, of folders by name."""

    def __init__(
        self, layout: Layout, paths: list[Path], asked: Asked, lengths: Mapping[str, float] = MappingProxyType({})
    ) -> None:
        self.layout, self.paths, self.asked, self.lengths = layout, paths, asked, lengths

    def __len__(self) -> int:
        return len(self.paths)

    def name(self, number: int) -> str:
        return str(self.paths[number])

    def stated(self, number: int) -> Size | None:
        return None

    def stamp(self) -> str:
        return digest(map(str, self.paths))

    def item(self, number: int) -> Item:
        path, texts = self.paths[number], _texts(self.layout, self.paths[number], self.asked)
        if not path.is_dir():
            return Item(name=str(path), media=path, ending=path.suffix.lower(), texts=texts)
        pictures = tuple(sorted(_pictures(path), key=number_order))
        if not pictures:
            raise Unreadable("empty: the folder holds no pictures")
        rate = self.asked.rate or self.layout.rate or len(pictures) / self.lengths[path.name]
        return Item(name=str(path), media=pictures, texts=texts, rate=rate)


class Rows:
    """The rows of a table as items."""

    def __init__(self, layout: Layout, root: Path, table: Table, asked: Asked, split: str) -> None:
        self.layout, self.root, self.table, self.asked, self.split = layout, root, table, asked, split

    def __len__(self) -> int:
        return len(self.table)

    def name(self, number: int) -> str:
        try:
            return self.item(number).name
        except Unreadable:
            return f"{self.table.path}, row {number + 1}"

    def stated(self, number: int) -> Size | None:
        return None

    def stamp(self) -> str:
        return digest([self.table.stamp(), str(self.root.absolute()), self.split])

    def item(self, number: int) -> Item:
        layout, row = self.layout, self.table[number]
        row = {"split": self.split, **row}
        try:
            video = _existing(layout.videos, self.root, row)
            text = (str(row[layout.column]),) if layout.column in row else _texts(layout, video, self.asked)
            if video.exists() or not layout.uncut:
                return Item(name=str(video), media=video, ending=video.suffix.lower(), texts=text)
            uncut = self.root / layout.uncut.format(**row)
            begin, end = map(seconds, row[layout.span[0]] if len(layout.span) == 1 else [row[c] for c in layout.span])
        except (KeyError, ValueError, TypeError) as error:
            raise Unreadable(f"damaged: the row lacks or spoils a column ({error})") from None
        name = f"{uncut}#{begin:g}-{end:g}"
        return Item(name=name, media=uncut, ending=uncut.suffix.lower(), texts=text, span=(begin, end))


def check(name: str, layout: Layout, asked: Asked) -> None:
    """Raise ValueError where something is asked of a set that it has not, or needs something that is not said."""
    if asked.split and asked.split not in layout.splits:
        known = ", ".join(layout.splits) or "no splits"
        raise ValueError(f"got the split {asked.split!r} of {name}, which has {known}; leave it out to take all")
    if asked.text is None and not (layout.beside or layout.column or layout.texts or layout.text is not None):
        raise ValueError(f"{name} publishes no texts; give one for all of it, which may be empty: ?text=")


def _found(layout: Layout, root: Path, split: str, patterns: tuple[str, ...]) -> list[tuple[str, Path]]:
    """(split, path) of what the first pattern that finds anything finds, in the order of names."""
    if not root.is_dir():
        raise ValueError(f"got {root}, which is no folder; give the one that the set was unpacked to")
    if split:  # what has no place for the split holds all of them
        patterns = tuple(pattern for pattern in patterns if "{split}" in pattern) or patterns
    for pattern in patterns:
        found = []
        for each in [split] if split else layout.splits or ("",):
            paths = sorted(root.glob(pattern.replace("{split}", each)))
            found += [(each, path) for path in paths]
            if "{split}" not in pattern:
                break
        if found:
            return found
    wanted = " or ".join(pattern.replace("{split}", split or "SPLIT") for pattern in patterns)
    raise ValueError(f"found nothing in {root}; wanted {wanted}. {layout.note}")


def _members(layout: Layout, root: Path, split: str) -> set[str] | None:
    """The names that a split's list gives; None for no list."""
    if not (layout.members and split):
        return None
    path = root / layout.members.format(split=layout.groups.get(split, split))
    if not path.is_file():
        raise ValueError(f"there is no {path}, the list of the split {split}; it is a part of the set")
    return {line.split()[0] for line in path.read_text().splitlines() if line.strip()}


def _lengths(layout: Layout, root: Path) -> dict[str, float]:
    """How long the clips of a table last, in seconds, by the names of their folders; {} where there is no table.

    So many pictures in so much time is their rate, also where they were taken from a copy of the film at another one.
    """
    found = dict[str, float]()
    for path in sorted(root.glob(layout.table[0])) if layout.lengths else ():
        for number, row in enumerate(Table(path)):
            try:
                length = (float(row["end"]) - float(row["start"])) / float(row["fps"])
                found[layout.lengths.format(**row)] = length
            except (KeyError, ValueError, ZeroDivisionError) as error:
                raise ValueError(f"{path}, row {number + 1}: lacks or spoils a column ({error})") from None
    return {name: length for name, length in found.items() if length > 0}


def _existing(templates: tuple[str, ...], root: Path, row: Row) -> Path:
    """The first of the names that exists, the first of all where none does."""
    paths = []
    for template in templates:
        # A name made of columns that this row has not is not its name.
        with suppress(KeyError):
            paths.append(root / template.format(**row))
    if not paths:
        raise KeyError(f"none of {', '.join(templates)} can be filled in")
    return next((path for path in paths if path.exists()), paths[0])


def _pictures(folder: Path, most: int | None = None) -> list[Path]:
    found = []
    for path in folder.iterdir():
        if path.suffix.lower() in PICTURES:
            found.append(path)
            if len(found) == most:
                break
    return found


def _texts(layout: Layout, path: Path, asked: Asked) -> tuple[str, ...]:
    if layout.texts:
        match = re.search(layout.named, path.as_posix())
        if match and match[1] in layout.texts:
            return (layout.texts[match[1]],)
    text = _beside(path) if layout.beside else layout.text
    text = asked.text if text is None else text
    if text is None:
        wanted = (
            "a .txt or .json beside it"
            if layout.beside
            else f"a column {layout.column!r}"
            if layout.column
            else f"one of {len(layout.texts)} classes in its path"
        )
        raise Unreadable(f"no text: wanted {wanted}; ?text=... gives those without one a text")
    return (text,)


def _beside(path: Path) -> str | None:
    """The text of NAME.txt, or the "caption" or "text" of NAME.json; None where there is neither."""
    if (file := path.with_suffix(".txt")).is_file():
        return file.read_text(encoding="utf-8", errors="replace").strip()
    if (file := path.with_suffix(".json")).is_file():
        about: Mapping[str, Any] = about_of({"json": file.read_bytes()})
        text = about.get("caption", about.get("text"))
        return None if text is None else str(text)
    return None
