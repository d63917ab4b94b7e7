"""The report of an edit, on pairs of clips whose truth is known."""

from dataclasses import replace

import numpy as np
import pytest

from pixeldance.data.toybox import Scene, Toy, render
from pixeldance.edit.report import edited_region, report
from pixeldance.metrics.score import Score

TOY = Toy(shape="square", colour="red", size="large", radius=0.16, start=(-0.2, 0.0), motion="right", travel=0.25)
SCENE = Scene(toys=(TOY,), background="beige", texture="checks")


def shown(**about: object) -> np.ndarray:
    return render(replace(SCENE, toys=(replace(TOY, **about),)), (64, 64), 16)[0]


def figures(made: np.ndarray, first: np.ndarray, last: np.ndarray) -> dict[str, Score]:
    return {score.name: score for score in report(shown(), made, first, last, 8.0)}


def value(score: Score) -> float:
    assert score.value is not None
    return score.value


def test_a_perfect_edit():
    blue = shown(colour="blue")
    found = figures(blue, blue[0], blue[-1])
    assert value(found["outside_psnr"]) == 100
    assert value(found["path_error"]) < 1
    assert value(found["identity"]) > 0.9


def test_each_figure_finds_its_own_fault():
    blue = shown(colour="blue")
    ends = blue[0], blue[-1]
    perfect = figures(blue, *ends)
    darker = (blue * 0.9).astype(np.uint8)
    assert value(figures(darker, *ends)["outside_psnr"]) < 35
    late = blue[[0, 0, 0, 0, 0, 0, 0, 0, 1, 3, 5, 7, 9, 11, 13, 15]]  # rests, then hurries
    late_path = value(figures(late, *ends)["path_error"])
    assert late_path > 2
    assert late_path > 3 * value(perfect["path_error"])
    green = np.concatenate([blue[:4], shown(colour="green")[4:12], blue[12:]])
    assert value(figures(green, *ends)["identity"]) < 0.75


@pytest.mark.parametrize(
    ("first", "because"),
    [
        (shown()[0], "an end is the video's own"),
        (255 - shown()[0], "the edit is nearly everywhere"),
    ],
)
def test_what_cannot_be_computed_says_why(first: np.ndarray, because: str):
    for score in figures(shown(colour="blue"), first, shown(colour="blue")[-1]).values():
        assert score.value is None
        assert because in str(score)


def test_an_object_that_is_lost_is_told():
    blue = shown(colour="blue")
    noise = np.random.default_rng(0).integers(0, 256, blue.shape, dtype=np.uint8)
    noise[0], noise[-1] = blue[0], blue[-1]
    scores = figures(noise, blue[0], blue[-1])
    assert all(score.value is None or np.isfinite(score.value) for score in scores.values())


def test_the_region_of_an_edit():
    region = edited_region(shown()[0], shown(colour="blue")[0])
    assert 0.05 < region.mean() < 0.12
    assert not edited_region(shown()[0], shown()[0]).any()
