"""Which frames of a clip are given in training: a random set, drawn anew each time; one model then learns them all."""

from dataclasses import dataclass
from typing import Literal, get_args

import torch
from torch import Generator

Kind = Literal["none", "leading", "any"]


@dataclass(frozen=True, kw_only=True)
class RandomSet:
    """The true frames are one of `kinds`, each as likely: none of them, the first few, or any few.

    How many is drawn evenly from 1 to all but one (Flexible Diffusion, arXiv 2205.11495 sec. 4; LVDM's masks, arXiv
    2211.13221 sec. 3.3, are none or the leading ones).
    """

    kinds: tuple[Kind, ...] = get_args(Kind)

    def __post_init__(self) -> None:
        if not self.kinds or not set(self.kinds) <= set(get_args(Kind)):
            raise ValueError(f"got kinds={self.kinds}; wanted one or more of {', '.join(get_args(Kind))}")

    def __call__(self, length: int, rng: Generator) -> list[int]:
        """The frame numbers, rising, of a clip of 2 frames or more."""
        kind = self.kinds[int(torch.randint(len(self.kinds), (), generator=rng))]
        count = int(torch.randint(1, length, (), generator=rng))
        if kind == "none":
            return []
        order = torch.arange(length) if kind == "leading" else torch.randperm(length, generator=rng)
        return sorted(order[:count].tolist())
