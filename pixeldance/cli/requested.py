"""From what a person asked of a model to the record of it, with the model's own settings where nothing was said."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pixeldance.image import Frame
    from pixeldance.receipt import Request
    from pixeldance.system import Maker

Given = tuple[str, bytes]
"""The path of a picture, or what made it, and the bytes that it was read from."""


def requested(
    system: "Maker",
    text: str,
    pixels: "tuple[Frame | None, Frame | None]",
    given: tuple[Given | None, Given | None],
    *,
    frames: int | None,
    size: tuple[int | None, int | None],
    fit: str,
    background: str,
    fps: float | None,
    steps: int | None,
    guidance: float | None,
    tau: float | None,
    tau_steps: int | None,
    seed: int,
) -> "Request":
    """The request for one clip. pixels, given: the first and the last frame. size: (width, height).

    Raises ValueError for what the model cannot make.
    """
    import numpy as np

    from pixeldance.instruction import FIRST, LAST
    from pixeldance.pipeline import instruct
    from pixeldance.receipt import Picture, Request

    width, height = size
    asked = instruct(system, text, *pixels, num_frames=frames, height=height, width=width, fit_rule=fit)
    height, width = asked.size or system.size(None, None)
    first, last = (
        None if each is None else Picture.of_bytes(np.asarray(asked.frames[place]), each[1], each[0])
        for place, each in zip((FIRST, LAST), given, strict=True)
    )
    request = Request(
        prompt=text,
        first=first,
        last=last,
        fit=fit,
        background=background,
        frames=asked.length,
        width=width,
        height=height,
        fps=system.fps if fps is None else fps,
        steps=system.steps if steps is None else steps,
        guidance=system.guidance if guidance is None else guidance,
        tau=1.0 if tau is None else tau,
        tau_steps=tau_steps,
        seed=seed,
    )
    request.sampling()
    return request
