"""WebDataset shards with random access: tar files whose samples are members of one key, KEY.mp4, KEY.txt, KEY.json.

The layout is video2dataset's and img2dataset's (github.com/iejMac/video2dataset, github.com/rom1504/img2dataset).
A shard is read through once and its members' places are kept in an index beside it, or in the user's cache folder;
from then on any sample is one seek away, and the order of training stays a function of the sample's number.
"""

import io
import json
import os
import re
import tarfile
import zlib
from collections.abc import Iterable, Iterator, Mapping
from functools import cache
from itertools import accumulate, groupby
from pathlib import Path
from typing import Any

import numpy as np

from pixeldance.atomic import atomic_file
from pixeldance.data.source import Size, Unreadable
from pixeldance.data.videos import PICTURES, Item, digest, placed
from pixeldance.video_read import CONTAINERS

MEDIA = (".safetensors", *CONTAINERS, *PICTURES)
"""What a sample is made of; of several, the first in this list counts. Latents lie in .safetensors."""
PARTS = ("media", "txt", "json")
INDEX_VERSION = 1

Key = str
Members = Mapping[str, bytes]
"""The bytes of a sample's members by ending, such as ".txt"."""


class Shards:
    """The samples of some shards, numbered through. What is damaged in a shard is in `problems`: (shard, reason)."""

    def __init__(self, paths: Iterable[Path]) -> None:
        self.stamps = [_stamp(path.absolute()) for path in paths]
        indices = [_index(*stamp) for stamp in self.stamps]
        self.ends = list(accumulate(len(index.places) for index in indices))
        self.problems = [(str(s[0]), i.problem) for s, i in zip(self.stamps, indices, strict=True) if i.problem]

    def __len__(self) -> int:
        return self.ends[-1] if self.ends else 0

    def name(self, number: int) -> str:
        """The shard and the key in it."""
        path, row = self._row(number)
        return f"{path}/{row['key'].decode()}"

    def members(self, number: int, parts: tuple[str, ...] = PARTS) -> tuple[str, dict[str, bytes]]:
        """The ending of a sample's medium ("" where it has none) and the bytes of those of its members in `parts`."""
        path, row = self._row(number)
        with open(path, "rb") as file:
            found = {}
            for part in parts:
                if row[f"{part}_size"] >= 0:
                    file.seek(int(row[f"{part}_at"]))
                    found[part] = file.read(int(row[f"{part}_size"]))
        return ("" if row["ending"] < 0 else MEDIA[row["ending"]]), found

    def stamp(self) -> str:
        """What the samples were found in."""
        return digest(f"{path} {size} {mtime}" for path, size, mtime in self.stamps)

    def _row(self, number: int) -> tuple[Path, Any]:
        shard, place = placed(self.ends, number)
        # In a process of its own the index is read again, from its file; a place in a list holds no open one.
        index = _index(*self.stamps[shard])
        return self.stamps[shard][0], index.places[place]


class ShardItems:
    """The samples of `shards` as items of a set of videos, looked up one by one."""

    def __init__(self, shards: Shards, text: str | None = None) -> None:
        self.shards, self.text = shards, text

    def __len__(self) -> int:
        return len(self.shards)

    def name(self, number: int) -> str:
        return self.shards.name(number)

    def stated(self, number: int) -> Size | None:
        ending, members = self.shards.members(number, ("json",))
        # That of a video may be the size that it had before it was cut and scaled.
        return stated_size(about_of(members)) if ending in PICTURES else None

    def stamp(self) -> str:
        return self.shards.stamp()

    def item(self, number: int) -> Item:
        """Raises Unreadable for a sample whose download failed, and for one without a medium or a text."""
        ending, members = self.shards.members(number)
        about = about_of(members)
        if about.get("status", "success") != "success":
            raise Unreadable(f"never downloaded: {about.get('error_message') or about['status']}")
        if ending in ("", ".safetensors"):
            raise Unreadable(f"no video: the sample has no {', '.join(MEDIA[1:])}")
        text = members["txt"].decode(errors="replace").strip() if "txt" in members else about.get("caption")
        if text is None and self.text is None:
            raise Unreadable('no text: neither .txt nor a "caption" in .json; ?text=... gives all of them one')
        name = self.shards.name(number)
        return Item(
            name=name,
            media=members["media"],
            ending=ending,
            texts=(str(text if text is not None else self.text),),
            span=_span(name, about),
        )


def stated_size(about: Mapping[str, Any]) -> Size | None:
    """The size that img2dataset notes of a picture as it is stored; None where it is not noted."""
    height, width = about.get("height"), about.get("width")
    if isinstance(height, int) and isinstance(width, int) and height > 0 and width > 0:
        return height, width
    return None


def about_of(members: Members) -> dict[str, Any]:
    """The .json of a sample; {} where there is none. Raises Unreadable for what is no JSON object."""
    try:
        about = json.loads(members.get("json", b"{}"))
    except ValueError as error:
        raise Unreadable(f"damaged: its .json is none ({error})") from None
    if not isinstance(about, dict):
        raise Unreadable("damaged: its .json is no object")
    return about


def seconds(time: str | float) -> float:
    """Of a time in seconds, or as HH:MM:SS.mmm."""
    if not isinstance(time, str):
        return float(time)
    total = 0.0
    for part in time.split(":"):
        total = 60 * total + float(part)
    return total


def _span(name: str, about: Mapping[str, Any]) -> tuple[float, float] | None:
    """video2dataset notes the clips that it was told of. Those it has cut have their number behind the key, and the
    times are those in the video they came from; of a whole video with one clip noted, that one is meant."""
    clips = about.get("clips")
    if not isinstance(clips, list) or len(clips) != 1 or re.search(r"_[0-9]+$", name):
        return None
    try:
        begin, end = map(seconds, clips[0])
    except (ValueError, TypeError) as error:
        raise Unreadable(f"damaged: no times in the clip {clips[0]!r} of its .json ({error})") from None
    return begin, end


# --- the index ---


class Index:
    """places: one row a sample, see `_row_type`. problem: what is wrong with the shard as a whole, or ""."""

    def __init__(self, places: np.ndarray, problem: str) -> None:
        self.places, self.problem = places, problem


def _stamp(path: Path) -> tuple[Path, int, int]:
    """A shard with its size and the time of its last change, by which an index knows what it was made of."""
    try:
        state = path.stat()
    except OSError as error:
        raise ValueError(f"cannot read the shard {path}: {error.strerror}; give the path of a .tar file") from error
    return path, state.st_size, state.st_mtime_ns


@cache
def _index(path: Path, size: int, mtime: int) -> Index:
    """The index of a shard, read or made."""
    stamp = {"version": INDEX_VERSION, "size": size, "mtime_ns": mtime}
    for file in _index_files(path):
        found = _load(file, stamp)
        if found is not None:
            return found
    rows, problem = _scan(path, size)
    longest = max((len(row[0]) for row in rows), default=1)
    index = Index(np.array(rows, _row_type(longest)), problem)
    for file in _index_files(path):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(file, overwrite=True) as part:
                head = stamp | {"key": longest, "problem": problem, "samples": len(rows)}
                part.write_bytes(json.dumps(head).encode() + b"\n" + index.places.tobytes())
            break
        except (OSError, ValueError):
            continue  # nowhere to keep it: it is made again by the next process
    return index


def _row_type(key: int) -> np.dtype[Any]:
    places = [(f"{part}_{what}", "<i8") for part in PARTS for what in ("at", "size")]
    return np.dtype([("key", f"S{key}"), ("ending", "<i2"), *places])


def _index_files(path: Path) -> list[Path]:
    """Where the index of a shard may be: beside it, or where nothing can be written there, in the cache folder."""
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pixeldance" / "shards"
    return [path.with_name(f".{path.name}.index"), cache / f"{path.stem}-{zlib.crc32(os.fsencode(path)):08x}.index"]


def _load(file: Path, stamp: Mapping[str, int]) -> Index | None:
    """An index that was made of the same file, its rows left on the disk; None for any other."""
    try:
        with open(file, "rb") as opened:
            head = json.loads(opened.readline())
            if {name: head.get(name) for name in stamp} != stamp:
                return None
            row, begin = _row_type(head["key"]), opened.tell()
        if file.stat().st_size != begin + head["samples"] * row.itemsize:
            return None
        places = np.memmap(file, row, "r", begin, head["samples"]) if head["samples"] else np.empty(0, row)
        return Index(places, head["problem"])
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _scan(path: Path, size: int) -> tuple[list[tuple[Any, ...]], str]:
    """The rows of a shard's index, and what is wrong with it: what is whole before a damage is used."""
    members: list[tuple[str, str, int, int]] = []
    problem, end = "" if size else "empty: the file has no bytes", 0
    try:
        with tarfile.open(path, "r:") as tar:
            for member in tar:
                end = member.offset_data + -(-member.size // tarfile.BLOCKSIZE) * tarfile.BLOCKSIZE
                if end > size:
                    problem = f"cut off: in {member.name}"
                    break
                folder, _, file = member.name.rpartition("/")
                key, dot, ending = file.partition(".")
                if member.isreg() and key and dot:
                    members.append((f"{folder}/{key}" if folder else key, f".{ending.lower()}", *_place(member)))
    except (tarfile.TarError, OSError, ValueError) as error:
        problem = problem or f"cut off: {error}"
    if not problem and size < end + 2 * tarfile.BLOCKSIZE:  # of zeros, which end every archive
        problem = "cut off: between two members, or its writer was interrupted"
    rows = []
    for key, group in groupby(members, key=lambda member: member[0]):
        places = {ending: (at, length) for _, ending, at, length in group}
        media = next((number for number, ending in enumerate(MEDIA) if ending in places), -1)
        parts = (places.get(MEDIA[media]) if media >= 0 else None, places.get(".txt"), places.get(".json"))
        flat = [value for part in parts for value in (part or (0, -1))]
        rows.append((key.encode(), media, *flat))
    return rows, problem


def _place(member: tarfile.TarInfo) -> tuple[int, int]:
    return member.offset_data, member.size


def write_shard(path: Path, samples: Iterable[tuple[Key, Members]]) -> int:
    """Write samples, (key, members by ending), as a new shard: all of it or nothing. Gives their number.

    The same samples give the same bytes. Raises ValueError for a key with a dot, which no reader could take apart.
    """
    count = 0
    with atomic_file(path) as part, tarfile.open(part, "w", format=tarfile.USTAR_FORMAT) as tar:
        for key, members in samples:
            if "." in key:
                raise ValueError(f"got the key {key!r}; wanted one without a dot")
            for ending, data in members.items():
                entry = tarfile.TarInfo(key + ending)
                entry.size = len(data)
                tar.addfile(entry, io.BytesIO(data))
            count += 1
    return count


def brace_expanded(pattern: str) -> Iterator[str]:
    """The names that a pattern such as "{00000..00010}.tar" or "{a,b}.tar" stands for."""
    match = re.search(r"\{([^{}]*)\}", pattern)
    if match is None:
        yield pattern
        return
    span = re.fullmatch(r"([0-9]+)\.\.([0-9]+)", match[1])
    if span:
        width = len(span[1]) if span[1].startswith("0") else 0
        choices = [f"{number:0{width}d}" for number in range(int(span[1]), int(span[2]) + 1)]
    else:
        choices = match[1].split(",")
    for choice in choices:
        yield from brace_expanded(pattern[: match.start()] + choice + pattern[match.end() :])
