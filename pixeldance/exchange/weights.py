"""Weights from one format's names and shapes to another's: nothing is lost, added or rounded; back come the same bytes.

What the formats store otherwise are kernels of size one: a 1 x 1 convolution is a linear layer, and a convolution over
time has its kernel in the first of one, two or three dimensions.
"""

from collections.abc import Mapping

import torch
from torch import Tensor

from pixeldance.exchange.names import Names
from pixeldance.nets.temporal import TemporalAttention, TemporalConvolution, zero
from pixeldance.nets.unet import UNet

State = Mapping[str, Tensor]


def taken(names: Names, theirs: State, wanted: State, what: str) -> dict[str, Tensor]:
    """Their weights by our names, in the shapes of `wanted`. Raises ValueError where some miss, remain or differ."""
    needed = {names[name]: name for name in wanted}
    odd = sorted(theirs.keys() ^ needed.keys())
    if odd:
        raise ValueError(f"got {what} with other weights than its settings say: {len(odd)} differ, e.g. {odd[:3]}")
    return {name: _shaped(key, theirs[key], wanted[name], what) for key, name in needed.items()}


def given(names: Names, ours: State, like: Mapping[str, tuple[int, ...]]) -> dict[str, Tensor]:
    """The inverse of `taken`; `like` has the shapes by their names, and says which weights are wanted."""
    back = {theirs: name for name, theirs in names.items()}
    return {key: ours[back[key]].reshape(shape).contiguous() for key, shape in like.items()}


def over_time(state: State) -> dict[str, Tensor]:
    """Weights with the kernels over time in the first of three dimensions, as Stable Video Diffusion's are stored."""
    return {name: weight[..., None] if weight.shape[2:] == (3, 1) else weight for name, weight in state.items()}


def widened(weight: Tensor, channels: int) -> Tensor:
    """A first convolution that also reads `channels` in all, those that were added by zeros."""
    wide = weight.new_zeros(weight.shape[0], channels, *weight.shape[2:])
    wide[:, : weight.shape[1]] = weight
    return wide


def neutral(net: UNet) -> None:
    """Make all of a UNet that Stable Diffusion's lacks change nothing: its output is that of the 2D network.

    Raises ValueError for a geometry in which that cannot be.
    """
    if net.config.film or net.config.carry:
        raise ValueError("got a net with film or carry, which no published 2D network has; wanted film=False, carry=()")
    for module in net.modules():
        if isinstance(module, TemporalConvolution):
            zero(module.convs[-1])
        elif isinstance(module, TemporalAttention):
            zero(module.project_out)
    for embedding in (net.frame_embedding, net.vector_embedding):
        if embedding is not None:
            zero(embedding.second)


def _shaped(key: str, weight: Tensor, wanted: Tensor, what: str) -> Tensor:
    if _kernel(weight.shape) != _kernel(wanted.shape):
        raise ValueError(f"got {what} with {key} of {tuple(weight.shape)}; its settings make {tuple(wanted.shape)}")
    return weight.reshape(wanted.shape)


def _kernel(shape: torch.Size) -> list[int]:
    """A shape without the ones at its end."""
    kept = list(shape)
    while len(kept) > 2 and kept[-1] == 1:
        kept.pop()
    return kept
