"""What a run changes: the model, its averaged weights, the optimiser and a few counts; and one step of it all."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Generator, Tensor, nn

from pixeldance import adapter, checkpoint
from pixeldance.data.encode import encode
from pixeldance.data.order import share
from pixeldance.data.stream import Stream, Taken
from pixeldance.nets import lora
from pixeldance.system import Parts
from pixeldance.training.distributed import Loss, World, last_piece, shard, watched, whole
from pixeldance.training.freeze import trainable, trained_parts
from pixeldance.training.muon import Muon
from pixeldance.training.recipe import Training
from pixeldance.training.schedule import rate_at

LORA = "lora"  # the folder of a checkpoint in which a run's LoRA lies
PRECISIONS = {"fp32": torch.float32, "bf16": torch.bfloat16}


@dataclass(kw_only=True)
class Counts:
    """Steps done, how many of the last were left out in a row, and clips read and not readable, over all processes."""

    step: int = 0
    skipped: int = 0
    readings: int = 0
    unreadable: int = 0


class State:
    """A run at some step. `saved`: a checkpoint of it, whose averaged weights a continued run starts from."""

    def __init__(self, run: Training, world: World, saved: Path | None = None) -> None:
        self.run, self.world, self.counts = run, world, Counts()
        torch.manual_seed(run.seed)
        self.parts = Parts(run.system)
        start = run.init if run.lora else saved or run.init
        if start is None:
            run.prepare(self.parts)
        else:
            checkpoint.fill(self.parts, start)
        self.parts.to(world.device)
        if run.checkpointing:
            for net in self.parts.unets:
                net.checkpointing = True
        modules: nn.Module = trained_parts(self.parts)
        if run.lora is None:
            trainable(modules, run.train)
        else:
            modules = self.parts
            lora.attach(modules, run.lora, generator(run.seed, 0, 0))
            if saved is not None:
                lora.fill(modules, adapter.load(saved / LORA).state)
        sharded = run.parallel == "fsdp" and world.size > 1
        if sharded:
            shard(self.parts, world, PRECISIONS[run.precision])
        self.weights = {name: weight for name, weight in modules.named_parameters() if weight.requires_grad}
        self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.optimiser = _optimiser(run, self.weights, sharded)
        module = Loss(self.parts, run.objective, PRECISIONS[run.precision])
        self.loss = watched(module, run.parallel, world, images=run.image_every > 0)

    def update(self, stream: Stream, pieces: Sequence[Sequence[Taken]]) -> "Update":
        """One optimiser step on this process's pieces of the batch, the average following.

        Where the loss or the gradient is no number nothing changes but the counts.
        """
        run, world, step = self.run, self.world, self.counts.step
        size, parts = stream.size(step), world.size * run.accumulate
        levels = run.objective.draw(size, generator(run.seed, step, 0))
        self.optimiser.zero_grad(set_to_none=True)
        value = 0.0
        for number, taken in enumerate(pieces):
            places = share(size, world.rank * run.accumulate + number, parts)
            batch = encode(
                self.parts.codec, [each.clip for each in taken], image=stream.is_image(step), device=world.device
            )
            rngs = [generator(run.seed, step, 1 + place) for place in places]
            with last_piece(self.loss, number == len(pieces) - 1):
                piece = self.loss(batch, levels[places.start : places.stop], rngs) / run.accumulate
                piece.backward()
            value += piece.item()
        norm = whole(nn.utils.clip_grad_norm_(self.weights.values(), run.clip)).item()
        value, failed = world.sum([value, sum(len(each.unreadable) for taken in pieces for each in taken)])
        value /= world.size
        self.counts.readings += size + int(failed)
        self.counts.unreadable += int(failed)
        rate = run.rate * rate_at(
            step, steps=run.steps, warmup=run.warmup, schedule=run.schedule, cooldown=run.cooldown
        )
        sound = math.isfinite(value) and math.isfinite(norm)
        if sound:
            self._apply(rate)
        self.counts.skipped = 0 if sound else self.counts.skipped + 1
        self.counts.step += 1
        return Update(
            step=step,
            kind="image" if stream.is_image(step) else "video",
            clips=size,
            loss=value,
            norm=norm,
            rate=rate,
            unreadable=int(failed),
            skipped=not sound,
        )

    def averaged(self) -> dict[str, Tensor]:
        """All weights of the model as it is kept, averaged where they are trained and a LoRA merged: on the main
        process, nothing on the others; but all must ask."""
        kept = {}
        for name, weight in self.parts.state_dict().items():
            tensor = whole(self.average.get(name, weight))
            if self.world.main:
                kept[name] = tensor.cpu()
        return lora.merged(self.parts, kept) if kept else kept

    def write_lora(self, folder: Path) -> None:
        """The averaged adapters, as a LoRA of `init` in a new folder of an unfinished checkpoint."""
        assert self.run.init is not None
        kept = lora.picked(self.parts, {name: weight.cpu() for name, weight in self.average.items()})
        (folder / LORA).mkdir()
        adapter.write(folder / LORA, self.parts, kept, base=checkpoint.model_hash(self.run.init))

    def tensors(self) -> dict[str, Tensor]:
        """What is needed besides the averaged weights to go on: "KIND.NAME OF THE WEIGHT", and the counts."""
        kept = {f"weight.{name}": weight.detach() for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            kept |= {f"{kind}.{name}": value for kind, value in self.optimiser.state[weight].items()}
        kept |= {f"count.{name}": torch.tensor(value) for name, value in vars(self.counts).items()}
        # A continued run has them in another order, and writes the same bytes.
        return {name: kept[name].contiguous() for name in sorted(kept)}

    def slots(self, shapes: dict[str, torch.Size]) -> dict[str, Tensor]:
        """Tensors of the names and shapes of `tensors`, in which what was saved is to be put; `restored` then."""
        found = {}
        for full, shape in shapes.items():
            kind, _, name = full.partition(".")
            if kind == "count":
                found[full] = torch.zeros(shape, dtype=torch.int64)
            elif name not in self.weights:
                raise ValueError(f"got {full} among what was saved, which is no weight of this run")
            elif kind == "weight":
                found[full] = self.weights[name].detach()
            else:
                weight = self.weights[name]
                slot = torch.zeros_like(weight).detach() if shape == weight.shape else torch.zeros(shape)
                found[full] = self.optimiser.state[weight][kind] = slot
        return found

    def restored(self, slots: dict[str, Tensor]) -> None:
        """Take over the counts, now that the slots are filled."""
        self.counts = Counts(**{name: int(slots[f"count.{name}"]) for name in vars(self.counts)})

    def _apply(self, rate: float) -> None:
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.step()
        weights = [weight.detach() for weight in self.weights.values()]
        torch._foreach_lerp_(list(self.average.values()), weights, 1 - self.run.ema.decay(self.counts.step + 1))


@dataclass(frozen=True, kw_only=True)
class Update:
    """What a step did. loss: its mean over all processes. norm: of the gradient, before clipping. clips, unreadable:
    how many were trained on, and how many could not be read on the way, over all processes."""

    step: int
    kind: str
    clips: int
    loss: float
    norm: float
    rate: float
    unreadable: int
    skipped: bool


def generator(seed: int, step: int, place: int) -> Generator:
    """The randomness of one place in the batch of a step: 1 and up for the clips, 0 for what they share.

    torch reads 32 bits of a seed, so that seeds and steps are mixed into those.
    """
    (mixed,) = np.random.SeedSequence((seed, step, place)).generate_state(1)
    return Generator().manual_seed(int(mixed))


def _optimiser(run: Training, weights: dict[str, nn.Parameter], sharded: bool) -> torch.optim.Optimizer:
    if run.optimiser == "adamw":
        return torch.optim.AdamW(
            weights.values(), lr=run.rate, betas=(0.9, 0.99), weight_decay=run.weight_decay, foreach=True
        )
    if sharded:
        raise ValueError("got optimiser='muon' with parallel='fsdp'; Muon needs whole matrices: take adamw, or ddp")
    rows = [weight for name, weight in weights.items() if name.endswith("embedding.weight")]
    others = [weight for name, weight in weights.items() if not name.endswith("embedding.weight")]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": rows, "matrices": False}]
    return Muon(groups, lr=run.rate, weight_decay=run.weight_decay)
