"""PYoCo (arXiv 2305.10474): an image model is tuned to videos under noise that is as alike from frame to frame as they.

    eps_i = a / sqrt(1 + a^2) eps_(i-1) + 1 / sqrt(1 + a^2) r_i,   a = 2

The paper's progressive prior; its mixed one is `Mixed(share=a**2 / (1 + a**2))`. Where it deviates: one latent model
instead of a cascade of pixel models with ensembles of experts and two text encoders.
"""

from dataclasses import replace

from pixeldance.diffusion.noise import Progressive
from pixeldance.systems.latent_video import LATENT_VIDEO

ALPHA = 2.0

PYOCO = replace(
    LATENT_VIDEO,
    about=__doc__,
    system=replace(LATENT_VIDEO.system, noise=Progressive(correlation=ALPHA / (1 + ALPHA**2) ** 0.5)),
)
