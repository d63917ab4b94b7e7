"""Rendering a plan: the calls that are not stored yet, in any order that their needs allow, and the film out of them.

What one call hands to the next are latents, which are never decoded in between.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from itertools import islice

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from torch import Tensor

from pixeldance.diffusion.noise import generators
from pixeldance.film.calls import Call, Given, Piece, Plan, Source
from pixeldance.film.store import Store
from pixeldance.generate import Around, OnStep, Sampling
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.metrics.meter import meter
from pixeldance.pipeline import Pipeline
from pixeldance.receipt import versions

OnCall = Callable[[str, float], object]
"""Called with the name of a call and the seconds that it took."""


def missing(plan: Plan, store: Store) -> list[str]:
    """The calls of a plan that are not stored, in order. A stored one needs nothing of those that it came from."""
    have = {name: store.has(name) for name in plan.calls}
    wanted: set[str] = set()
    waiting = [piece.call for piece in plan.pieces]
    while waiting:
        name = waiting.pop()
        if not have[name] and name not in wanted:
            wanted.add(name)
            waiting += plan.calls[name].needs()
    return [name for name in plan.calls if name in wanted]


def render_calls(
    plan: Plan,
    names: Sequence[str],
    store: Store,
    pipeline: Pipeline,
    on_call: OnCall | None = None,
    on_step: OnStep | None = None,
    around: Around | None = None,
) -> None:
    """Make these calls of a plan and store each as soon as it is done; each stands behind those that it needs.

    around: put around the solver; it makes the same of a call, and may look on.
    """
    for name in names:
        call = plan.calls[name]
        begin = time.perf_counter()
        latents = _made(call, store, pipeline, on_step, around)
        frames = pipeline.decode(latents[None])[0]
        seconds = time.perf_counter() - begin
        about = {"versions": versions(), "threads": torch.get_num_threads(), "meter": _readings(call, frames)}
        store.put(name, call, plan.model, latents, frames, seconds, about)
        if on_call is not None:
            on_call(name, seconds)


def film_frames(plan: Plan, store: Store) -> Iterator[ndarray]:
    """The frames of a film whose calls are all stored, one by one."""
    for piece in plan.pieces:
        yield from piece_frames(piece, store)


def piece_frames(piece: Piece, store: Store) -> Iterator[ndarray]:
    """The frames of a call that a film shows."""
    return islice(store.frames(piece.call), piece.start, piece.stop)


def _made(
    call: Call, store: Store, pipeline: Pipeline, on_step: OnStep | None, around: Around | None
) -> Float[Tensor, "f z i j"]:
    ends = ((FIRST, call.first), (LAST, call.last))
    frames = {index: _latents_or_pixels(source, store) for index, source in ends if source is not None}
    asked = Instruction(text=call.text, frames=frames, length=call.length, size=call.size, fps=call.fps)
    sampling = Sampling(steps=call.steps, guidance=call.guidance, tau=call.tau, around=around)
    return pipeline.latents(asked, generators([call.seed])[0], sampling, on_step)


def _latents_or_pixels(source: Source, store: Store) -> Float[Tensor, "z i j"] | UInt8[ndarray, "h w 3"]:
    return source.pixels if isinstance(source, Given) else store.latents(source.call)[source.frame]


def _readings(call: Call, frames: UInt8[ndarray, "f h w 3"]) -> dict[str, float]:
    """What the director's meter says of a clip; nothing of a still. Handed frames are not asked for in pixels."""
    first, last = (source.pixels if isinstance(source, Given) else None for source in (call.first, call.last))
    return meter(frames, first, last, call.fps) if call.length > 1 else {}
