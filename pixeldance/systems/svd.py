"""Stable Video Diffusion (arXiv 2311.15127): a video from a picture, in EDM's terms, with guidance that rises in time.

The network is told the frame rate; the picture is slightly noised; the guidance scale is 1 at the first frame, which is
given, and 3 at the last. Where it deviates: motion and noise of the picture are not told as numbers; the picture stands
at the first frame alone; the text keeps its door, where the paper puts the picture's CLIP vector in.
"""

from dataclasses import replace

from pixeldance.condition import MICRO, ImageSlots
from pixeldance.diffusion.process import EDM
from pixeldance.systems.emu_video import EMU_VIDEO

AUGMENTED = 0.02**2 / (1 + 0.02**2)
"""The share of noise of the paper's deviation of 0.02 beside latents of unit variance."""

SVD = replace(
    EMU_VIDEO,
    about=__doc__,
    system=replace(
        EMU_VIDEO.system,
        condition=ImageSlots(first=1, last=False, noise=(AUGMENTED, 0.0), noise_at_inference=True),
        process=EDM(sigma_max=700.0),
        prediction="edm",
        step_offset=0.0,
        net=replace(EMU_VIDEO.system.net, vector=MICRO),
        vector=("fps",),
        frames=(14, 1),
        guidance=3.0,
        guidance_first=1.0,
        steps=25,
    ),
)
