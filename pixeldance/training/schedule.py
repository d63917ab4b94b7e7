"""What changes with the number of the step alone: the learning rate and how far back the averaged weights reach.

rate: rises linearly over `warmup` steps, is constant, and falls over the last `cooldown` steps.
average: w_avg <- d w_avg + (1 - d) w with d = min(limit, 1 - (1 + n / inverse)^-power) after the n-th update.
"""

from dataclasses import dataclass
from math import cos, pi
from typing import Literal

Schedule = Literal["constant", "linear", "cosine"]


def rate_at(step: int, *, steps: int, warmup: int, schedule: Schedule, cooldown: int) -> float:
    """The learning rate of a step (from 0) as a share of the full one, above 0 and at most 1."""
    rise = min(1.0, (step + 1) / max(warmup, 1))
    left = min(1.0, (steps - step) / max(cooldown, 1))
    if schedule == "constant":
        return rise
    return min(rise, left if schedule == "linear" else (1 - cos(pi * left)) / 2)


@dataclass(frozen=True, kw_only=True)
class Ema:
    """The decay of an exponential moving average of the weights.

    It forgets the start: early on the average reaches back about n / power updates (the power-function averages of
    arXiv 2312.02696, sec. 3.1), later 1 / (1 - limit). With inverse 9 and power 1 it is (1 + k) / (10 + k) at step
    k = n - 1. limit 0 keeps no average but the weights themselves.
    """

    limit: float = 0.999
    inverse: float = 9.0
    power: float = 1.0

    def __post_init__(self) -> None:
        if not 0 <= self.limit < 1 or self.inverse <= 0 or self.power <= 0:
            raise ValueError(
                f"got limit={self.limit}, inverse={self.inverse}, power={self.power}; wanted a limit of 0 to below 1, "
                "and the others above 0"
            )

    def decay(self, update: int) -> float:
        """d after update number `update`, counted from 1."""
        return min(self.limit, 1 - (1 + update / self.inverse) ** -self.power)
