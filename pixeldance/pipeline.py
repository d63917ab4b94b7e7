"""A model ready for use: `load()` gives a Pipeline, calling it gives a video.

The arguments have the names that users know from diffusers' image-to-video pipelines.
"""

import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
import torch
from jaxtyping import Float, UInt8
from PIL import Image
from torch import Generator, Tensor

from pixeldance import adapter, checkpoint
from pixeldance.codec import to_pixels
from pixeldance.diffusion.noise import generators
from pixeldance.generate import OnStep, Sampling, Start, generate
from pixeldance.image import ImageSource, fit, read_image
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.nets import lora
from pixeldance.nets.words import words
from pixeldance.system import Maker, Parts

SHIPPED = Path(__file__).parent / "weights" / "small"
SEEDS = 2**32  # torch's CPU generator reads no more of a seed: larger ones would repeat these
MAX_PROMPT = 2000  # characters
OutputType = Literal["pil", "np", "pt", "latent"]
OUTPUT_TYPES = get_args(OutputType)


@dataclass(frozen=True, kw_only=True)
class VideoOutput:
    """frames: for each video a list of Pillow images ("pil"), or one array or tensor for all of them: "np" floats in
    0..1 (b, f, h, w, c), "pt" floats in 0..1 (b, f, c, h, w), "latent" (b, f, c, h, w)."""

    frames: Any


class Pipeline:
    """A system with its weights. `folder` is its checkpoint and `model_hash` that one's; None for weights in memory.

    loras: what `load_lora_weights` put on it, by name.
    """

    def __init__(self, parts: Parts, folder: Path | None = None) -> None:
        self.parts, self.folder = parts, folder
        self.model_hash = None if folder is None else checkpoint.model_hash(folder)
        self.system = parts.system
        self.loras: dict[str, adapter.Applied] = {}

    def to(self, device: str | torch.device) -> "Pipeline":
        """Move the networks, as torch does; noise is still drawn on the CPU."""
        self.parts.to(device)
        return self

    def load_lora_weights(
        self, folder: str | Path, adapter_name: str | None = None, scale: float = 1.0, any_base: bool = False
    ) -> "Pipeline":
        """Stack a LoRA of `pixeldance.adapter` or of peft on those that are there; its name is by default its folder.

        Raises ValueError for one that was trained on another model, unless `any_base`, or does not fit this one.
        """
        name, read = adapter_name or str(folder), adapter.load(Path(folder).absolute())
        self.loras[name] = adapter.apply(
            self.parts, read, base=self.model_hash, name=name, scale=scale, any_base=any_base
        )
        return self

    def set_adapters(self, scales: Mapping[str, float]) -> "Pipeline":
        """Set how much LoRAs count, by name: 1 is as trained, 0 is not at all, to the byte; the others stay as is."""
        for name, scale in scales.items():
            lora.rescale(self.parts, scale, name)
            self.loras[name] = replace(self.loras[name], scale=scale)
        return self

    def unload_lora_weights(self) -> "Pipeline":
        """Take all LoRAs off: the model is as it was loaded."""
        lora.remove(self.parts)
        self.loras.clear()
        return self

    def instruct(
        self, prompt: str, image: ImageSource | None = None, last_image: ImageSource | None = None, **settings: Any
    ) -> Instruction:
        """A checked instruction for this model; the settings are those of `instruct`, below."""
        return instruct(self.system, prompt, image, last_image, **settings)

    def unknown_words(self, prompt: str) -> list[str]:
        """The words of a prompt that this model's text encoder was never taught."""
        return self.parts.text.unknown(prompt)

    def render(
        self,
        instruction: Instruction,
        rng: Generator,
        sampling: Sampling | None = None,
        on_step: OnStep | None = None,
    ) -> UInt8[np.ndarray, "f h w 3"]:
        """One instruction to pixels; what the command line, the metrics and the server call."""
        return self.decode(self._latents([instruction], [rng], sampling, on_step))[0]

    def latents(
        self,
        instruction: Instruction,
        rng: Generator,
        sampling: Sampling | None = None,
        on_step: OnStep | None = None,
        start: Start | None = None,
    ) -> Float[Tensor, "f c h w"]:
        """One instruction to latents, for `decode`; frames of them may stand in the next instruction. With a `start`,
        its noise takes the place of that from `rng`."""
        return self._latents([instruction], [rng], sampling, on_step, start)[0]

    def _latents(
        self,
        asked: Sequence[Instruction],
        rngs: Sequence[Generator],
        sampling: Sampling | None,
        on_step: OnStep | None,
        start: Start | None = None,
    ) -> Float[Tensor, "b f c h w"]:
        with lora.folded(self.parts):
            return generate(self.parts, asked, rngs, sampling, on_step, start)

    @torch.inference_mode()
    def decode(self, latents: Float[Tensor, "b f z i j"]) -> list[UInt8[np.ndarray, "f h w 3"]]:
        """Latents to pixels, one video at a time, a few frames at a time."""
        return [
            np.concatenate([to_pixels(piece[0]) for piece in self.parts.codec.decode_stream(latents[i : i + 1])])
            for i in range(len(latents))
        ]

    def __call__(
        self,
        prompt: str | Sequence[str],
        image: ImageSource | None = None,
        last_image: ImageSource | None = None,
        height: int | None = None,
        width: int | None = None,
        num_frames: int | None = None,
        num_inference_steps: int | None = None,
        guidance_scale: float | None = None,
        tau: float = 1.0,
        tau_steps: int | None = None,
        num_videos_per_prompt: int = 1,
        generator: Generator | Sequence[Generator] | None = None,
        seed: int | None = None,
        output_type: OutputType = "pil",
        callback_on_step_end: Callable[["Pipeline", int, int, dict[str, Tensor]], Any] | None = None,
        fit_rule: str = "pad",
        fps: float | None = None,
    ) -> VideoOutput:
        """A video from a text, a first frame and a last frame; both pictures may be left out.

        image, last_image: a path, bytes, a Pillow image or uint8 pixels. tau: for which part of the way from noise
        to the clean video the last frame is followed (`Sampling`). Video i of a call with `seed` s uses seed s + i;
        `generator` may be one CPU generator for each video instead. `callback_on_step_end(pipe, step, step,
        {"latents": x})` is called after each step and may raise to stop. fps: of the motion; a model that was not
        taught rates makes the same video at any.
        """
        prompts = [prompt] if isinstance(prompt, str) else list(prompt)
        if not prompts or num_videos_per_prompt < 1:
            raise ValueError(
                f"got {len(prompts)} prompts and {num_videos_per_prompt} videos for each; wanted 1 or more of both"
            )
        if output_type not in OUTPUT_TYPES:
            raise ValueError(f"got the output type {output_type!r}; wanted {_either(OUTPUT_TYPES)}")
        sampling = Sampling(steps=num_inference_steps, guidance=guidance_scale, tau=tau, tau_steps=tau_steps)
        rngs = _generators(generator, seed, len(prompts) * num_videos_per_prompt)
        shape = {"num_frames": num_frames, "height": height, "width": width, "fps": fps, "fit_rule": fit_rule}
        asked = [self.instruct(text, image, last_image, **shape) for text in prompts]
        unknown = dict.fromkeys(word for text in prompts for word in self.unknown_words(text))
        if unknown:
            warnings.warn(
                f"this model does not know these words and leaves them out: {', '.join(unknown)}", stacklevel=2
            )

        def on_step(index: int, x: Tensor) -> None:
            if callback_on_step_end is not None:
                callback_on_step_end(self, index, index, {"latents": x})

        instructions = [instruction for instruction in asked for _ in range(num_videos_per_prompt)]
        latents = self._latents(instructions, rngs, sampling, on_step)
        if output_type == "latent":
            return VideoOutput(frames=latents)
        videos = self.decode(latents)
        if output_type == "pil":
            return VideoOutput(frames=[[Image.fromarray(frame) for frame in video] for video in videos])
        stacked = np.stack(videos).astype(np.float32) / 255
        return VideoOutput(frames=stacked if output_type == "np" else torch.from_numpy(stacked).movedim(-1, 2))


def instruct(
    system: Maker,
    prompt: str,
    image: ImageSource | None = None,
    last_image: ImageSource | None = None,
    *,
    num_frames: int | None = None,
    height: int | None = None,
    width: int | None = None,
    fps: float | None = None,
    fit_rule: str = "pad",
) -> Instruction:
    """A checked instruction for a model of this system; it needs no weights. What is None is the model's own.

    Pictures of another shape are fitted by `fit_rule`, "pad" or "crop", never stretched. Raises ValueError for an empty
    or too long prompt, and for lengths and sizes that the model cannot make, naming the nearest that it can.
    """
    check_prompt(system, prompt)
    length, size = system.length(num_frames), system.size(height, width)
    rate = system.fps if fps is None else fps
    if not 0 < rate < math.inf:
        raise ValueError(f"got {rate} frames per second; wanted a number above 0, e.g. this model's {system.fps:g}")
    given = {index: source for index, source in ((FIRST, image), (LAST, last_image)) if source is not None}
    if length == 1 and given:
        raise ValueError("got a picture for a video of one frame; an image comes from its text alone")
    frames = {index: fit(read_image(source), size=size, rule=fit_rule) for index, source in given.items()}
    asked = Instruction(text=prompt, frames=frames, length=length, size=size, fps=rate)
    system.check(asked)
    return asked


def check_prompt(system: Maker, prompt: str) -> None:
    """Raise ValueError for a text that says nothing, or more than a model of this system reads; one that reads no text
    takes the empty one."""
    longest = system.text.length - 1
    if longest and not words(prompt):
        got = "a prompt without words" if prompt.strip() else "an empty prompt"
        raise ValueError(f"got {got}; wanted words for what the video shows, e.g. 'a red star moves left'")
    if len(prompt) > MAX_PROMPT or len(words(prompt)) > longest:
        raise ValueError(
            f"got a prompt of {len(prompt):,} characters; this model reads {longest} words and at most "
            f"{MAX_PROMPT:,} characters: say it shorter"
        )


def load(folder: str | Path | None = None) -> Pipeline:
    """The model of a checkpoint folder; without an argument the one that ships with this package.

    Raises ValueError for anything but a whole checkpoint of our own format (`checkpoint.load`).
    """
    folder = SHIPPED if folder is None else Path(folder).absolute()
    return Pipeline(checkpoint.load(folder), folder)


def check_seed(seed: object) -> int:
    """`seed` if it is a whole number from 0 to 2^32 - 1; ValueError otherwise."""
    if not isinstance(seed, int) or isinstance(seed, bool) or not 0 <= seed < SEEDS:
        raise ValueError(f"got seed {seed!r}; wanted a whole number from 0 to 2^32 - 1")
    return seed


def _generators(generator: Generator | Sequence[Generator] | None, seed: int | None, count: int) -> list[Generator]:
    if generator is None:
        first = int(torch.randint(2**31, ()).item()) if seed is None else check_seed(seed)
        return generators([check_seed(first + i) for i in range(count)])
    if seed is not None:
        raise ValueError("got both generator and seed; give one of them")
    rngs = [generator] if isinstance(generator, Generator) else list(generator)
    if len(rngs) != count or any(rng.device.type != "cpu" for rng in rngs):
        raise ValueError(f"got {len(rngs)} generators for {count} videos; wanted one CPU generator for each")
    return rngs


def _either(options: Any) -> str:
    return " or ".join(map(str, options))
