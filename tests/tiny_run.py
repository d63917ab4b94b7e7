"""A run that takes a second, as an experiment: what the tests of training train, here and in processes of their own."""

import json
import os
import signal
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import torch
from tiny import TINY

from pixeldance.data.clip import Clip, Example
from pixeldance.data.order import ENDLESS
from pixeldance.data.source import Unreadable
from pixeldance.training.loop import Training

SMALLER = replace(
    TINY,
    net=replace(TINY.net, widths=(8,), attention=(False,), temporal_convolutions=1, temporal_attentions=1),
)
"""A step takes some hundredths of a second."""


@dataclass(frozen=True)
class Colours:
    """Clips of a colour that the text names; brightness is the colour. What is not sound or readable says so.

    deadly: reading this clip kills the process that does, unless the file exists, which it leaves.
    """

    unsound: tuple[int, int] = (0, 0)
    unreadable: tuple[int, int] = (0, 0)
    pixels: bool = False
    deadly: tuple[int, Path] | None = None

    def __len__(self) -> int:
        return ENDLESS

    def name(self, index: int) -> str:
        return f"colour {index}"

    def read(self, index: int, rng: np.random.Generator) -> Clip | Example:
        if index in range(*self.unreadable):
            raise Unreadable("torn")
        if self.deadly is not None and index == self.deadly[0] and not self.deadly[1].exists():
            self.deadly[1].touch()
            os.kill(os.getpid(), signal.SIGKILL)
        bright = bool(np.random.default_rng(index).integers(2))
        text, value = ("yellow", 1.0) if bright else ("black", -1.0)
        if self.pixels:
            return Clip(video=np.full((4, 32, 32, 3), 255 * bright, np.uint8), text=text, fps=8.0)
        latents = torch.full((4, TINY.net.channels, 8, 8), value)
        return Example(text=text, latents=latents * float("nan") if index in range(*self.unsound) else latents)


RUN = Training(
    system=SMALLER,
    data=Colours,
    steps=10,
    batch=2,
    image_batch=4,
    image_every=4,
    warmup=2,
    cooldown=4,
    save_minutes=1e9,
)


def config(
    steps: int = 10,
    batch: int = 2,
    parallel: str = "none",
    workers: int = 0,
    save_minutes: float = 0.0,
    deadly: str = "",
) -> Training:
    """`RUN` with other settings. deadly: a file to leave where clip 21 has killed a process once."""
    return replace(
        RUN,
        data=partial(Colours, deadly=(21, Path(deadly))) if deadly else Colours,
        steps=steps,
        batch=batch,
        parallel=parallel,
        workers=workers,
        save_minutes=save_minutes,
    )


def lines(folder: Path, name: str = "log.jsonl") -> list[dict[str, Any]]:
    """What a run wrote into a file of its folder."""
    return [json.loads(line) for line in (folder / name).read_text().splitlines()]


def same(one: Path, other: Path) -> bool:
    """Whether two checkpoints hold the same bytes, what is needed to go on included."""
    files = [sorted(each.relative_to(folder) for each in folder.rglob("*.safetensors")) for folder in (one, other)]
    assert files[0] == files[1]
    assert len(files[0]) >= 4
    return all((one / name).read_bytes() == (other / name).read_bytes() for name in files[0])
