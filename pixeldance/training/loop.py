"""The training loop: examples in, checkpoints out, continued at any time from the last one.

The batch of step k and all that is random in it are functions of (seed, k): a run that was stopped and continued
equals one that was not.
"""

import json
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Generator, Tensor, nn
from tqdm import tqdm

from pixeldance import checkpoint
from pixeldance.system import Parts, System
from pixeldance.training.muon import Muon
from pixeldance.training.objective import Example, Objective, loss

Examples = Callable[[Parts, int], Sequence[Example]]
"""(model, block number) -> the encoded examples of that block, always the same ones and equally many."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training run.

    prepare: gives a new model its frozen weights. examples: blocks of `block` clips, each used for `passes` passes in
    a new order. Every `image_every`-th step trains on `images` first frames as images (temporal parts off).
    `rate` is about 1e-3 for AdamW and 1e-2 for Muon; it rises over `warmup` steps and falls linearly to 0 over the last
    `cooldown` of `steps`.
    The weights kept are a moving average with decay min(ema, (1 + k) / (10 + k)) at step k.
    """

    system: System
    prepare: Callable[[Parts], None]
    examples: Examples
    objective: Objective = field(default_factory=Objective)
    block: int = 512
    passes: int = 3
    steps: int = 10_000
    batch: int = 16
    image_every: int = 8
    images: int = 64
    optimiser: Literal["adamw", "muon"] = "adamw"
    rate: float = 1e-3
    warmup: int = 200
    cooldown: int = 2_000
    weight_decay: float = 0.01
    ema: float = 0.999
    save_minutes: float = 5.0
    seed: int = 0


class State:
    """What a run changes: the model, its averaged weights, the optimiser and the number of steps done."""

    def __init__(self, run: Training) -> None:
        torch.manual_seed(run.seed)
        self.parts = Parts(run.system)
        run.prepare(self.parts)
        trained = nn.ModuleDict({"text": self.parts.text, "net": self.parts.net}).train()
        self.weights = {name: weight for name, weight in trained.named_parameters() if weight.requires_grad}
        self.average = {name: weight.detach().clone() for name, weight in self.weights.items()}
        self.optimiser = _optimiser(run, self.weights)
        self.step = 0

    def update(self, value: Tensor, rate: float, ema: float) -> float:
        """One optimiser step on a loss, the average following; gives the norm of the gradient before clipping."""
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.optimiser.zero_grad(set_to_none=True)
        value.backward()
        norm = nn.utils.clip_grad_norm_(self.weights.values(), 1.0)
        self.optimiser.step()
        decay = min(ema, (1 + self.step) / (10 + self.step))
        torch._foreach_lerp_(list(self.average.values()), [w.detach() for w in self.weights.values()], 1 - decay)
        self.step += 1
        return norm.item()

    def save(self, folder: Path) -> None:
        """The averaged weights as a checkpoint, with all that is needed to go on."""
        training = {f"weight.{name}": weight.detach().clone() for name, weight in self.weights.items()}
        for name, weight in self.weights.items():
            for key, value in self.optimiser.state[weight].items():
                training[f"{key}.{name}"] = value
        training["step"] = torch.tensor(self.step)
        self._assign(self.average)
        checkpoint.save(folder, self.parts, torch.float32, about={"steps": self.step}, training=training)
        self._assign({name: training[f"weight.{name}"] for name in self.weights})

    def restore(self, folder: Path) -> None:
        """Continue from a checkpoint that `save` wrote."""
        training = checkpoint.load_training(folder)
        averaged = checkpoint.load(folder)
        kept = dict(nn.ModuleDict({"text": averaged.text, "net": averaged.net}).named_parameters())
        self.average = {name: kept[name].detach() for name in self.weights}
        self._assign({name: training[f"weight.{name}"] for name in self.weights})
        for name, weight in self.weights.items():
            kept_of = {key.removesuffix(f".{name}"): training[key] for key in training if key.endswith(f".{name}")}
            self.optimiser.state[weight] = {key: value for key, value in kept_of.items() if key != "weight"}
        self.step = int(training["step"])

    def _assign(self, values: dict[str, Tensor]) -> None:
        with torch.no_grad():
            for name, weight in self.weights.items():
                weight.copy_(values[name])


def train(run: Training, folder: Path, progress: bool = True) -> Path:
    """Train until `run.steps` have been done, continuing the run in `folder` if there is one.

    folder/ gets step-N checkpoints, of which the last two are kept, and log.jsonl. Gives the last checkpoint.
    """
    folder.mkdir(parents=True, exist_ok=True)
    state = State(run)
    newest = latest(folder)
    if newest is not None:
        state.restore(newest)
    saved_at = time.monotonic()
    block_number, block = -1, list[Example]()
    bar = tqdm(total=run.steps, initial=state.step, disable=not progress, mininterval=5, unit="step")
    with (folder / "log.jsonl").open("a") as log:
        while state.step < run.steps:
            step = state.step
            if step // _block_steps(run) != block_number:
                block_number = step // _block_steps(run)
                block = list(run.examples(state.parts, block_number))
            batch = _batch(run, block, step)
            value = loss(state.parts, run.objective, batch, _generator(run, step))
            norm = state.update(value, run.rate * _rate_at(run, step), run.ema)
            kind = "image" if len(batch[0].latents) == 1 else "video"
            line = {"step": step, "kind": kind, "loss": value.item(), "norm": norm, "time": time.time()}
            log.write(json.dumps(line) + "\n")
            log.flush()
            bar.set_postfix(loss=f"{value.item():.3f}", refresh=False)
            bar.update()
            if state.step == run.steps or time.monotonic() - saved_at > run.save_minutes * 60:
                state.save(folder / f"step-{state.step:07d}")
                saved_at = time.monotonic()
                for old in sorted(folder.glob("step-*"))[:-2]:
                    shutil.rmtree(old)
    return folder / f"step-{run.steps:07d}"


def _optimiser(run: Training, weights: dict[str, nn.Parameter]) -> torch.optim.Optimizer:
    if run.optimiser == "adamw":
        return torch.optim.AdamW(
            weights.values(), lr=run.rate, betas=(0.9, 0.99), weight_decay=run.weight_decay, foreach=True
        )
    rows = [weight for name, weight in weights.items() if name.endswith("embedding.weight")]
    others = [weight for name, weight in weights.items() if not name.endswith("embedding.weight")]
    groups: list[dict[str, Any]] = [{"params": others}, {"params": rows, "matrices": False}]
    return Muon(groups, lr=run.rate, weight_decay=run.weight_decay)


def latest(folder: Path) -> Path | None:
    """The newest checkpoint of a run."""
    return max(folder.glob("step-*"), default=None)


def _block_steps(run: Training) -> int:
    return run.passes * (run.block // run.batch)


def _generator(run: Training, step: int) -> Generator:
    # torch reads 32 bits of a seed; a run of another seed begins a million steps away.
    return Generator().manual_seed((run.seed * 1_000_003 + step) % 2**32)


def _batch(run: Training, block: Sequence[Example], step: int) -> list[Example]:
    """The clips, or first frames, of one step: passes over the block in ever new orders."""
    if step % run.image_every == run.image_every - 1:
        chosen = torch.randint(len(block), (run.images,), generator=_generator(run, step)).tolist()
        return [replace(b, latents=b.latents[:1], focus=b.focus[:1]) for b in (block[i] for i in chosen)]
    per_pass = run.block // run.batch
    order = torch.randperm(run.block, generator=_generator(run, -1 - step // per_pass)).tolist()
    start = step % per_pass * run.batch
    return [block[i] for i in order[start : start + run.batch]]


def _rate_at(run: Training, step: int) -> float:
    return min(1.0, (step + 1) / max(run.warmup, 1), (run.steps - step) / max(run.cooldown, 1))
