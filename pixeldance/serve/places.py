"""Where a server keeps things: one folder with the jobs, the points that unfinished ones reached, and the results.

Every name under it is one that we made; no part of a path ever comes from a client.
"""

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from pixeldance.serve.jobs import Job, Jobs, open_jobs

VIDEO, THUMBNAIL, SPRITESHEET, LAST_FRAME, RECEIPT = (
    "video.mp4",
    "thumbnail.webp",
    "spritesheet.jpg",
    "last_frame.png",
    "receipt.json",
)
TYPES = {
    VIDEO: "video/mp4",
    THUMBNAIL: "image/webp",
    SPRITESHEET: "image/jpeg",
    LAST_FRAME: "image/png",
    RECEIPT: "application/json",
}
"""The files of a result, and as what they are sent."""

GRACE = 600.0  # seconds for which files without a job are let be: theirs may be about to be told of


@dataclass(frozen=True, kw_only=True)
class Places:
    """The folder of a server."""

    folder: Path

    @property
    def jobs(self) -> Path:
        """The database of jobs."""
        return self.folder / "jobs.sqlite"

    def point(self, job: Job) -> Path:
        """Where a job's point is."""
        return self.folder / "points" / f"{job.id}.safetensors"

    def result(self, job: Job) -> Path:
        """The folder of what a job made."""
        return self.folder / "results" / job.id

    def clear(self, jobs: Jobs) -> None:
        """Remove the files of jobs that are not remembered."""
        known, old = jobs.ids(), time.time() - GRACE
        for path in (*(self.folder / "points").iterdir(), *(self.folder / "results").iterdir()):
            with suppress(FileNotFoundError):  # a worker may just have removed or renamed it
                if path.name.partition(".")[0] not in known and path.stat().st_mtime < old:
                    remove(path)


def open_places(folder: Path, keep: float) -> tuple[Places, Jobs]:
    """The folder of a server, made where there is none, and the jobs in it. Nobody else may look into it."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    for name in ("points", "results"):
        (folder / name).mkdir(exist_ok=True, mode=0o700)
    places = Places(folder=folder)
    return places, open_jobs(places.jobs, keep)


def remove(path: Path) -> None:
    """Remove a file or a folder, if it is there."""
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path, ignore_errors=True)
    elif os.path.lexists(path):
        path.unlink(missing_ok=True)
