"""A short run on files of several shapes, as an experiment: what test_mixed_sizes trains, here and by the command."""

from dataclasses import replace
from functools import partial
from pathlib import Path

from tiny_run import RUN

from pixeldance.data.datasets import open_source
from pixeldance.training.loop import Training

SIZES = ((32, 32), (24, 40), (40, 24))


def config(videos: Path, parallel: str = "none", batch: int = 4, steps: int = 8, workers: int = 0) -> Training:
    """The videos of a folder in the nearest of three sizes, a checkpoint after every step."""
    return replace(
        RUN,
        data=partial(open_source, f"folder:{videos}?text=a video", frames=4, fps=4.0, size=SIZES),
        parallel=parallel,
        batch=batch,
        steps=steps,
        workers=workers,
        save_minutes=0.0,
        max_unreadable=1.0,
    )
