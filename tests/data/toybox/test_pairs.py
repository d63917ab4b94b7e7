"""Two objects that do something together: drawn, told and read back; and worlds that do not ask for it are as ever."""

import hashlib
from dataclasses import replace

import numpy as np
import pytest

from pixeldance.data.toybox import (
    MORE_WORDS,
    ONE_OBJECT,
    VOCABULARY,
    WORLD,
    World,
    clip,
    clip_and_scene,
    describe_scene,
    read_pair,
    scene,
    vague_caption,
)
from pixeldance.data.toybox.motion import poses
from pixeldance.data.toybox.world import COLOURS, PAIRS, SHAPES, held_out
from pixeldance.nets.words import words

TOGETHER = World(two=0, moving_camera=0, cut=0, pair=1, split="all")
N = 40


def test_worlds_that_ask_for_nothing_new_are_the_same_to_the_byte():
    digest = hashlib.sha256()
    for world in (WORLD, replace(ONE_OBJECT, split="held-out"), replace(WORLD, roam=0.5, split="all")):
        for seed in range(40):
            made = clip(seed, world=world, size=(64, 64) if seed % 2 else (48, 80))
            for part in (made.video.tobytes(), made.focus.tobytes(), made.text.encode()):
                digest.update(part)
    assert digest.hexdigest() == "32e60ea72deb8cbdc517f326d3e9cd8fd833b9ca7ebb70c3163f92274e5d25e4"
    digest = hashlib.sha256(" ".join(VOCABULARY).encode())
    assert digest.hexdigest() == "6ac5ee51926fe657e6ff752c80969c4145dbb3c62686569b6fdfb3d3a1deef7b"


@pytest.mark.parametrize("seeds", [range(N), pytest.param(range(N, 500), marks=pytest.mark.slow)])
def test_who_does_what_is_read_back(seeds: range):
    wrong, seen = [], set()
    for seed in seeds:
        made, truth = clip_and_scene(seed, world=TOGETHER)
        assert made.focus is not None
        assert not made.focus[:, [0, -1]].any()
        assert not made.focus[:, :, [0, -1]].any()
        assert set(words(made.text)) <= {*VOCABULARY, *MORE_WORDS}
        seen.add(truth.together)
        found = read_pair(made.video)
        wanted = {(toy.colour, toy.shape, toy.motion) for toy in truth.toys}
        told = found and set(zip(found.colours, found.shapes, found.does or (None, None), strict=True))
        if found is None or (found.name, told) != (truth.together, wanted):
            wrong.append((seed, truth.together, found))
    assert seen == set(PAIRS)
    assert len(wrong) <= len(seeds) // 100, wrong


@pytest.mark.parametrize("size", [(48, 80), (96, 96), (128, 64)])
def test_other_sizes_are_read_too(size: tuple[int, int]):
    for seed in range(6):
        made, truth = clip_and_scene(seed, world=TOGETHER, size=size)
        found = read_pair(made.video)
        assert found is not None
        assert found.name == truth.together


def test_objects_that_go_their_own_ways_do_nothing_together():
    found = [read_pair(clip(seed, world=replace(ONE_OBJECT, two=1.0)).video) for seed in range(30)]
    assert sum(each is not None and each.name is not None for each in found) <= 4
    assert read_pair(clip(3, world=ONE_OBJECT).video) is None


def test_no_object_moves_two_pixels_a_frame():
    for seed in range(100):
        for toy in scene(seed, TOGETHER).toys:
            pose = poses(toy, 16)
            assert np.hypot(np.diff(pose.x), np.diff(pose.y)).max() * 64 < 2


def test_captions_say_who_does_what():
    for seed in range(60):
        truth = scene(seed, TOGETHER)
        one, two = (f"{toy.colour} {toy.shape}" for toy in truth.toys)
        plain = describe_scene(truth)
        assert plain.index(one) < plain.index(two)
        assert any(word in plain for word in ("approaches", "collide", "follows", "swap places"))
        assert not any(word in vague_caption(truth) for word in ("approach", "collide", "follow", "swap"))
        assert one.split()[1] in vague_caption(truth)


def test_combinations_are_held_out():
    shares = [held_out(shape, colour, pair) for shape in SHAPES for colour in COLOURS for pair in PAIRS]
    assert 0.05 < np.mean(shares) < 0.15
    for split, wanted in (("train", False), ("held-out", True)):
        for seed in range(30):
            truth = scene(seed, replace(TOGETHER, split=split))
            first = truth.toys[0]
            assert held_out(first.shape, first.colour, truth.together or "") == wanted


def test_probabilities_must_fit():
    with pytest.raises(ValueError, match=r"two \+ moving_camera \+ cut \+ pair: got 0.2 \+ 0.2 \+ 0.1 \+ 0.6"):
        World(pair=0.6)
    with pytest.raises(ValueError, match=r"pairs: got 'dance', wanted one of"):
        World(pairs=("dance",))
