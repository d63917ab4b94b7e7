"""Noise and where it comes from: one generator per sample, always drawn on the CPU.

A sample's noise depends on its own seed alone, never on its place in a batch or on the device.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Generator, Tensor

Noise = Callable[[Tensor], Tensor]
"""Draws noise in the shape, dtype and device of its argument, which must have the batch on axis 0."""


def generators(seeds: Sequence[int]) -> list[Generator]:
    """One CPU generator for each seed, 0 <= seed < 2^32: torch reads the low 32 bits alone, larger ones repeat."""
    return [Generator("cpu").manual_seed(seed) for seed in seeds]


@dataclass(frozen=True, kw_only=True)
class Iid:
    """Independent standard normal noise in every frame."""

    def __call__(self, like: Float[Tensor, "b ..."], rngs: Sequence[Generator]) -> Float[Tensor, "b ..."]:
        if len(rngs) != like.shape[0]:
            raise ValueError(f"got {len(rngs)} generators for a batch of {like.shape[0]}; wanted one per sample")
        rows = [torch.randn(like.shape[1:], generator=rng, dtype=torch.float32, device="cpu") for rng in rngs]
        return torch.stack(rows).to(like)


@dataclass(frozen=True, kw_only=True)
class Mixed:
    """Noise of which every frame shares a part: eps_i = sqrt(share) b + sqrt(1 - share) r_i, b and r_i standard normal.

    VideoFusion's base and residual noise (arXiv 2303.08320 eq. 4, share = lambda) and PYoCo's mixed prior (arXiv
    2305.10474 eq. 3, share = a^2 / (1 + a^2)). share: 0 (Iid) to 1 (one noise for all frames), also the correlation of
    any two frames. Each frame by itself is standard normal: an image model sees what it knows.
    """

    share: float

    def __post_init__(self) -> None:
        _check("share", self.share)

    def __call__(self, like: Float[Tensor, "b f ..."], rngs: Sequence[Generator]) -> Float[Tensor, "b f ..."]:
        own = Iid()(like, rngs)
        base = Iid()(like[:, :1], rngs)
        return self.share**0.5 * base + (1 - self.share) ** 0.5 * own


@dataclass(frozen=True, kw_only=True)
class Progressive:
    """Noise that remembers the frame before: eps_i = c eps_(i-1) + sqrt(1 - c^2) r_i.

    PYoCo's progressive prior (arXiv 2305.10474 eq. 5, c = a / sqrt(1 + a^2)); frames i and j correlate by c^|i - j|.
    correlation: c, 0 (Iid) to 1.
    """

    correlation: float

    def __post_init__(self) -> None:
        _check("correlation", self.correlation)

    def __call__(self, like: Float[Tensor, "b f ..."], rngs: Sequence[Generator]) -> Float[Tensor, "b f ..."]:
        first, *others = Iid()(like, rngs).unbind(1)
        frames = [first]
        for own in others:
            frames.append(self.correlation * frames[-1] + (1 - self.correlation**2) ** 0.5 * own)
        return torch.stack(frames, 1)


Prior = Iid | Mixed | Progressive
"""What a system draws its noise from, in training, at the start of a walk and at stochastic steps alike."""


def _check(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"got a {name} of {value}; wanted 0 (independent frames) to 1 (the same noise in all)")
