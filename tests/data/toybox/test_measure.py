"""Spoilt clips: each measure moves when, and only when, it should."""

from dataclasses import replace
from math import inf, isnan

import numpy as np
import pytest

from pixeldance.data.toybox import (
    ONE_OBJECT,
    Scene,
    World,
    clip_and_scene,
    end_jump,
    landing_error,
    last_place,
    read,
    render,
    whole,
)
from pixeldance.data.toybox.blobs import Video

# Fast and of medium size, so that what blurs a path or a shape blurs it much.
MOVING = replace(
    ONE_OBJECT,
    motions=("left", "right", "up", "down"),
    speeds=("fast",),
    sizes=("medium",),
    split="all",
)
COUNT = 6


@pytest.fixture(scope="module")
def real() -> list[tuple[Video, Scene]]:
    return [(shown.video, truth) for shown, truth in (clip_and_scene(i, world=MOVING) for i in range(COUNT))]


def figures(video: Video, truth: Scene) -> dict[str, object]:
    """All that is measured of a clip of one moving object."""
    reading = read(video)
    target = last_place(render(truth)[0])
    assert target is not None
    (thing,) = reading.things
    return {
        "shape": thing.shape == truth.toys[0].shape,
        "colour": thing.colour == truth.toys[0].colour,
        "motion": thing.motion == truth.toys[0].motion,
        "setting": (reading.background, reading.texture) == (truth.background, truth.texture),
        "whole": whole(video, truth) >= 0.95,
        "lands": landing_error(video, *target) < 2,
        "smooth": 0.5 < end_jump(video) < 1.5,
    }


def expect(clips: list[tuple[Video, Scene]], *wrong: str) -> None:
    """Exactly the figures named `wrong` are wrong, in every clip."""
    for video, truth in clips:
        got = figures(video, truth)
        assert {name for name, right in got.items() if not right} == set(wrong), got


def test_real_clips_are_right(real: list[tuple[Video, Scene]]) -> None:
    expect(real)


def test_frozen_clips_do_not_move(real: list[tuple[Video, Scene]]) -> None:
    expect([(np.repeat(v[:1], 16, 0), s) for v, s in real], "motion", "lands", "smooth")
    assert all(read(np.repeat(v[:1], 16, 0)).things[0].motion == "still" for v, _ in real)


def test_shuffled_clips_do_not_move_as_they_should(real: list[tuple[Video, Scene]]) -> None:
    order = [5, 12, 1, 15, 8, 3, 14, 6, 0, 11, 4, 9, 13, 2, 10, 7]
    shuffled = [(v[order], s) for v, s in real]
    for video, truth in shuffled:
        got = figures(video, truth)
        assert not got["lands"]
        assert not got["smooth"] or not got["motion"]
        assert all(got[name] for name in ("shape", "colour", "setting", "whole"))


def test_blurred_clips_have_no_shape_but_move(real: list[tuple[Video, Scene]]) -> None:
    for video, truth in real:
        got = figures(blurred(video, 2), truth)
        assert not got["whole"]
        assert got["colour"]
        assert got["motion"]
        assert got["lands"]
        assert got["smooth"]


def test_a_smear_is_not_whole(real: list[tuple[Video, Scene]]) -> None:
    shares = []
    for video, truth in real:
        smeared = np.stack([video[max(i - 6, 0) : i + 7].mean(0) for i in range(16)]).astype(np.uint8)
        shares.append(whole(smeared, truth))
    assert np.mean(shares) < 0.2


def test_a_cross_fade_is_not_whole(real: list[tuple[Video, Scene]]) -> None:
    fade = np.linspace(0, 1, 16)[:, None, None, None]
    for video, truth in real:
        faded = ((1 - fade) * video[0] + fade * video[-1]).astype(np.uint8)
        assert whole(faded, truth) < 0.8  # at both ends it nearly is what it should be


def test_a_wrong_object_still_moves_and_lands(real: list[tuple[Video, Scene]]) -> None:
    other = {"circle": "star", "square": "ring", "ring": "square", "star": "circle"}
    wrong = []
    for _, truth in real:
        toy = truth.toys[0]
        colour = "blue" if toy.colour != "blue" else "red"
        changed = replace(toy, shape=other.get(toy.shape, "circle"), colour=colour)
        wrong.append((render(replace(truth, toys=(changed,)))[0], truth))
    expect(wrong, "shape", "colour", "whole")


def test_a_wrong_colour_is_still_whole(real: list[tuple[Video, Scene]]) -> None:
    wrong = []
    for _, truth in real:
        toy = replace(truth.toys[0], colour="blue" if truth.toys[0].colour != "blue" else "red")
        wrong.append((render(replace(truth, toys=(toy,)))[0], truth))
    expect(wrong, "colour")


def test_a_jump_at_the_end_is_a_jump_only(real: list[tuple[Video, Scene]]) -> None:
    # The object loiters in the first half of its way and jumps to the end.
    jumping = [(np.concatenate([np.repeat(v[:8], 2, 0)[:15], v[-1:]]), s) for v, s in real]
    for video, truth in jumping:
        got = figures(video, truth)
        assert got["lands"]
        assert got["whole"]
        assert end_jump(video) > 3


@pytest.mark.parametrize("kind", ["two", "moving_camera", "cut"])
def test_whole_holds_in_the_whole_world(kind: str) -> None:
    world = World(**{"two": 0.0, "moving_camera": 0.0, "cut": 0.0, kind: 1.0})
    for seed in range(6):
        shown, truth = clip_and_scene(seed, world=world)
        assert whole(shown.video, truth) == 1


def test_a_missing_object_is_not_whole_and_lands_nowhere(real: list[tuple[Video, Scene]]) -> None:
    empty = np.full((16, 64, 64, 3), 130, np.uint8)
    assert whole(empty, real[0][1]) == 0
    assert landing_error(empty, 32.0, 32.0) == inf
    assert last_place(empty) is None
    assert isnan(end_jump(empty))


def test_landing_error_is_in_pixels_of_64(real: list[tuple[Video, Scene]]) -> None:
    large = render(real[0][1], (128, 128))[0]
    place = last_place(large)
    assert place is not None
    assert landing_error(large, place[0] + 6, place[1] + 8) == pytest.approx(5)


def blurred(video: Video, times: int) -> Video:
    """`times` means over 5 x 5 pixels."""
    soft = video.astype(float)
    for _ in range(times):
        wide = np.pad(soft, ((0, 0), (2, 2), (2, 2), (0, 0)), mode="edge")
        rows = sum(wide[:, i : i + 64] for i in range(5)) / 5
        soft = sum(rows[:, :, i : i + 64] for i in range(5)) / 5
    return soft.round().astype(np.uint8)
