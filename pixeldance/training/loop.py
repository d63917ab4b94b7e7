"""The training loop: clips in, checkpoints out, continued at any time from the last one.

The batch of step k and all that is random in it are functions of (seed, k) alone: a run that was killed and continued
equals one that was not, to the bit; one on several processes equals one on a single one, up to rounding.
"""

import signal
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, closing, contextmanager
from pathlib import Path
from types import FrameType

import numpy as np

from pixeldance.data import sizes
from pixeldance.data.groups import Grouped
from pixeldance.data.latents import check_codec
from pixeldance.data.order import share
from pixeldance.data.source import Sized, Source
from pixeldance.data.stream import Stream, Taken
from pixeldance.training import distributed, recipe, saves, watch
from pixeldance.training.distributed import World
from pixeldance.training.lines import QUARANTINE
from pixeldance.training.log import Log
from pixeldance.training.recipe import Training
from pixeldance.training.saves import latest
from pixeldance.training.state import State, Update

__all__ = ["Training", "latest", "train"]

SURE = 100  # so many readings say what share of the data is unreadable


def train(run: Training, folder: Path, progress: bool = True) -> Path:
    """Train until `run.steps` have been done, continuing the run in `folder` if there is one.

    Gives the last checkpoint. folder/ gets run.json (the recipe), step-N checkpoints, log.jsonl and, where there is
    something to tell, figures.jsonl, quarantine.jsonl and samples/. Under torchrun every process calls this.

    SIGTERM and SIGINT end the run after the step in hand with a checkpoint: SystemExit(143), or KeyboardInterrupt.
    Raises ValueError for a recipe that does not fit the folder, the model or the data, FloatingPointError after too
    many steps in a row whose loss is no number, OSError where a checkpoint cannot be written; earlier ones stay.
    """
    with ExitStack() as stack:
        world = stack.enter_context(distributed.joined(run.parallel, run.device))
        stop = stack.enter_context(_stop_asked())
        stack.enter_context(saves.alone(folder, world))
        for batch in (run.batch, *([run.image_batch] if run.image_every else [])):
            share(batch, 0, world.size * run.accumulate)
        if saves.checkpoints(folder):
            recipe.check(run, folder)
        stream = opened(run, world)
        saved = saves.newest_whole(folder, world)
        state = State(run, world, saved)
        for source in (stream.clips, *([stream.images] if stream.images is not None else [])):
            check_codec(source, run.system.codec, state.parts.codec)
        if saved is not None:
            saves.restore(state, saved)
        if world.main:  # only now: a recipe that never got so far binds nobody
            recipe.keep(run, folder)
        if saved is None or state.counts.step < run.steps:
            saved = _go_on(state, stream, folder, stop, progress and world.main)
    assert saved is not None
    return saved


def opened(run: Training, world: World) -> Stream:
    """The data of a run; all processes must call it."""
    clips, images = run.data(), None if run.images is None else run.images()
    return Stream(
        clips=clips,
        images=images,
        groups=_groups(clips, world, run.workers),
        image_groups=None if images is None else _groups(images, world, run.workers),
        batch=run.batch,
        image_batch=run.image_batch,
        image_every=run.image_every,
        seed=run.seed,
    )


def _groups(source: Source, world: World, workers: int) -> Grouped | None:
    """Which clips may share a batch, where they come in several sizes: all processes look for their sizes together,
    once for each set."""
    if not isinstance(source, Sized) or len(source.sizes) < 2:
        return None
    seen = world.from_main(sizes.kept(source) if world.main else None)
    if seen is None:
        if world.main:
            print(f"finding the sizes of {len(source)} clips, once", file=sys.stderr)
        cuts = [len(source) * rank // world.size for rank in (world.rank, world.rank + 1)]
        seen = np.concatenate(world.gather(sizes.survey(source, range(*cuts), workers)))
        if world.main:
            sizes.keep(source, seen)
    return Grouped.by_shape(source.sizes, seen)


def _go_on(state: State, stream: Stream, folder: Path, stop: set[int], progress: bool) -> Path:
    """Steps until all are done, or until a signal came; gives the last checkpoint."""
    run, world, counts = state.run, state.world, state.counts
    pieces = stream.batches(
        counts.step, run.steps, rank=world.rank, ranks=world.size, accumulate=run.accumulate, workers=run.workers
    )
    with ExitStack() as stack:
        log = stack.enter_context(closing(Log(run, folder, counts, progress))) if world.main else None
        saved_at = time.monotonic()
        while True:
            began = time.monotonic()
            taken = [next(pieces) for _ in range(run.accumulate)]
            waited = time.monotonic() - began
            update = state.update(stream, taken)
            _tell(state, update, taken, waited, log)
            late = world.main and time.monotonic() - saved_at > run.save_minutes * 60
            terminated, interrupted, due = world.sum([signal.SIGTERM in stop, signal.SIGINT in stop, late])
            if not terminated and not interrupted:
                _look(state, stream, folder, log)
            elif world.main:
                print(f"stopping: a checkpoint of step {counts.step} is written first", file=sys.stderr)
            if terminated or interrupted or due or counts.step == run.steps:
                saved = saves.save(state, folder)
                saved_at = time.monotonic()
                if terminated:
                    raise SystemExit(128 + signal.SIGTERM)
                if interrupted:
                    raise KeyboardInterrupt
                if counts.step == run.steps:
                    return saved


def _tell(state: State, update: Update, taken: list[list[Taken]], waited: float, log: Log | None) -> None:
    """Log a step; raise where there is no sense in going on."""
    run, world, counts = state.run, state.world, state.counts
    names = [each.name for piece in taken for each in piece]
    failed = [one for piece in taken for each in piece for one in each.unreadable]
    if update.skipped:
        names = [name for each in world.gather(names) for name in each]
    if update.unreadable:
        failed = [one for each in world.gather(failed) for one in each]
    if log is not None:
        log.step(update, counts, names, waited)
        log.quarantine(update.step, failed)
    if counts.skipped > run.nan_skips:
        raise FloatingPointError(
            f"got no number for the loss or its gradient in {counts.skipped} steps in a row, the last being step "
            f"{update.step} with seed {run.seed} on {', '.join(names)}; look at these clips, or lower the rate, and "
            "start again: it goes on from the last checkpoint"
        )
    if counts.readings >= SURE and counts.unreadable > run.max_unreadable * counts.readings:
        raise ValueError(
            f"{counts.unreadable} of {counts.readings} readings failed, more than max_unreadable="
            f"{run.max_unreadable} allows; {QUARANTINE} in the run's folder says which and why"
        )


def _look(state: State, stream: Stream, folder: Path, log: Log | None) -> None:
    """Samples and figures, where the step is one for them; on the main process, the others go on and wait for it."""
    run, step = state.run, state.counts.step
    samples, figures = (every > 0 and step % every == 0 for every in (run.sample_every, run.evaluate_every))
    if not samples and not figures:
        return
    weights = state.averaged()
    if log is not None:
        pipe = watch.pipeline(run.system, weights, state.world.device)
        if samples:
            try:
                watch.sample(pipe, run.objective, stream, count=run.samples, folder=folder / "samples", step=step)
            except ValueError as error:  # a model that makes no video yet may still learn to
                print(f"no samples of step {step}: {error}", file=sys.stderr)
        if figures and run.evaluate is not None:
            log.figures(step, {name: float(value) for name, value in run.evaluate(pipe).items()})
    state.world.wait()


@contextmanager
def _stop_asked() -> Iterator[set[int]]:
    """The signals that asked to end meanwhile; a second one of a kind ends at once."""
    asked = set[int]()
    if threading.current_thread() is not threading.main_thread():  # signals are the main thread's
        yield asked
        return

    def note(number: int, frame: FrameType | None) -> None:
        if number in asked:
            raise KeyboardInterrupt if number == signal.SIGINT else SystemExit(128 + number)
        asked.add(number)

    before = {number: signal.signal(number, note) for number in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
