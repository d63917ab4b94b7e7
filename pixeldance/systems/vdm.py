"""Video Diffusion Models (arXiv 2204.03458): a factorised space-time UNet on pixels, trained on videos and stills.

Frames are given to it by reconstruction guidance alone: the network has no door for pictures. A longer video is made
by holding the last frames of the one before. Where it deviates: stills are batches of their own instead of frames
behind the video; positions are absolute; a cosine schedule with v, DPM-Solver++ instead of predictor and corrector.
"""

from dataclasses import replace

from pixeldance.codec import PatchConfig
from pixeldance.diffusion.given import Reconstruct
from pixeldance.diffusion.process import VP
from pixeldance.systems.latent_video import LATENT_VIDEO

VDM = replace(
    LATENT_VIDEO,
    about=__doc__,
    system=replace(
        LATENT_VIDEO.system,
        codec=PatchConfig(patch=1),
        net=replace(
            LATENT_VIDEO.system.net, channels=3, widths=(128, 256, 512, 1024), attention=(False, True, True, True)
        ),
        process=VP(betas="cosine"),
        prediction="v",
        step_offset=0.0,
        held=Reconstruct(weight=2.0),
        sizes=((64, 64),),
        fps=25.0,
    ),
    image_every=2,
)
