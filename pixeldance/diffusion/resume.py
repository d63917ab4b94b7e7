"""Going on where a walk was broken off: a step that skips what was done, and a point that says how far that is.

    resumable(step, rng, point)(...) = (x, memory) of the point, the generator as it was then     for the steps it holds
                                       step(...)                                                  for those after it

The steps of all walks of one video count as one row: those of the still that a first frame is made of, of the leg
with the last frame and of the one without it. What is skipped calls no network. What follows has the very numbers of
the walk that was never broken off.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import cast

from torch import Generator, Tensor

from pixeldance.diffusion.denoise import Denoise
from pixeldance.diffusion.noise import Noise
from pixeldance.diffusion.sample import Memory, Span, Step


@dataclass(frozen=True, kw_only=True)
class Reached:
    """The end of a run of steps on videos of one shape: how many steps were done by then, what they made, and the
    state that they left the generator in."""

    done: int
    x: Tensor
    rng: Tensor


@dataclass(frozen=True, kw_only=True)
class Point:
    """How far a video is. reached: the ends of its stages, those that are over and the one under way, which has the
    solver's `memory`: a flat tuple of tensors, or nothing."""

    reached: tuple[Reached, ...]
    memory: tuple[Tensor, ...] | None

    @property
    def done(self) -> int:
        """How many steps."""
        return self.reached[-1].done


def resumable(
    step: Step, rng: Generator, point: Point | None = None, on_point: Callable[[Point], object] | None = None
) -> Step:
    """The same solver for one video, whose generator is `rng`, going on from `point`; good for one video.

    `on_point` is given the point after each step that is done, not those that are skipped, and may raise to stop. Its
    tensors are not written to any more. Raises ValueError for a point of a video of another shape, and for a solver
    whose memory a point cannot hold.
    """
    kept = point.reached if point else ()
    ended: list[Reached] = []
    count = 0

    def over(denoise: Denoise, x: Tensor, span: Span, noise: Noise | None, memory: Memory) -> tuple[Tensor, Memory]:
        nonlocal count
        count += 1
        for reached in kept:
            if count <= reached.done:
                if reached.x.shape != x.shape:
                    raise ValueError(
                        f"got a point with {tuple(reached.x.shape)} in a video of {tuple(x.shape)}; begin it anew"
                    )
                rng.set_state(reached.rng)
                _note(ended, reached)
                # Stages that are over ended without a memory that anyone reads.
                return reached.x.to(x), _onto(point.memory if point and reached is kept[-1] else None, x)
        x, memory = step(denoise, x, span, noise, memory)
        _note(ended, Reached(done=count, x=x, rng=rng.get_state()))
        if on_point is not None:
            on_point(Point(reached=tuple(ended), memory=_flat(memory)))
        return x, memory

    return over


def _note(ended: list[Reached], reached: Reached) -> None:
    """Put the newest end in the place of its own stage's earlier one; a stage is what has one shape."""
    if ended and ended[-1].x.shape == reached.x.shape:
        ended.pop()
    ended.append(reached)


def _flat(memory: Memory) -> tuple[Tensor, ...] | None:
    if memory is None or (isinstance(memory, tuple) and all(isinstance(each, Tensor) for each in memory)):
        return cast("tuple[Tensor, ...] | None", memory)
    raise ValueError(f"got a solver that remembers {type(memory).__name__}; wanted nothing, or a tuple of tensors")


def _onto(memory: tuple[Tensor, ...] | None, x: Tensor) -> tuple[Tensor, ...] | None:
    return None if memory is None else tuple(each.to(x.device) for each in memory)
