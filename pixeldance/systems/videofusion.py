"""VideoFusion (arXiv 2303.08320): the frames of a video share a part of their noise, as they share their content.

    eps_i = sqrt(lambda) b + sqrt(1 - lambda) r_i,   lambda = 0.5

b, the base noise, is the same in all frames. Where it deviates: one network predicts the whole noise, where the paper
gives b to an image model (of the middle frame) and r_i to a second network; latents instead of pixels.
"""

from dataclasses import replace

from pixeldance.diffusion.noise import Mixed
from pixeldance.systems.latent_video import LATENT_VIDEO

VIDEOFUSION = replace(LATENT_VIDEO, about=__doc__, system=replace(LATENT_VIDEO.system, noise=Mixed(share=0.5)))
