"""LVDM (arXiv 2211.13221): long videos clip by clip, each continuing latents of the last that were noised on purpose.

Training gives the first few frames or none, with noise in them; sampling noises what is handed over in the same way, so
that errors of one clip are not taken for facts by the next. Where it deviates: the share of noise is always the same,
where the paper draws it; no second model between the frames of the first.
"""

from dataclasses import replace

from pixeldance.condition import ImageSlots
from pixeldance.systems.latent_video import LATENT_VIDEO
from pixeldance.systems.pixeldance import NOISE
from pixeldance.systems.published import FROM_TEXT
from pixeldance.training.sets import RandomSet

LVDM = replace(
    LATENT_VIDEO,
    about=__doc__,
    system=replace(
        LATENT_VIDEO.system,
        condition=ImageSlots(first=16, last=False, noise=(NOISE, 0.0), noise_at_inference=True),
        net=replace(LATENT_VIDEO.system.net, concat=5),
    ),
    objective=replace(FROM_TEXT, also=RandomSet(kinds=("none", "leading"))),
)
