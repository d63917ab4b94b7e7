"""A whole set gone through beforehand: what in it cannot be used and why, and how long and large the rest is."""

import statistics
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np

from pixeldance.data.latents import Latents
from pixeldance.data.parallel import mapped
from pixeldance.data.shards import ShardItems
from pixeldance.data.source import Source, Unreadable
from pixeldance.data.videos import Joined, Videos, item_facts, placed, read_through, show


@dataclass(frozen=True, kw_only=True)
class Checked:
    """One clip of a set. reason: why it cannot be used; "" where it can. seconds, size: of its video, where known."""

    index: int
    name: str
    reason: str = ""
    seconds: float | None = None
    size: tuple[int, int] | None = None


def check(source: Source, index: int, *, quick: bool = False) -> Checked:
    """Decode all of video number `index`, and take a clip of it; `quick`: only its ends and the clip."""
    name, seconds, size = source.name(index), None, None
    try:
        inner, place = _inner(source, index)
        rng = np.random.default_rng(index)
        if isinstance(inner, Videos):
            item = inner.items.item(place)
            facts = item_facts(item)
            seconds, size = facts.seconds, facts.size
            if not quick:
                read_through(item)
            show(item, inner.take, rng)
        else:
            size = getattr(inner.read(place, rng), "size", None)
    except Unreadable as error:
        return Checked(index=index, name=name, reason=str(error), seconds=seconds, size=size)
    return Checked(index=index, name=name, seconds=seconds, size=size)


def check_all(source: Source, *, quick: bool = False, workers: int = 0) -> Iterator[Checked]:
    """All of a set, in order."""
    return mapped(partial(_check, source, quick), range(len(source)), workers)


def damaged_shards(source: Source) -> list[tuple[str, str]]:
    """(shard, reason) of the shards of a set that are not whole; what is whole in them is among its clips."""
    if isinstance(source, Joined):
        return [problem for each in source.sources for problem in damaged_shards(each)]
    if isinstance(source, Videos) and isinstance(source.items, ShardItems):
        return source.items.shards.problems
    return source.shards.problems if isinstance(source, Latents) else []


def report(found: Iterable[Checked], shards: Iterable[tuple[str, str]] = ()) -> dict[str, Any]:
    """What was found, as JSON data: counts, lengths in seconds, sizes as WIDTHxHEIGHT, and each that is unreadable.

    `reasons` counts by kind: a reason up to its colon.
    """
    clips = list(found)
    bad = [clip for clip in clips if clip.reason]
    lengths = sorted(clip.seconds for clip in clips if clip.seconds is not None)
    sizes = Counter(f"{clip.size[1]}x{clip.size[0]}" for clip in clips if clip.size is not None)
    return {
        "clips": len(clips),
        "readable": len(clips) - len(bad),
        "reasons": dict(Counter(clip.reason.partition(":")[0] for clip in bad).most_common()),
        "seconds": {
            "total": round(sum(lengths), 3),
            "shortest": round(lengths[0], 3),
            "median": round(statistics.median(lengths), 3),
            "longest": round(lengths[-1], 3),
        }
        if lengths
        else None,
        "sizes": dict(sizes.most_common()),
        "unreadable": [{"index": clip.index, "name": clip.name, "reason": clip.reason} for clip in bad],
        "damaged_shards": [{"name": name, "reason": reason} for name, reason in shards],
    }


def _check(source: Source, quick: bool, index: int) -> Checked:
    return check(source, index, quick=quick)


def _inner(source: Source, index: int) -> tuple[Source, int]:
    """The one of several sources that a clip comes from, and its number there."""
    if isinstance(source, Joined):
        which, place = placed(source.ends, index)
        return _inner(source.sources[which], place)
    return source, index
