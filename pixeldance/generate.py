"""From instructions to latents: the noise, the grid, the legs of it, and the denoiser that each leg follows.

PixelDance's tau is two legs of one grid: x_hat(z, first, last, text) down to a noise level, x_hat(z, first, text)
after it (arXiv 2311.10982, sec. 3.3).
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import torch
from jaxtyping import Bool, Float
from torch import Generator, Tensor

from pixeldance.codec import from_pixels
from pixeldance.condition import condition, noised, picture_noise
from pixeldance.diffusion.denoise import Cond, Denoise
from pixeldance.diffusion.guide import Model, Weight, between, bound, mixed, windows
from pixeldance.diffusion.invert import invert
from pixeldance.diffusion.process import Process, grid, level, noise_share
from pixeldance.diffusion.reuse import reused
from pixeldance.diffusion.sample import SOLVERS, SolverName, Step, sample
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.system import Parts, System

OnStep = Callable[[int, Tensor], object]
Around = Callable[[Step], Step]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How to sample. steps, guidance, interval and solver: None takes the model's own.

    interval: the noise levels, lowest and highest, at which text guidance works, measured by the noise angle as tau is
    (arXiv 2404.07724); at all others its scale is 1, which takes one pass of the network instead of two. reuse: so many
    steps, counted from the start of the grid, share the deep features of the first of them (`diffusion.reuse`).
    tau: for which part of the way from pure noise to the clean video the last frame is followed, 0 to 1, measured by
    the noise angle (2 / pi) atan2(sigma, alpha); the nearest point of the grid is taken, so that 8, 25 and 50 steps
    mean the same. tau_steps: the paper's count instead, in steps of the grid. late: it is followed in that part at the
    end of the way instead, and not before; an early window is what PixelDance does. around: put around the solver, what
    looks on (`serve.preview`) or goes on from a point (`diffusion.resume`).
    """

    steps: int | None = None
    guidance: float | None = None
    tau: float = 1.0
    tau_steps: int | None = None
    late: bool = False
    interval: tuple[float, float] | None = None
    reuse: int = 1
    solver: Step | SolverName | None = None
    around: Around | None = None

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
        if self.interval is not None and not 0 <= self.interval[0] <= self.interval[1] <= 1:
            raise ValueError(
                f"got a guidance interval of {self.interval}; wanted two noise levels, 0 <= low <= high <= 1"
            )
        if isinstance(self.solver, str) and self.solver not in SOLVERS:
            raise ValueError(f"got the solver {self.solver!r}; wanted one of {', '.join(SOLVERS)}, or a step")
        if self.reuse < 1:
            raise ValueError(f"got reuse = {self.reuse}; wanted 1 (every step computed whole) or more")

    def of(self, system: System) -> "Sampling":
        """The same, with a model's own steps, guidance, interval and solver where none are given."""
        asked = self.solver or system.solver
        solver = SOLVERS[asked]() if isinstance(asked, str) else asked
        return replace(
            self,
            solver=solver if self.around is None else self.around(solver),
            around=None,
            steps=system.steps if self.steps is None else self.steps,
            guidance=system.guidance if self.guidance is None else self.guidance,
            interval=system.interval if self.interval is None else self.interval,
        )


@dataclass(frozen=True, kw_only=True)
class Start:
    """A video to start from instead of noise: the noise that it is made of is found by inversion (`diffusion.invert`).

    latents: of the video, which `instruction` describes. strength: how far up the way from the clean video to pure
    noise it is taken before the new one is walked down from there, 0 (the video itself) to 1, measured as `tau` is; the
    nearest point of the grid is taken. With a start, tau and tau_steps count on the way that is left.
    """

    latents: Float[Tensor, "f c h w"]
    instruction: Instruction
    strength: float

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise ValueError(f"got a strength of {self.strength}; wanted 0 (the video as it is) to 1 (from its noise)")


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
    start: Start | None = None,
) -> Float[Tensor, "b f c h w"]:
    """The latents of one video for each instruction, each with the randomness of its own CPU generator.

    On a CPU every instruction runs in a forward of its own: the bytes then depend on the request alone, never on its
    neighbours. Where a first frame is missing it is made from the text (text -> image -> video): by the text-to-image
    model, with its own solver and guidance and as many steps, or by the network's image mode. `on_step(i, x)` is called
    after every step of the grid of what is asked for. `start`: of the one video that is asked for. Raises ValueError
    for given frames of another size than the instruction's, for a start of another shape, and where the weights or
    settings lead to values that are no numbers.
    """
    sampling = (sampling or Sampling()).of(parts.system)
    if start is not None:
        start = _fitting(parts, instructions, start)
    if _device(parts).type == "cpu" and len(instructions) > 1:
        each = zip(instructions, rngs, strict=True)
        return torch.cat([generate(parts, [one], [rng], sampling, on_step) for one, rng in each])
    asked = [encoded(parts, instruction, rng) for instruction, rng in zip(instructions, rngs, strict=True)]
    if parts.text_to_image is not None and asked[0].length == 1 and start is None:
        x = _pictures(parts, parts.text_to_image, asked, rngs, sampling.steps, on_step)
    else:
        x = _walk(parts, _with_first(parts, asked, rngs, sampling), rngs, sampling, on_step, start)
    if not bool(x.isfinite().all()):
        raise ValueError("got a video that is not made of numbers; use sound weights, or a smaller guidance scale")
    return x


def _with_first(
    parts: Parts, asked: Sequence[Instruction], rngs: Sequence[Generator], sampling: Sampling
) -> list[Instruction]:
    """The instructions, with a first frame made from the text for those that have none, if the model can."""
    told = list(asked)
    bare = [row for row, each in enumerate(told) if FIRST not in each.frames and each.length > 1]
    images, drawn = [replace(told[row], length=1, frames={}) for row in bare], [rngs[row] for row in bare]
    if not bare or not (parts.text_to_image or parts.system.stills):
        return told
    if parts.text_to_image is not None:
        made = _pictures(parts, parts.text_to_image, images, drawn, sampling.steps, None)
    else:
        made = _walk(parts, images, drawn, sampling, None)
    for row, picture in zip(bare, made, strict=True):
        told[row] = replace(told[row], frames={FIRST: picture[0], **told[row].frames})
    return told


def _pictures(
    parts: Parts,
    model: Parts,
    asked: Sequence[Instruction],
    rngs: Sequence[Generator],
    steps: int | None,
    on_step: OnStep | None,
) -> Float[Tensor, "b 1 c h w"]:
    """What a text-to-image model makes of the texts, as latents of these parts' codec; `on_step` sees its own."""
    made = _walk(model, asked, rngs, Sampling(steps=steps).of(model.system), on_step)
    with torch.no_grad():
        return parts.codec.encode(model.codec.decode(made))


def encoded(parts: Parts, instruction: Instruction, rng: Generator | None = None) -> Instruction:
    """The same request with its pictures as the codec's latents, and the model's own rate, motion and size where it has
    none.

    Pictures handed over as latents stay as they are, but are also decoded where the model reads pictures. rng: of the
    noise that the model wants in their pixels, None for none.
    """
    system, shape, device = parts.system, _latent_shape(parts, instruction), _device(parts)
    frames, seen = {}, dict[int, Tensor]()
    for index, image in instruction.frames.items():
        if not isinstance(image, Tensor):
            seen[index] = from_pixels(image[None])[0].to(device)
            image = parts.codec.encode(_grainy(seen[index], system.condition.pixel_noise, rng)[None, None])[0, 0]
        elif system.text.reads == "picture":
            seen[index] = parts.codec.decode(image[None, None].to(device))[0, 0]
        if tuple(image.shape) != shape:
            raise ValueError(
                f"got frame {index} with latents of {tuple(image.shape)}; wanted {shape}, a picture of the "
                "instruction's size: fit it first (pixeldance.image.fit)"
            )
        frames[index] = image
    fps = system.fps if instruction.fps is None else instruction.fps
    motion = system.motion if instruction.motion is None else instruction.motion
    size = instruction.size or system.sizes[0]
    return replace(instruction, frames=frames, seen=seen, size=size, fps=fps, motion=motion)


@torch.no_grad()  # not inference mode: its tensors could not take part in the gradients of a rule for held frames
def _walk(
    parts: Parts,
    instructions: Sequence[Instruction],
    rngs: Sequence[Generator],
    sampling: Sampling,
    on_step: OnStep | None,
    start: Start | None = None,
) -> Float[Tensor, "b f c h w"]:
    """From noise, or from the start's, to latents over both legs; `sampling` is complete, the frames are latents."""
    system, shape = parts.system, _latent_shape(parts, instructions[0])
    assert sampling.steps is not None
    assert sampling.guidance is not None
    assert sampling.interval is not None
    assert callable(sampling.solver)
    scale, interval = float(sampling.guidance), sampling.interval
    whole, denoiser = system.grid(sampling.steps), parts.denoiser
    if start is not None:  # what is found by inversion has its details already: no refiner, and steps down to the end
        whole, denoiser = grid(system.process, sampling.steps, system.spacing), replace(denoiser, mend=None)
    refreshed = {float(t) for t in whole[:: sampling.reuse]}
    if start is None:
        x = torch.empty(len(instructions), instructions[0].length, *shape, device=_device(parts))
        x = system.process.sigma(whole[0]) * system.noise(x, rngs)
    else:
        x = start.latents[None].to(_device(parts), torch.float32)
        noise = level(system.process, whole)
        whole = whole[int((noise / noise[0] - start.strength).abs().argmin()) :]
        if len(whole) == 1:
            return x
    slots = system.condition
    # Drawn once: at every step both legs and both terms of guidance see the same noise in the pictures.
    seen = zip(instructions, rngs, strict=True)
    noises = [picture_noise(each, slots, rng) if slots.noise_at_inference else {} for each, rng in seen]
    length = instructions[0].length
    spans = system.window.spans(length) if system.window else [slice(None)]
    read = cache(parts.text)  # every leg, term and step asks for the same few texts, or pictures

    def conditions(asked: Sequence[Instruction], t: Tensor) -> Cond:
        video = float(noise_share(system.process, t))
        asked = [noised(each, slots, noise, video) for each, noise in zip(asked, noises, strict=True)]
        return condition(asked, text=read, slots=slots, shape=shape, vector=system.vector, reads=system.text.reads)

    def following(asked: Sequence[Instruction], scale: float = scale) -> Denoise:
        """Guidance: the unconditional term keeps the pictures, unless these are what it weighs."""
        told = [system.told(each) for each in asked]

        @cache  # what is kept from step to step is kept apart for each window and term
        def model(start: int | None, text: bool) -> Model:
            return denoiser if sampling.reuse == 1 else reused(denoiser, refreshed.__contains__)

        def at(t: Tensor) -> Denoise:
            def over(span: slice) -> Denoise:
                here = [_within(each, span) for each in told]
                with_text = bound(model(span.start, True), conditions(here, t))
                if scale == 1:
                    return with_text
                unguided = conditions([system.unguided(each) for each in here], t)
                weight = _weight(system, scale, length, span)
                led = mixed([(weight, with_text), (1 - weight, bound(model(span.start, False), unguided))])
                return between(led, with_text, system.process, interval)

            return windows(over, spans)

        denoise = (lambda x, t: at(t)(x, t)) if slots.noise_varies else at(whole[0])
        known, mask = _known(asked, told, shape)
        if system.held is None or not bool(mask.any()):
            return denoise
        return system.held(denoise, known.to(x.device), mask.to(x.device), system.process)

    if start is not None:
        x = invert(following([start.instruction], 1.0), x, whole, system.process)
    if system.warp is not None and start is None:
        denoise = following(instructions)
        x, whole = system.warp(denoise, x, whole, system.process, lambda like: system.noise(like, rngs))
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


def _grainy(pixels: Float[Tensor, "3 h w"], deviation: float, rng: Generator | None) -> Float[Tensor, "3 h w"]:
    """Pixels with noise of this deviation, which no generator is asked for where it is 0."""
    if not deviation or rng is None:
        return pixels
    return pixels + deviation * torch.randn(pixels.shape, generator=rng).to(pixels)


def _fitting(parts: Parts, instructions: Sequence[Instruction], start: Start) -> Start:
    """The start with its instruction's pictures as latents."""
    got = (len(instructions), *start.latents.shape)
    wanted = (1, instructions[0].length, *_latent_shape(parts, instructions[0]))
    if got != wanted or start.instruction.length != instructions[0].length:
        raise ValueError(f"got a start of {got} for videos of {wanted}; wanted one video, and a start of its shape")
    return replace(start, instruction=encoded(parts, start.instruction))


def _weight(system: System, scale: float, length: int, span: slice) -> Weight:
    """The guidance scale of the frames of a window: one number where it is the same in all."""
    if system.guidance_first is None or scale == 1 or length == 1:
        return scale
    return torch.linspace(system.guidance_first, scale, length)[span]


def _within(instruction: Instruction, span: slice) -> Instruction:
    """The instruction of a window of its frames: the first window has the leading pictures, the last one the last."""
    if span == slice(None):
        return instruction
    ends = [span.start == 0] * span.stop + [span.stop == instruction.length]  # of frame 0, 1, ... and of the last
    frames = {index: image for index, image in instruction.frames.items() if index < span.stop and ends[index]}
    return replace(instruction, frames=frames, length=span.stop - span.start)


def _known(
    asked: Sequence[Instruction], told: Sequence[Instruction], shape: tuple[int, int, int]
) -> tuple[Float[Tensor, "b f c h w"], Bool[Tensor, "b f 1 1 1"]]:
    """The pictures that the network is not told, at their places in the video, and a mask of these places."""
    known = torch.zeros(len(asked), asked[0].length, *shape)
    mask = torch.zeros(len(asked), asked[0].length, 1, 1, 1, dtype=torch.bool)
    for row, (whole, part) in enumerate(zip(asked, told, strict=True)):
        for index in whole.frames.keys() - part.frames.keys():
            known[row, index] = torch.as_tensor(whole.frames[index])
            mask[row, index] = True
    return known, mask


def _latent_shape(parts: Parts, instruction: Instruction) -> tuple[int, int, int]:
    height, width = instruction.size or parts.system.sizes[0]
    return parts.codec.channels, height // parts.codec.factor, width // parts.codec.factor


def _device(parts: Parts) -> torch.device:
    return next(parts.net.parameters()).device
