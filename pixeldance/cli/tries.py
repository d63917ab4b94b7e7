"""Rendering each clip several times with other seeds, and keeping one of them by the director's meter.

The rule is `metrics.choose`'s. What is kept is the same for any number of workers.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pixeldance.cli.on_ray import render_on_ray
from pixeldance.cli.workers import Rendered, render_all

if TYPE_CHECKING:
    import numpy as np

    from pixeldance.metrics.choose import Condition
    from pixeldance.pipeline import Pipeline
    from pixeldance.receipt import Choice, Request, Try


@dataclass(frozen=True, kw_only=True)
class Kept:
    """The clip that is kept. seconds: what rendering it took. choice: among what it was chosen, None of one."""

    request: "Request"
    video: "np.ndarray"
    seconds: float
    choice: "Choice | None"


def kept(
    pipeline: "Pipeline",
    clips: list[list["Request"]],
    until: "Condition | None",
    workers: int,
    on_step: Callable[[], object],
    on_ray: bool = False,
) -> Iterator[tuple[int, Kept]]:
    """The number of each clip with what is kept of its requests, as they get done.

    With a condition, a clip's requests are rendered in turn until one meets it; without, all of them. Raises what
    `render_all` raises.
    """
    if until is not None:
        for number, requests in enumerate(clips):
            best = _Best(requests, until)
            for made in render_all(pipeline, requests, 1, on_step):
                if until.met(best.add(made).meter):
                    break
            yield number, best.kept()
        return
    places = [(number, place) for number, requests in enumerate(clips) for place in range(len(requests))]
    bests = [_Best(requests, None) for requests in clips]
    asked = [clips[number][place] for number, place in places]
    render = render_on_ray if on_ray else render_all
    for index, video, seconds in render(pipeline, asked, workers, on_step):
        number, place = places[index]
        bests[number].add((place, video, seconds))
        if len(bests[number].tries) == len(clips[number]):
            yield number, bests[number].kept()
            bests[number].made = None  # frames of hours of film would add up


class _Best:
    """What has been tried for one clip, and the best of it: one video is held, however many are tried."""

    def __init__(self, requests: list["Request"], until: "Condition | None") -> None:
        self.requests, self.until = requests, until
        self.tries: list[Try] = []
        self.made: Rendered | None = None

    def add(self, made: Rendered) -> "Try":
        from pixeldance.receipt import Try, readings

        place, video, _ = made
        request = self.requests[place]
        tried = Try(seed=request.seed, meter=readings(video, request) if len(self.requests) > 1 else {})
        self.tries.append(tried)
        if tried == min(self.tries, key=self._order):
            self.made = made
        return tried

    def kept(self) -> Kept:
        from pixeldance.receipt import Choice

        assert self.made is not None
        place, video, seconds = self.made
        tries = tuple(sorted(self.tries, key=lambda each: each.seed))
        choice = None
        if len(self.requests) > 1:
            until, met = None, None
            if self.until is not None:
                until, met = str(self.until), any(self.until.met(each.meter) for each in tries)
            choice = Choice(until=until, met=met, tries=tries)
        return Kept(request=self.requests[place], video=video, seconds=seconds, choice=choice)

    def _order(self, tried: "Try") -> tuple[bool, int, float, int]:
        from pixeldance.metrics.choose import rank

        return self.until is not None and not self.until.met(tried.meter), *rank(tried.meter), tried.seed
