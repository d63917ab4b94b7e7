"""Many processes as one: who they are, what they tell each other, and how a model is spread over them.

This is torch's own: DistributedDataParallel where the model fits into every process, FSDP2's `fully_shard` where it
does not. A wrapper such as accelerate would hide the two calls that differ and bring its own forms of checkpoint.
"""

import itertools
import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Literal

import torch
import torch.distributed as dist
from jaxtyping import Float
from torch import Generator, Tensor, nn
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.distributed_c10d import PrefixStore
from torch.distributed.fsdp import FSDPModule, MixedPrecisionPolicy, fully_shard
from torch.distributed.rendezvous import rendezvous
from torch.distributed.tensor import DTensor
from torch.nn.parallel import DistributedDataParallel

from pixeldance.data.clip import Example
from pixeldance.system import Parts
from pixeldance.training.objective import Objective, loss

Parallel = Literal["none", "ddp", "fsdp"]
PATIENCE = timedelta(minutes=30)
"""How long a process waits for the others before it takes them for dead."""

JOINED = itertools.count()


@dataclass(frozen=True, kw_only=True)
class World:
    """This process among all that train together. The methods must be called by all of them."""

    rank: int = 0
    size: int = 1
    device: torch.device = torch.device("cpu")

    @property
    def main(self) -> bool:
        """Whether this is the one process that writes and speaks."""
        return self.rank == 0

    def sum(self, values: Sequence[float]) -> list[float]:
        """Each value summed over the processes."""
        if self.size == 1:
            return list(values)
        summed = torch.tensor(values, dtype=torch.float64)
        dist.all_reduce(summed)
        return summed.tolist()

    def gather(self, value: Any) -> list[Any]:
        """What each process has, in order of rank."""
        if self.size == 1:
            return [value]
        gathered = [None] * self.size
        dist.all_gather_object(gathered, value)
        return gathered

    def from_main(self, value: Any) -> Any:
        """What the main process has."""
        if self.size == 1:
            return value
        told = [value]
        dist.broadcast_object_list(told)
        return told[0]

    def wait(self) -> None:
        """Until all are here."""
        if self.size > 1:
            dist.barrier()


@contextmanager
def joined(parallel: Parallel, device: str) -> Iterator[World]:
    """The processes that torchrun started, or this one alone; "cuda" becomes each process's own GPU.

    Raises ValueError for several processes that would each train a model of their own.
    """
    size = int(os.environ.get("WORLD_SIZE", "1"))
    if size > 1 and parallel == "none":
        raise ValueError(f"got {size} processes and parallel='none'; wanted 'ddp', or 'fsdp' for a large model")
    local = torch.device(device)
    if local.type == "cuda" and local.index is None:
        local = torch.device("cuda", int(os.environ.get("LOCAL_RANK", "0")))
    if local.type == "cuda":
        torch.cuda.set_device(local)
    if size == 1:
        yield World(device=local)
        return
    # Processes find each other by notes in a store that torchrun keeps over its restarts: without a place of their own
    # for each time they would read the notes of the dead, and wait for those for ever.
    store, rank, _ = next(rendezvous("env://"))
    place = f"{os.environ.get('TORCHELASTIC_RESTART_COUNT', '0')}-{next(JOINED)}"
    # What is told (sums, names, checkpoints) goes over gloo; gradients go over the backend of their device.
    backend = "cpu:gloo,cuda:nccl" if local.type == "cuda" else "gloo"
    dist.init_process_group(backend, store=PrefixStore(place, store), rank=rank, world_size=size, timeout=PATIENCE)
    try:
        yield World(rank=rank, size=size, device=local)
    finally:
        dist.destroy_process_group()


class Loss(nn.Module):
    """The training loss as a module: what DistributedDataParallel watches."""

    def __init__(self, parts: Parts, objective: Objective, precision: torch.dtype) -> None:
        super().__init__()
        self.parts, self.objective, self.precision = parts, objective, precision

    def forward(self, batch: Sequence[Example], t: Float[Tensor, "b"], rngs: Sequence[Generator]) -> Float[Tensor, ""]:
        return loss(self.parts, self.objective, batch, t, rngs, self.precision)


def shard(parts: Parts, world: World, precision: torch.dtype) -> None:
    """Shard the trained parts over all processes, block by block (FSDP2); their parameters become DTensors.

    With bfloat16 weights travel in it and gradients are summed in float32. Frozen parts stay whole.
    """
    mesh = init_device_mesh(world.device.type, (world.size,))
    # Inputs keep their precision: a noise level of 999 is none in bfloat16. Autocast takes care of the layers.
    policy = MixedPrecisionPolicy(
        param_dtype=None if precision == torch.float32 else precision,
        reduce_dtype=torch.float32,
        cast_forward_inputs=False,
    )
    for part in (parts.text, *parts.unets):
        if any(weight.requires_grad for weight in part.parameters()):
            blocks = [block for child in part.children() if isinstance(child, nn.ModuleList) for block in child]
            for each in [*blocks, part]:
                fully_shard(each, mesh=mesh, mp_policy=policy)


def watched(module: Loss, parallel: Parallel, world: World, *, images: bool) -> nn.Module:
    """The loss as it is to be called, so that gradients are averaged over the processes.

    images: whether some steps are on images, which leave the temporal weights without gradient.
    """
    if world.size == 1 or parallel == "fsdp":
        return module
    return DistributedDataParallel(module, broadcast_buffers=False, find_unused_parameters=images)


@contextmanager
def last_piece(module: nn.Module, last: bool) -> Iterator[None]:
    """Average gradients over the processes only where `last`: after the last piece of an accumulated step."""
    if isinstance(module, DistributedDataParallel) and not last:
        with module.no_sync():
            yield
        return
    for each in module.modules():
        if isinstance(each, FSDPModule):
            each.set_requires_gradient_sync(last, recurse=False)
    yield


def whole(tensor: Tensor) -> Tensor:
    """A tensor with what all processes hold of it; all must ask."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor
