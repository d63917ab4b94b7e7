"""The toybox table: perfect on real clips, and each planted fault moves its own figures and no others."""

import math
from dataclasses import replace

import numpy as np
import pytest
from tiny import TINY, random_parts

from pixeldance.data.toybox import clip_and_scene, held_out
from pixeldance.metrics.toybox import HELD_OUT, SEED, Trial, evaluate, table, trials
from pixeldance.pipeline import Pipeline

KEYS = {
    "first_psnr",
    "direction",
    "motion",
    "motion_last",
    "landing_median",
    "landing_within_4px",
    "whole",
    "end_jump",
    "seconds_per_clip",
    "n",
}


@pytest.fixture(scope="module")
def real() -> list[Trial]:
    """Held-out clips, as a perfect model would make them."""
    made = []
    for number in range(24):
        clip, scene = clip_and_scene(SEED + number, world=HELD_OUT)
        made.append(Trial(text="", scene=scene, real=clip.video, free=clip.video, ended=clip.video, seconds=1.0))
    return made


@pytest.fixture(scope="module")
def perfect(real: list[Trial]) -> dict[str, float]:
    return table(real)


def moved(before: dict[str, float], after: dict[str, float]) -> set[str]:
    return {key for key in before if not math.isclose(before[key], after[key], rel_tol=0.05, abs_tol=1e-3)}


def test_a_perfect_model(perfect: dict[str, float]):
    figures = perfect
    assert set(figures) == KEYS
    assert figures["first_psnr"] == 100
    assert min(figures[key] for key in ("direction", "motion", "motion_last", "landing_within_4px", "whole")) >= 0.97
    assert figures["landing_median"] == 0
    assert figures["end_jump"] == 1


def test_frozen_clips_have_no_motion(real: list[Trial], perfect: dict[str, float]):
    still = [replace(t, free=np.repeat(t.real[:1], 16, 0), ended=np.repeat(t.real[:1], 16, 0)) for t in real]
    figures = table(still)
    changed = moved(perfect, figures)
    assert changed >= {"direction", "motion", "motion_last", "landing_within_4px", "end_jump"}
    assert "first_psnr" not in changed
    assert figures["direction"] == 0


def test_the_first_frame_alone(real: list[Trial], perfect: dict[str, float]):
    noisy = []
    for trial in real:
        free = trial.free.copy()
        free[0] = np.clip(free[0].astype(int) + 10, 0, 255)
        noisy.append(replace(trial, free=free))
    figures = table(noisy)
    assert moved(perfect, figures) == {"first_psnr"}
    assert figures["first_psnr"] == pytest.approx(28.1, abs=1)


def test_a_jump_to_the_last_frame(real: list[Trial]):
    jumping = [replace(t, ended=np.concatenate([t.real[:1].repeat(15, 0), t.real[-1:]])) for t in real]
    figures = table(jumping)
    assert figures["landing_median"] == 0
    assert figures["end_jump"] > 5


def test_the_captions_were_never_trained_on():
    toys = [clip_and_scene(SEED + number, world=HELD_OUT)[1].toys[0] for number in range(100)]
    assert all(held_out(toy.shape, toy.colour, toy.motion) for toy in toys)


def test_a_model_is_rendered_and_measured():
    pipeline, told = Pipeline(random_parts(replace(TINY, frames=(16, 1)))), []
    figures = evaluate(pipeline, n=2, progress=told.append)
    assert set(figures) == KEYS
    assert figures["n"] == 2
    assert told == [1, 2]
    one, other = (trials(pipeline, 1)[0] for _ in range(2))
    assert (one.free == other.free).all()
    assert (one.ended == other.ended).all()
    assert not (one.free == one.ended).all()
    with pytest.raises(ValueError, match="n = 0"):
        evaluate(pipeline, n=0)
