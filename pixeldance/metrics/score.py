"""A figure with all that it takes to compare it: how it was measured, how sure it is, and what real videos get.

What could not be computed says why instead of having a value; there is no other way to be without one.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from jaxtyping import Float


@dataclass(frozen=True, kw_only=True)
class Setting:
    """How something was measured; None where it does not apply. Only figures of equal settings can be compared.

    n: samples on each side. frames, fps: of each video. size: (height, width) in pixels. resize: the rule that
    brought pictures to what the extractor takes. codec: how the videos were stored when they were read. extractor: the
    SHA-256 of the network that made the features.
    """

    n: int
    frames: int | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None
    resize: str | None = None
    codec: str | None = None
    extractor: str | None = None


@dataclass(frozen=True, kw_only=True)
class Score:
    """value: the figure, or None, and then `because` says why. interval: (low, high) within which it lies with a
    confidence of 95 %. floor: what real videos get against other real ones with the same setting; the best that can
    be hoped for. Raises ValueError for a value that is no finite number, and for one with an excuse."""

    name: str
    value: float | None
    setting: Setting
    because: str | None = None
    interval: tuple[float, float] | None = None
    floor: float | None = None

    def __post_init__(self) -> None:
        if (self.value is None) != bool(self.because):
            raise ValueError(f"{self.name}: got {self.value} because {self.because}; wanted a value or a reason")
        numbers = [self.value, self.floor, *(self.interval or ())]
        if not all(number is None or math.isfinite(number) for number in numbers):
            raise ValueError(f"{self.name}: got {numbers}; wanted finite numbers, or None and a reason")
        if self.value is None and (self.interval, self.floor) != (None, None):
            raise ValueError(f"{self.name}: got an interval or a floor of what was not computed; leave them out")

    def __str__(self) -> str:
        if self.value is None:
            return f"{self.name}: not computed, because {self.because}"
        interval = "" if self.interval is None else " [{:.4g}, {:.4g}]".format(*self.interval)
        floor = "" if self.floor is None else f", real against real {self.floor:.4g}"
        return f"{self.name}: {self.value:.4g}{interval}{floor}, n = {self.setting.n}"

    def as_json(self) -> dict[str, Any]:
        """The record as JSON takes it."""
        return asdict(self)


def not_computed(name: str, because: str, setting: Setting) -> Score:
    """The score that there is none."""
    return Score(name=name, value=None, because=because, setting=setting)


def interval(values: Sequence[float], rng: np.random.Generator, *, draws: int = 2000) -> tuple[float, float]:
    """The 95 % interval of the mean of one value a sample: percentiles of resampled means (Efron 1979).

    Raises ValueError for fewer than 2 values.
    """
    if len(values) < 2:
        raise ValueError(f"got {len(values)} values; wanted 2 or more for an interval")
    x = np.asarray(values, np.float64)
    low, high = np.percentile(rng.choice(x, (draws, len(x))).mean(axis=1), [2.5, 97.5])
    return float(low), float(high)


def share_interval(marks: Sequence[bool]) -> tuple[float, float]:
    """The 95 % interval of a share (Wilson 1927), which has a width even where all marks are the same. Raises
    ValueError for no marks."""
    if not marks:
        raise ValueError("got no marks; wanted 1 or more for an interval")
    n, share, z = len(marks), sum(marks) / len(marks), 1.959964
    middle = (share + z * z / (2 * n)) / (1 + z * z / n)
    half = z * math.sqrt(share * (1 - share) / n + z * z / (4 * n * n)) / (1 + z * z / n)
    return max(0.0, middle - half), min(1.0, middle + half)


def floor(
    real: Float[np.ndarray, "n d"],
    count: int,
    distance: Callable[[np.ndarray, np.ndarray], float],
    rng: np.random.Generator,
    *,
    draws: int = 5,
) -> float:
    """What `distance` says of real features against other real ones, `count` on each side: the mean over draws of
    disjoint halves. Raises ValueError for fewer than 2 count features."""
    if len(real) < 2 * count:
        raise ValueError(f"got {len(real)} real samples; wanted {2 * count}, two sets of {count} without a common one")
    halves = [np.split(real[rng.choice(len(real), 2 * count, replace=False)], 2) for _ in range(draws)]
    return float(np.mean([distance(one, other) for one, other in halves]))
