"""Where a server keeps things: one folder with the jobs, the points that unfinished ones reached, what can be seen of
them, the results, and what jobs share: clips of films, and videos that came with requests.

Every name under it is one that we made; no part of a path ever comes from a client.
"""

import os
import re
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pixeldance.serve.identity import tie
from pixeldance.serve.jobs import Job, Jobs, open_jobs

VIDEO, THUMBNAIL, SPRITESHEET, LAST_FRAME, RECEIPT = (
    "video.mp4",
    "thumbnail.webp",
    "spritesheet.jpg",
    "last_frame.png",
    "receipt.json",
)
PREVIEW = "preview.webp"
TYPES = {
    VIDEO: "video/mp4",
    THUMBNAIL: "image/webp",
    SPRITESHEET: "image/jpeg",
    LAST_FRAME: "image/png",
    RECEIPT: "application/json",
}
"""The files of a result, and as what they are sent. (Films have a picture of each shot besides, see `shot_file`.)"""

DATABASE = "PIXELDANCE_DATABASE"
"""The environment variable with the address of a PostgreSQL database for the jobs, for workers on several machines."""
FOLDERS = ("points", "previews", "results")  # whose entries are named by the ids of jobs
SHARED = ("shots", "sources")  # whose entries are named by what they hold, and may be of several jobs
GRACE = 600.0  # seconds for which files without a job are let be: theirs may be about to be told of


@dataclass(frozen=True, kw_only=True)
class Places:
    """The folder of a server."""

    folder: Path

    @property
    def jobs(self) -> Path | str:
        """The database of jobs: a file in the folder, or what the environment names."""
        return os.environ.get(DATABASE) or self.folder / "jobs.sqlite"

    def point(self, job: Job) -> Path:
        """Where a job's point is."""
        return self.folder / "points" / f"{job.id}.safetensors"

    def preview(self, job: Job) -> Path:
        """The folder of what can be seen of a job while it is made."""
        return self.folder / "previews" / job.id

    def shots(self) -> Path:
        """Where the clips of films are kept."""
        return self.folder / "shots"

    def source(self, name: str) -> Path:
        """Where a video that came with a request is kept, under the hash of its bytes."""
        return self.folder / "sources" / name

    def result(self, job: Job) -> Path:
        """The folder of what a job made."""
        return self.folder / "results" / job.id

    def held(self) -> set[str]:
        """The ids of the jobs that have files here."""
        return {path.name.partition(".")[0] for name in FOLDERS for path in (self.folder / name).glob("[!.]*")}

    def clear(self, jobs: Jobs) -> None:
        """Remove the files of jobs that are not remembered, and what jobs share that was not used for as long as
        results are kept."""
        known, old = jobs.ids(), time.time() - GRACE
        for path in (path for name in FOLDERS for path in (self.folder / name).iterdir()):
            with suppress(FileNotFoundError):  # a worker may just have removed or renamed it
                if path.name.partition(".")[0] not in known and path.stat().st_mtime < old:
                    remove(path)
        unused = time.time() - max(jobs.keep, GRACE)
        for path in (path for name in SHARED for path in (self.folder / name).iterdir()):
            with suppress(FileNotFoundError):
                if path.stat().st_mtime < unused:
                    remove(path)


def shot_file(number: int) -> str:
    """The name of the picture of a film's shot, counted from 1."""
    return f"shot-{number}.webp"


def media_type(file: str) -> str | None:
    """As what a file is sent; None for a name that no file of ours has."""
    return "image/webp" if file == PREVIEW or re.fullmatch(r"shot-[1-9][0-9]{0,3}\.webp", file) else TYPES.get(file)


def open_places(folder: Path, keep: float) -> tuple[Places, Jobs]:
    """The folder of a server, made where there is none, and its jobs. Nobody else may look into it.

    Raises ValueError for a database that is not this folder's, see `tie`.
    """
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in (*FOLDERS, *SHARED):
        (folder / name).mkdir(exist_ok=True, mode=0o700)
    places = Places(folder=folder)
    jobs = open_jobs(places.jobs, keep)
    tie(folder, jobs, own=isinstance(places.jobs, Path), held=places.held())
    return places, jobs


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        path.unlink(missing_ok=True)
