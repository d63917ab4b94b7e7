"""Make-A-Video (arXiv 2209.14792): words are learned from captioned pictures, motion from videos without captions.

A text becomes a picture, and the picture a video, by a model that was never told what a video shows; given two frames
and a lower rate it makes those between (its interpolation network). Where it deviates: one network is all of them, its
image mode the first; a picture's latents stand for its CLIP embedding; no super-resolution (see imagen-video).
"""

from dataclasses import replace

from pixeldance.condition import MICRO, ImageSlots
from pixeldance.systems.pixeldance import PIXELDANCE
from pixeldance.systems.published import Published
from pixeldance.training.objective import Objective

MAKE_A_VIDEO = Published(
    about=__doc__,
    system=replace(
        PIXELDANCE,
        condition=ImageSlots(),
        net=replace(PIXELDANCE.net, vector=MICRO),
        vector=("fps",),
        guidance=7.5,
    ),
    objective=Objective(last_of=1, drop_last=0.5, video_text=False),
    image_every=2,
)
