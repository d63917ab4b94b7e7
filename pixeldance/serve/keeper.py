"""The keeper of a server's workers: starts them, and starts another where one ends; tells all to end at the end."""

import os
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Protocol, runtime_checkable

from pixeldance.serve.jobs import Jobs
from pixeldance.serve.outage import tried

PAUSE = 0.2  # seconds between two looks
QUICK = 5.0  # a worker that ends sooner than this after its start is not started again at once
PATIENCE = 10.0  # seconds for workers to save their way before they are killed
OUT_OF_MEMORY = 3
"""The exit status after a job that took more memory than there is: a fresh process is the sure way to give it back."""
SECRET = "PIXELDANCE_TOKEN"
"""The environment variable with what clients send as their key: the server's alone."""


@runtime_checkable
class Started(Protocol):
    """A worker as `subprocess.Popen` shows it, wherever it runs."""

    def poll(self) -> int | None: ...

    def terminate(self) -> None: ...

    def wait(self, timeout: float | None = None) -> int: ...

    def kill(self) -> None: ...


@dataclass(frozen=True, kw_only=True)
class Crew:
    """What workers are told. memory: bytes for a job beside the model, None: no limit of ours. save_every: in steps.
    loras: a folder of them."""

    store: Path
    model: Path
    count: int = 1
    threads: int = 1
    memory: int | None = None
    save_every: int = 5
    loras: Path | None = None

    def start(self, name: str, keep: float) -> Started:
        """A new worker."""
        options = [*self.options(name, keep), "--parent", str(os.getpid())]
        command = [sys.executable, "-m", "pixeldance.serve.worker", *options]
        environment = {name: value for name, value in os.environ.items() if name != SECRET}
        # In a group of its own: Ctrl-C in a terminal is for us, and we tell the workers.
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, process_group=0, env=environment)

    def options(self, name: str, keep: float) -> list[str]:
        """What a worker is told on its command line, but for who started it."""
        told = {"store": self.store, "model": self.model, "name": name, "keep": keep}
        told |= {"threads": self.threads, "save-every": self.save_every}
        told |= {name: value for name, value in (("memory", self.memory), ("loras", self.loras)) if value is not None}
        return [part for option, value in told.items() for part in (f"--{option}", str(value))]


@contextmanager
def kept(crew: Crew, jobs: Jobs) -> Iterator[None]:
    """Keep so many workers at work while the body runs."""
    over = threading.Event()
    thread = threading.Thread(target=_keep, args=(crew, jobs, over))
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _keep(crew: Crew, jobs: Jobs, over: threading.Event) -> None:
    workers: dict[str, tuple[Started, float]] = {}
    while not over.wait(PAUSE):
        for name, (process, start) in list(workers.items()):
            ended = process.poll() is not None and tried(partial(jobs.release_of, name), over)
            if ended and time.monotonic() - start > QUICK:
                del workers[name]
        while len(workers) < crew.count:
            name = secrets.token_hex(8)
            workers[name] = crew.start(name, jobs.keep), time.monotonic()
    for process, _ in workers.values():
        process.terminate()
    end = time.monotonic() + PATIENCE
    for name, (process, _) in workers.items():
        try:
            process.wait(max(0.0, end - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        tried(partial(jobs.release_of, name), over)
