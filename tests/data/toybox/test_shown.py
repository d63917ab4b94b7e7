"""Ways to show a scene that came later: styles, moves of the camera, and the ratios; drawn, told and read back."""

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest

from pixeldance.data.toybox import (
    MORE_WORDS,
    ONE_OBJECT,
    VOCABULARY,
    WORLD,
    World,
    camera_name,
    clip_and_scene,
    describe_scene,
    read,
    render,
    scene,
    style_name,
    whole,
)
from pixeldance.data.toybox.sketches import placed
from pixeldance.data.toybox.world import CAMERAS, MORE_CAMERAS, RATIOS, STYLES
from pixeldance.nets.words import words

STYLED = replace(ONE_OBJECT, styles=STYLES)
FILMED = World(
    two=0,
    moving_camera=0.9,
    cut=0,
    cameras=(*tuple(CAMERAS)[1:], "rotate", "rotate", "follow", "follow", "circle"),
    textures=("checks", "dots"),
    split="all",
)
SAID = {"flat": "background", "outline": ", in outline", "ink": ", in ink", "pixel": ", in pixel art"}
SEEDS = [range(40), pytest.param(range(40, 400), marks=pytest.mark.slow)]


@pytest.mark.parametrize("seeds", SEEDS)
def test_the_style_is_told(seeds: range):
    right, same = Counter[str](), Counter[str]()
    for seed in seeds:
        made, truth = clip_and_scene(seed, world=STYLED)
        style, toy = truth.style, truth.toys[0]
        assert set(words(made.text)) <= {*VOCABULARY, *MORE_WORDS}
        assert describe_scene(truth).endswith(SAID[style])
        right[style] += 1
        same[style] += style_name(made.video) == style
        found = read(made.video).things
        assert found[0].colour == toy.colour
        if style != "outline":
            same["motion"] += found[0].motion == toy.motion
    assert set(right) == set(STYLES)
    assert sum(same[style] for style in STYLES) >= 0.97 * len(seeds)
    assert same["motion"] >= 0.95 * (len(seeds) - right["outline"])


def test_no_object_has_no_style():
    assert style_name(np.full((4, 64, 64, 3), 200, np.uint8)) is None


@pytest.mark.parametrize("seeds", SEEDS)
def test_the_move_of_the_camera_is_told(seeds: range):
    right = []
    for seed in seeds:
        made, truth = clip_and_scene(seed, world=FILMED)
        assert made.focus is not None
        if truth.camera in MORE_CAMERAS:
            assert not made.focus[:, [0, -1]].any()
            assert not made.focus[:, :, [0, -1]].any()
        right.append(camera_name(made.video) == truth.camera)
        assert set(words(made.text)) <= {*VOCABULARY, *MORE_WORDS}
    assert np.mean(right) >= 0.97


def test_a_plain_ground_shows_no_camera():
    made, _ = clip_and_scene(3, world=replace(FILMED, textures=("plain",)))
    assert camera_name(made.video) is None


def test_a_camera_that_follows_keeps_its_object_in_place():
    for seed in range(6):
        made, truth = clip_and_scene(seed, world=replace(FILMED, moving_camera=1, cameras=("follow",)))
        assert made.focus is not None
        assert (made.focus == made.focus[0]).all()
        assert not (made.video[0] == made.video[-1]).all()
        assert "follow" in describe_scene(truth)


def test_what_is_seen_through_a_turned_camera_is_where_sketches_and_measures_have_it():
    for seed in range(6):
        truth = scene(seed, replace(FILMED, moving_camera=1, cameras=("rotate",), motions=("left", "spin", "still")))
        video, focus = render(truth)
        (toy,) = placed(truth, (64, 64), 16)
        both = (toy.region & focus[-1]).sum() / (toy.region | focus[-1]).sum()
        assert both > 0.97
        assert whole(video, truth) == 1


def test_a_close_up_is_near_from_the_first_frame_on():
    truth = replace(scene(3, ONE_OBJECT), camera="still")
    far, near = (render(replace(truth, camera=camera))[1][0].sum() for camera in ("still", "close-up"))
    assert 1.6 < near / far < 2.1


@pytest.mark.parametrize(("ratio", "size"), RATIOS.items())
def test_ratios_are_exact_and_are_read(ratio: str, size: tuple[int, int]):
    wide, high = map(int, ratio.split(":"))
    assert size[1] * high == size[0] * wide
    assert not any(side % 8 for side in size)
    right = 0
    for seed in range(8):
        made, truth = clip_and_scene(seed, world=WORLD, size=size)
        found = read(made.video)
        told = [{(toy.shape, toy.colour, toy.motion) for toy in toys} for toys in (found.things, truth.toys)]
        right += told[0] == told[1] and found.camera == truth.camera
    assert right >= 7


def test_circles_are_round_in_every_ratio():
    truth = scene(1, replace(ONE_OBJECT, shapes=("circle",), motions=("still",), split="all"))
    for size in RATIOS.values():
        y, x = np.nonzero(render(truth, size, 1)[1][0])
        assert abs(np.ptp(x) - np.ptp(y)) <= 1
