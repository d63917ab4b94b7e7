"""Which of several clips of one request is kept, by the director's meter: the best one, or the first that will do.

The best has the fewest faults. Among those with equally few it is the one whose worst reading has the least strain, and
among equals the one with the lowest seed. The strain of a reading is how far it is on the way to its limit:
value / high, or 2 - value / low, which is 1 at the limit and more beyond it; where the limit is 0 (cuts, seams, white
frames), 0 for none and 1 plus the value for any. Readings without a limit do not count.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from pixeldance.metrics.meter import READINGS

RULE = "fewest faults, then the least strain of the worst reading, then the lowest seed"
NEEDS = {"first_psnr": "first", "landing": "last", "end_copy": "last"}
"""Readings that there are only where a first or a last frame was asked for."""

COMPARISONS: dict[str, Callable[[float, float], bool]] = {
    "<=": operator.le,
    ">=": operator.ge,
    "<": operator.lt,
    ">": operator.gt,
}
_PART = re.compile(
    r"\s*([a-z_]+)\s*(<=|>=|<|>)\s*([-+]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:e[-+]?[0-9]+)?)\s*", re.IGNORECASE
)


def strain(name: str, value: float) -> float | None:
    """How near a reading is to being a fault, above 1 for one that is; None for one without a limit."""
    known = READINGS[name]
    if known.low is not None:
        return 2 - value / known.low
    if known.high is not None:
        if known.high:
            return value / known.high
        return 1 + value if value > 0 else 0.0
    return None


def rank(readings: Mapping[str, float]) -> tuple[int, float]:
    """(faults, strain of the worst reading): the lesser is the better clip."""
    strains = [found for name, value in readings.items() if (found := strain(name, value)) is not None]
    faults = sum(READINGS[name].fault(value) for name, value in readings.items())
    return faults, max(strains, default=0.0)


@dataclass(frozen=True, kw_only=True)
class Condition:
    """What readings are to be, as (name, comparison, number): all of it."""

    parts: tuple[tuple[str, str, float], ...]

    def met(self, readings: Mapping[str, float]) -> bool:
        """Whether it is so. A reading that could not be had (a way to a last frame that is the first) is not."""
        return all(name in readings and COMPARISONS[sign](readings[name], value) for name, sign, value in self.parts)

    def __str__(self) -> str:
        return ", ".join(f"{name}{sign}{value:.12g}" for name, sign, value in self.parts)


def condition(text: str) -> Condition:
    """A condition as it is written, such as "end_jump<1.3" or "landing>=0.8, frozen<0.1".

    Raises ValueError for anything else, and for readings that there are none.
    """
    parts = []
    for part in text.split(","):
        match = _PART.fullmatch(part)
        if match is None:
            raise ValueError(
                f"got the condition {part.strip()[:60]!r}; wanted a reading, one of < <= > >= and a number, such as "
                "end_jump<1.3; several with commas between"
            )
        name, sign, value = match.groups()
        if name not in READINGS:
            raise ValueError(f"got the reading {name!r}; there are {', '.join(READINGS)}")
        parts.append((name, sign, float(value)))
    return Condition(parts=tuple(parts))
