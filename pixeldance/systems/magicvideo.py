"""MagicVideo (arXiv 2211.11018): directed attention over time, and a gain and an offset a frame for all else.

Each frame reads itself and those before it, never those after; in the place of temporal convolutions stands an adaptor
with a few numbers for every frame. Where it deviates: no interpolation and super-resolution models behind it, and the
autoencoder is Stable Diffusion's.
"""

from dataclasses import replace

from pixeldance.systems.latent_video import LATENT_VIDEO

MAGICVIDEO = replace(
    LATENT_VIDEO,
    about=__doc__,
    system=replace(
        LATENT_VIDEO.system,
        net=replace(
            LATENT_VIDEO.system.net, temporal_mixing="adaptor", temporal_sees="past", temporal_positions="first"
        ),
    ),
)
