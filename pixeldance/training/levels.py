"""At which noise levels training looks: each choice is the quantile function of a distribution of t, u in [0, 1] -> t.

So that any of them can be drawn at random, or stratified over a batch, by drawing u.
"""

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

LOWEST = 1e-3
"""The least t that is trained on: at t = 0 there is no noise to remove, and c_out of most predictions is 0."""


@dataclass(frozen=True, kw_only=True)
class Uniform:
    """Evenly in t from `lowest` to `highest`."""

    lowest: float = LOWEST
    highest: float = 1.0

    def __call__(self, u: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return self.lowest + (self.highest - self.lowest) * u


@dataclass(frozen=True, kw_only=True)
class Discrete:
    """The `steps` steps of DDPM alike, t = 1/steps, 2/steps, ..., 1 (arXiv 2006.11239, algorithm 1)."""

    steps: int = 1000

    def __post_init__(self) -> None:
        if self.steps < 1:
            raise ValueError(f"got {self.steps} noise levels; wanted 1 or more (DDPM has 1000)")

    def __call__(self, u: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        # The float32 below 1 times the number of steps may be rounded up to it.
        return ((u * self.steps).floor().clamp(max=self.steps - 1) + 1) / self.steps


@dataclass(frozen=True, kw_only=True)
class LogitNormal:
    """t = sigmoid(mean + std n) with n standard normal, kept to 0.001 .. 1: the middle levels more often than the ends
    (arXiv 2403.03206 sec. 3.1, for flows). mean > 0 looks at more noise."""

    mean: float = 0.0
    std: float = 1.0

    def __post_init__(self) -> None:
        if self.std <= 0:
            raise ValueError(f"got a deviation of {self.std}; wanted one above 0 (Stable Diffusion 3's is 1)")

    def __call__(self, u: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        normal = torch.special.ndtri(u.double())
        return torch.sigmoid(self.mean + self.std * normal).clamp(LOWEST, 1).to(u.dtype)


@dataclass(frozen=True, kw_only=True)
class Noisier:
    """t = u^(1/power), kept to 0.001 .. 1: a share 1 - 0.9^power of all looks is at t > 0.9; power 1 is `Uniform`.

    Only there, where the noise hides everything, is a video made from what text and pictures say alone.
    """

    power: float = 3.0

    def __post_init__(self) -> None:
        if self.power <= 0:
            raise ValueError(f"got a power of {self.power}; wanted one above 0 (1 is uniform, more is noisier)")

    def __call__(self, u: Float[Tensor, "*b"]) -> Float[Tensor, "*b"]:
        return LOWEST + (1 - LOWEST) * u ** (1 / self.power)


Levels = Uniform | Discrete | LogitNormal | Noisier
