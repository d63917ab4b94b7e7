"""A checkpoint is a folder: config.json (the system, the SHA-256 of it and of each part) and a safetensors file a part.

Nothing is ever unpickled, and nothing is loaded before its name, its hash, its keys and its shapes were checked.
"""

import hashlib
import json
import os
import re
from collections.abc import Collection, Mapping
from dataclasses import fields, is_dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from pixeldance.atomic import atomic_folder
from pixeldance.codec import KLConfig, PatchConfig, PCAConfig
from pixeldance.condition import ImageSlots, ScheduledNoise
from pixeldance.diffusion.given import Reconstruct, Replace
from pixeldance.diffusion.guide import Window
from pixeldance.diffusion.noise import Iid, Mixed, Progressive
from pixeldance.diffusion.process import EDM, VE, VP, Flow
from pixeldance.diffusion.warp import Warped
from pixeldance.nets import lora
from pixeldance.nets.refiner import RefinerConfig
from pixeldance.nets.text import CLIPConfig, PictureConfig, WordConfig
from pixeldance.nets.unet import UNetConfig
from pixeldance.nets.vae import VAEConfig, VideoVAEConfig
from pixeldance.system import Parts, System

VERSION = 1
PARTS = ("codec", "text", "net")
RECORDS: dict[str, type] = {
    record.__name__: record
    for record in (
        *(System, UNetConfig, VAEConfig, KLConfig, PatchConfig, PCAConfig, WordConfig, CLIPConfig, ImageSlots, Iid),
        *(VideoVAEConfig, PictureConfig, RefinerConfig),
        *(Mixed, Progressive, Replace, Reconstruct, Warped, Window),
        *(VP, VE, Flow, EDM, ScheduledNoise),
    )
}


def save(
    folder: Path,
    parts: Parts,
    dtype: torch.dtype = torch.float16,
    about: Mapping[str, Any] | None = None,
    rounded: Collection[str] = (),
) -> None:
    """Write the networks of a system to a new `folder`, all of it or nothing.

    `dtype` is that of the floating-point weights. `about` (numbers and text) is kept in the config as it is. rounded:
    names of parts whose matrices and kernels are stored in 8 bits, each row in steps of 1/127 of its largest weight.
    """
    if lora.names(parts):
        raise ValueError(
            "got a model with LoRAs on it, which a checkpoint has no place for; save them (pixeldance.adapter.save), "
            "or make them part of its weights first (pixeldance.nets.lora.merge)"
        )
    with atomic_folder(folder) as new:
        write(new, parts.system, parts.state_dict(), dtype, about, rounded)


def write(
    folder: Path,
    system: System,
    weights: Mapping[str, Tensor],
    dtype: torch.dtype = torch.float16,
    about: Mapping[str, Any] | None = None,
    rounded: Collection[str] = (),
) -> None:
    """Make a checkpoint of an unfinished `folder`: weights by their names in `Parts`, and the config.

    Other safetensors files that already lie in it, in folders of their own, get their hash in the config too.
    """
    for name in part_names(system):
        state = {key.removeprefix(f"{name}."): each for key, each in weights.items() if key.startswith(f"{name}.")}
        stored = _in_bytes(state) if name in rounded else state
        write_tensors(_stored(stored, dtype), folder / f"{name}.safetensors")
    files = sorted(folder.rglob("*.safetensors"))
    hashes = {file.relative_to(folder).with_suffix("").as_posix(): file_sha256(file) for file in files}
    settings = to_json(system)
    hashes["system"] = _json_sha256(settings)
    config = {"version": VERSION, "sha256": hashes, "about": dict(about or {}), "system": settings}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


def write_tensors(tensors: dict[str, Tensor], file: Path) -> None:
    """Write a safetensors file. Raises OSError where it cannot be written, such as on a full disk."""
    try:
        save_file(tensors, file)
    except SafetensorError as error:
        reason = re.search(r"os error (\d+)", str(error))  # all that the library tells of it
        if reason is None:
            raise
        raise OSError(int(reason[1]), os.strerror(int(reason[1])), str(file)) from None


def load(folder: Path) -> Parts:
    """The networks of a checkpoint, in float32, in evaluation mode. Raises ValueError for anything but a whole one."""
    parts = Parts(read_system(folder))
    fill(parts, folder)
    return parts.eval().requires_grad_(False)


def fill(parts: Parts, folder: Path) -> None:
    """Give networks of the same geometry the weights of a checkpoint. Raises ValueError where it is another one."""
    config = read_config(folder)
    modules = {name: parts.get_submodule(name) for name in part_names(parts.system)}
    states = {name: _fitting(folder, name, config, module.state_dict()) for name, module in modules.items()}
    for name, state in states.items():
        modules[name].load_state_dict(state)


def part_names(system: System) -> tuple[str, ...]:
    """The modules of `Parts` that have a file each."""
    refiner = ("refiner",) if system.refiner is not None else ()
    pictures = () if system.text_to_image is None else part_names(system.text_to_image)
    return (*PARTS, *refiner, *(f"text_to_image.{name}" for name in pictures if name != "text"))


def check(folder: Path) -> None:
    """Raise ValueError unless every file of a checkpoint has the hash that its config says."""
    config = read_config(folder)
    for name in config["sha256"]:
        if name != "system":
            _whole(folder, name, config)


def read_system(folder: Path) -> System:
    """The system of a checkpoint; its weights are not opened."""
    system = from_json(read_config(folder)["system"])
    if not isinstance(system, System):
        raise ValueError(f"{folder / 'config.json'}: got {type(system).__name__} for its system; wanted {FORM}")
    return system


def read_config(folder: Path) -> dict[str, Any]:
    """config.json, checked to be of our version and form; nothing else of the folder is opened."""
    file = folder / "config.json"
    if not file.is_file():
        pickles = [f.name for f in folder.iterdir() if f.suffix in PICKLES] if folder.is_dir() else []
        if folder.suffix in PICKLES or pickles:
            raise ValueError(f"{folder}: got a pickle, which can run code when opened; wanted {FORM}")
        if is_pipeline(folder):
            raise ValueError(f"{folder}: got a pipeline of diffusers, which this cannot use; wanted {FORM}")
        raise ValueError(f"{folder}: got no config.json; wanted {FORM}")
    try:
        config = json.loads(file.read_text())
        version, hashes, system = config["version"], config["sha256"], config["system"]
    except (ValueError, KeyError, TypeError) as error:
        raise ValueError(f"{file}: not the config of a checkpoint ({error}); wanted {FORM}") from None
    if version != VERSION:
        raise ValueError(f"{file}: got checkpoint version {version}, this pixeldance reads version {VERSION}")
    if not isinstance(hashes, dict) or not set(hashes) >= set(PARTS):
        raise ValueError(f"{file}: got hashes for {hashes}; wanted one each for {', '.join(PARTS)}")
    if hashes.get("system", _json_sha256(system)) != _json_sha256(system):
        raise ValueError(
            f"{file}: damaged: its system does not fit its SHA-256; copy it again (or remove sha256.system, if the "
            "change was meant)"
        )
    return config


SHA256 = re.compile(r"[0-9a-f]{64}")
PICKLES = {".pt", ".pth", ".ckpt", ".bin", ".pkl"}
FORM = "a folder with config.json and codec, text and net .safetensors, as `pixeldance train` writes it"


def is_pipeline(folder: Path) -> bool:
    """Whether a folder is a pipeline of diffusers, and no checkpoint of ours."""
    return (folder / "model_index.json").is_file()


def model_hash(folder: Path) -> str:
    """SHA-256 of config.json, which holds the hashes of all weights; of a pipeline of diffusers, over the names and
    hashes of all its settings and weights. A file of the hub's cache is named by its hash."""
    if not is_pipeline(folder):
        return file_sha256(folder / "config.json")
    found = sorted(path for end in ("json", "safetensors", "txt", "model") for path in folder.rglob(f"*.{end}"))
    lines = "".join(f"{_stored_sha256(path)}  {path.relative_to(folder).as_posix()}\n" for path in found)
    return hashlib.sha256(lines.encode()).hexdigest()


def _stored_sha256(file: Path) -> str:
    stored = file.resolve().name
    return stored if file.is_symlink() and SHA256.fullmatch(stored) else file_sha256(file)


def file_sha256(file: Path) -> str:
    """Hexadecimal SHA-256 of a file's bytes."""
    with file.open("rb") as opened:
        return hashlib.file_digest(opened, "sha256").hexdigest()


def to_json(record: Any) -> Any:
    """A record of settings as JSON data; dataclasses carry their name as "kind"."""
    if is_dataclass(record):
        return {"kind": type(record).__name__} | {f.name: to_json(getattr(record, f.name)) for f in fields(record)}
    return [to_json(each) for each in record] if isinstance(record, tuple) else record


def from_json(data: Any) -> Any:
    """The inverse of `to_json`; lists become tuples. Raises ValueError for an unknown kind or field."""
    if isinstance(data, list):
        return tuple(from_json(each) for each in data)
    if not isinstance(data, dict):
        return data
    record = RECORDS.get(str(data.get("kind")))
    if record is None:
        raise ValueError(f"got a record of kind {data.get('kind')!r}; known are {', '.join(RECORDS)}")
    try:
        return record(**{name: from_json(value) for name, value in data.items() if name != "kind"})
    except TypeError as error:
        raise ValueError(f"got settings that {record.__name__} does not take: {error}") from None


def _json_sha256(data: Any) -> str:
    return hashlib.sha256(json.dumps(data, sort_keys=True).encode()).hexdigest()


def _stored(state: Mapping[str, Tensor], dtype: torch.dtype) -> dict[str, Tensor]:
    return {
        key: value.to(dtype if value.is_floating_point() else value.dtype).contiguous() for key, value in state.items()
    }


STEP = ".step"
"""Behind the name of a matrix that is stored in bytes: how large a step of each of its rows is."""


def _in_bytes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Matrices and kernels as whole numbers, -127 to 127, and the size of a step for each row."""
    found = dict[str, Tensor]()
    for key, value in state.items():
        if value.ndim < 2 or not value.is_floating_point():
            found[key] = value
            continue
        # In half precision before anything is rounded by it: what is read back is then the nearest there is.
        step = (value.flatten(1).abs().amax(1) / 127).half().clamp(min=1e-7).float()
        found[key] = (value / step.reshape(-1, *(1,) * (value.ndim - 1))).round().clamp(-127, 127).to(torch.int8)
        found[key + STEP] = step
    return found


def _from_bytes(state: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The inverse of `_in_bytes`, up to half a step; what was not stored in bytes stays as it is."""
    steps = {key.removesuffix(STEP): value.float() for key, value in state.items() if key.endswith(STEP)}
    kept = {key: value for key, value in state.items() if not key.endswith(STEP)}
    return kept | {key: kept[key] * step.reshape(-1, *(1,) * (kept[key].ndim - 1)) for key, step in steps.items()}


def _whole(folder: Path, name: str, config: Mapping[str, Any]) -> Path:
    """A file of a checkpoint that has the hash that the config says."""
    file, wanted = folder / f"{name}.safetensors", config["sha256"].get(name)
    if wanted is None:
        raise ValueError(f"{folder}: got a checkpoint without {name}; wanted one of a system that has it")
    if not file.is_file():
        raise ValueError(f"{file}: missing; wanted {FORM}")
    got = file_sha256(file)
    if got != wanted:
        raise ValueError(
            f"{file}: damaged or cut short: its SHA-256 is {got}, config.json says {wanted}; copy it again"
        )
    return file


def _fitting(folder: Path, name: str, config: Mapping[str, Any], wanted: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """The tensors of a part, checked to have the names and shapes of `wanted`."""
    file = _whole(folder, name, config)
    try:
        state = _from_bytes(load_file(file))
    except SafetensorError as error:
        raise ValueError(f"{file}: not a safetensors file ({error})") from None
    shapes = {(key, tuple(value.shape)) for key, value in state.items()}
    odd = shapes ^ {(key, tuple(value.shape)) for key, value in wanted.items()}
    if odd:
        raise ValueError(f"{file}: its tensors do not fit the system, e.g. {sorted(odd)[:4]}")
    return {key: value.to(wanted[key].dtype) for key, value in state.items()}
