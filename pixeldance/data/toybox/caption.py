"""Scenes in plain English: many phrasings of every fact, some facts left unsaid."""

import re
from collections.abc import Mapping
from functools import lru_cache

import numpy as np

from pixeldance.data.toybox.phrases import (
    ALSO,
    BACKGROUND,
    BEFORE,
    BOTH,
    CAMERA,
    COLOUR,
    CUT,
    FILMED,
    GO,
    GROUND,
    HOW,
    MORE_CAMERA,
    MOTION,
    PLACED,
    SHAPE,
    SHOW,
    SIMPLE,
    SIZE,
    STYLE,
    TELL,
    TEXTURE,
    TOGETHER,
    TURN,
    VAGUE,
    WAY,
    WITH,
)
from pixeldance.data.toybox.world import DIRECTIONS, ORBITS, Scene, Toy, pick

Rng = np.random.Generator
CAMERAS = {**CAMERA, **MORE_CAMERA}

# How often a fact is said at all. Shape, colour and motion nearly always are.
SAID = {"size": 0.5, "speed": 0.75, "normal": 0.4, "turn": 0.7, "place": 0.8, "texture": 0.7, "still": 0.15}
VAGUELY = 0.03  # how often only "moves" or "changes" is said of a motion
PLAINEST = 0.4  # how often the first phrase of a table is taken without drawing


def caption(scene: Scene, rng: Rng, *, frames: int = 16) -> str:
    """What `scene` shows, in words drawn with `rng`. Of a single frame it says only what can be seen."""
    if frames == 1:
        subject = " and ".join(_subject(toy, rng) for toy in scene.toys)
        return _clean(_say(rng, SHOW).format(subject=subject, place=_place(scene, rng)))
    if scene.after is not None:
        one, two = (_told(shot, rng, SIMPLE) for shot in (scene, scene.after))
        return _clean(_say(rng, CUT).format(one=one, two=two))
    told = _told(scene, rng, TELL)
    if scene.camera != "still" or rng.random() < SAID["still"]:
        told = _say(rng, FILMED).format(told=told, camera=_say(rng, CAMERAS[scene.camera]))
    if scene.style != "flat":
        told = f"{told}, {_say(rng, STYLE[scene.style])}"
    return _clean(told)


def vague_caption(scene: Scene) -> str:
    """A caption that names the objects of the first shot but not how they move: "a red star moves"."""
    if scene.together is not None:
        return _clean(" and ".join(f"a {toy.colour} {toy.shape}" for toy in scene.toys) + " move")
    parts = (f"a {toy.colour} {toy.shape} {_form(VAGUE[_kind(toy.motion)][0], doing=False)}" for toy in scene.toys)
    return _clean(" and ".join(parts))


def describe(
    *,
    shape: str,
    colour: str,
    motion: str | None = None,
    speed: str | None = None,
    turns: str | None = None,
    turn: int | None = None,
    size: str | None = None,
    background: str | None = None,
    texture: str | None = None,
    camera: str | None = None,
    style: str | None = None,
) -> str:
    """The plainest caption of these facts, all named as in world.py; None leaves a fact unsaid.

    `describe(shape="star", colour="red", motion="left", speed="slow")` is "a red star moves left slowly".
    Raises ValueError for unknown names and for a change of colour without `turns`.
    """
    if motion == "change colour" and turns is None:
        raise ValueError("turns: got None, wanted the new colour of motion 'change colour'; give turns='blue'")
    does = ""
    if motion in DIRECTIONS:
        does = f"moves {_first(WAY, motion)} {_first(HOW, speed)}"
    elif motion is not None:
        slots = {
            "turn": " " + TURN[turn][0] if turn else "",
            "turns": _first(COLOUR, turns),
            "colour": colour,
        }
        does = _form(_first(MOTION, motion), doing=False).format(**slots)
    place = ""
    if background is not None or texture is not None:
        place = f"on a {_first(TEXTURE, texture)} {_first(BACKGROUND, background)} background"
    thing = f"a {_first(SIZE, size)} {_first(COLOUR, colour)} {_first(SHAPE, shape)}"
    told = f"{thing} {does} {place}"
    told = told if camera is None else f"{told}, {_first(CAMERAS, camera)}"
    return _clean(told if style is None else f"{told}, {_first(STYLE, style)}")


def describe_scene(scene: Scene) -> str:
    """The plainest caption of everything in a scene of one object and no cut, or of two that do something together;
    raises ValueError else."""
    if scene.together is not None:
        one, two = (f"a {_first(SIZE, t.size)} {_first(COLOUR, t.colour)} {_first(SHAPE, t.shape)}" for t in scene.toys)
        says = _form(_first(TOGETHER, scene.together), doing=False).format(one=one, two=two)
        place = f"on a {_first(TEXTURE, scene.texture)} {_first(BACKGROUND, scene.background)} background"
        return _clean(f"{says} {place}" if scene.style == "flat" else f"{says} {place}, {_first(STYLE, scene.style)}")
    if len(scene.toys) != 1 or scene.after is not None:
        raise ValueError(
            f"got {len(scene.toys)} objects, {'a' if scene.after else 'no'} cut; "
            "wanted one object and no cut, or two that do something together; use caption(scene, rng)"
        )
    toy = scene.toys[0]
    return describe(
        shape=toy.shape,
        colour=toy.colour,
        motion=toy.motion,
        speed=toy.speed,
        turns=toy.turns,
        turn=toy.turn,
        size=toy.size,
        background=scene.background,
        texture=scene.texture,
        camera=None if scene.camera == "still" else scene.camera,
        style=None if scene.style == "flat" else scene.style,
    )


def _told(scene: Scene, rng: Rng, templates: tuple[str, ...]) -> str:
    """One shot in words."""
    place = _place(scene, rng)
    if len(scene.toys) == 1:
        toy = scene.toys[0]
        does, doing = _motion(toy, rng)
        return pick(rng, templates).format(subject=_subject(toy, rng), does=does, doing=doing, place=place)
    if scene.together is not None:
        one, two = (_subject(toy, rng) for toy in scene.toys)
        says = _form(_say(rng, TOGETHER[scene.together]), doing=False).format(one=one, two=two)
        return pick(rng, PLACED).format(says=says, place=place)
    one, two = (f"{_subject(toy, rng)} {_motion(toy, rng)[0]}" for toy in scene.toys)
    return _say(rng, BOTH).format(one=one, two=two, place=place)


def _subject(toy: Toy, rng: Rng) -> str:
    size = _say(rng, SIZE[toy.size]) if rng.random() < SAID["size"] else ""
    article = "one" if rng.random() < 0.04 else "a"
    return f"{article} {size} {_say(rng, COLOUR[toy.colour])} {_say(rng, SHAPE[toy.shape])}"


def _motion(toy: Toy, rng: Rng) -> tuple[str, str]:
    """The motion as a statement ("moves left") and as a description ("moving left")."""
    if rng.random() < VAGUELY:
        phrase = _say(rng, VAGUE[_kind(toy.motion)])
    elif toy.motion in DIRECTIONS:
        phrase = _way(toy, rng)
    else:
        phrase = _say(rng, MOTION[toy.motion])
    turn = " " + _say(rng, TURN[toy.turn]) if rng.random() < SAID["turn"] else ""
    slots = {
        "turn": turn,
        "turns": _say(rng, COLOUR[toy.turns]) if toy.turns else "",
        "colour": toy.colour,
    }
    return _form(phrase, doing=False).format(**slots), _form(phrase, doing=True).format(**slots)


def _way(toy: Toy, rng: Rng) -> str:
    """A direction with its speed: the speed stands after the verb or at the end."""
    speed = toy.speed or "normal"
    said = SAID["normal"] if speed == "normal" else SAID["speed"]
    how = " " + _say(rng, HOW[speed]) if rng.random() < said else ""
    if rng.random() < 0.2:
        return pick(rng, ALSO[toy.motion]).replace("{how}", how)
    go, way = _say(rng, GO), _say(rng, WAY[toy.motion])
    return f"{go}{how} {way}" if rng.random() < 0.4 else f"{go} {way}{how}"


def _place(scene: Scene, rng: Rng) -> str:
    if rng.random() >= SAID["place"]:
        return ""
    colour, ground = _say(rng, BACKGROUND[scene.background]), _say(rng, GROUND)
    before = _say(rng, BEFORE)
    said = rng.random() < (0.2 if scene.texture == "plain" else SAID["texture"])
    if said and scene.texture in WITH and rng.random() < 0.4:
        return f"{before} a {colour} {ground} {_say(rng, WITH[scene.texture])}"
    texture = _say(rng, TEXTURE[scene.texture]) if said else ""
    return f"{before} a {texture} {colour} {ground}"


def _say(rng: Rng, phrases: tuple[str, ...]) -> str:
    """One of `phrases`, the first more often than the others."""
    return phrases[0] if len(phrases) == 1 or rng.random() < PLAINEST else pick(rng, phrases)


def _first(table: Mapping[str, tuple[str, ...]], name: str | None) -> str:
    """The plainest phrase for `name`, or nothing for None."""
    if name is None:
        return ""
    if name not in table:
        raise ValueError(f"got {name!r}, wanted one of {', '.join(table)}")
    return table[name][0]


def _kind(motion: str) -> str:
    """What a vague caption still tells of a motion."""
    if motion in DIRECTIONS or motion in ORBITS or motion == "bounce":
        return "path"
    return "still" if motion == "still" else "change"


@lru_cache(maxsize=4096)
def _form(phrase: str, *, doing: bool) -> str:
    """Choose the form of the verbs: "moves/moving left" is "moves left" or "moving left"."""
    return re.sub(r"(\w+)/(\w+)", r"\2" if doing else r"\1", phrase).replace("_", " ")


def _clean(text: str) -> str:
    """Close the gaps that unsaid facts leave, and write "an" before a vowel."""
    text = " ".join(text.split()).replace(" ,", ",").replace(" .", ".").strip(" ,.")
    return re.sub(r"\ba (?=[aeiou])", "an ", text)
