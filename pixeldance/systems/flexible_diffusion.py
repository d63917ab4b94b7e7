"""Flexible Diffusion (arXiv 2205.11495): one model of any frames given any others, and a long video by any scheme.

Every frame has a slot, and training gives a random set of them, so that a plan may ask for frames after, between or
far from those it knows. Where it deviates: frames keep their distance of one (the paper also draws them far apart and
tells the network their numbers); latents instead of pixels.
"""

from dataclasses import replace

from pixeldance.condition import ImageSlots
from pixeldance.systems.latent_video import LATENT_VIDEO
from pixeldance.systems.published import FROM_TEXT
from pixeldance.training.sets import RandomSet

FLEXIBLE_DIFFUSION = replace(
    LATENT_VIDEO,
    about=__doc__,
    system=replace(
        LATENT_VIDEO.system,
        condition=ImageSlots(first=16, last=False),
        net=replace(LATENT_VIDEO.system.net, concat=5),
    ),
    objective=replace(FROM_TEXT, also=RandomSet()),
)
