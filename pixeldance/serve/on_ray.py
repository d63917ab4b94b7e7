"""A server's workers on the nodes of a Ray cluster: an actor for each, which starts the very program that the server
starts on its own machine.

So a worker keeps what it has there: its limit of memory, its lease, and that it ends when what started it is gone. The
store's folder and the model's must be seen at the same paths from every node.
"""

import os
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pixeldance.serve.keeper import OUT_OF_MEMORY, Crew
from pixeldance.serve.places import DATABASE

NO_STORE = 4
"""The status of a post on a node that does not see the store."""
QUICK = 30.0  # seconds: a worker that fails sooner after its start would fail again
PAUSE = 60.0  # seconds before another one may be started


class Post:
    """The actor: one worker's post on some node."""

    def __init__(self) -> None:
        self.process: subprocess.Popen[bytes] | None = None
        self.over = threading.Event()

    def run(self, options: list[str], store: Path, environment: dict[str, str]) -> int:
        """Start a worker and wait until it ends; its exit status."""
        if not store.is_dir():
            print(f"this node does not see the store {store}; share its folder with all nodes", file=sys.stderr)
            self.over.wait(PAUSE)
            return NO_STORE
        command = [sys.executable, "-m", "pixeldance.serve.worker", *options, "--parent", str(os.getpid())]
        # Timed here: what the server sees began when it asked for room in the cluster.
        start = time.monotonic()
        self.process = subprocess.Popen(command, stdin=subprocess.DEVNULL, env=os.environ | environment)
        if self.over.is_set():
            self.process.terminate()
        status = self.process.wait()
        # One that was killed (below 0) says nothing of the next one.
        if status > 0 and status != OUT_OF_MEMORY and time.monotonic() - start < QUICK:
            self.over.wait(PAUSE)
        return status

    def end(self) -> None:
        """Tell the worker to save its way and end."""
        self.over.set()
        if self.process is not None:
            self.process.terminate()


class Away:
    """A worker on some node, as `subprocess.Popen` shows one on this machine."""

    def __init__(self, ray: Any, cores: int, *told: object) -> None:
        self.ray = ray
        # Two calls at once, `run` and `end`; and no restarts by Ray, as the server keeps its number of workers.
        options = {"num_cpus": cores, "max_concurrency": 2, "max_restarts": 0, "scheduling_strategy": "SPREAD"}
        self.post = ray.remote(Post).options(**options).remote()
        self.running = self.post.run.remote(*told)

    def poll(self) -> int | None:
        """None while it runs, or waits for room in the cluster; then its exit status, or -9 for one that was lost."""
        if not self.ray.wait([self.running], timeout=0)[0]:
            return None
        try:
            return int(self.ray.get(self.running))
        except self.ray.exceptions.RayError:
            return -9

    def terminate(self) -> None:
        """Tell it to end."""
        self.post.end.remote()

    def wait(self, timeout: float | None = None) -> int:
        """Its exit status; TimeoutExpired where it does not end in so many seconds."""
        self.ray.wait([self.running], timeout=timeout)
        status = self.poll()
        if status is None:
            raise subprocess.TimeoutExpired("a worker on a Ray cluster", timeout or 0.0)
        return status

    def kill(self) -> None:
        """End it at once."""
        self.ray.kill(self.post)


@dataclass(frozen=True, kw_only=True)
class RayCrew(Crew):
    """A crew on the nodes of the cluster that `ray` is connected to."""

    ray: Any

    def start(self, name: str, keep: float) -> Away:
        """A new worker, on the node with most room."""
        # Nothing else of ours is the nodes' business. Empty where there is none: a node's own is not this server's.
        environment = {DATABASE: os.environ.get(DATABASE, "")}
        return Away(self.ray, self.threads, self.options(name, keep), self.store, environment)
