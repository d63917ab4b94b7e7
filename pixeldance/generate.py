"""From instructions to latents: the noise, the grid, the legs of it, and the denoiser that each leg follows.

PixelDance's tau is two legs of one grid: x_hat(z, first, last, text) down to a noise level, x_hat(z, first, text)
after it (arXiv 2311.10982, sec. 3.3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace

import torch
from jaxtyping import Float
from torch import Generator, Tensor

from pixeldance.codec import from_pixels
from pixeldance.condition import condition
from pixeldance.diffusion.denoise import Cond, Denoise
from pixeldance.diffusion.guide import guided
from pixeldance.diffusion.process import Process, grid, level
from pixeldance.diffusion.sample import Step, dpmpp_2m, sample
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.system import Parts


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to sample. steps and guidance: None takes the model's own.

    tau: for which part of the way from pure noise to the clean video the last frame is followed, 0 to 1, measured by
    the noise angle (2 / pi) atan2(sigma, alpha); the nearest point of the grid is taken, so that 8, 25 and 50 steps
    mean the same. tau_steps: the paper's count instead, in steps of the grid.
    """

    steps: int | None = None
    guidance: float | None = None
    tau: float = 1.0
    tau_steps: int | None = None
    solver: Step = field(default_factory=dpmpp_2m)

    def __post_init__(self) -> None:
        if self.steps is not None and not 1 <= self.steps <= 1000:
            raise ValueError(f"got {self.steps} steps; wanted 1 to 1000")
        if self.guidance is not None and not 0 <= self.guidance <= 100:
            raise ValueError(f"got a guidance scale of {self.guidance}; wanted a number from 0 to 100")
        if not 0 <= self.tau <= 1:
            raise ValueError(f"got tau = {self.tau}; wanted 0 (last frame never followed) to 1 (to the end)")
        if self.tau_steps is not None and not 0 <= self.tau_steps <= (self.steps or 1000):
            raise ValueError(f"got tau_steps = {self.tau_steps}; wanted 0 to the number of steps")


def legs(
    process: Process, times: Float[Tensor, "n"], sampling: Sampling
) -> tuple[Float[Tensor, "k"], Float[Tensor, "m"]]:
    """The grid cut at tau: the times walked with the last frame, and those without it; both share the cut."""
    if sampling.tau_steps is not None:
        cut = min(sampling.tau_steps, len(times) - 1)
    else:
        noise = level(process, times)
        way = 1 - noise / noise[0]
        cut = int((way - sampling.tau).abs().argmin())
    return times[: cut + 1], times[cut:]


def generate(
    parts: Parts,
    instructions: Sequence[Instruction],
    rngs: Sequence[Generator],
    sampling: Sampling | None = None,
    on_step: Callable[[int, Tensor], None] | None = None,
) -> Float[Tensor, "b f c h w"]:
    """The latents of one video for each instruction, each with the randomness of its own CPU generator.

    On a CPU every instruction runs in a forward of its own: the bytes then depend on the request alone, never on its
    neighbours. Where a first frame is missing, the network's image mode makes it from the text (text -> image ->
    video). `on_step(i, x)` is called after every step of the grid.
    """
    sampling = sampling or Sampling()
    device = next(parts.net.parameters()).device
    if device.type == "cpu" and len(instructions) > 1:
        each = zip(instructions, rngs, strict=True)
        return torch.cat([generate(parts, [one], [rng], sampling, on_step) for one, rng in each])
    if instructions[0].length > 1 and any(FIRST not in each.frames for each in instructions):
        stills = _walk(parts, [replace(each, length=1, frames={}) for each in instructions], rngs, sampling, None)
        instructions = [
            replace(each, frames={FIRST: still[0], **each.frames})
            for each, still in zip(instructions, stills, strict=True)
        ]
    return _walk(parts, instructions, rngs, sampling, on_step)


@torch.inference_mode()
def _walk(
    parts: Parts,
    instructions: Sequence[Instruction],
    rngs: Sequence[Generator],
    sampling: Sampling,
    on_step: Callable[[int, Tensor], None] | None,
) -> Float[Tensor, "b f c h w"]:
    system = parts.system
    factor, (height, width) = parts.codec.factor, instructions[0].size or system.sizes[0]
    shape = (parts.codec.channels, height // factor, width // factor)
    x = torch.empty(len(instructions), instructions[0].length, *shape, device=next(parts.net.parameters()).device)
    x = system.noise(x, rngs)
    noised = rngs if system.condition.noise_at_inference else None

    def conditions(asked: Sequence[Instruction]) -> Cond:
        return condition(
            asked, text=parts.text, slots=system.condition, shape=shape, encode=encoder(parts), rngs=noised
        )

    def following(asked: Sequence[Instruction]) -> Denoise:
        scale = system.guidance if sampling.guidance is None else sampling.guidance
        textless = [instruction.without(text=True) for instruction in asked]
        mix = [(scale, conditions(asked))] + ([(1 - scale, conditions(textless))] if scale != 1 else [])
        return guided(parts.denoiser, mix)

    times = grid(system.process, sampling.steps or system.steps)
    first_leg, second_leg = legs(system.process, times, sampling)
    asked: Sequence[Instruction] = instructions
    done = 0
    for leg in (first_leg, second_leg):
        if len(leg) > 1:
            offset = done

            def report(index: int, latents: Tensor, offset: int = offset) -> None:
                if on_step is not None:
                    on_step(offset + index, latents)

            x = sample(
                following(asked),
                x,
                leg,
                system.process,
                sampling.solver,
                lambda like: system.noise(like, rngs),
                report,
            )
            done += len(leg) - 1
        asked = [instruction.without(frame=LAST) for instruction in asked]
    return x


def encoder(parts: Parts) -> Callable[[Instruction, int], Tensor]:
    """How `condition` gets the latents of a given frame: those handed over as latents stay as they are."""

    def encode(instruction: Instruction, frame: int) -> Tensor:
        image = instruction.frames[frame]
        if isinstance(image, Tensor):
            return image
        device = next(parts.codec.parameters(), torch.empty(0)).device
        return parts.codec.encode(from_pixels(image[None])[None].to(device))[0, 0]

    return encode
