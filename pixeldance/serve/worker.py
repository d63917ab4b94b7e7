"""A process that works off jobs: `python -m pixeldance.serve.worker`, started by the server and apart from it.

It may be killed at any moment. A job's way is saved every few steps, and whoever takes the job on goes on from there
to the same bytes; a result appears whole or not at all.
"""

import argparse
import errno
import os
import resource
import signal
import sys
import threading
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import torch
from sqlalchemy.exc import SQLAlchemyError

from pixeldance.atomic import DISK_FULL
from pixeldance.engines import models
from pixeldance.pipeline import Pipeline
from pixeldance.serve.jobs import ENDED, LEASE, Job, Jobs, open_jobs
from pixeldance.serve.keeper import OUT_OF_MEMORY
from pixeldance.serve.loras import found, worn
from pixeldance.serve.make import Bench, Stop, make_clip, make_film, make_long
from pixeldance.serve.outage import tried
from pixeldance.serve.places import Places, remove
from pixeldance.serve.tasks import ClipTask, FilmTask, read_task

SAVE_EVERY = 5
IDLE = 0.2  # seconds between two looks at an empty queue


@dataclass(frozen=True, kw_only=True)
class Worker:
    """What a worker needs. parent: the process without which it ends. save_every: in steps. loras: folders by name."""

    name: str
    jobs: Jobs
    places: Places
    pipeline: Pipeline
    parent: int | None = None
    save_every: int = SAVE_EVERY
    loras: dict[str, Path] = field(default_factory=dict)

    def orphaned(self) -> bool:
        """Whether the server that started us is gone; another one starts workers of its own."""
        return self.parent is not None and os.getppid() != self.parent


def work(worker: Worker, ending: threading.Event) -> int:
    """Work off the jobs for our model until told to end; the exit status."""
    model = worker.pipeline.model_hash
    assert model is not None, "a worker's model comes from a folder"
    while not ending.is_set() and not worker.orphaned():
        taken = worker.jobs.claim(worker.name, model)
        if taken is None:
            ending.wait(IDLE)
        elif run_job(worker, *taken, ending) == "out_of_memory":
            return OUT_OF_MEMORY
    return 0


def run_job(worker: Worker, job: Job, request: str, ending: threading.Event) -> str | None:
    """Make what a claimed job asks for, from where it was left; the code with which it failed, if it did.

    Raises SQLAlchemyError where the database is lost: that is not the job's fault, and it goes on from its last save
    as soon as its lease has run out.
    """
    code = None
    try:
        with _held(worker, job):
            _make(worker, job, request, ending)
        worker.jobs.complete(job)
    except Stop:
        worker.jobs.release(job)  # changes nothing where it was not ours any more
    except SQLAlchemyError:
        raise
    except Exception as error:  # whatever a job does, the next one is to pass
        code, message = _explained(error)
        if code == "internal_error":
            traceback.print_exc()
        worker.jobs.fail(job, code, message)
    _clear(worker, job)
    return code


def _clear(worker: Worker, job: Job) -> None:
    """Remove what nobody needs any more: the point of a job that ended, the result of one that was stopped."""
    now = worker.jobs.get(job.id)
    if now is None or now.state in ENDED:
        remove(worker.places.point(job))
        remove(worker.places.preview(job))
    if now is None or now.state == "cancelled":
        remove(worker.places.result(job))


def _make(worker: Worker, job: Job, text: str, ending: threading.Event) -> None:
    def stop() -> bool:
        return ending.is_set() or worker.orphaned()

    def beat(done: int | None, saved: bool) -> None:
        if not worker.jobs.beat(job, done, saved=saved):
            raise Stop

    task = read_task(text)
    bench = Bench(
        job=job,
        places=worker.places,
        pipeline=worker.pipeline,
        beat=beat,
        ending=stop,
        save_every=worker.save_every,
        loras=worker.loras,
    )
    with worn(worker.pipeline, task.loras, worker.loras):
        if isinstance(task, ClipTask):
            make_clip(bench, task, text)
        elif isinstance(task, FilmTask):
            make_film(bench, task)
        else:
            make_long(bench, task)


@contextmanager
def _held(worker: Worker, job: Job) -> Iterator[None]:
    """Keep the lease through steps that are longer than it, and through decoding."""
    over = threading.Event()

    def hold() -> None:
        while not over.wait(LEASE / 4):
            tried(partial(worker.jobs.beat, job), over)

    thread = threading.Thread(target=hold, daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _explained(error: Exception) -> tuple[str, str]:
    """The code and the words in which a failure is told to whoever asked for the job."""
    text = str(error)
    if isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in text:
        return "out_of_memory", "this takes more memory than the server has for a job; ask for a smaller or shorter one"
    if isinstance(error, OSError) and error.errno in DISK_FULL:
        return "disk_full", "the server's disk is full; try again later"
    if isinstance(error, OSError) and error.errno == errno.ENOMEM:
        return "out_of_memory", "the server has no memory left; try again later"
    if isinstance(error, ValueError):
        return "cannot_generate", text
    return "internal_error", "the server failed at this; its log says why"


def main() -> None:
    """The program; its arguments are the server's to give."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--store", type=Path, required=True)
    parser.add_argument("--model", type=Path, required=True)
    parser.add_argument("--name", required=True)
    parser.add_argument("--parent", type=int)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--save-every", type=int, default=SAVE_EVERY)
    parser.add_argument("--memory", type=int, help="bytes for a job, beside what the model takes")
    parser.add_argument("--loras", type=Path, help="a folder of them")
    parser.add_argument("--keep", type=float, default=Jobs.keep)
    given = parser.parse_args()
    ending = threading.Event()
    signal.signal(signal.SIGTERM, lambda *_: ending.set())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the server's, which tells us
    torch.set_num_threads(given.threads)
    places = Places(folder=given.store)
    jobs = open_jobs(places.jobs, given.keep)
    pipeline = models.opened(given.model)
    assert pipeline.model_hash is not None
    loras = found(given.loras, pipeline.model_hash)
    if given.memory is not None:
        import av  # noqa: F401 (what every job needs is none of a job's own)

        with open("/proc/self/statm") as sizes:
            taken = int(sizes.read().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + given.memory,) * 2)
    worker = Worker(
        name=given.name,
        jobs=jobs,
        places=places,
        pipeline=pipeline,
        parent=given.parent,
        save_every=given.save_every,
        loras=loras,
    )
    sys.exit(work(worker, ending))


if __name__ == "__main__":
    main()
