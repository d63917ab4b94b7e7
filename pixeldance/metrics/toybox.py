"""The toybox table: what a model makes of held-out captions, read back from pixels by the oracle.

Every caption names a combination of shape, colour and motion that training never shows. Each is rendered twice: from
text and first frame, and from text, first and last frame with tau = 1.
"""

import math
import time
from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import UInt8

from pixeldance.data.toybox import (
    ONE_OBJECT,
    Scene,
    clip_and_scene,
    describe_scene,
    end_jump,
    landing_error,
    last_place,
    read,
    whole,
)
from pixeldance.data.toybox.world import DIRECTIONS, ORBITS
from pixeldance.diffusion.noise import generators
from pixeldance.generate import Sampling
from pixeldance.metrics.image import psnr
from pixeldance.pipeline import Pipeline

HELD_OUT = replace(ONE_OBJECT, split="held-out")
SEED = 2**40  # clips from this number on are for evaluation
WITHIN = 4.0  # pixels of a 64 x 64 picture
MOVING = (*DIRECTIONS, *ORBITS, "bounce")

Video = UInt8[np.ndarray, "f h w 3"]


@dataclass(frozen=True, kw_only=True)
class Trial:
    """One held-out caption: the real clip and its truth, and what the model made of it without and with last frame."""

    text: str
    scene: Scene
    real: Video
    free: Video
    ended: Video
    seconds: float


def trials(
    pipeline: Pipeline, n: int, sampling: Sampling | None = None, progress: Callable[[int], None] | None = None
) -> list[Trial]:
    """Render `n` held-out captions, the seed of each being its number; `progress(done)` is called after each."""
    size, length = pipeline.system.sizes[0], pipeline.system.frames[0]
    made = []
    for number in range(n):
        shown, scene = clip_and_scene(SEED + number, world=HELD_OUT, size=size, frames=length)
        text = describe_scene(scene)
        ask = pipeline.instruct(text, shown.video[0], shown.video[-1])
        start = time.perf_counter()
        free = pipeline.render(ask.without(frame=-1), generators([number])[0], sampling)
        seconds = time.perf_counter() - start
        ended = pipeline.render(ask, generators([number])[0], sampling)
        made.append(Trial(text=text, scene=scene, real=shown.video, free=free, ended=ended, seconds=seconds))
        if progress is not None:
            progress(number + 1)
    return made


def table(made: list[Trial]) -> dict[str, float]:
    """The figures of a set of trials; a share of no clips at all is NaN.

    first_psnr: dB between the first frame asked for and the one made, mean. direction: of clips that go left, right,
    up or down, the share read as doing so (text + first frame). motion: the share with the right kind of motion,
    directions being one kind and orbits one, of clips that are not still (text + first frame). The rest is with the
    last frame: motion_last, the share with exactly the right motion; landing_median (px at 64 x 64) and
    landing_within_4px, how far the object ends from where the last frame has it; whole, the share of frames with the
    object whole; end_jump, last step over median inner step, median over moving clips, divided by that of the real
    ones. seconds_per_clip: text + first frame, median.
    """
    named = [(trial.scene.toys[0].motion, _motion(trial.free), _motion(trial.ended)) for trial in made]
    landings = [landing_error(trial.ended, *place) for trial in made if (place := last_place(trial.real)) is not None]
    moving = [trial for trial in made if trial.scene.toys[0].motion in MOVING]
    real_jump = _median([end_jump(trial.real) for trial in moving])
    return {
        "first_psnr": _mean([psnr(trial.free[0], trial.real[0]) for trial in made]),
        "direction": _mean([float(free == true) for true, free, _ in named if true in DIRECTIONS]),
        "motion": _mean([float(_kind(free) == _kind(true)) for true, free, _ in named if true != "still"]),
        "motion_last": _mean([float(ended == true) for true, _, ended in named]),
        "landing_median": _median(landings),
        "landing_within_4px": _mean([float(error <= WITHIN) for error in landings]),
        "whole": _mean([whole(trial.ended, trial.scene) for trial in made]),
        "end_jump": _median([end_jump(trial.ended) for trial in moving]) / real_jump,
        "seconds_per_clip": _median([trial.seconds for trial in made]),
        "n": len(made),
    }


def evaluate(
    pipeline: Pipeline, *, n: int = 200, sampling: Sampling | None = None, progress: Callable[[int], None] | None = None
) -> dict[str, float]:
    """`table` of `n` `trials`. Raises ValueError for n < 1."""
    if n < 1:
        raise ValueError(f"got n = {n}; wanted 1 or more captions")
    return table(trials(pipeline, n, sampling, progress))


def _motion(video: Video) -> str | None:
    reading = read(video)
    return reading.things[0].motion if reading.things else None


def _kind(motion: str | None) -> str | None:
    if motion in DIRECTIONS:
        return "straight"
    return "orbit" if motion in ORBITS else motion


def _mean(values: list[float]) -> float:
    return float(np.mean(values)) if values else math.nan


def _median(values: list[float]) -> float:
    """The median of what could be measured: NaN (an object that is never seen has no end jump) is left out."""
    known = [value for value in values if not math.isnan(value)]
    return float(np.median(known)) if known else math.nan
