"""PixelDance (arXiv 2311.10982, CVPR 2024): latent video diffusion directed by text, first frame and last frame.

A 2D UNet made 3D, c_image = [f_first, PADs, f_last] joined to the noisy latents, a last frame that training makes
robust: drawn from the last three, noised, dropped a quarter of the time, and at inference left out after tau.

What the paper does not say is chosen here: Stable Diffusion 2.1's geometry and betas, zeros for PAD, a mask channel.
"""

from dataclasses import replace

from pixeldance.codec import KLConfig, PCAConfig
from pixeldance.condition import ImageSlots
from pixeldance.data.toybox import VOCABULARY
from pixeldance.diffusion.process import VP, share_at_step
from pixeldance.nets.text import CLIPConfig, WordConfig
from pixeldance.nets.unet import UNetConfig
from pixeldance.system import System

BETAS = VP(betas="scaled_linear")
NOISE = share_at_step(BETAS, 100)

PIXELDANCE = System(
    codec=KLConfig(),
    text=CLIPConfig(),
    net=UNetConfig(),
    process=BETAS,
    prediction="eps",
    condition=ImageSlots(noise=(NOISE, NOISE)),
    sizes=((256, 256),),
    fps=4.0,
    steps=50,
    guidance=9.0,
    vector=(),
    trained=("net",),
    step_offset=-1.0,
)
"""The paper's configuration: 1.44 B parameters in the denoising network."""

SMALL_PIXELDANCE = replace(
    PIXELDANCE,
    codec=PCAConfig(patch=8, channels=64),
    text=WordConfig(vocabulary=VOCABULARY),
    net=UNetConfig(
        channels=64,
        concat=130,
        tokens=128,
        vector=128,
        widths=(64, 128),
        attention=(False, True),
        layers=1,
        head_width=32,
        feed_mult=2,
        groups=16,
        temporal_convolutions=1,
        temporal_attentions=1,
        film=True,
        frame_embedding=True,
        carry=(0, 65),
        locate=True,
    ),
    process=VP(betas="cosine", logsnr_shift=-2.4),
    prediction="x0",
    condition=ImageSlots(tile=True, noise=(0.0, 0.1)),
    sizes=((64, 64),),
    fps=8.0,
    steps=10,
    guidance=2.0,
    vector=("text",),
    trained=("net",),
    step_offset=0.0,
)
"""The model that ships. Where it deviates: a linear codec, both frames tiled over time, the first one never noised (its
pixels are kept exactly), x0-prediction on a cosine schedule shifted to more noise, text as a vector too."""

SMALL_STILLS = replace(
    SMALL_PIXELDANCE,
    codec=PCAConfig(patch=4, channels=32),
    net=replace(
        SMALL_PIXELDANCE.net,
        channels=32,
        concat=0,
        widths=(64, 128, 128),
        attention=(False, True, True),
        temporal="none",
        frame_embedding=False,
        carry=(),
        locate=False,
    ),
    process=VP(betas="cosine", logsnr_shift=-1.5),
    condition=ImageSlots(first=0, last=False),
    frames=(1,),
)
"""What makes its first frames where a request has none; the paper's come from a text-to-image model too (sec. 4)."""
