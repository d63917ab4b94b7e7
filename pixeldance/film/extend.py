"""A video goes on: new frames behind its last one or before its first, by the clips of a plan.

Behind, a chain starts on the last frame. Before, without a picture to come from, the chain starts on the first frame
and is shown backwards: what the text says is seen in that direction. With a picture to come from, clips lead from it to
the video's first frame, in the direction of time.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import chain as joined
from itertools import count
from typing import Literal

from jaxtyping import UInt8
from numpy import ndarray

from pixeldance.film.calls import Call, Given, Plan
from pixeldance.film.plan import Take, chain, check_calls, frames_in, lengths, pyramid
from pixeldance.film.render import film_frames, piece_frames
from pixeldance.film.store import Store
from pixeldance.pipeline import check_prompt
from pixeldance.receipt import Record
from pixeldance.system import Maker

Frame = UInt8[ndarray, "h w 3"]
EDGE, OTHER = "the video", "--to"
"""What the two pictures are called that an extension starts from or goes to."""


class Extension(Record):
    """All that was asked for, with the model's own settings where none were given. extend: the video's path.

    frames_sha256: of its frames. text: "" for none. to: the picture's path.
    """

    extend: str
    frames_sha256: str
    seconds: float
    text: str
    backwards: bool
    to: str | None
    by: Literal["chain", "pyramid"]
    steps: int
    guidance: float
    tau: float
    seed: int

    def plan(self, plan: Plan, system: Maker, ends: Mapping[str, Frame]) -> int:
        """Put its calls into an empty plan, and give the number of new frames; ends: the video's first or last frame,
        EDGE, and where there is one the picture, OTHER. Raises ValueError for what the model cannot make."""
        settings = Call(
            text=self.text,
            length=1,
            size=plan.size,
            fps=plan.fps,
            steps=self.steps,
            guidance=self.guidance,
            tau=self.tau,
            seed=self.seed,
        )
        new, keyed = frames_in(self.seconds, plan.fps), self.by == "pyramid"
        edge, other = ends[EDGE], ends.get(OTHER)
        plan_extension(plan, system, settings, edge, other, new, backwards=self.backwards, keyed=keyed)
        return new


def plan_extension(
    plan: Plan,
    system: Maker,
    settings: Call,
    edge: Frame,
    other: Frame | None,
    new: int,
    *,
    backwards: bool,
    keyed: bool,
) -> None:
    """Put the calls of `new` frames into an empty plan; settings: a call with the text, the first seed and the rest.

    edge: the last frame of the video, or its first if `backwards`. other: the picture to arrive at, or to come from.
    keyed: keyframes first. Raises ValueError for what the model cannot make.
    """
    if settings.text:
        check_prompt(system, settings.text)
    known = Given(pixels=edge, path=EDGE)
    asked = None if other is None else Given(pixels=other, path=OTHER)
    start, goal = (asked, known) if backwards and asked is not None else (known, asked)
    comes = start is asked  # from a picture, which is then seen
    take = Take(
        plan=plan,
        lengths=lengths(system),
        call=settings,
        seeds=count(settings.seed),
        shot=0,
        shows_start=comes,
    )
    if keyed:
        pyramid(take, settings.text, start, goal, new)
    else:
        chain(take, settings.text, start, goal, new)
    check_calls(plan, system)
    if comes:  # the frame that it arrives at is the video's own
        final = plan.pieces.pop()
        plan.pieces.append(replace(final, stop=final.stop - 1))


def extended(plan: Plan, store: Store, video: Iterator[Frame], *, backwards: bool, turned: bool) -> Iterator[Frame]:
    """The frames of the longer video, one by one; turned: the new ones are shown backwards."""
    new = _turned(plan, store) if turned else film_frames(plan, store)
    return joined(new, video) if backwards else joined(video, new)


def _turned(plan: Plan, store: Store) -> Iterator[Frame]:
    """The frames of a plan from the last to the first; those of one clip at a time are in memory."""
    for piece in reversed(plan.pieces):
        yield from reversed(list(piece_frames(piece, store)))
