"""LoRAs by diffusers' names: pytorch_lora_weights.safetensors, as its trainers and pipelines write it, in and out.

A key is PART.LAYER.lora_A.weight (or the older lora.down.weight), PART being unet or text_encoder; LAYER has the name
that `exchange.names` gives it. Layers without a counterpart in Stable Diffusion, such as ours over time, keep our names
after `pixeldance.`: other software leaves those out, and ours reads them back.
"""

import re
from collections.abc import Mapping
from pathlib import Path

from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from pixeldance.adapter import Adapter
from pixeldance.atomic import atomic_folder
from pixeldance.checkpoint import file_sha256
from pixeldance.exchange import names
from pixeldance.nets import lora
from pixeldance.nets.text import CLIPConfig
from pixeldance.system import Parts, System

FILE = "pytorch_lora_weights.safetensors"
OLD = {"lora.down": "lora_A", "lora.up": "lora_B", "lora_linear_layer.down": "lora_A", "lora_linear_layer.up": "lora_B"}
OURS = "pixeldance."


def read(folder: Path, system: System) -> Adapter:
    """The LoRA of a folder by our names, for `adapter.apply`. It does not say on which model it was trained.

    Raises ValueError for anything but safetensors of that form, and for several alphas or ranks.
    """
    file = folder / FILE
    try:
        with safe_open(file, framework="pt") as opened:
            stored = {key: opened.get_tensor(key) for key in opened.keys()}  # noqa: SIM118 (no mapping)
    except (OSError, SafetensorError) as error:
        raise ValueError(f"{file}: got {error}; wanted a LoRA in the form of diffusers") from None
    back = {theirs: ours for ours, theirs in _layers(system).items()}
    state, alphas = dict[str, Tensor](), set[float]()
    for key, weight in stored.items():
        if key.endswith(".alpha"):
            alphas.add(float(weight))
            continue
        layer, side = _split(file, key)
        ours = layer.removeprefix(OURS) if layer.startswith(OURS) else back.get(layer)
        if ours is None:
            raise ValueError(f"{file}: got {key}, a layer that this model has not")
        state[f"{ours}.{side}.weight"] = weight.float()
    ranks = {weight.shape[0] for key, weight in state.items() if key.endswith("lora_A.weight")}
    if len(ranks) != 1 or len(alphas) > 1:
        raise ValueError(f"{file}: got ranks {sorted(ranks)} and alphas {sorted(alphas)}; wanted one of each")
    alpha = alphas.pop() if alphas else float(ranks.pop())
    return Adapter(folder=folder, state=state, alpha=alpha, base=None, sha256=file_sha256(file))


def write(folder: Path, parts: Parts, name: str = "default", *, overwrite: bool = False) -> None:
    """Write a LoRA that is on a model to a new folder. Raises ValueError for one on an embedding, or of two ranks."""
    weights, settings = lora.weights(parts, name), lora.alphas(parts, name)
    if len(settings) > 1:
        raise ValueError(f"got a LoRA of several ranks and alphas, {sorted(settings)}; wanted one of each")
    ((rank, alpha),) = settings
    forward, stored = _layers(parts.system), dict[str, Tensor]()
    for key, weight in weights.items():
        layer, side = _split(folder, key)
        gain = alpha / rank if side == "lora_B" else 1.0  # their form has no place for alpha: B carries it
        theirs = forward.get(layer, f"{OURS}{layer}")
        stored[f"{theirs}.{side}.weight"] = (gain * weight.detach()).contiguous()
    with atomic_folder(folder, overwrite=overwrite) as new:
        save_file(stored, new / FILE, metadata={"format": "pt"})


def _split(file: Path, key: str) -> tuple[str, str]:
    found = re.fullmatch(r"(.+)\.(lora_[AB]|lora\.(?:down|up)|lora_linear_layer\.(?:down|up))\.weight", key)
    if found is None:
        raise ValueError(f"{file}: got {key}; wanted PART.LAYER.lora_A.weight and lora_B.weight")
    return found[1], OLD.get(found[2], found[2])


def _layers(system: System) -> Mapping[str, str]:
    """Our layers by diffusers' names, those that Stable Diffusion has."""
    unet = {
        f"net.{ours}": f"unet.{theirs}"
        for ours, theirs in _bare(names.unet(system.net)).items()
        if ".temporal." not in ours
    }
    if not isinstance(system.text, CLIPConfig):
        return unet
    return unet | {f"text.model.{key}": f"text_encoder.text_model.{key}" for key in _text_keys(system.text)}


def _bare(table: Mapping[str, str]) -> dict[str, str]:
    return {ours.rpartition(".")[0]: theirs.rpartition(".")[0] for ours, theirs in table.items()}


def _text_keys(config: CLIPConfig) -> list[str]:
    attention = [f"self_attn.{each}_proj" for each in ("q", "k", "v", "out")]
    return [
        f"encoder.layers.{layer}.{each}"
        for layer in range(config.layers)
        for each in (*attention, "mlp.fc1", "mlp.fc2")
    ]
