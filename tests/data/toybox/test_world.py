"""The world: what is drawn from a seed, and what a first frame must not tell."""

import hashlib
import subprocess
import sys
from dataclasses import replace

import numpy as np
import pytest

from pixeldance.data.clip import Clip
from pixeldance.data.toybox import ONE_OBJECT, WORLD, Scene, World, clip, held_out, render, scene
from pixeldance.data.toybox.motion import cut_frame, lens, poses
from pixeldance.data.toybox.world import BACKGROUNDS, COLOURS, MOTIONS, ROUND, SHAPES, SPEEDS, TEXTURES

ALL = replace(WORLD, split="all")


def shots(truth: Scene, frames: int) -> list[tuple[Scene, int]]:
    """The shots of a scene with their numbers of frames."""
    cut = cut_frame(truth, frames)
    if cut is None or truth.after is None:
        return [(truth, frames)]
    return [(truth, cut), (truth.after, frames - cut)]


def seen(truth: Scene, frames: int) -> list[tuple[np.ndarray, np.ndarray]]:
    """Of each object in each shot: place (2, f) and radius (f,) as seen, in pixels of 64."""
    result = []
    for shot, length in shots(truth, frames):
        x, y, zoom = lens(shot, length)
        for toy in shot.toys:
            pose = poses(toy, length)
            where = np.stack([(pose.x - x) * zoom, (pose.y - y) * zoom]) * 64
            result.append((where, toy.radius * pose.scale * zoom * 64))
    return result


def test_there_is_enough_to_show() -> None:
    assert len(SHAPES) >= 6
    assert len(COLOURS) == 8
    assert len(BACKGROUNDS) == 8
    assert len(TEXTURES) == 4
    assert len(SPEEDS) == 3
    scenes = [scene(seed, ALL) for seed in range(400)]
    assert {toy.motion for s in scenes for toy in s.toys} == set(MOTIONS)
    assert {s.camera for s in scenes} == {"still", *ALL.cameras}
    assert {len(s.toys) for s in scenes} == {1, 2}
    assert 0.05 < np.mean([s.after is not None for s in scenes]) < 0.15


PRINT_HASH = """
import hashlib, sys
from pixeldance.data.toybox import clip
clips = [clip(seed, size=(32, 48), frames=6) for seed in range(5)]
print(hashlib.sha256(b"".join(c.video.tobytes() + c.text.encode() + c.focus.tobytes() for c in clips)).hexdigest())
"""


def test_a_clip_is_the_same_in_any_process() -> None:
    clips = [clip(seed, size=(32, 48), frames=6) for seed in range(5)]
    parts = [c.video.tobytes() + c.text.encode() + c.focus.tobytes() for c in clips if c.focus is not None]
    other = subprocess.run([sys.executable, "-c", PRINT_HASH], capture_output=True, text=True, check=True)
    assert other.stdout.strip() == hashlib.sha256(b"".join(parts)).hexdigest()


@pytest.mark.parametrize("frames", [2, 5, 16, 40])
def test_nothing_moves_2_px_a_frame(frames: int) -> None:
    for seed in range(200):
        for where, radius in seen(scene(seed, ALL), frames):
            assert (np.hypot(*np.diff(where, axis=1)) < 2).all()
            assert (np.abs(np.diff(radius)) < 2).all()


@pytest.mark.parametrize("roam", [0.0, 1.0])
def test_objects_stay_in_the_picture_and_apart(roam: float) -> None:
    for seed in range(200):
        truth = scene(seed, replace(ALL, roam=roam))
        for where, radius in seen(truth, 16):
            assert (np.abs(where) + radius <= 32).all()
        if len(truth.toys) == 2:
            (one, size_one), (two, size_two) = seen(truth, 16)
            assert (np.abs(one - two).max(0) > size_one + size_two).all()


def test_every_start_leaves_room_for_every_motion() -> None:
    fastest = SPEEDS["fast"][1]
    for seed in range(60):
        truth = scene(seed, ONE_OBJECT)
        for motion in MOTIONS:
            travel = {"bounce": 4.6 / 64, "orbit clockwise": 5 / 64, "orbit counter-clockwise": 5 / 64}
            toy = replace(truth.toys[0], motion=motion, travel=travel.get(motion, fastest))
            ((where, radius),) = seen(replace(truth, toys=(toy,)), 16)
            assert (np.abs(where) + radius <= 32).all()


def test_the_first_frame_does_not_show_the_motion() -> None:
    for seed in range(20):
        truth = scene(seed, ONE_OBJECT)
        first = render(truth)[0][0]
        for motion in set(MOTIONS) - {"appear", truth.toys[0].motion} - ({"appear"} & {truth.toys[0].motion}):
            if truth.toys[0].motion == "appear" or (motion == "spin" and truth.toys[0].shape in ROUND):
                continue
            toy = replace(truth.toys[0], motion=motion, turns="red", travel=0.1)
            np.testing.assert_array_equal(render(replace(truth, toys=(toy,)))[0][0], first)


def test_starts_and_sizes_are_alike_for_all_motions() -> None:
    toys = [scene(seed, ONE_OBJECT).toys[0] for seed in range(1000)]
    place = {m: np.array([(*t.start, t.radius) for t in toys if t.motion == m]) * 64 for m in MOTIONS}
    every = np.concatenate(list(place.values()))
    for values in place.values():
        error = every.std(0) / len(values) ** 0.5
        assert (np.abs(values.mean(0) - every.mean(0)) < 4 * error).all()


def test_splits_are_disjoint_and_together_everything() -> None:
    every = {(s, c, m) for s in SHAPES for c in COLOURS for m in MOTIONS}
    out = {triple for triple in every if held_out(*triple)}
    assert 0.08 < len(out) / len(every) < 0.12
    for part in ({t[:2] for t in every - out}, {t[1:] for t in every - out}, {t[::2] for t in every - out}):
        assert len(part) in (64, 8 * 14)  # every pair is still trained on
    for split, wanted in (("train", False), ("held-out", True)):
        for seed in range(150):
            for shot, _ in shots(scene(seed, replace(WORLD, split=split)), 16):
                for toy in shot.toys:
                    assert held_out(toy.shape, toy.colour, toy.motion) is wanted


def test_round_shapes_do_not_spin_and_a_cut_changes_the_background() -> None:
    for seed in range(150):
        truth = scene(seed, ALL)
        for shot, _ in shots(truth, 16):
            assert not any(toy.motion == "spin" and toy.shape in ROUND for toy in shot.toys)
            assert all((toy.turns is not None) == (toy.motion == "change colour") for toy in shot.toys)
        if truth.after is not None:
            assert truth.after.background != truth.background
        if len(truth.toys) == 2:
            colours = [{toy.colour, toy.turns or toy.colour} for toy in truth.toys]
            assert not colours[0] & colours[1]


@pytest.mark.parametrize(("size", "frames"), [((32, 32), 1), ((64, 96), 3), ((256, 256), 2), ((34, 64), 17)])
def test_any_even_size_and_any_length(size: tuple[int, int], frames: int) -> None:
    for seed in (0, 3, 8):
        shown = clip(seed, size=size, frames=frames)
        assert shown.video.shape == (frames, *size, 3)
        assert shown.video.dtype == np.uint8
        assert shown.focus is not None
        assert shown.focus.shape == (frames, *size)


def test_a_single_frame_shows_its_object() -> None:
    for seed in range(200):
        shown = clip(seed, world=ONE_OBJECT, frames=1)
        assert shown.focus is not None
        assert shown.focus.sum() > 30


def test_focus_marks_saturated_pixels() -> None:
    for seed in range(30):
        shown = clip(seed, world=ONE_OBJECT)
        saturation = shown.video.max(-1).astype(int) - shown.video.min(-1)
        assert shown.focus is not None
        assert saturation[shown.focus].min() > 50
        assert (saturation > 97)[~shown.focus].mean() < 0.01


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"shapes": ("blob",)}, "shapes: got 'blob'"),
        ({"colours": ()}, "colours: got"),
        ({"two": 1.5}, "two: got 1.5"),
        ({"two": 0.6, "cut": 0.6}, "wanted at most 1"),
        ({"backgrounds": ("grey",)}, "at least 2 colours and 2 backgrounds"),
        ({"shapes": ("circle",), "motions": ("spin",), "split": "all"}, "no combination"),
    ],
)
def test_impossible_worlds_are_refused(wrong: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        World(**wrong)  # type: ignore[arg-type]


def test_impossible_clips_are_refused() -> None:
    with pytest.raises(ValueError, match=r"nearest: 64"):
        clip(0, size=(63, 64))
    with pytest.raises(ValueError, match=r"nearest: 256"):
        clip(0, size=(64, 512))
    with pytest.raises(ValueError, match=r"frames: got 0"):
        clip(0, frames=0)
    with pytest.raises(ValueError, match=r"seed: got -1"):
        clip(-1)
    with pytest.raises(ValueError, match=r"focus: got"):
        Clip(video=np.zeros((1, 2, 2, 3), np.uint8), text="", fps=8.0, focus=np.zeros((2, 2, 2), np.bool_))


def test_a_small_world_shows_only_what_it_has() -> None:
    world = World(
        shapes=("star",), colours=("red", "blue"), motions=("left", "left", "grow"), sizes=("large",),
        backgrounds=("grey", "white"), textures=("plain",), speeds=("fast",), two=0.0, moving_camera=0.0,
        split="all",
    )  # fmt: skip
    toys = [toy for seed in range(200) for toy in scene(seed, world).toys]
    assert {(t.shape, t.size) for t in toys} == {("star", "large")}
    assert {t.motion: t.speed for t in toys} == {"left": "fast", "grow": None}
    assert 0.5 < np.mean([t.motion == "left" for t in toys]) < 0.8  # named twice: twice as often
