"""NUWA-XL (arXiv 2303.12346): long videos from coarse to fine, keyframes first and then the frames between any two.

The network is PixelDance's, told of both ends and of the frame rate, which falls from level to level; the plan is
`plan: pyramid` of a story (docs/films.md), whose gaps are independent of each other. Where it deviates: one model makes
all levels, where the paper's global one has no ends given; latents of one frame each.
"""

from dataclasses import replace

from pixeldance.condition import MICRO, ImageSlots
from pixeldance.systems.pixeldance import PIXELDANCE
from pixeldance.systems.published import Published
from pixeldance.training.objective import Objective

NUWA_XL = Published(
    about=__doc__,
    system=replace(
        PIXELDANCE, condition=ImageSlots(), net=replace(PIXELDANCE.net, vector=MICRO), vector=("fps",), guidance=7.5
    ),
    objective=Objective(last_of=1, drop_last=0.3),
)
