"""An engine: a pretrained pipeline of diffusers that answers what a Pipeline of ours is asked.

Its latents are its pixels, in [-1, 1]: what one shot hands to the next are finished frames, which every pipeline takes.
"""

import inspect
from collections.abc import Mapping
from contextlib import AbstractContextManager, nullcontext
from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Generator, Tensor

from pixeldance.checkpoint import model_hash
from pixeldance.codec import from_pixels, to_pixels
from pixeldance.engines.abilities import Abilities
from pixeldance.engines.kinds import KINDS, Ask, Kind
from pixeldance.engines.tau import Walk, watched
from pixeldance.exchange import folder as files
from pixeldance.generate import OnStep, Sampling
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.nets.words import words
from pixeldance.pipeline import Pipeline

MEMORY = ("low", "mid", "high")
"""low: each layer is on the GPU while it computes. mid: each part. high: all of them, always."""


class Engine(Pipeline):
    """A pipeline of diffusers of a kind that `KINDS` has. `system` is its abilities, which a request is checked by."""

    def __init__(self, pipe: Any, kind: Kind, abilities: Abilities, folder: Path) -> None:
        self.pipe, self.kind, self.folder = pipe, kind, folder
        self.system = abilities  # type: ignore[assignment]  # it answers all that a request asks of a system
        self.abilities = abilities
        self.model_hash = model_hash(folder)
        self.loras = {}
        self.pipe.set_progress_bar_config(disable=True)

    def to(self, device: str | torch.device) -> "Engine":
        """Move all parts, as torch does."""
        self.pipe.to(device)
        return self

    def load_lora_weights(self, *_: Any, **__: Any) -> "Pipeline":
        """Refused: a LoRA of ours is for a network of ours."""
        raise ValueError(f"got a LoRA for {self.kind.name}; only models of our own take LoRAs here")

    def unknown_words(self, prompt: str) -> list[str]:
        """All words where the engine reads no text, none otherwise."""
        return [] if self.abilities.reads else list(dict.fromkeys(words(prompt)))

    def render(
        self, instruction: Instruction, rng: Generator, sampling: Sampling | None = None, on_step: OnStep | None = None
    ) -> UInt8[np.ndarray, "f h w 3"]:
        """One instruction to pixels; what `on_step` raises ends it. Raises ValueError for what the engine cannot."""
        sampling = sampling or Sampling()
        if sampling.interval is not None or sampling.reuse > 1:
            raise ValueError(
                f"got interval={sampling.interval}, reuse={sampling.reuse} for a pretrained pipeline, whose network is "
                "its own; leave them out"
            )
        self.abilities.length(instruction.length)
        self.abilities.size(*(instruction.size or (None, None)))
        self.abilities.check(instruction)
        height, width = instruction.size or self.abilities.usual[:2]
        first, last = (_picture(instruction.frames[at]) if at in instruction.frames else None for at in (FIRST, LAST))
        ask = Ask(
            first=first,
            last=last,
            frames=instruction.length,
            height=height,
            width=width,
            fps=instruction.fps or self.abilities.fps,
            guidance=self.abilities.guidance if sampling.guidance is None else sampling.guidance,
        )
        steps = self.abilities.steps if sampling.steps is None else sampling.steps
        walk = Walk(sampling=sampling, scheduler=self.pipe.scheduler)
        calls, sections = count(1), self.kind.sections(ask)

        def stepped(_: Any, index: int, __: Any, seen: dict[str, Tensor]) -> dict[str, Tensor]:
            walk.done = index + 1
            step, within = divmod(next(calls), sections)
            if on_step is not None and not within:
                on_step(step - 1, seen["latents"])
            return {}

        common = {
            "prompt": instruction.text,
            "height": height,
            "width": width,
            "num_frames": instruction.length,
            "num_inference_steps": steps,
            "guidance_scale": ask.guidance,
            "generator": rng,
            "output_type": "np",
            "callback_on_step_end": stepped,
        }
        takes = inspect.signature(self.pipe.__call__).parameters
        asked = {name: value for name, value in common.items() if name in takes} | self.kind.arguments(ask)
        lets_go = last is not None and (sampling.tau < 1 or sampling.tau_steps is not None)
        networks = [each for name in self.kind.networks if (each := getattr(self.pipe, name, None)) is not None]
        watching: AbstractContextManager[None] = nullcontext()
        if lets_go:
            assert self.kind.lastless is not None, "every kind that takes a last frame can let it go"
            watching = watched(networks, walk, self.kind.lastless(self.pipe, ask))
        with torch.no_grad(), torch.random.fork_rng(), watching:
            torch.manual_seed(rng.initial_seed())  # some pipelines draw where no generator reaches
            video = np.asarray(self.pipe(**asked).frames)[0]
        if not np.isfinite(video).all():
            raise ValueError("got a video that is not made of numbers; use sound weights, or a smaller guidance scale")
        return np.round(video.clip(0, 1) * 255).astype(np.uint8)

    def latents(
        self,
        instruction: Instruction,
        rng: Generator,
        sampling: Sampling | None = None,
        on_step: OnStep | None = None,
        start: Any = None,
    ) -> Float[Tensor, "f c h w"]:
        """One instruction to pixels in [-1, 1]; frames of them may stand in the next instruction."""
        if start is not None:
            raise ValueError(f"got a start for {self.kind.name}, which begins from its own noise alone")
        return from_pixels(self.render(instruction, rng, sampling, on_step))

    def decode(self, latents: Float[Tensor, "b f c h w"]) -> list[UInt8[np.ndarray, "f h w 3"]]:
        """The pixels as bytes."""
        return [to_pixels(each) for each in latents]

    def _latents(self, asked: Any, rngs: Any, sampling: Any, on_step: Any, start: Any = None) -> Tensor:
        each = zip(asked, rngs, strict=True)
        return torch.stack([self.latents(one, rng, sampling, on_step, start) for one, rng in each])


def described(folder: Path) -> tuple[Kind, Abilities]:
    """What the pipeline in a folder can, from its settings; no weights are opened. Raises ValueError for no engine."""
    index = files.settings(folder, "model_index.json")
    kind = KINDS.get(str(index.get("_class_name")))
    if kind is None:
        known = ", ".join(f"{each.name} ({name})" for name, each in KINDS.items())
        raise ValueError(f"{folder}: got a {index.get('_class_name')}, which is no engine; engines are {known}")
    parts = [name for name, at in index.items() if isinstance(at, list) and (folder / name / "config.json").is_file()]
    settings: Mapping[str, Mapping[str, Any]] = {"": index} | {
        name: files.settings(folder / name, "config.json") for name in parts
    }
    try:
        return kind, kind.abilities(settings)
    except KeyError as error:
        raise ValueError(f"{folder}: got no settings of {error}; wanted a whole {index['_class_name']}") from None


def load(folder: Path, memory: str = "high") -> Engine:
    """The engine of a folder in the form of diffusers: in bfloat16 on a GPU where there is one, in float32 otherwise.

    Only safetensors are opened, files that an index names only beside it, and no code of the folder is run.
    """
    if memory not in MEMORY:
        raise ValueError(f"got memory {memory!r}; wanted low, mid or high")
    kind, abilities = described(folder)
    cuda = torch.cuda.is_available()
    if memory != "high" and not cuda:
        raise ValueError(
            f"got memory {memory!r}, which moves parts to a GPU and back, and there is none; wanted 'high'"
        )
    for index in folder.rglob("*.safetensors.index.json"):
        files.placed(index)
    import diffusers

    made = getattr(diffusers, str(files.settings(folder, "model_index.json")["_class_name"]))
    dtype = torch.bfloat16 if cuda else torch.float32
    pipe = made.from_pretrained(folder, dtype=dtype, use_safetensors=True, local_files_only=True)
    kind.opened(pipe)
    if memory != "high" and hasattr(pipe.vae, "enable_tiling"):
        pipe.vae.enable_tiling()
    if memory == "low":
        pipe.enable_sequential_cpu_offload()
    elif memory == "mid":
        pipe.enable_model_cpu_offload()
    else:
        pipe.to("cuda" if cuda else "cpu")
    return Engine(pipe, kind, abilities, folder)


def _picture(frame: Any) -> Image.Image:
    """A given frame: uint8 pixels, or pixels in [-1, 1] that another shot handed over."""
    return Image.fromarray(to_pixels(frame[None])[0] if isinstance(frame, Tensor) else np.asarray(frame))
