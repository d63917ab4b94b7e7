"""Emu Video (arXiv 2311.10709): first a picture from the text, then the video from text and picture.

The picture has a slot of its own at the first frame, and the noise schedule ends in pure noise (zero terminal SNR, so v
and not eps), which the paper needs for high resolutions. Where it deviates: one network makes both, its image mode the
picture, where the paper starts the video model from a separate image model; no interpolation model.
"""

from dataclasses import replace

from pixeldance.condition import ImageSlots
from pixeldance.diffusion.process import VP
from pixeldance.systems.pixeldance import PIXELDANCE
from pixeldance.systems.published import Published
from pixeldance.training.objective import Objective

EMU_VIDEO = Published(
    about=__doc__,
    system=replace(
        PIXELDANCE,
        condition=ImageSlots(first=1, last=False),
        process=VP(betas="scaled_linear", zero_terminal_snr=True),
        prediction="v",
        guidance=7.5,
    ),
    objective=Objective(given=1, drop_last=1.0),
)
