"""One call from a seed to a captioned clip."""

import numpy as np

from pixeldance.data.clip import Clip
from pixeldance.data.toybox.caption import caption
from pixeldance.data.toybox.render import render
from pixeldance.data.toybox.scene import scene
from pixeldance.data.toybox.world import WORLD, Scene, World

FPS = 8.0


def clip(seed: int, *, world: World = WORLD, size: tuple[int, int] = (64, 64), frames: int = 16) -> Clip:
    """Clip number `seed` (0 or more) of `world`, `size` being (height, width).

    A pure function: the same arguments give the same bytes in any process. Raises ValueError for a
    negative seed, odd sides or sides outside 32..256, and less than one frame.
    """
    return clip_and_scene(seed, world=world, size=size, frames=frames)[0]


def clip_and_scene(
    seed: int, *, world: World = WORLD, size: tuple[int, int] = (64, 64), frames: int = 16
) -> tuple[Clip, Scene]:
    """The same with the truth about it, to measure against."""
    truth = scene(seed, world)
    video, focus = render(truth, size, frames)
    # A generator of its own, so that new phrases never change a picture.
    text = caption(truth, np.random.Generator(np.random.PCG64((seed, 1))), frames=frames)
    return Clip(video=video, text=text, fps=FPS, focus=focus), truth
