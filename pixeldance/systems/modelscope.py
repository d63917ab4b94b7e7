"""ModelScope text-to-video (arXiv 2308.06571): spatio-temporal blocks, each a 2D layer and then one over time.

Temporal convolutions stand behind whole residual blocks, norms are over the whole video, and no layer is told a frame's
number. Where it deviates: Stable Diffusion 2.1's text encoder and geometry; images are every eighth step.
"""

from dataclasses import replace

from pixeldance.systems.latent_video import LATENT_VIDEO

MODELSCOPE = replace(
    LATENT_VIDEO,
    about=__doc__,
    system=replace(
        LATENT_VIDEO.system,
        net=replace(
            LATENT_VIDEO.system.net,
            temporal_convolutions=4,
            temporal_place="block",
            temporal_norm="video",
            temporal_positions="none",
            temporal_start=8,
        ),
    ),
)
