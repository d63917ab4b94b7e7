"""From instructions to latents: the noise, the grid, the legs of it, and the denoiser that each leg follows.

PixelDance's tau is two legs of one grid: x_hat(z, first, last, text) down to a noise level, x_hat(z, first, text)
after it (arXiv 2311.10982, sec. 3.3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from functools import cache

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pixeldance.codec import from_pixels
from pixeldance.condition import condition, noised, picture_noise
from pixeldance.diffusion.denoise import Cond, Denoise
from pixeldance.diffusion.guide import guided
from pixeldance.diffusion.process import Process, grid, level, noise_share
from pixeldance.diffusion.sample import Step, dpmpp_2m, sample
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.system import Parts, System

OnStep = Callable[[int, Tensor], object]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to sample. steps and guidance: None takes the model's own.

    tau: for which part of the way from pure noise to the clean video the last frame is followed, 0 to 1, measured by
    the noise angle (2 / pi) atan2(sigma, alpha); the nearest point of the grid is taken, so that 8, 25 and 50 steps
    mean the same. tau_steps: the paper's count instead, in steps of the grid. late: it is followed in that part at the
    end of the way instead, and not before; an early window is what PixelDance does.
    """

    steps: int | None = None
    guidance: float | None = None
    tau: float = 1.0
    tau_steps: int | None = None
    late: bool = False
    solver: Step = field(default_factory=dpmpp_2m)

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise ValueError(f"got {self.steps} steps; wanted 1 to 1000")
        if self.guidance is not None and not 0 <= self.guidance <= 100:
            raise ValueError(f"got a guidance scale of {self.guidance}; wanted a number from 0 to 100")
        if not 0 <= self.tau <= 1:
            raise ValueError(f"got tau = {self.tau}; wanted 0 (last frame never followed) to 1 (to the end)")
        if self.tau_steps is not None and self.tau != 1:
            raise ValueError(f"got tau = {self.tau} and tau_steps = {self.tau_steps}; give one of them")
        if self.tau_steps is not None and not 0 <= self.tau_steps <= (self.steps or 1000):
            raise ValueError(f"got tau_steps = {self.tau_steps}; wanted 0 to the number of steps, {self.steps or 1000}")

    def of(self, system: System) -> "Sampling":
        """The same, with a model's own steps and guidance where none are given."""
        return replace(
            self,
            steps=system.steps if self.steps is None else self.steps,
            guidance=system.guidance if self.guidance is None else self.guidance,
        )


def legs(
    process: Process, times: Float[Tensor, "n"], sampling: Sampling
) -> tuple[Float[Tensor, "k"], Float[Tensor, "m"]]:
    """The grid cut at tau: the times walked with the last frame and those without it, or late, the other way round;
    both share the cut."""
    if sampling.tau_steps is not None:
        steps = min(sampling.tau_steps, len(times) - 1)
        cut = len(times) - 1 - steps if sampling.late else steps
    else:
        noise = level(process, times)
        way = 1 - noise / noise[0]
        cut = int((way - (1 - sampling.tau if sampling.late else sampling.tau)).abs().argmin())
    return times[: cut + 1], times[cut:]


def generate(
    parts: Parts,
    instructions: Sequence[Instruction],
    rngs: Sequence[Generator],
    sampling: Sampling | None = None,
    on_step: OnStep | None = None,
) -> Float[Tensor, "b f c h w"]:
    """The latents of one video for each instruction, each with the randomness of its own CPU generator.

    On a CPU every instruction runs in a forward of its own: the bytes then depend on the request alone, never on its
    neighbours. Where a first frame is missing, the network's image mode makes it from the text (text -> image ->
    video). `on_step(i, x)` is called after every step of the video's grid. Raises ValueError for given frames of
    another size than the instruction's, and where the weights or settings lead to values that are no numbers.
    """
    sampling = (sampling or Sampling()).of(parts.system)
    if _device(parts).type == "cpu" and len(instructions) > 1:
        each = zip(instructions, rngs, strict=True)
        return torch.cat([generate(parts, [one], [rng], sampling, on_step) for one, rng in each])
    asked = [encoded(parts, instruction) for instruction in instructions]
    bare = [row for row, each in enumerate(asked) if FIRST not in each.frames and each.length > 1]
    if bare and FIRST in parts.system.condition.places:
        images = [replace(asked[row], length=1, frames={}) for row in bare]
        stills = _walk(parts, images, [rngs[row] for row in bare], sampling, None)
        for row, still in zip(bare, stills, strict=True):
            asked[row] = replace(asked[row], frames={FIRST: still[0], **asked[row].frames})
    x = _walk(parts, asked, rngs, sampling, on_step)
    if not bool(x.isfinite().all()):
        raise ValueError("got a video that is not made of numbers; use sound weights, or a smaller guidance scale")
    return x


def encoded(parts: Parts, instruction: Instruction) -> Instruction:
    """The same request with its pictures as the codec's latents, and the model's own rate and size where it has none.

    Pictures handed over as latents stay as they are.
    """
    system, shape = parts.system, _latent_shape(parts, instruction)
    frames = {}
    for index, image in instruction.frames.items():
        if not isinstance(image, Tensor):
            image = parts.codec.encode(from_pixels(image[None])[None].to(_device(parts)))[0, 0]
        if tuple(image.shape) != shape:
            raise ValueError(
                f"got frame {index} with latents of {tuple(image.shape)}; wanted {shape}, a picture of the "
                "instruction's size: fit it first (pixeldance.image.fit)"
            )
        frames[index] = image
    fps = system.fps if instruction.fps is None else instruction.fps
    return replace(instruction, frames=frames, size=instruction.size or system.sizes[0], fps=fps)


@torch.inference_mode()
def _walk(
    parts: Parts,
    instructions: Sequence[Instruction],
    rngs: Sequence[Generator],
    sampling: Sampling,
    on_step: OnStep | None,
) -> Float[Tensor, "b f c h w"]:
    """From noise to latents over both legs of the grid; `sampling` is complete, the frames are latents."""
    system, shape = parts.system, _latent_shape(parts, instructions[0])
    assert sampling.steps is not None
    assert sampling.guidance is not None
    scale: float = sampling.guidance
    whole = grid(system.process, sampling.steps)
    x = torch.empty(len(instructions), instructions[0].length, *shape, device=_device(parts))
    x = system.process.sigma(whole[0]) * system.noise(x, rngs)
    slots = system.condition
    # Drawn once: at every step both legs and both terms of guidance see the same noise in the pictures.
    seen = zip(instructions, rngs, strict=True)
    noises = [picture_noise(each, slots, rng) if slots.noise_at_inference else {} for each, rng in seen]
    read = cache(parts.text)  # every leg, term and step asks for the same few texts

    def conditions(asked: Sequence[Instruction], t: Tensor) -> Cond:
        video = float(noise_share(system.process, t))
        asked = [noised(each, slots, noise, video) for each, noise in zip(asked, noises, strict=True)]
        return condition(asked, text=read, slots=slots, shape=shape, vector=system.vector)

    def following(asked: Sequence[Instruction]) -> Denoise:
        """Text guidance: the unconditional term keeps the pictures."""
        textless = [instruction.without(text=True) for instruction in asked]

        def at(t: Tensor) -> Denoise:
            mix = [(scale, conditions(asked, t))] + ([(1 - scale, conditions(textless, t))] if scale != 1 else [])
            return guided(parts.denoiser, mix)

        return (lambda x, t: at(t)(x, t)) if slots.noise_varies else at(whole[0])

    before, after = legs(system.process, whole, sampling)
    lastless = [instruction.without(frame=LAST) for instruction in instructions]
    early, rest = (lastless, instructions) if sampling.late else (instructions, lastless)
    for asked, times, done in ((early, before, 0), (rest, after, len(before) - 1)):
        if len(times) > 1:

            def report(index: int, latents: Tensor, done: int = done) -> None:
                if on_step is not None:
                    on_step(done + index, latents)

            x = sample(
                following(asked),
                x,
                times,
                system.process,
                sampling.solver,
                lambda like: system.noise(like, rngs),
                report,
            )
    return x


def _latent_shape(parts: Parts, instruction: Instruction) -> tuple[int, int, int]:
    height, width = instruction.size or parts.system.sizes[0]
    return parts.codec.channels, height // parts.codec.factor, width // parts.codec.factor


def _device(parts: Parts) -> torch.device:
    return next(parts.net.parameters()).device
