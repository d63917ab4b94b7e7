"""The oracle reads real clips rightly: at least 99 of 100, for every factor."""

from collections import defaultdict
from dataclasses import replace

import numpy as np
import pytest

from pixeldance.data.toybox import ONE_OBJECT, Reading, Scene, World, clip_and_scene, read
from pixeldance.data.toybox.blobs import components
from pixeldance.data.toybox.motion import cut_frame

Marks = dict[str, list[bool]]

WORLDS = {
    "one object": (replace(ONE_OBJECT, split="all"), 100),
    "held out": (replace(ONE_OBJECT, split="held-out"), 20),
    "camera": (World(two=0.0, moving_camera=1.0, cut=0.0, split="all"), 40),
    "two objects": (World(two=1.0, moving_camera=0.0, cut=0.0, split="all"), 30),
    "cut": (World(two=0.0, moving_camera=0.0, cut=1.0, split="all"), 30),
}


def compare(truth: Scene, reading: Reading, marks: Marks) -> None:
    """Mark every factor of one shot as read rightly or not."""
    marks["count"].append(len(truth.toys) == len(reading.things))
    for factor in ("background", "texture", "camera"):
        marks[factor].append(getattr(truth, factor) == getattr(reading, factor))
    for toy in truth.toys:
        thing = next((t for t in reading.things if t.colour == toy.colour), None)
        for factor in ("shape", "colour", "size", "motion", "speed", "turns"):
            marks[factor].append(thing is not None and getattr(thing, factor) == getattr(toy, factor))
        if toy.motion == "spin":
            marks["turn"].append(thing is not None and thing.turn == toy.turn)


@pytest.mark.parametrize("name", WORLDS)
def test_every_factor_is_read_from_real_clips(name: str) -> None:
    world, count = WORLDS[name]
    marks: Marks = defaultdict(list)
    for seed in range(1000, 1000 + count):
        shown, truth = clip_and_scene(seed, world=world)
        reading = read(shown.video)
        marks["cut"].append(reading.cut == cut_frame(truth, 16))
        compare(truth, reading, marks)
        if truth.after is not None and reading.after is not None:
            compare(truth.after, reading.after, marks)
    accuracy = {factor: float(np.mean(values)) for factor, values in marks.items()}
    assert min(accuracy.values()) >= 0.99, accuracy


def test_a_slight_blur_and_noise_change_nothing() -> None:
    marks: Marks = defaultdict(list)
    for seed in range(12):
        shown, truth = clip_and_scene(seed, world=ONE_OBJECT)
        rows = np.pad(shown.video.astype(float), ((0, 0), (1, 1), (1, 1), (0, 0)), mode="edge")
        soft = (rows[:, :-2] + 2 * rows[:, 1:-1] + rows[:, 2:]) / 4
        soft = (soft[:, :, :-2] + 2 * soft[:, :, 1:-1] + soft[:, :, 2:]) / 4
        noise = np.random.default_rng(seed).normal(0, 8, soft.shape)  # 30 dB
        compare(truth, read((soft + noise).clip(0, 255).round().astype(np.uint8)), marks)
    accuracy = {factor: float(np.mean(values)) for factor, values in marks.items()}
    assert min(accuracy.values()) >= 0.95, accuracy


def test_places_areas_and_masks_are_exact() -> None:
    world = World(two=0.0, moving_camera=0.0, cut=0.0, motions=("left", "up", "orbit clockwise"))
    for seed in range(8):
        shown, truth = clip_and_scene(seed, world=world)
        (thing,) = read(shown.video).things
        assert shown.focus is not None
        assert thing.present.all()
        assert thing.colours == (truth.toys[0].colour,) * 16
        assert abs(thing.x[0] - 32 - 64 * truth.toys[0].start[0]) < 0.2
        assert abs(thing.y[0] - 32 - 64 * truth.toys[0].start[1]) < 0.2
        both, either = (thing.mask & shown.focus).sum(), (thing.mask | shown.focus).sum()
        assert both / either > 0.9
        np.testing.assert_allclose(thing.area, shown.focus.sum((1, 2)), rtol=0.2)


@pytest.mark.parametrize(("size", "frames"), [((128, 128), 16), ((64, 96), 16), ((64, 64), 24), ((64, 64), 10)])
def test_other_sizes_and_lengths(size: tuple[int, int], frames: int) -> None:
    marks: Marks = defaultdict(list)
    for seed in range(6):
        shown, truth = clip_and_scene(seed, world=ONE_OBJECT, size=size, frames=frames)
        compare(truth, read(shown.video), marks)
    assert all(all(values) for values in marks.values()), marks


def test_an_empty_picture_has_no_things_and_wrong_arrays_are_refused() -> None:
    empty = read(np.full((16, 64, 64, 3), 130, np.uint8))
    assert empty.things == ()
    assert (empty.background, empty.texture, empty.camera, empty.cut) == ("grey", "plain", "still", None)
    with pytest.raises(ValueError, match="wanted uint8"):
        read(np.zeros((64, 64, 3), np.uint8))


def test_noise_is_read_without_failing() -> None:
    read(np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8))


def test_components_touch_at_corners_and_frames_are_apart() -> None:
    mask = np.array([[[1, 0, 0], [0, 1, 0], [0, 0, 0]], [[1, 1, 0], [0, 0, 0], [0, 0, 1]]], np.bool_)
    label = components(mask)
    assert label[0, 0, 0] == label[0, 1, 1]
    assert len({label[0, 0, 0], label[1, 0, 0], label[1, 2, 2]}) == 3
    assert (label[~mask] == mask.size).all()
