"""Rendering, clip after clip in this process or in several: the bytes are the same.

Workers only render: files are written here, so that a worker may be ended at any moment.
"""

import signal
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from multiprocessing import connection, get_context
from multiprocessing.process import BaseProcess
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

    import numpy as np

    from pixeldance.adapter import Applied
    from pixeldance.pipeline import Pipeline
    from pixeldance.receipt import Request

Rendered = tuple[int, "np.ndarray", float]
"""The number of a request, its frames and the seconds that they took."""


def render_all(
    pipeline: "Pipeline", requests: list["Request"], workers: int, on_step: Callable[[], object]
) -> Iterator[Rendered]:
    """Each request rendered, as they get done.

    Workers load the pipeline's folder and LoRAs, and compute with as many threads as this process does. Raises what
    rendering raises, and ChildProcessError for a worker that was ended from outside.
    """
    import torch

    jobs = list(enumerate(requests))
    if workers == 1 or len(jobs) == 1:
        for job in jobs:
            yield rendered(pipeline, *job, on_step)
        return
    context = get_context("spawn")
    shares = [jobs[first::workers] for first in range(min(workers, len(jobs)))]
    with ExitStack() as stack:
        waiting: dict[Any, int] = {}
        for share in shares:
            here, there = context.Pipe(duplex=False)
            arguments = (there, pipeline.folder, pipeline.loras, torch.get_num_threads(), share)
            process = context.Process(target=_work, args=arguments, daemon=True)
            _start(process)
            stack.callback(process.kill)
            there.close()  # so that the end of a worker is the end of its messages
            waiting[here] = len(share)
        while waiting:
            for sender in connection.wait(list(waiting)):
                message = _received(sender)
                if isinstance(message, Exception):
                    raise message
                if message is None:
                    on_step()
                    continue
                waiting[sender] -= 1
                if not waiting[sender]:
                    del waiting[sender]
                yield message


def _received(sender: Any) -> Any:
    try:
        return sender.recv()
    except EOFError:
        return ChildProcessError(
            "a worker ended before its clips were done: try fewer --workers, they share the memory"
        )


def _start(process: BaseProcess) -> None:
    """Start a process that leaves Ctrl-C to us: it is told to ignore it before it can run a line of its own."""
    ours = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        process.start()
    finally:
        signal.signal(signal.SIGINT, ours)


def _work(
    sender: Any, folder: "Path | None", loras: dict[str, "Applied"], threads: int, jobs: list[tuple[int, "Request"]]
) -> None:
    try:
        pipeline = dressed(folder, loras, threads)
        for job in jobs:
            sender.send(rendered(pipeline, *job, lambda: sender.send(None)))
    except BrokenPipeError:  # nobody waits for us any more
        return
    except (ValueError, OSError) as error:
        sender.send(error)


def dressed(folder: "Path | None", loras: dict[str, "Applied"], threads: int) -> "Pipeline":
    """The model in a process of its own, with its LoRAs, computing with so many threads."""
    import torch

    from pixeldance.pipeline import load

    torch.set_num_threads(threads)
    pipeline = load(folder)
    for name, each in loras.items():
        pipeline.load_lora_weights(each.folder, name, each.scale, any_base=True)  # checked where we were started
    return pipeline


def rendered(pipeline: "Pipeline", index: int, request: "Request", on_step: Callable[[], object]) -> Rendered:
    """A request rendered, with its number and the seconds that it took."""
    from pixeldance.receipt import render

    start = time.perf_counter()
    frames = render(pipeline, request, lambda *_: on_step())
    return index, frames, time.perf_counter() - start
