"""The record of one training run, and its form as JSON: a run is only ever continued with the recipe it began with."""

import functools
import hashlib
import json
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field, fields, is_dataclass
from pathlib import Path
from typing import Any, Literal

from pixeldance import __version__
from pixeldance.atomic import atomic_file
from pixeldance.checkpoint import from_json, to_json
from pixeldance.data.source import Source
from pixeldance.nets.lora import LoRA
from pixeldance.pipeline import Pipeline
from pixeldance.system import Parts, System
from pixeldance.training.objective import Objective
from pixeldance.training.schedule import Ema, Schedule

FILE = "run.json"


def as_made(parts: Parts) -> None:
    """Leave a new model as it was made."""


@dataclass(frozen=True, kw_only=True)
class Training:
    """One training run.

    Where it starts: `init`, the folder of a checkpoint whose weights it takes (fine-tuning, a second stage), or a new
    model, to which `prepare` gives its frozen weights. train: patterns of the names of the weights that change
    (`freeze.trainable`), among the parts that the system trains. lora: train adapters on the layers of `init` that it
    names instead, and nothing else; each checkpoint holds them in lora/, and the model with them merged into it.

    Data: `data` and `images` open the sources; without `images`, every `image_every`-th step (0: none) takes first
    frames of the clips. batch, image_batch: of one step, over all processes; each process takes its share in
    `accumulate` pieces. workers: processes that read, for each process that trains. max_unreadable: the share of
    readings that may fail before the run stops.

    Steps: rate is about 1e-3 for AdamW and 1e-2 for Muon, and changes as `schedule` says (schedule.py). clip: the
    largest norm of a gradient. nan_skips: so many steps in a row may be left out because their loss or gradient is no
    number; 0 stops at the first. precision "bf16" computes the networks in bfloat16 and keeps the weights in float32.
    checkpointing: activations are computed again in the backward pass instead of kept.

    Machines: device "cpu", "cuda" or "cuda:1"; under torchrun `parallel` is "ddp", each process with the whole model,
    or "fsdp", weights, averages and optimiser sharded over all.

    What is kept: a checkpoint every `save_minutes`, the last `keep` of them; a line of the log every `log_every`
    steps, and curves for TensorBoard if asked; every `sample_every` steps `samples` clips with the averaged weights;
    every `evaluate_every` steps the figures that `evaluate` gives. 0: never.
    """

    system: System
    data: Callable[[], Source]
    images: Callable[[], Source] | None = None
    prepare: Callable[[Parts], None] = as_made
    init: Path | None = None
    objective: Objective = field(default_factory=Objective)
    train: tuple[str, ...] = ("*",)
    lora: LoRA | None = None
    steps: int = 10_000
    batch: int = 16
    image_every: int = 8
    image_batch: int = 64
    accumulate: int = 1
    optimiser: Literal["adamw", "muon"] = "adamw"
    rate: float = 1e-3
    warmup: int = 200
    schedule: Schedule = "linear"
    cooldown: int = 2_000
    weight_decay: float = 0.01
    clip: float = 1.0
    ema: Ema = Ema()
    seed: int = 0
    precision: Literal["fp32", "bf16"] = "fp32"
    checkpointing: bool = False
    device: str = "cpu"
    parallel: Literal["none", "ddp", "fsdp"] = "none"
    workers: int = 0
    nan_skips: int = 10
    max_unreadable: float = 0.1
    save_minutes: float = 5.0
    keep: int = 2
    log_every: int = 1
    tensorboard: bool = False
    sample_every: int = 0
    samples: int = 4
    evaluate_every: int = 0
    evaluate: Callable[[Pipeline], Mapping[str, float]] | None = None

    def __post_init__(self) -> None:
        least = {"steps": 1, "batch": 1, "image_batch": 1, "accumulate": 1, "keep": 1, "log_every": 1, "samples": 1}
        least |= dict.fromkeys(("image_every", "workers", "nan_skips", "warmup", "cooldown", "seed"), 0)
        least |= dict.fromkeys(("sample_every", "evaluate_every"), 0)
        for name, low in least.items():
            if getattr(self, name) < low:
                raise ValueError(f"got {name}={getattr(self, name)}; wanted {low} or more")
        if self.evaluate_every and self.evaluate is None:
            raise ValueError(f"got evaluate_every={self.evaluate_every} and no `evaluate` to call; give it one")
        if self.lora is not None and (self.init is None or self.parallel == "fsdp" or self.train != ("*",)):
            raise ValueError(
                f"got a LoRA with init={self.init}, parallel={self.parallel!r}, train={self.train}; wanted the model "
                "that it is for as `init`, 'none' or 'ddp', and all patterns in LoRA.layers"
            )


MAY_CHANGE = {
    *(
        "steps",
        "cooldown",
        "accumulate",
        "checkpointing",
        "device",
        "parallel",
        "workers",
        "nan_skips",
        "max_unreadable",
    ),
    *("save_minutes", "keep", "log_every", "tensorboard", "sample_every", "samples", "evaluate_every", "evaluate"),
}
"""Fields with which a run may be continued otherwise: they change how long or where it runs and what is shown of it."""


def check(run: Training, folder: Path) -> None:
    """Raise ValueError, naming the fields, where a run is to be continued with another recipe than it began with.

    Fields that came with later versions count as set to their defaults.
    """
    before, now = kept(folder), described(run)
    if not before:
        return
    before = _completed(before, run)
    names = [name for name in {**before, **now} if before.get(name) != now.get(name) and name not in MAY_CHANGE]
    if names:
        told = "; ".join(f"{name}: began with {before.get(name)}, got {now.get(name)}" for name in names)
        raise ValueError(
            f"{folder} is a run of another recipe ({told}); take another folder, and `init` for its weights"
        )


def kept(folder: Path) -> dict[str, Any]:
    """The recipe that the run in a folder began with; empty where there is none yet."""
    file = folder / FILE
    if not file.exists():
        return {}
    try:
        before = json.loads(file.read_text())["recipe"]
        before["system"] = to_json(from_json(before["system"]))  # fields that came later have their defaults
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not the recipe of a run ({error}); put it back, or train elsewhere") from None
    return dict(before)


def _completed(before: Any, value: Any) -> Any:
    """What was described of a setting, with the defaults of the fields that its record has had since then."""
    if isinstance(value, functools.partial) and isinstance(before, dict):
        named = {str(place): each for place, each in enumerate(value.args)} | value.keywords
        return before | {name: _completed(before[name], each) for name, each in named.items() if name in before}
    if is_dataclass(value) and not isinstance(value, type) and isinstance(before, dict):
        known = {f.name: _completed(before[f.name], getattr(value, f.name)) for f in fields(value) if f.name in before}
        later = [f for f in fields(value) if f.name not in before]
        added = {f.name: described(f.default) for f in later if f.default is not MISSING}
        made = {f.name: described(f.default_factory()) for f in later if f.default_factory is not MISSING}
        return before | known | added | made
    return before


def keep(run: Training, folder: Path) -> None:
    """Write the recipe into the run's folder, with the version of this package and the hash of the system."""
    now = described(run)
    system = json.dumps(now["system"], sort_keys=True).encode()
    record = {"version": __version__, "system_sha256": hashlib.sha256(system).hexdigest(), "recipe": now}
    with atomic_file(folder / FILE, overwrite=True) as part:
        part.write_text(json.dumps(record, indent=1) + "\n")


def described(value: Any) -> Any:
    """A setting as JSON data: records by their fields, functions by their names, bound arguments included."""
    if isinstance(value, System):
        return to_json(value)
    if isinstance(value, functools.partial):
        named = {str(place): each for place, each in enumerate(value.args)} | value.keywords
        return {"kind": described(value.func)} | {name: described(each) for name, each in named.items()}
    if is_dataclass(value) and not isinstance(value, type):
        kind = {} if isinstance(value, Training) else {"kind": type(value).__qualname__}
        return kind | {each.name: described(getattr(value, each.name)) for each in fields(value)}
    if isinstance(value, Mapping):
        return {str(name): described(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [described(each) for each in value]
    if isinstance(value, float) and abs(value) == float("inf"):
        return str(value)
    if isinstance(value, (str, int, float)) or value is None:
        return value
    # An experiment's module has another name when it is run by itself: functions go by their own name alone.
    return str(value) if isinstance(value, Path) else getattr(value, "__qualname__", type(value).__qualname__)
