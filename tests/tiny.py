"""A model of our own format that is small enough to render in a tenth of a second; its weights are random."""

from dataclasses import replace

import torch

from pixeldance.codec import PatchConfig
from pixeldance.condition import ImageSlots
from pixeldance.data.toybox import VOCABULARY
from pixeldance.diffusion.process import VP
from pixeldance.nets.refiner import RefinerConfig
from pixeldance.nets.text import WordConfig
from pixeldance.nets.unet import UNetConfig
from pixeldance.system import Parts, System

SLOTS = ImageSlots(tile=True)
TINY = System(
    codec=PatchConfig(patch=4),
    text=WordConfig(vocabulary=VOCABULARY, width=16, layers=1, head_width=8),
    net=UNetConfig(
        channels=48,
        concat=SLOTS.channels(48),
        tokens=16,
        vector=16,
        widths=(8, 16),
        attention=(False, True),
        layers=1,
        head_width=4,
        feed_mult=2,
        groups=4,
        temporal_convolutions=1,
        temporal_attentions=1,
    ),
    process=VP(betas="cosine", logsnr_shift=-1.0),
    prediction="v",
    condition=SLOTS,
    frames=(4, 1),
    sizes=((32, 32),),
    steps=3,
)
"""4 frames of 32 x 32 pixels in 3 steps."""

REFINED = replace(
    TINY,
    refiner=RefinerConfig(
        net=replace(TINY.net, channels=12, concat=SLOTS.channels(12), widths=(8,), attention=(False,), carry=(0, 13)),
        below=0.5,
        until=0.5,
        patch=2,
    ),
)
"""The same with a refiner, whose weights `random_parts` leaves as they begin."""

ILLUSTRATED = replace(
    TINY,
    trained=("net",),
    text_to_image=replace(
        TINY,
        codec=PatchConfig(patch=2),
        net=replace(TINY.net, channels=12, concat=0, temporal="none"),
        condition=ImageSlots(first=0, last=False),
        frames=(1,),
        steps=5,
        guidance=3.0,
    ),
)
"""The same with a text-to-image model, of another codec, number of steps and guidance."""


def random_parts(system: System = TINY, seed: int = 0) -> Parts:
    """The networks of a system with no weight at zero, so that every condition changes what comes out."""
    with torch.random.fork_rng([]):
        torch.manual_seed(seed)
        parts = Parts(system)
        pictures = () if parts.text_to_image is None else parts.text_to_image.net.parameters()
        for weight in (*parts.text.parameters(), *parts.net.parameters(), *pictures):
            spread = weight[0].numel() ** -0.5 if weight.ndim > 1 else 0.1
            torch.nn.init.normal_(weight, 1.0 if weight.ndim == 1 and bool((weight == 1).all()) else 0.0, spread)
    return parts.eval().requires_grad_(False)
