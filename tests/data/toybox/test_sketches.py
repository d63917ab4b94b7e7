"""Sketches of toybox scenes: in the object's place, each kind in its own way, and without the scene's colours."""

import numpy as np
import pytest

from pixeldance.data.toybox import ONE_OBJECT, Scene, Toy, World, clip_and_scene
from pixeldance.data.toybox.sketches import CLASSES, GROUND, JOINT, KINDS, Kind, Sketches, placed, sketch
from pixeldance.data.toybox.world import SHAPES


def toy(shape: str = "star", **about: object) -> Scene:
    """An object of radius 10 px of 64 in the middle."""
    settings: dict[str, object] = {"motion": "still", "size": "large", "radius": 10 / 64, "start": (0.0, 0.0)}
    return Scene(toys=(Toy(shape=shape, colour="red", **settings | about),), background="white", texture="plain")


@pytest.mark.parametrize("seed", range(12))
def test_objects_are_placed_where_they_are_rendered(seed: int):
    """In any world: two objects, moving cameras, cuts, spins; what is half there by then is left out."""
    clip, scene = clip_and_scene(seed, world=World(two=0.3, moving_camera=0.3, cut=0.3))
    union = np.zeros((64, 64), np.bool_)
    for each in placed(scene, (64, 64), 16):
        union |= each.region
    assert clip.focus is not None
    assert (union == clip.focus[-1]).all()


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("kind", KINDS)
def test_a_sketch_is_of_the_object_and_of_nothing_else(kind: Kind, shape: str):
    made = sketch(toy(shape), kind)
    marked = (made != made[0, 0]).any(axis=-1)
    y, x = np.nonzero(marked)
    assert marked.any()
    assert min(y.min(), x.min()) >= 32 - 13
    assert max(y.max(), x.max()) <= 32 + 12
    recoloured = Scene(toys=toy(shape).toys, background="black", texture="dots")
    assert (sketch(recoloured, kind) == made).all()


def test_each_kind_says_what_it_is_to_say():
    (star,) = placed(toy(), (64, 64), 16)
    outline = (sketch(toy(), "outline") == 0).all(axis=-1)
    assert outline[star.region].any()
    assert not outline[~star.region].any()
    assert outline.sum() < 0.6 * star.region.sum()
    box = (sketch(toy(), "box") == 255).all(axis=-1)
    y, x = np.nonzero(star.region)
    assert box[y.min() - 1, x.min() - 1 : x.max() + 2].all()
    assert box[y.min() - 1 : y.max() + 2, x.max() + 1].all()
    for shape in SHAPES:
        colours = {tuple(each) for each in sketch(toy(shape), "map").reshape(-1, 3).tolist()}
        assert colours == {GROUND, CLASSES[SHAPES.index(shape)]}
    joints = (sketch(toy(), "pose") == JOINT).all(axis=-1)
    assert joints[30:34, 30:34].sum() >= 3
    assert joints[20:24, 31:33].any()  # the tip at the top


def test_poses_turn_with_the_object():
    turned = sketch(toy("square", motion="spin"), "pose")
    assert (turned != sketch(toy("square"), "pose")).any()
    (square,) = placed(toy("square", motion="spin"), (64, 64), 16)
    y, x = np.argwhere((turned == JOINT).all(axis=-1)).T
    reach = np.hypot(x + 0.5 - square.x, y + 0.5 - square.y).max()
    assert reach == pytest.approx(10 * 0.8 * 2**0.5, abs=1.8)


def test_what_is_gone_is_not_sketched():
    gone = sketch(toy(motion="disappear"), "outline")
    assert (gone == 255).all()


def test_larger_pictures_and_other_kinds():
    assert sketch(toy(), "box", size=(128, 96)).shape == (128, 96, 3)
    with pytest.raises(ValueError, match="got the kind of sketch 'oil'; wanted outline or box"):
        sketch(toy(), "oil")


def test_a_source_of_sketches():
    source = Sketches(world=ONE_OBJECT, first=100)
    seen = set()
    for index in range(12):
        clip = source.read(index, np.random.default_rng(index))
        truth, scene = clip_and_scene(100 + index, world=ONE_OBJECT)
        assert (clip.video == truth.video).all()
        seen |= {kind for kind in KINDS if (clip.drawn == sketch(scene, kind)).all()}
    assert seen == set(KINDS)
    assert source.name(3) == "toybox clip 103"
    assert len(source) > 10**9
