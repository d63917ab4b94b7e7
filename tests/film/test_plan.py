"""Plans: which calls make a film, what they hang on, and what a change renames."""

from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from tiny import TINY

from pixeldance.film.calls import Given, Handed, Plan
from pixeldance.film.plan import frames_in, plan_film
from pixeldance.film.story import Script, Story, check
from pixeldance.receipt import Model
from pixeldance.system import System

MODEL = Model(folder=None, sha256="0" * 64)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("pictures")
    for seed, name in enumerate(("a.png", "b.png")):
        pixels = np.random.default_rng(seed).integers(0, 256, (32, 32, 3), dtype=np.uint8)
        Image.fromarray(pixels).save(place / name)
    return place


def planned(folder: Path, *shots: dict[str, Any], system: System = TINY, **story: Any) -> Plan:
    script = Script(story=Story.model_validate({"shots": list(shots), **story}), name="story", folder=folder)
    check(script)
    return plan_film(script, system, MODEL)


def clips(plan: Plan) -> list[Any]:
    return [call for call in plan.calls.values() if call.length > 1]


def test_a_chain_covers_its_frames_and_hands_over(folder: Path):
    plan = planned(
        folder, {"text": "a star", "frames": 9, "first": "a.png", "last": "b.png", "tau": 0.5, "seed": 2**32 - 1}
    )
    # 4 frames a clip: 9 = 1 + 8 new ones take 3 clips, the last of which ends on the shot's last frame.
    one, two, three = clips(plan)
    names = list(plan.calls)
    assert isinstance(one.first, Given)
    assert (two.first, three.first) == (Handed(call=names[0], frame=2), Handed(call=names[1], frame=3))
    assert (one.last, two.last) == (None, None)
    assert isinstance(three.last, Given)
    assert [call.tau for call in (one, two, three)] == [1, 1, 0.5]  # without a last frame there is none to follow
    assert [call.seed for call in (one, two, three)] == [2**32 - 1, 0, 1]
    assert [(piece.start, piece.stop) for piece in plan.pieces] == [(0, 3), (1, 4), (1, 4)]
    assert plan.frames() == plan.frames(0) == 9


@pytest.mark.parametrize("frames", [2, 3, 4, 5, 6, 7, 8, 10, 31])
@pytest.mark.parametrize("join", ["continue", "transition", "cut"])
def test_every_length_is_met_frame_by_frame(folder: Path, frames: int, join: str):
    plan = planned(folder, {"text": "a star", "frames": 5}, {"text": "a star", "frames": frames, "join": join})
    assert (plan.frames(0), plan.frames(1)) == (5, frames)
    for before, after in pairwise(plan.pieces):
        call = plan.calls[after.call]
        goes_on = after.start == 1
        assert goes_on == (before.shot == after.shot or join != "cut")
        if goes_on and not (join == "transition" and before.shot != after.shot):
            assert call.first == Handed(call=before.call, frame=before.stop - 1)  # nothing is left out or doubled
        assert after.stop <= call.length


def test_joins(folder: Path):
    plan = planned(
        folder,
        {"text": "a star", "first": "a.png"},
        {"text": "a heart", "join": "continue"},
        {"text": "a ring", "join": "transition"},
        {"text": "a disc", "first": "previous", "last": "previous"},
        {"text": "a cube", "join": "transition"},
        {"text": "a cone", "join": "cut"},
    )
    star, heart, ring, disc, cube, cone = clips(plan)
    names = {call.text: name for name, call in plan.calls.items() if call.length > 1}
    stills = {call.text: name for name, call in plan.calls.items() if call.length == 1}
    assert set(stills) == {"a ring", "a cone"}
    assert (isinstance(star.first, Given), star.last) == (True, None)
    assert heart.first == Handed(call=names["a star"], frame=3)
    assert heart.last == ring.first == Handed(call=stills["a ring"], frame=0)
    assert disc.first == disc.last == cube.first == Handed(call=names["a ring"], frame=3)
    assert cone.first == Handed(call=stills["a cone"], frame=0)
    assert [plan.needs(number) for number in range(6)] == [[], [0, 2], [], [2], [2], []]
    assert [plan.frames(number) for number in range(6)] == [4, 3, 3, 3, 3, 4]  # one usual clip each
    order = list(plan.calls)
    assert all(order.index(need) < order.index(name) for name, call in plan.calls.items() for need in call.needs())


def test_beats_share_the_frames(folder: Path):
    plan = planned(folder, {"text": "a star THEN a heart THEN a ring", "frames": 12, "first": "a.png", "last": "b.png"})
    assert [call.text for call in clips(plan)] == ["a star", "a heart", "a heart", "a ring", "a ring"]
    new = dict.fromkeys(("a star", "a heart", "a ring"), 0)
    for piece in plan.pieces:
        new[plan.calls[piece.call].text] += piece.stop - 1
    assert new == {"a star": 3, "a heart": 4, "a ring": 4}  # behind the first frame
    assert [call.last is not None for call in clips(plan)] == [False, False, False, False, True]


def test_a_pyramid_knows_both_ends_of_its_gaps(folder: Path):
    plan = planned(
        folder, {"text": "a star", "frames": 31, "first": "a.png", "last": "b.png", "plan": "pyramid", "tau": 0.5}
    )
    calls = clips(plan)
    assert plan.frames() == 31
    # 10 gaps of 3 steps: keyframes at 0, 3, 6 and 10 of them, then those between, those of 2 to 4 gaps, then the clips.
    assert len(calls) == 10 + 5
    assert [call.fps for call in calls if call.fps < 8][:2] == [8 / 10, 8 / 3]
    shown = [plan.calls[piece.call] for piece in plan.pieces]
    assert len(shown) == 10
    assert all(call.last is not None and call.fps == 8 for call in shown)
    for before, after in pairwise(shown):
        assert before.last == after.first
    assert [call.tau for call in shown] == [1.0] * 9 + [0.5]
    assert {name for call in shown for name in call.needs()}.isdisjoint(piece.call for piece in plan.pieces)
    open_end = planned(folder, {"text": "a star", "frames": 7, "first": "a.png", "plan": "pyramid"})
    assert [call.last is not None for call in clips(open_end)] == [False, True, True]


def test_a_change_renames_what_depends_on_it_and_nothing_else(folder: Path):
    shots = [
        {"text": "a star", "frames": 7},
        {"text": "a heart", "join": "continue"},
        {"text": "a ring", "join": "cut"},
        {"text": "a disc", "join": "transition"},
    ]

    def names(**change: Any) -> list[set[str]]:
        plan = planned(folder, *(shot | change.get(f"shot{number}", {}) for number, shot in enumerate(shots)))
        return [{name for name, owner in plan.shot_of.items() if owner == number} for number in range(4)]

    before = names()
    assert names() == before

    def renamed(**change: Any) -> list[int]:
        return [number for number, (old, new) in enumerate(zip(before, names(**change), strict=True)) if old != new]

    assert renamed(shot0={"text": "a cube"}) == [0, 1]
    assert renamed(shot1={"text": "a cube"}) == [1]
    assert renamed(shot2={"camera": "pan left"}) == [2]
    assert renamed(shot3={"text": "a cube"}) == [2, 3]  # the shot before arrives at its first frame
    assert renamed(shot3={"frames": 30}) == [3]
    assert renamed(shot2={"tau": 0.5}) == [2]
    assert renamed(shot0={"tau": 0.5}) == []  # it has no last frame
    put_in = planned(folder, {"text": "a cone"}, *shots)
    assert set().union(*before) < set(put_in.calls)


def test_a_name_holds_all_that_makes_a_call(folder: Path, tmp_path: Path):
    shot = {"text": "a star", "first": "a.png", "last": "b.png"}

    def name(model: Model = MODEL, place: Path = folder, **change: Any) -> str:
        story = {name: change.pop(name) for name in ("steps", "guidance", "fps", "style") if name in change}
        script = Script(story=Story.model_validate({"shots": [shot | change], **story}), name="story", folder=place)
        (found,) = plan_film(script, replace(TINY, sizes=((32, 32), (32, 64))), model).calls
        return found

    changes = [
        *({"text": "a heart"}, {"first": "b.png"}, {"last": "a.png"}, {"tau": 0.5}, {"seed": 1}, {"camera": "static"}),
        *(
            {"steps": 2},
            {"guidance": 1},
            {"fps": 4},
            {"style": "dark"},
            {"model": MODEL.model_copy(update={"sha256": "1"})},
        ),
    ]
    names = [name(), *(name(**change) for change in changes)]
    assert len(set(names)) == len(names)
    assert name(frames=2, last=None) == name(last=None)  # what is shown of a clip does not make it
    for file in ("a.png", "b.png"):
        (tmp_path / file).write_bytes((folder / file).read_bytes())
    assert name(place=tmp_path) == name()  # nor where a picture lies


@pytest.mark.parametrize(
    ("shot", "says"),
    [
        ({"text": "a star", "first": "none.png"}, "shot 1, first: cannot read the image"),
        ({"text": "a star", "last": "none.png"}, "shot 1, last: cannot read the image"),
        ({"text": "a star " * 80}, "shot 1: got a prompt of"),
        ({"text": "a star", "seconds": 0.7}, "shot 1: got 0.7 seconds, 5.6 frames at 8 a second; try 0.75"),
        ({"text": "a star", "last": "a.png", "frames": 3}, "shot 1: got 2 new frames to arrive at a last frame in"),
        ({"text": "a THEN b THEN c THEN d", "frames": 4}, "shot 1: got 4 beats in 3 new frames"),
        ({"text": "a star", "plan": "pyramid", "frames": 9}, "shot 1: got 9 frames; a pyramid's keyframes are 3"),
        (
            {"text": "a star", "plan": "pyramid"},
            "shot 1: got 4 frames; a pyramid's keyframes are 3 frames apart: try 7",
        ),
    ],
)
def test_what_a_model_cannot_make(folder: Path, shot: dict[str, Any], says: str):
    with pytest.raises(ValueError, match=r"^story: ") as error:
        planned(folder, shot)
    assert says in str(error.value)


def test_models_that_make_less(folder: Path):
    with pytest.raises(ValueError, match="size: got a size of 64x48"):
        planned(folder, {"text": "a star"}, size="64x48")
    with pytest.raises(ValueError, match="no pictures from text; give the shot a first frame"):
        planned(folder, {"text": "a star"}, system=replace(TINY, frames=(4,)))
    with pytest.raises(ValueError, match="makes pictures only"):
        planned(folder, {"text": "a star", "first": "a.png"}, system=replace(TINY, frames=(1,)))


def test_a_fitting_length_of_several_is_taken(folder: Path):
    plan = planned(folder, {"text": "a star", "frames": 6, "last": "a.png"}, system=replace(TINY, frames=(4, 6, 1)))
    assert [call.length for call in clips(plan)] == [6]


def test_seconds_are_whole_frames():
    assert frames_in(2, 8) == 16
    assert frames_in(0.1, 30) == 3
    with pytest.raises(ValueError, match=r"try 0\.25"):
        frames_in(0.01, 8)
