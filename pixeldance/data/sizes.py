"""The sizes of all clips of a set, found out once: from what lists state, from headers, or from a first picture.

They are kept beside the data, or where nothing can be written there, in the user's cache folder: two whole numbers a
clip, whatever sizes are trained in. What cannot be read is kept as (0, 0), so that the order of training stays as it
was when the file can be read again.
"""

import os
from collections.abc import Iterable
from functools import partial
from pathlib import Path

import numpy as np
from jaxtyping import Int32

from pixeldance.atomic import atomic_file
from pixeldance.data.parallel import mapped
from pixeldance.data.source import Sized, Unreadable
from pixeldance.data.videos import digest

PATTERN = ".sizes-*.npy"
TOGETHER = 64
"""So many clips at a time go to a process."""

Sizes = Int32[np.ndarray, "n 2"]


def survey(source: Sized, numbers: range, workers: int = 0) -> Sizes:
    """(height, width) of the clips with these numbers before they are fitted; (0, 0) of those that cannot be read."""
    pieces = [numbers[at : at + TOGETHER] for at in range(0, len(numbers), TOGETHER)]
    found = mapped(partial(_piece, source, pieces), range(len(pieces)), workers)
    return np.concatenate([np.empty((0, 2), np.int32), *found])


def kept(source: Sized) -> Sizes | None:
    """What was found out about the same list before, or None."""
    for file in _files(source):
        try:
            sizes = np.load(file, allow_pickle=False)
        except (OSError, ValueError):
            continue
        if sizes.shape == (len(source), 2) and sizes.dtype == np.int32:
            return sizes
    return None


def keep(source: Sized, sizes: Sizes) -> Path | None:
    """Write them for `kept`; gives the file, None where there is no place for it."""
    for file in _files(source):
        try:
            file.parent.mkdir(parents=True, exist_ok=True)
            with atomic_file(file, overwrite=True) as part, part.open("wb") as opened:
                np.save(opened, sizes)
            return file
        except (OSError, ValueError):
            continue
    return None


def _files(source: Sized) -> Iterable[Path]:
    stamp = source.stamp()
    if source.home is not None:
        yield source.home / PATTERN.replace("*", stamp[:16])
    # There lie those of all sets, of which two may have the same names in them.
    name = PATTERN.replace("*", digest([stamp, str(source.home and source.home.absolute())])[:16])
    yield Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "pixeldance" / "sizes" / name


def _piece(source: Sized, pieces: list[range], which: int) -> Sizes:
    return np.array([_seen(source, number) for number in pieces[which]], np.int32).reshape(-1, 2)


def _seen(source: Sized, number: int) -> tuple[int, int]:
    try:
        return source.seen(number)
    except Unreadable:
        return 0, 0
