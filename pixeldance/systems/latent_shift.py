"""Latent-Shift (arXiv 2304.08477): a latent UNet whose only sense of time is channels shifted from frame to frame.

No temporal attention, no temporal convolution, not one parameter more than the image model. Where it deviates: an
eighth of the channels each way behind both convolutions of a residual block, as TSM has it (arXiv 1811.08383).
"""

from dataclasses import replace

from pixeldance.systems.latent_video import LATENT_VIDEO

LATENT_SHIFT = replace(
    LATENT_VIDEO,
    about=__doc__,
    system=replace(
        LATENT_VIDEO.system,
        net=replace(LATENT_VIDEO.system.net, temporal_mixing="shift", temporal_attentions=0),
    ),
)
