"""A LoRA is a folder in the form of peft: adapter_config.json and adapter_model.safetensors, which peft opens too.

Ours add pixeldance.json: the SHA-256 of these two and of the model that the LoRA was trained on. Nothing is unpickled,
and nothing is put on a model before its hashes, its settings, its names and its shapes were checked.
"""

import hashlib
import json
import math
import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from pixeldance.atomic import atomic_folder
from pixeldance.checkpoint import PICKLES, file_sha256
from pixeldance.nets import lora

VERSION = 1
CONFIG, WEIGHTS, RECORD = "adapter_config.json", "adapter_model.safetensors", "pixeldance.json"
PREFIX = "base_model.model."
FORM = f"a folder with {CONFIG} and {WEIGHTS}, as training a LoRA or peft's save_pretrained writes it"

# peft's settings that say nothing about the result once the weights are there, or are read below. Any other one may
# change what the weights mean, and has to be off.
UNDERSTOOD = {
    *("peft_type", "r", "lora_alpha", "use_rslora", "rank_pattern"),
    *("target_modules", "exclude_modules", "layers_to_transform", "layers_pattern", "fan_in_fan_out"),
    *("task_type", "auto_mapping", "peft_version", "base_model_name_or_path", "revision", "inference_mode"),
    *("lora_dropout", "megatron_core", "qalora_group_size"),
}
OFF: tuple[Any, ...] = (None, False, 0, "", "none", [], {})
PLAIN_STARTS = (True, False, "gaussian", "orthogonal")  # any other start of peft's changes the base's weights as well


@dataclass(frozen=True, kw_only=True)
class Adapter:
    """A LoRA as it was read. state: its weights by the names of `lora.weights`. base: the hash of the model that it was
    trained on, None where the folder does not say. sha256: of its settings and weights."""

    folder: Path
    state: dict[str, Tensor]
    alpha: float
    base: str | None
    sha256: str


@dataclass(frozen=True, kw_only=True)
class Applied:
    """A LoRA that is on a model, and how much it counts there: 1 is as trained, 0 is not at all."""

    folder: Path
    base: str | None
    sha256: str
    scale: float


def save(
    folder: Path, model: nn.Module, *, base: str | None, name: str = "default", about: Mapping[str, Any] | None = None
) -> None:
    """Write one adapter of a model to a new `folder`, all of it or nothing; the arguments are those of `write`."""
    with atomic_folder(folder) as new:
        write(new, model, lora.weights(model, name), base=base, name=name, about=about)


def write(
    folder: Path,
    model: nn.Module,
    weights: Mapping[str, Tensor],
    *,
    base: str | None,
    name: str = "default",
    about: Mapping[str, Any] | None = None,
) -> None:
    """Make a LoRA of an unfinished `folder`: weights by their names in `lora.weights`, their settings and the record.

    base: `checkpoint.model_hash` of the model without it, None for weights in memory. `about` (numbers and text) is
    kept as it is. Raises ValueError for adapters of several ranks, which only other software makes.
    """
    settings = lora.alphas(model, name)
    if len(settings) > 1:
        raise ValueError(f"got a LoRA of several ranks and alphas, {sorted(settings)}; copy the folder it came from")
    ((rank, alpha),) = settings
    layers = dict.fromkeys(re.sub(r"\.lora_(embedding_)?[AB](\.weight)?$", "", key) for key in weights)
    config = {
        "peft_type": "LORA",
        "task_type": None,
        "base_model_name_or_path": None,
        "inference_mode": True,
        "r": rank,
        "lora_alpha": alpha,
        "lora_dropout": 0.0,
        "bias": "none",
        "init_lora_weights": True,
        # A list would also catch every layer whose name ends like one of these.
        "target_modules": "|".join(map(re.escape, layers)),
    }
    (folder / CONFIG).write_text(json.dumps(config, indent=1) + "\n")
    kept = {f"{PREFIX}{key}": weight.detach().contiguous() for key, weight in weights.items()}
    save_file(kept, folder / WEIGHTS, metadata={"format": "pt"})
    hashes = {file: file_sha256(folder / file) for file in (CONFIG, WEIGHTS)}
    record = {"version": VERSION, "base": base, "sha256": hashes, "about": dict(about or {})}
    (folder / RECORD).write_text(json.dumps(record, indent=1) + "\n")


def load(folder: Path) -> Adapter:
    """The LoRA of a folder that `save` or peft wrote, in float32. Raises ValueError for anything but a whole one."""
    record = read_record(folder)
    config, state = _settings(folder, record), dict[str, Tensor]()
    for key, weight in _tensors(folder, record).items():
        layer = re.fullmatch(rf"{re.escape(PREFIX)}(.+\.lora_(?:embedding_)?([AB])(?:\.weight)?)", key)
        if layer is None or not weight.is_floating_point() or weight.ndim < 2:
            raise ValueError(f"{folder / WEIGHTS}: got {key}; wanted {PREFIX}LAYER.lora_A.weight and lora_B.weight")
        # alpha / sqrt(r) B is alpha / r (sqrt(r) B).
        is_b = layer[2] == "B"
        gain = weight.shape[1] ** 0.5 if config.get("use_rslora") and is_b else 1.0
        state[layer[1]] = gain * weight.float()
    return Adapter(
        folder=folder,
        state=state,
        alpha=float(config["lora_alpha"]),
        base=record.get("base"),
        sha256=adapter_hash(folder),
    )


def apply(
    model: nn.Module, adapter: Adapter, *, base: str | None, name: str, scale: float = 1.0, any_base: bool = False
) -> Applied:
    """Put a LoRA on a model whose hash is `base` (`checkpoint.model_hash`), as `name`.

    Raises ValueError where it was trained on a model of another hash, or where it does not say on which, unless
    `any_base`; and always where its weights do not fit the model's layers.
    """
    if not any_base and (adapter.base is None or adapter.base != base):
        says = "does not say on which model it was trained" if adapter.base is None else f"belongs to {adapter.base}"
        raise ValueError(
            f"{adapter.folder}: this LoRA {says}, and this model is {base or 'one made in memory'}; give it its own "
            "model, or allow any of the same geometry with --any-base (any_base=True in Python)"
        )
    try:
        lora.insert(model, adapter.state, name=name, alpha=adapter.alpha, scale=scale)
    except ValueError as error:
        raise ValueError(f"{adapter.folder}: {error}") from None
    return Applied(folder=adapter.folder, base=adapter.base, sha256=adapter.sha256, scale=scale)


def read_record(folder: Path) -> dict[str, Any]:
    """pixeldance.json, checked to be of our version and form; empty where other software wrote the folder."""
    file = folder / RECORD
    if not file.is_file():
        return {}
    try:
        record = json.loads(file.read_text())
        version, base, hashes = record["version"], record["base"], record["sha256"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not the record of a LoRA ({error}); wanted version, base and sha256") from None
    if version != VERSION:
        raise ValueError(f"{file}: got LoRA version {version}, this pixeldance reads version {VERSION}")
    if not isinstance(base, str | None) or not isinstance(hashes, dict) or not set(hashes) >= {CONFIG, WEIGHTS}:
        raise ValueError(f"{file}: got base {base!r} and hashes for {hashes}; wanted one each for {CONFIG}, {WEIGHTS}")
    return record


def adapter_hash(folder: Path) -> str:
    """SHA-256 of a LoRA: of the hashes of its settings and its weights, a line each."""
    lines = "".join(f"{file_sha256(folder / name)}\n" for name in (CONFIG, WEIGHTS))
    return hashlib.sha256(lines.encode()).hexdigest()


def _whole(folder: Path, name: str, record: Mapping[str, Any]) -> Path:
    """A file of the folder that is there and, where there is a record, has the hash that it says."""
    file = folder / name
    if not file.is_file():
        pickles = [each.name for each in folder.iterdir() if each.suffix in PICKLES] if folder.is_dir() else []
        got = f"{pickles[0]}, a pickle, which can run code when opened" if pickles else "no such file"
        raise ValueError(f"{file}: got {got}; wanted {FORM}")
    got, wanted = file_sha256(file), record["sha256"].get(name) if record else None
    if record and got != wanted:
        raise ValueError(f"{file}: damaged or cut short: its SHA-256 is {got}, {RECORD} says {wanted}; copy it again")
    return file


def _tensors(folder: Path, record: Mapping[str, Any]) -> dict[str, Tensor]:
    file = _whole(folder, WEIGHTS, record)
    try:
        return load_file(file)
    except SafetensorError as error:
        raise ValueError(f"{file}: not a safetensors file ({error})") from None


def _settings(folder: Path, record: Mapping[str, Any]) -> dict[str, Any]:
    """adapter_config.json, checked to mean what we compute. Its patterns are not read: the weights have names."""
    file = _whole(folder, CONFIG, record)
    try:
        config = json.loads(file.read_text())
        kind, finite = config["peft_type"], math.isfinite(config["lora_alpha"])
    except (ValueError, KeyError, TypeError, OverflowError) as error:
        raise ValueError(f"{file}: not the settings of a LoRA ({error}); wanted {FORM}") from None
    if kind != "LORA" or not finite:
        got = f"peft_type {kind!r} with lora_alpha {config['lora_alpha']}"
        raise ValueError(f"{file}: got {got}; wanted LORA with a finite number")
    for key, value in config.items():
        if value not in (PLAIN_STARTS if key == "init_lora_weights" else OFF) and key not in UNDERSTOOD:
            raise ValueError(f"{file}: got {key} = {value!r}, which is not supported; wanted a plain LoRA")
    return config
