"""The work of a network, counted on tensors that have a shape and no memory: FLOPs, and what is held at the peak."""

import weakref
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves
from torch.utils.flop_counter import FlopCounterMode

from pixeldance.codec import PatchConfig, build_codec
from pixeldance.nets import attention
from pixeldance.nets.unet import UNet
from pixeldance.system import System


@dataclass(frozen=True, kw_only=True)
class Work:
    """Of one pass of a network, forward, or forward and backward: FLOPs, and the most bytes it holds at once besides
    its weights."""

    flops: float
    live: float


@cache
def counted(
    system: System,
    frames: int,
    size: tuple[int, int],
    *,
    batch: int = 1,
    backward: bool = False,
    checkpointing: bool = False,
) -> Work:
    """The work of a pass on videos of (height, width) pixels, without doing it: no memory is used and little time.

    backward: with the gradients, and what the forward pass keeps for them; `checkpointing` as in `UNet`.
    """
    with torch.device("meta"):
        net = UNet(system.net)
    net.checkpointing = checkpointing
    return of_pass(net, system, frames, size, batch=batch, backward=backward)


def stages(system: System) -> tuple[System, ...]:
    """The system, and where it has a refiner, one whose network that is, on the squares of pixels that it sees."""
    if system.refiner is None:
        return (system,)
    whole = replace(system, refiner=None, trained=("net",))
    return whole, replace(whole, codec=PatchConfig(patch=system.refiner.patch), net=system.refiner.net)


def of_pass(
    net: UNet,
    system: System,
    frames: int,
    size: tuple[int, int],
    *,
    batch: int = 1,
    backward: bool = False,
    text: bool = False,
    pieces: int = 1,
) -> Work:
    """`counted` for a network of the system that lies on the meta device, with gradients of the weights that want one.

    text: its tokens want gradients too. pieces: passes whose gradients are added up; FLOPs are of one.
    """
    config, (h, w) = system.net, (each // factor(system) for each in size)
    with torch.device("meta"):
        doors = dict[str, Tensor]()
        if config.tokens:
            doors["tokens"] = torch.empty(batch, system.text.length, config.tokens, requires_grad=text)
            doors["mask"] = torch.ones(batch, system.text.length, dtype=torch.bool)
        if config.concat:
            doors["concat"] = torch.empty(batch, frames, config.concat, h, w)
        if config.vector:
            doors["vector"] = torch.empty(batch, config.vector, requires_grad=text)
        x, t = torch.empty(batch, frames, config.channels, h, w), torch.empty(batch)
    # Gradients that are there already make the second of several pieces the largest; those behind are like it.
    times = min(pieces, 2) if backward else 1
    with torch.set_grad_enabled(backward), FlopCounterMode(display=False) as flops, Live() as live, fused() as attended:
        for _ in range(times):
            out = net(x, t, **doors)
            if out.requires_grad:
                out.sum().backward()
            del out
    done = flops.get_total_flops() + sum(attended) * (3.5 if backward else 1)
    return Work(flops=done / times, live=live.peak)


@cache
def factor(system: System) -> int:
    """Pixels along one side of a latent position."""
    with torch.device("meta"):
        return build_codec(system.codec).factor


class Live(TorchDispatchMode):
    """Counts the bytes of the tensors that are made and still there; `peak` is the most at any moment."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.now = self.peak = 0
        self.known = dict[int, int]()

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        made = func(*args, **(kwargs or {}))
        for each in tree_leaves(made):
            if isinstance(each, Tensor):
                self._note(each.untyped_storage())
        return made

    def _note(self, storage: torch.UntypedStorage) -> None:
        if id(storage) not in self.known:
            self.known[id(storage)] = storage.nbytes()
            self.now += storage.nbytes()
            self.peak = max(self.peak, self.now)
            weakref.finalize(storage, self._forget, id(storage))

    def _forget(self, key: int) -> None:
        self.now -= self.known.pop(key)


@contextmanager
def fused() -> Iterator[list[float]]:
    """Attention as the fused kernels do it: on tensors without memory it would be spelled out, with all its scores.
    Gives a list that gets the FLOPs of each."""
    flops, real = list[float](), attention.attend

    def attend(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor | None = None) -> Tensor:
        flops.append(2.0 * query.numel() * key.shape[-2] + 2.0 * query.shape[:-1].numel() * value.shape[-2:].numel())
        made: Tensor = _Attended.apply(query, key, value)  # type: ignore[no-untyped-call]
        return made

    # A function mode of torch would be switched off where a backward pass computes things again.
    attention.attend = attend
    try:
        yield flops
    finally:
        attention.attend = real


class _Attended(torch.autograd.Function):
    """Shapes only: what the kernel keeps for its backward pass, and what that makes."""

    @staticmethod
    def forward(ctx: Any, query: Tensor, key: Tensor, value: Tensor) -> Tensor:
        made = query.new_empty((*query.shape[:-1], value.shape[-1]))
        ctx.save_for_backward(query, key, value, made)
        return made

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        query, key, value, _ = ctx.saved_tensors
        return torch.empty_like(query), torch.empty_like(key), torch.empty_like(value)
