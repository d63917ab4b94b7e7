"""Text2Video-Zero (arXiv 2303.13439): a model of pictures makes videos, and nothing is trained.

Every frame attends to the first one instead of to itself, and the frames start from one half-made picture, shifted
step by step (`diffusion.warp`). Where it deviates: no background smoothing by a mask of the salient object.
"""

from dataclasses import replace

from pixeldance.diffusion.warp import Warped
from pixeldance.systems.latent_video import LATENT_VIDEO

TEXT2VIDEO_ZERO = replace(
    LATENT_VIDEO,
    about=__doc__,
    system=replace(
        LATENT_VIDEO.system,
        net=replace(LATENT_VIDEO.system.net, temporal="none", keys="first"),
        warp=Warped(),
        frames=(8, 1),
    ),
    image_every=1,
)
