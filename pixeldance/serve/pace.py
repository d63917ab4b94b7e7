"""When those who wait are to look again: seldom where much is still to be done or many wait, soon where little is.

OpenAI's client looks at once, and from then on after the pause that this first answer names, until the video is there.
So a pause is an eighth of the time that is left, which is how late it may be noticed, and never so short that all who
wait come more often together than the server bears with ease.
"""

import math
import time
from bisect import bisect_left
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from sqlalchemy import select

from pixeldance.serve.jobs import Job, Jobs
from pixeldance.serve.table import C

SOONEST, LATEST = 0.5, 10.0  # seconds between two looks
PART = 8  # looks in the time that is left, where the bounds allow it
GUESS = 8.0  # seconds that a job is held to take before any was made; one alone is looked for each second
AT_EASE = 40.0  # looks a second of all who wait: at some 2 ms each, a twelfth of a core
FIRST_TRY, LAST_TRY = 5, 60  # seconds before a full queue is tried again; no version of that client waits longer
RECENT = 8  # so many ended jobs tell what a step takes
FRESH = 0.5  # seconds for which a look at the queue is good
UNFINISHED = (
    select(C.number, C.state, C.total, C.done, C.started, C.started_at, C.updated_at)
    .where(C.state.in_(("queued", "running")))
    .order_by(C.number)
)
ENDED_LAST = (
    select(C.total, C.started, C.started_at, C.ended_at)
    .where(C.state == "completed", C.started_at.is_not(None))
    .order_by(C.number.desc())
    .limit(RECENT)
)


@dataclass(frozen=True, kw_only=True)
class Line:
    """The queue at a moment. running: how many jobs are made at once. waiting: the numbers of the others, in order.
    before: the steps to be done before each of these starts, and at last those of all. step: seconds of one, None
    where nothing was made yet."""

    running: int = 0
    waiting: tuple[int, ...] = ()
    before: tuple[int, ...] = (0,)
    step: float | None = None

    def left(self, job: Job) -> float:
        """Seconds until an unfinished job is finished, as far as can be told: by its own steps if it has any."""
        own = job.seconds_left()
        if own is not None:
            return own
        jobs = steps = 0  # before it
        if job.state == "queued":
            place = bisect_left(self.waiting, job.number)
            jobs, steps = self.running + place, self.before[place]
        at_once = max(1, self.running)
        if self.step is None:
            return (jobs / at_once + 1) * GUESS
        return (steps / at_once + job.total - job.done) * self.step

    def pause(self, job: Job) -> float:
        """Seconds after which who waits for an unfinished job is to look again, `SOONEST` to `LATEST`."""
        together = (self.running + len(self.waiting)) / AT_EASE
        return min(LATEST, max(SOONEST, self.left(job) / PART, together))

    def full(self) -> int:
        """Seconds after which who found the queue full is to try again: when a quarter of it will have been made."""
        quarter = self.before[-1] / 4 / max(1, self.running) * (self.step or 0.0)
        return min(LAST_TRY, max(FIRST_TRY, math.ceil(quarter)))


@dataclass
class Lately:
    """The queue as it was when it was last looked at, which is at most `FRESH` seconds ago."""

    line: Line = field(default_factory=Line)
    until: float = -math.inf

    async def now(self, look: Callable[[], Awaitable[Line]]) -> Line:
        """The queue, looked at again where that is due."""
        now = time.monotonic()
        if now >= self.until:
            self.until = now + FRESH  # before it is asked: who comes meanwhile has the line of before
            self.line = await look()
        return self.line


def line(jobs: Jobs) -> Line:
    """The queue now."""
    with jobs.engine.connect() as connection:
        unfinished = connection.execute(UNFINISHED).all()
        ended = connection.execute(ENDED_LAST).all()
    running = [row for row in unfinished if row.state == "running"]
    waiting = [row for row in unfinished if row.state == "queued"]
    before = [sum(row.total - row.done for row in running)]
    for row in waiting:
        before.append(before[-1] + row.total - row.done)
    took = [(row.ended_at - row.started_at, row.total - row.started) for row in ended]
    stepped = [row for row in running if row.started_at is not None and row.done > row.started]
    took += [(row.updated_at - row.started_at, row.done - row.started) for row in stepped]
    steps = sum(made for _, made in took)
    return Line(
        running=len(running),
        waiting=tuple(row.number for row in waiting),
        before=tuple(before),
        step=sum(seconds for seconds, _ in took) / steps if steps else None,
    )
