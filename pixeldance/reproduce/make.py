"""How an arm answers a request: which pictures and which text it is given, and one shot or a take of many."""

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import torch

from pixeldance.data.toybox import describe_scene
from pixeldance.data.toybox.world import COLOURS
from pixeldance.diffusion.noise import generators
from pixeldance.generate import Sampling
from pixeldance.instruction import FIRST, LAST, Instruction
from pixeldance.pipeline import SEEDS, Pipeline
from pixeldance.reproduce import measures, toy
from pixeldance.reproduce.toy import Picture, Request, Video

Make = Callable[[Pipeline, Request], Video]
Show = Callable[[Request], Picture | None]
Tell = Callable[[Request], str]

AGAINST = {"left": "right", "right": "left", "up": "down", "down": "up"}


def nothing(request: Request) -> None:
    """No picture."""


def first(request: Request) -> Picture:
    """The real first frame."""
    return request.real[0]


def last(request: Request) -> Picture:
    """The real last frame."""
    return request.real[-1]


def drafted(request: Request) -> Picture:
    """A rough draft of the last frame."""
    return measures.draft(request)


def anothers_last(request: Request) -> Picture:
    """The last frame of another request."""
    return toy.request(request.number + 1).real[-1]


def with_mark(request: Request) -> Picture:
    """The first frame with a watermark."""
    return toy.marked(request.real[0])


def in_style(request: Request) -> Picture:
    """The first frame in a style that training never shows: colours inverted, at two thirds of the contrast."""
    return np.rint(42 + (255 - request.real[0].astype(np.float32)) * 2 / 3).astype(np.uint8)


def words(request: Request) -> str:
    """All that the text says."""
    return request.text


def no_words(request: Request) -> str:
    """No text."""
    return ""


def other_way(request: Request) -> str:
    """The text with the opposite direction."""
    return _told(request, motion=AGAINST[request.scene.toys[0].motion])


def other_colour(request: Request) -> str:
    """The text with another colour, the next one of the world."""
    names = toy.WORLD.colours
    return _told(request, colour=names[(names.index(request.scene.toys[0].colour) + 1) % len(names)])


def shot(
    pipe: Pipeline,
    request: Request,
    *,
    first: Show = first,
    last: Show = nothing,
    text: Tell = words,
    tau: float = 1.0,
    late: bool = False,
) -> Video:
    """One clip; tau, late: as in `Sampling`. The seed is the request's number: all arms start from one noise."""
    pictures = {FIRST: first(request), LAST: last(request)}
    asked = _asked(text(request), {place: picture for place, picture in pictures.items() if picture is not None})
    return pipe.render(asked, generators([request.number % SEEDS])[0], Sampling(tau=tau, late=late))


def take(pipe: Pipeline, request: Request, *, shots: int, back: bool = True) -> Video:
    """A long take: each clip goes on from the last frame of the one before, as latents, there and back in turn."""
    rng = generators([request.number % SEEDS])[0]
    texts = (words(request), other_way(request) if back else words(request))
    start: Picture | torch.Tensor = request.real[0]
    pieces = []
    for number in range(shots):
        latents = pipe.latents(_asked(texts[number % 2], {FIRST: start}), rng)
        start = latents[-1]
        pieces.append(latents if number == 0 else latents[1:])
    return pipe.decode(torch.cat(pieces)[None])[0]


def _asked(text: str, frames: dict[int, Picture | torch.Tensor]) -> Instruction:
    return Instruction(text=text, frames=frames, length=toy.FRAMES, size=(toy.SIDE, toy.SIDE))


def _told(request: Request, *, motion: str | None = None, colour: str | None = None) -> str:
    """The text of the same scene with another motion or colour."""
    (thing,) = request.scene.toys
    assert colour is None or colour in COLOURS
    changed = replace(thing, motion=motion or thing.motion, colour=colour or thing.colour)
    return describe_scene(replace(request.scene, toys=(changed,)))
