"""Gen-L-Video (arXiv 2305.18264): a long video as overlapping short ones that are denoised together.

At every step each window is denoised by the model of short clips, and where windows overlap the estimates are averaged:
the closed form of the least-squares merge. Nothing is trained. Where it deviates: one text for all windows, where the
paper gives each its own.
"""

from dataclasses import replace

from pixeldance.diffusion.guide import Window
from pixeldance.systems.latent_video import LATENT_VIDEO

GEN_L_VIDEO = replace(
    LATENT_VIDEO,
    about=__doc__,
    system=replace(LATENT_VIDEO.system, window=Window(length=16, stride=8), frames=(16, 1, 32, 64, 128)),
)
