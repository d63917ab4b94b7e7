"""Layers and weights by the patterns of their names, as in a shell: * is any run of characters, dots included."""

from collections.abc import Iterable, Sequence
from difflib import SequenceMatcher
from fnmatch import fnmatchcase


def matching(names: Iterable[str], patterns: Sequence[str]) -> list[str]:
    """The names that fit one of the patterns or more, in their own order.

    Raises ValueError for a pattern that fits none: it names those that are nearest.
    """
    names = list(names)
    for pattern in patterns:
        if not any(fnmatchcase(name, pattern) for name in names):
            raise ValueError(f"got {pattern!r}, which fits none of {len(names)} names; near are {near(pattern, names)}")
    return [name for name in names if any(fnmatchcase(name, pattern) for pattern in patterns)]


def near(name: str, names: Iterable[str], most: int = 3) -> str:
    """The names most like this one in all and in their last part, for a message."""

    def likeness(other: str) -> float:
        mine, theirs = (each.rpartition(".")[2] for each in (name, other))
        return SequenceMatcher(None, name, other).ratio() + SequenceMatcher(None, mine, theirs).ratio()

    return ", ".join(sorted(names, key=likeness, reverse=True)[:most]) or "none"
