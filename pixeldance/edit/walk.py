"""Along a video in clips: the first starts on its edited first frame, the last one arrives at its edited last frame.

    frame     0 ............ 15
    clip 1    [first, ...      ]
    clip 2         [handed, ...      ]        each starts on the latents of a frame of the one before
    clip 3              [handed, ..., last]

By the plain method clips come from noise, and all they know of what was between the ends is the text. With a strength
they start from the noise of the very frames that they replace.
"""

from collections.abc import Iterator
from dataclasses import replace
from itertools import count

import numpy as np
from jaxtyping import UInt8

from pixeldance.codec import from_pixels
from pixeldance.diffusion.noise import generators
from pixeldance.diffusion.sample import ddim
from pixeldance.film.calls import Call, Handed, Plan, Source
from pixeldance.film.plan import Take, chain, check_calls, lengths
from pixeldance.generate import OnStep, Sampling, Start
from pixeldance.instruction import FIRST, LAST, Image, Instruction, Latent
from pixeldance.pipeline import Pipeline
from pixeldance.receipt import Model
from pixeldance.system import Maker

Video = UInt8[np.ndarray, "f h w 3"]


def plan_edit(system: Maker, model: Model, settings: Call, frames: int) -> Plan:
    """The clips of an edit of so many frames; settings: a call with all settings, its first and last frame the edited
    ones. Raises ValueError for a video that is shorter than a clip of the model."""
    assert settings.first is not None
    shortest = lengths(system)[0]
    if frames < shortest:
        raise ValueError(
            f"got a video of {frames} frames; this model's clips have {shortest} or more: wanted a longer video"
        )
    plan = Plan(model=model, size=settings.size, fps=settings.fps)
    take = Take(plan=plan, lengths=lengths(system), call=settings, seeds=count(settings.seed), shot=0, shows_start=True)
    chain(take, settings.text, settings.first, settings.last, frames - 1)
    check_calls(plan, system)
    return plan


def edited(
    pipeline: Pipeline,
    plan: Plan,
    source: Video | None = None,
    *,
    strength: float | None = None,
    source_text: str = "",
    on_step: OnStep | None = None,
) -> Iterator[Video]:
    """The frames of an edit, a piece of them a clip. With a strength (`generate.Start`), `source` is the video, at the
    plan's size, and `source_text` says what it shows.

    Raises ValueError for a strength without a source of as many frames as the plan has.
    """
    if strength is not None and (source is None or len(source) != plan.frames()):
        got = "none" if source is None else f"{len(source)} frames"
        raise ValueError(f"got a strength and, as the video to start from, {got}; wanted {plan.frames()} frames")
    begin, latents = 0, None
    for piece in plan.pieces:
        call, frames = plan.calls[piece.call], dict[int, Image | Latent]()
        for index, end in _ends(call).items():
            if isinstance(end, Handed):
                assert latents is not None
                frames[index] = latents[end.frame]
            else:
                frames[index] = end.pixels
        asked = Instruction(text=call.text, frames=frames, length=call.length, size=call.size, fps=call.fps)
        sampling, start = Sampling(steps=call.steps, guidance=call.guidance, tau=call.tau), None
        if strength is not None:
            assert source is not None
            start = _start(pipeline, call, source[begin : begin + call.length], strength, source_text)
            # The way back down must be the one by which inversion went up.
            sampling = replace(sampling, solver=ddim())
        latents = pipeline.latents(asked, generators([call.seed])[0], sampling, on_step, start)
        yield pipeline.decode(latents[None])[0][piece.start : piece.stop]
        begin += piece.stop - 1


def _start(pipeline: Pipeline, call: Call, source: Video, strength: float, text: str) -> Start:
    """The frames that a clip replaces, with their own ends where the clip has edited ones: what the model is told on
    the way up and on the way down differs in the edit alone."""
    pixels = from_pixels(source)[None].to(next(pipeline.parts.net.parameters()).device)
    latents = pipeline.parts.codec.encode(pixels)[0]
    frames = {index: latents[index] for index in _ends(call)}
    known = Instruction(text=text, frames=frames, length=call.length, size=call.size, fps=call.fps)
    return Start(latents=latents, instruction=known, strength=strength)


def _ends(call: Call) -> dict[int, Source]:
    """The first and last frame of a clip, where it has them."""
    return {index: end for index, end in ((FIRST, call.first), (LAST, call.last)) if end is not None}
