"""A source of clips from a list of captioned videos: files, folders of pictures, or samples in shards."""

import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import accumulate
from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from pixeldance.data.buckets import Buckets
from pixeldance.data.clip import Clip, Example
from pixeldance.data.decode import Facts, Shown, Span, decode_clip, decode_pictures, decode_through, facts, still
from pixeldance.data.source import Source, Unreadable
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
    """The `Source` of the clips that `take` takes from `items`."""

    def __init__(self, items: Items, take: Take) -> None:
        self.items, self.take = items, take

    def __len__(self) -> int:
        return len(self.items)

    def read(self, index: int, rng: np.random.Generator) -> Clip:
        """Clip number `index`. `rng` draws the text, where there are several, and then the start."""
        item, take = self.items.item(index), self.take
        text = item.texts[int(rng.integers(len(item.texts)))] if len(item.texts) > 1 else item.texts[0]
        return Clip(video=take.buckets.fitted(show(item, take, rng)), text=text, fps=float(take.fps))

    def name(self, index: int) -> str:
        return self.items.name(index)

    def facts(self, index: int) -> Facts:
        """Length and size of the video itself. Raises Unreadable."""
        return item_facts(self.items.item(index))

    def bucket(self, index: int) -> int:
        """The number of the size that clip `index` comes in. Reads no more than the first picture, and nothing where
        there is one size. Raises Unreadable."""
        sizes = self.take.buckets.sizes
        return 0 if len(sizes) == 1 else self.take.buckets.nearest(self.facts(index).size)


class Joined:
    """Several sources as one, one after the other. Raises ValueError for one without end that is not the last."""

    def __init__(self, sources: Sequence[Source]) -> None:
        self.sources, self.ends = sources, list(accumulate(map(len, sources)))
        if self.ends[-1] > sys.maxsize:
            raise ValueError("got a source without end among several; wanted it alone")

    def __len__(self) -> int:
        return self.ends[-1]

    def read(self, index: int, rng: np.random.Generator) -> Clip | Example:
        which, place = placed(self.ends, index)
        return self.sources[which].read(place, rng)

    def name(self, index: int) -> str:
        which, place = placed(self.ends, index)
        return self.sources[which].name(place)


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
