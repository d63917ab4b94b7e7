"""What the tests of the server share: a store with a tiny model, workers that may be killed, and a real server."""

import base64
import io
import os
import re
import signal
import subprocess
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import psutil
from command import program
from PIL import Image
from tiny import TINY, random_parts

from pixeldance import checkpoint
from pixeldance.pipeline import Pipeline, load
from pixeldance.receipt import Request
from pixeldance.serve.jobs import Job, Jobs, open_jobs
from pixeldance.serve.places import Places, open_places
from pixeldance.serve.tasks import ClipTask
from pixeldance.serve.worker import Worker, work

SYSTEM = replace(TINY, sizes=((32, 32), (256, 256), (2048, 2048)))
STEPS = 6


def asked(**changes: Any) -> Request:
    """A request for a video from its text."""
    own = {"fit": "pad", "background": "white", "frames": 4, "width": 32, "height": 32, "fps": 8.0, "guidance": 1.0}
    more = {"first": None, "last": None, "tau": 1.0, "tau_steps": None, "seed": 7, "steps": STEPS}
    return Request(**{"prompt": "a red circle moves right", **own, **more, **changes})


@dataclass(frozen=True, kw_only=True)
class Bench:
    """A store with a model to work at it."""

    places: Places
    jobs: Jobs
    pipeline: Pipeline

    def add(self, **changes: Any) -> Job:
        request = asked(**changes)
        hash = str(self.pipeline.model_hash)
        task = ClipTask(request=request).model_dump_json()
        return self.jobs.add(task, model=hash, about={}, total=2 * request.steps)[0]

    def now(self, job: Job) -> Job:
        found = self.jobs.get(job.id)
        assert found is not None
        return found

    def worker(self, **changes: Any) -> Worker:
        own = {"name": "w", "jobs": self.jobs, "places": self.places, "pipeline": self.pipeline, "save_every": 2}
        return Worker(**own | changes)

    def work(self, until: Callable[[], bool]) -> None:
        """Work here until something is so."""
        ending = threading.Event()
        thread = threading.Thread(target=work, args=(self.worker(), ending))
        thread.start()
        while not until() and thread.is_alive():
            ending.wait(0.01)
        ending.set()
        thread.join()

    def finish(self, job: Job) -> Job:
        """Work here until a job has ended."""
        self.work(lambda: self.now(job).ended_at is not None)
        return self.now(job)

    def fork(self, before: Callable[[], object] = lambda: None) -> int:
        """The id of a process that works at the store, after a call of its own."""
        self.jobs.engine.dispose()  # SQLite's connections must not be open in two processes
        child = os.fork()
        if child == 0:  # nothing but _exit may leave this block: the rest of pytest is not ours to run
            try:
                before()
                os._exit(work(self.worker(jobs=open_jobs(self.places.jobs)), threading.Event()))
            finally:
                os._exit(99)
        return child


def bench(folder: Path) -> Bench:
    """A bench in an empty folder."""
    checkpoint.save(folder / "model", random_parts(SYSTEM))
    places, jobs = open_places(folder / "store", keep=3600.0)
    return Bench(places=places, jobs=jobs, pipeline=load(folder / "model"))


@dataclass
class Server:
    """`pixeldance serve` as a process of its own."""

    process: "subprocess.Popen[str]"
    url: str

    @classmethod
    def start(cls, store: Path, model: Path, *options: object, **environment: str) -> "Server":
        """Start one and wait until it says where it is."""
        process = program(
            *("serve", "--port", 0, "--store", store, "--model", model, "--save-every", 2, *options),
            env={**os.environ, **environment},
        )
        assert process.stdout is not None
        line = process.stdout.readline()
        found = re.search(r"http://\S+:\d+", line)
        if found is None:
            raise AssertionError(f"no server: {line} {process.communicate()}")
        return cls(process, found[0])

    def workers(self) -> list[psutil.Process]:
        """Its workers that are alive."""
        return [each for each in psutil.Process(self.process.pid).children() if each.is_running()]

    def stop(self, number: int = signal.SIGTERM) -> tuple[int, str]:
        """End it: (exit code, what it wrote to stderr)."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=300)
        return self.process.returncode, errors


def png(seed: int = 0, size: tuple[int, int] = (32, 32)) -> bytes:
    """The file of a picture of noise."""
    data = io.BytesIO()
    pixels = np.random.default_rng(seed).integers(0, 256, (*size, 3), dtype=np.uint8)
    Image.fromarray(pixels).save(data, "PNG")
    return data.getvalue()


def data_url(seed: int = 0) -> str:
    """A picture of noise as an address."""
    return "data:image/png;base64," + base64.b64encode(png(seed)).decode()
