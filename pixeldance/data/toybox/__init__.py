"""A procedural captioned world, and the oracle that reads it back from pixels.

`clip(seed)` makes a captioned video of a coloured object that moves; `read(video)` says what any such
video shows. Every clip is a pure function of its seed, so a dataset is a range of numbers.
"""

from pixeldance.data.toybox.caption import caption, describe, describe_scene, vague_caption
from pixeldance.data.toybox.clips import clip, clip_and_scene
from pixeldance.data.toybox.measure import end_jump, landing_error, last_place, whole
from pixeldance.data.toybox.oracle import Found, Reading, read
from pixeldance.data.toybox.phrases import VOCABULARY
from pixeldance.data.toybox.render import render
from pixeldance.data.toybox.scene import scene
from pixeldance.data.toybox.world import ONE_OBJECT, WORLD, Scene, Toy, World, held_out

__all__ = [
    "ONE_OBJECT",
    "VOCABULARY",
    "WORLD",
    "Found",
    "Reading",
    "Scene",
    "Toy",
    "World",
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
    "render",
    "scene",
    "vague_caption",
    "whole",
]
