"""Stable Video Diffusion's network (arXiv 2311.15127) in our form: a part, not yet a system of ours.

tokens: the CLIP embedding of the picture, one token. concat: the picture's latents, in every frame. vector: sinusoids
of frames per second less one, of the motion bucket and of the picture's noise, side by side (`told`). c_noise:
log(sigma) / 4. What it gives is v, which is minus the F of EDM's preconditioning with data of variance 1.
"""

from collections.abc import Sequence
from pathlib import Path

import torch
from jaxtyping import Float
from torch import Tensor

from pixeldance.exchange import folder, geometry, names
from pixeldance.exchange.weights import taken
from pixeldance.nets.attention import sinusoids
from pixeldance.nets.unet import UNet


def network(place: Path) -> UNet:
    """The network of the folder of a part, `unet/`. Raises ValueError for any other network."""
    config = geometry.video_config(folder.settings(place, "config.json"))
    net = UNet(config)
    net.load_state_dict(taken(names.unet(config), folder.weights(place), net.state_dict(), "a video UNet"))
    return net


def told(numbers: Sequence[float], width: int) -> Float[Tensor, "1 v"]:
    """The vector condition of a network whose vector is so wide, of as many numbers as it was trained on."""
    if width % (2 * len(numbers)):
        raise ValueError(f"got {len(numbers)} numbers for a vector of {width}; wanted 3: rate, motion, noise")
    return sinusoids(torch.tensor(numbers), width // len(numbers)).flatten()[None]
