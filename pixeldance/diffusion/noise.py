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
