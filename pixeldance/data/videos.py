"""A source of clips from a list of captioned videos: files, folders of pictures, or samples in shards."""

import hashlib
import sys
from bisect import bisect_right
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from pixeldance.data.buckets import Buckets
from pixeldance.data.clip import Clip, Example
from pixeldance.data.decode import (
    Facts,
    Shown,
    Span,
    decode_clip,
    decode_pictures,
    decode_through,
    facts,
    picture_size,
    seen_size,
    still,
)
from pixeldance.data.source import Size, Sized, Source, Unreadable
from pixeldance.video_read import CONTAINERS

PICTURES = (".jpg", ".jpeg", ".png", ".webp")


@dataclass(frozen=True, kw_only=True)
class Item:
    """One captioned video as a data set lists it; nothing of it has been opened yet.

    media: a video file or a still picture, the bytes of one, or the pictures of a video in order. ending: which of
    these a file is, such as ".mp4". texts: what it shows, said in one or more ways. span: the part of it meant. rate:
    how many pictures make a second, of a video kept as pictures.
    """

    name: str
    media: Path | bytes | tuple[Path, ...]
    ending: str = ""
    texts: tuple[str, ...]
    span: Span | None = None
    rate: float = 1.0


@runtime_checkable
class Items(Protocol):
    """A list of items, which are made when they are asked for: millions may lie in a file."""

    def __len__(self) -> int: ...

    def name(self, number: int) -> str:
        """What a person would look for, whether or not the item can be made."""
        ...

    def item(self, number: int) -> Item:
        """Raises Unreadable for one that cannot be made."""
        ...

    def stated(self, number: int) -> Size | None:
        """The size that the list itself gives, without the video being opened; None where it gives none. Raises
        Unreadable."""
        ...

    def stamp(self) -> str:
        """What the list was made from: another text for another list."""
        ...


class Listed:
    """Items that are all made already."""

    def __init__(self, items: list[Item]) -> None:
        self.items = items

    def __len__(self) -> int:
        return len(self.items)

    def name(self, number: int) -> str:
        return self.items[number].name

    def item(self, number: int) -> Item:
        return self.items[number]

    def stated(self, number: int) -> Size | None:
        return None

    def stamp(self) -> str:
        return digest(item.name for item in self.items)


class Chained:
    """Several lists of items, one after the other."""

    def __init__(self, lists: Sequence[Items]) -> None:
        self.lists, self.ends = lists, list(accumulate(map(len, lists)))

    def __len__(self) -> int:
        return self.ends[-1]

    def name(self, number: int) -> str:
        which, place = placed(self.ends, number)
        return self.lists[which].name(place)

    def item(self, number: int) -> Item:
        which, place = placed(self.ends, number)
        return self.lists[which].item(place)

    def stated(self, number: int) -> Size | None:
        which, place = placed(self.ends, number)
        return self.lists[which].stated(place)

    def stamp(self) -> str:
        return digest(each.stamp() for each in self.lists)


@dataclass(frozen=True, kw_only=True)
class Take:
    """What is taken of each video: `frames` frames, `fps` a second, in the size of their bucket."""

    frames: int = 16
    fps: float = 4.0
    buckets: Buckets = field(default_factory=Buckets)

    def __post_init__(self) -> None:
        if self.frames < 1 or not 0 < self.fps < 1000:
            raise ValueError(f"got {self.frames} frames at {self.fps} a second; wanted 1 or more at 0 to 1000 a second")


class Videos:
    """The `Source` of the clips that `take` takes from `items`. home: the folder where they lie."""

    def __init__(self, items: Items, take: Take, home: Path | None = None) -> None:
        self.items, self.take, self.home = items, take, home

    @property
    def sizes(self) -> tuple[Size, ...]:
        return self.take.buckets.sizes

    def __len__(self) -> int:
        return len(self.items)

    def read(self, index: int, rng: np.random.Generator) -> Clip:
        """Clip number `index`. `rng` draws the text, where there are several, and then the start."""
        item, take = self.items.item(index), self.take
        text = item.texts[int(rng.integers(len(item.texts)))] if len(item.texts) > 1 else item.texts[0]
        return Clip(video=take.buckets.fitted(show(item, take, rng)), text=text, fps=float(take.fps))

    def name(self, index: int) -> str:
        return self.items.name(index)

    def seen(self, index: int) -> Size:
        """The size of clip `index` before it is fitted. Raises Unreadable."""
        return self.items.stated(index) or item_size(self.items.item(index))

    def stamp(self) -> str:
        return self.items.stamp()


class Joined:
    """Several sources as one, one after the other.

    Raises ValueError for one without end that is not the last, and for clips that come in other sizes than the others.
    """

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources, self.ends = sources, list(accumulate(map(len, sources)))
        if self.ends[-1] > sys.maxsize:
            raise ValueError("got a source without end among several; wanted it alone")
        known = {each.sizes for each in sources if isinstance(each, Sized)}
        if len(known) > 1:
            told = " and ".join(map(str, known))
            raise ValueError(f"got sources whose clips come in the sizes {told}; wanted the same for all")
        self.sizes = known.pop() if all(isinstance(each, Sized) for each in sources) else ()
        self.home = next((each.home for each in sources if isinstance(each, Sized)), None)

    def __len__(self) -> int:
        return self.ends[-1]

    def seen(self, index: int) -> Size:
        which, place = placed(self.ends, index)
        source = self.sources[which]
        assert isinstance(source, Sized)
        return source.seen(place)

    def stamp(self) -> str:
        return digest(each.stamp() for each in self.sources if isinstance(each, Sized))

    def read(self, index: int, rng: np.random.Generator) -> Clip | Example:
        which, place = placed(self.ends, index)
        return self.sources[which].read(place, rng)

    def name(self, index: int) -> str:
        which, place = placed(self.ends, index)
        return self.sources[which].name(place)


def digest(parts: Iterable[str]) -> str:
    """The SHA-256 of texts in their order."""
    found = hashlib.sha256()
    for part in parts:
        found.update(part.encode(errors="surrogateescape") + b"\0")
    return found.hexdigest()


def placed(ends: Sequence[int], index: int) -> tuple[int, int]:
    """(which list, the number in it) of number `index` in lists that end before the numbers `ends`."""
    which = bisect_right(ends, index)
    return which, index - (ends[which - 1] if which else 0)


def show(item: Item, take: Take, rng: np.random.Generator) -> Shown:
    """The frames that `take` takes from a video, in its own size. Raises Unreadable."""
    if isinstance(item.media, tuple):
        return decode_pictures(item.media, item.rate, frames=take.frames, fps=take.fps, rng=rng, span=item.span)
    if item.ending in PICTURES:
        if take.frames > 1:
            raise Unreadable(f"too short: a still picture, where {take.frames} frames are wanted")
        return Shown(frames=[still(item.media)])
    return decode_clip(item.media, _container(item), frames=take.frames, fps=take.fps, rng=rng, span=item.span)


def item_size(item: Item) -> Size:
    """The size of a video as it is seen, from its first picture. Raises Unreadable."""
    if isinstance(item.media, tuple):
        return picture_size(item.media[0])
    if item.ending in PICTURES:
        return picture_size(item.media)
    return seen_size(item.media, _container(item))


def item_facts(item: Item) -> Facts:
    """Length in seconds and size of a video. Raises Unreadable."""
    if isinstance(item.media, tuple):
        return Facts(seconds=len(item.media) / item.rate, size=Shown(frames=[still(item.media[0])]).size)
    if item.ending in PICTURES:
        return Facts(seconds=0.0, size=Shown(frames=[still(item.media)]).size)
    return facts(item.media, _container(item))


def read_through(item: Item) -> None:
    """Decode all of a video, to find what is damaged. Raises Unreadable."""
    if isinstance(item.media, tuple):
        for path in item.media:
            still(path)
    elif item.ending in PICTURES:
        still(item.media)
    else:
        decode_through(item.media, _container(item))


def _container(item: Item) -> str:
    if item.ending not in CONTAINERS:
        raise Unreadable(f"not a video: got the ending {item.ending!r}, know {', '.join((*CONTAINERS, *PICTURES))}")
    return CONTAINERS[item.ending]
