"""Latent video from text alone (Align Your Latents, arXiv 2304.08818): what most systems here are a change of.

An image model's network with layers over time between its own, trained on videos and images together. Where it
deviates: the temporal parts, betas and image geometry are PixelDance's; no cascade of interpolation and upsampling.
"""

from dataclasses import replace

from pixeldance.condition import ImageSlots
from pixeldance.systems.pixeldance import PIXELDANCE
from pixeldance.systems.published import Published

LATENT_VIDEO = Published(
    about=__doc__,
    system=replace(
        PIXELDANCE,
        condition=ImageSlots(first=0, last=False),
        net=replace(PIXELDANCE.net, concat=0),
        guidance=7.5,
    ),
)
