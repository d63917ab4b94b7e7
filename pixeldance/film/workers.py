"""Rendering a plan in several processes: a call is made as soon as those that it needs are there, and the bytes are the
same as in one.

Shots behind a cut wait for nothing, clips of one take wait for each other. A worker that can read no more from us ends,
so that none is left when we are killed.
"""

import signal
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from heapq import heappop, heappush
from multiprocessing import connection, get_context
from pathlib import Path
from typing import Any

import torch

from pixeldance.adapter import Applied
from pixeldance.film.calls import Plan
from pixeldance.film.render import OnCall, render_calls
from pixeldance.film.store import Store
from pixeldance.pipeline import Pipeline, load


def render_in_processes(
    plan: Plan, names: Sequence[str], store: Store, pipeline: Pipeline, workers: int, on_call: OnCall
) -> None:
    """What `render_calls` does, in so many processes.

    They load the pipeline's folder and LoRAs and compute with as many threads as this process. Raises what rendering
    raises, and ChildProcessError for a worker that was ended from outside.
    """
    context = get_context("spawn")
    waiting, away = list(names), set(names)  # away: not stored yet
    with ExitStack() as stack:
        idle: list[Any] = []
        for _ in range(min(workers, len(names))):
            here, there = context.Pipe()
            arguments = (there, plan, store, pipeline.folder, pipeline.loras, torch.get_num_threads())
            process = context.Process(target=_work, args=arguments, daemon=True)
            with _deaf():
                process.start()
            stack.callback(process.kill)
            there.close()  # so that the end of a worker is the end of its messages
            idle.append(here)
        busy: list[Any] = []
        while away:
            ready = [name for name in waiting if away.isdisjoint(plan.calls[name].needs())]
            for name in ready[: len(idle)]:
                waiting.remove(name)
                busy.append(idle.pop())
                with suppress(BrokenPipeError):  # it ended while it had nothing to do: why is read below
                    busy[-1].send(name)
            for worker in connection.wait(busy):
                name, seconds = _received(worker)
                busy.remove(worker)
                idle.append(worker)
                away.remove(name)
                on_call(name, seconds)


def makespan(plan: Plan, seconds: dict[str, float], workers: int) -> float:
    """How long calls that take so many `seconds` each take in so many processes, in the order above; a call that is not
    among them is there."""
    waiting, away, now = list(seconds), set(seconds), 0.0
    running: list[tuple[float, str]] = []
    while away:
        ready = [name for name in waiting if away.isdisjoint(plan.calls[name].needs())]
        for name in ready[: workers - len(running)]:
            waiting.remove(name)
            heappush(running, (now + seconds[name], name))
        now, name = heappop(running)
        away.remove(name)
    return now


def _work(master: Any, plan: Plan, store: Store, folder: Path | None, loras: dict[str, Applied], threads: int) -> None:
    torch.set_num_threads(threads)
    try:
        pipeline = load(folder)
        for name, each in loras.items():
            pipeline.load_lora_weights(each.folder, name, each.scale, any_base=True)  # checked where we were started
        while True:
            render_calls(plan, [master.recv()], store, pipeline, lambda *done: master.send(done))
    except (EOFError, BrokenPipeError):  # nobody waits for us any more
        return
    except (ValueError, OSError) as error:
        master.send(error)


def _received(worker: Any) -> tuple[str, float]:
    try:
        message = worker.recv()
    except EOFError:
        raise ChildProcessError(
            "a worker ended before its clip was done; what is done is kept: try fewer --workers, they share the memory"
        ) from None
    if isinstance(message, Exception):
        raise message
    name, seconds = message
    return name, seconds


@contextmanager
def _deaf() -> Iterator[None]:
    """A process that is started in the body leaves Ctrl-C to us, from before its first line."""
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, ours)
