"""The checkpoints of a run: folders step-N, each an ordinary checkpoint of the averaged weights, and in its training/
what is needed to go on, in as many safetensors files as there are processes (torch.distributed.checkpoint).

Any number of processes opens what any other number wrote. A folder has its name only once it is whole.
"""

import fcntl
import shutil
import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch.distributed.checkpoint import state_dict_loader, state_dict_saver
from torch.distributed.checkpoint.hf_storage import HuggingFaceStorageReader, HuggingFaceStorageWriter

from pixeldance import checkpoint
from pixeldance.atomic import atomic_folder
from pixeldance.training.distributed import World
from pixeldance.training.state import State

TRAINING = "training"
LOCK = ".lock"


def checkpoints(folder: Path) -> list[Path]:
    """The checkpoints of a run, oldest first; some may be damaged."""
    return sorted(folder.glob("step-*"), key=lambda saved: (len(saved.name), saved.name))


def latest(folder: Path) -> Path | None:
    """The newest checkpoint of a run, which may be damaged."""
    return next(reversed(checkpoints(folder)), None)


def newest_whole(folder: Path, world: World) -> Path | None:
    """The newest checkpoint whose files all have their hashes; damaged ones are moved aside, with a message."""
    found = None
    if world.main:
        for saved in reversed(checkpoints(folder)):
            try:
                checkpoint.check(saved)
                found = saved
                break
            except ValueError as error:
                aside = _free(saved.with_name(f"damaged-{saved.name}"))
                saved.rename(aside)
                print(f"{error}; moved to {aside.name}, going on from the one before", file=sys.stderr)
    return world.from_main(found)


def save(state: State, folder: Path) -> Path:
    """Write step-N into the run's folder and delete what is older than the last `keep`. All processes must call it."""
    target, world = folder / f"step-{state.counts.step:07d}", state.world
    weights = state.averaged()
    with _shared_folder(target, world) as new:
        (new / TRAINING).mkdir(exist_ok=True)
        if world.size == 1:  # the same form at a tenth of the cost
            checkpoint.write_tensors(state.tensors(), new / TRAINING / "whole.safetensors")
        else:
            writer = HuggingFaceStorageWriter(str(new / TRAINING), save_distributed=True)
            state_dict_saver.save(state.tensors(), storage_writer=writer)
        if world.main:
            if state.run.lora is not None:
                state.write_lora(new)
            checkpoint.write(new, state.run.system, weights, torch.float32, {"steps": state.counts.step})
    if world.main:
        for old in checkpoints(folder)[: -state.run.keep]:
            shutil.rmtree(old)
    return target


def restore(state: State, saved: Path) -> None:
    """Go on from a checkpoint, whose averaged weights the state was made with. All processes must call it."""
    reader = HuggingFaceStorageReader(str(saved / TRAINING))
    known: dict[str, Any] = reader.read_metadata().state_dict_metadata
    slots = state.slots({name: each.size for name, each in known.items()})
    with warnings.catch_warnings():  # it says that a single process is one
        warnings.filterwarnings("ignore", message=".*assuming the intent is to load in a single process")
        state_dict_loader.load(slots, storage_reader=reader, no_dist=state.world.size == 1)
    state.restored(slots)


@contextmanager
def alone(folder: Path, world: World) -> Iterator[None]:
    """A run's folder for this run only, cleaned of what a killed one left half-written. ValueError if it is in use.

    The lock belongs to the process: it ends with it, however that ends.
    """
    if not world.main:
        yield
        return
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / LOCK).open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise ValueError(f"{folder} is being trained by another process; end that one, or take another") from None
        for left in folder.glob(".pixeldance-*"):
            shutil.rmtree(left) if left.is_dir() else left.unlink()
        yield


@contextmanager
def _shared_folder(target: Path, world: World) -> Iterator[Path]:
    """`atomic_folder` of the main process, for all of them to write into; it gets its name when all are done."""
    if not world.main:
        yield world.from_main(None)
        world.wait()
        return
    with atomic_folder(target) as new:
        yield world.from_main(new)
        world.wait()


def _free(path: Path) -> Path:
    """`path`, or with a number where that exists."""
    names = [path, *(path.with_name(f"{path.name}-{number}") for number in range(2, 1000))]
    return next(each for each in names if not each.exists())
