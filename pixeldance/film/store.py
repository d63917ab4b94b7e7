"""Where the calls of a film are kept: a folder for each, under its name, that holds latents, frames and a receipt.

A folder appears whole or not at all, and is checked by hash when it is read: what was killed, cut short or changed is
made again, and nothing else is.
"""

import fcntl
import json
import os
import shutil
import statistics
from collections import defaultdict
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from jaxtyping import Float, UInt8
from numpy import ndarray
from safetensors.torch import load_file, save_file
from torch import Tensor

from pixeldance.atomic import atomic_folder
from pixeldance.checkpoint import file_sha256
from pixeldance.film.calls import Call
from pixeldance.receipt import Model
from pixeldance.video import iterate_video, write_video

LATENTS, FRAMES, RECEIPT = "latents.safetensors", "frames.mkv", "receipt.json"


@dataclass(frozen=True, kw_only=True)
class Store:
    """What was made for a film, and for earlier versions of it, in a folder that need not exist yet."""

    folder: Path

    def has(self, name: str) -> bool:
        """Whether a call is here, whole and unchanged."""
        record = self._record(name)
        return record is not None and all(
            (self.folder / name / file).is_file() and file_sha256(self.folder / name / file) == digest
            for file, digest in record["sha256"].items()
        )

    def latents(self, name: str) -> Float[Tensor, "f z i j"]:
        """The latents of a call that is here."""
        return load_file(self.folder / name / LATENTS)["latents"]

    def frames(self, name: str) -> Iterator[ndarray]:
        """The frames of a call that is here, one by one."""
        return iterate_video(self.folder / name / FRAMES)[0]

    def put(
        self,
        name: str,
        call: Call,
        model: Model,
        latents: Float[Tensor, "f z i j"],
        frames: UInt8[ndarray, "f h w 3"],
        seconds: float,
        about: dict[str, Any],
    ) -> None:
        """Keep what a call made. seconds: that it took; about: what else its receipt says."""
        self.folder.mkdir(exist_ok=True)
        with atomic_folder(self.folder / name, overwrite=True) as new:
            save_file({"latents": latents.to("cpu", torch.float32).contiguous()}, new / LATENTS)
            write_video(new / FRAMES, frames, fps=max(0.1, call.fps))  # keyframes may be slower than files can be
            hashes = {file: file_sha256(new / file) for file in (LATENTS, FRAMES)}
            record = {"sha256": hashes, "seconds": round(seconds, 3), "made_by": call.made_by(model), **about}
            (new / RECEIPT).write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")

    def seconds(self, calls: Iterable[Call], model: Model) -> list[float | None]:
        """What such calls took here: for each, the median of those with the same model, size, length and steps."""
        known = defaultdict[str, list[float]](list)
        for folder in self.folder.iterdir() if self.folder.is_dir() else ():
            if (record := self._record(folder.name)) is not None:
                known[_cost(record["made_by"])].append(record["seconds"])
        times = {cost: statistics.median(each) for cost, each in known.items()}
        return [times.get(_cost(call.made_by(model))) for call in calls]

    def touch(self, names: Iterable[str]) -> None:
        """Mark those of these calls that are here as used just now."""
        for name in names:
            with suppress(FileNotFoundError):
                os.utime(self.folder / name)

    @contextmanager
    def locked(self) -> Iterator[None]:
        """Keep other processes from writing here, and clear away what killed ones left.

        Raises ValueError while another one does.
        """
        self.folder.mkdir(exist_ok=True)
        with (self.folder / ".lock").open("w") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                raise ValueError(f"{self.folder} is being written by another process; wait for it to end") from None
            for left in (*self.folder.glob(".pixeldance-*.part"), *self.folder.glob(".pixeldance-*.old")):
                shutil.rmtree(left, ignore_errors=True)
            yield

    def _record(self, name: str) -> dict[str, Any] | None:
        """The receipt of a call; None where there is none or it is something else."""
        try:
            record = json.loads((self.folder / name / RECEIPT).read_bytes())
            return record if {"sha256", "seconds", "made_by"} <= record.keys() and record["sha256"] else None
        except (OSError, ValueError, AttributeError, TypeError):
            return None


def _cost(made_by: dict[str, Any]) -> str:
    """What the time of a call depends on: guidance of 1 needs no second term."""
    names = ("model", "loras", "length", "size", "steps")
    return json.dumps([*map(made_by.get, names), made_by.get("guidance") == 1])
