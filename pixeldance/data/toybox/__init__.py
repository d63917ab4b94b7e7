"""A procedural captioned world, and the oracle that reads it back from pixels.

`clip(seed)` makes a captioned video of a coloured object that moves; `read(video)` says what any such
video shows. Every clip is a pure function of its seed, so a dataset is a range of numbers.
"""

from pixeldance.data.toybox.cameras import camera_name
from pixeldance.data.toybox.caption import caption, describe, describe_scene, vague_caption
from pixeldance.data.toybox.clips import clip, clip_and_scene
from pixeldance.data.toybox.measure import end_jump, landing_error, last_place, whole
from pixeldance.data.toybox.oracle import Found, Reading, read
from pixeldance.data.toybox.pairs import Pair, read_pair
from pixeldance.data.toybox.phrases import MORE_WORDS, VOCABULARY
from pixeldance.data.toybox.render import render
from pixeldance.data.toybox.scene import scene
from pixeldance.data.toybox.styles import style_name
from pixeldance.data.toybox.world import ONE_OBJECT, WORLD, Scene, Toy, World, held_out

__all__ = [
    "MORE_WORDS",
    "ONE_OBJECT",
    "VOCABULARY",
    "WORLD",
    "Found",
    "Pair",
    "Reading",
    "Scene",
    "Toy",
    "World",
    "camera_name",
    "caption",
    "clip",
    "clip_and_scene",
    "describe",
    "describe_scene",
    "end_jump",
    "held_out",
    "landing_error",
    "last_place",
    "read",
    "read_pair",
    "render",
    "scene",
    "style_name",
    "vague_caption",
    "whole",
]
