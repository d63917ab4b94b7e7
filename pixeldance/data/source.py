"""What training reads from: a numbered set of clips, each a function of its number and of one generator."""

from pathlib import Path
from typing import Protocol, runtime_checkable

import numpy as np

from pixeldance.data.clip import Clip, Example

Size = tuple[int, int]
"""(height, width) in pixels."""


@runtime_checkable
class Source(Protocol):
    """Clips by number. Everything random about a reading (where it starts, what is cropped) comes from `rng`, so that
    a reading can be repeated in any process."""

    def __len__(self) -> int:
        """How many clips there are; 2^63 - 1 (sys.maxsize) for a source that makes them without end."""
        ...

    def read(self, index: int, rng: np.random.Generator) -> Clip | Example:
        """Clip number `index`, in pixels or encoded. Raises Unreadable where there is none to be had."""
        ...

    def name(self, index: int) -> str:
        """What a person would look for: the file, or the sample in a shard."""
        ...


@runtime_checkable
class Sized(Source, Protocol):
    """A source that knows in which sizes its clips come."""

    @property
    def sizes(self) -> tuple[Size, ...]:
        """All of them; a clip comes in the one nearest in shape (buckets.py). None at all where that is not known."""
        ...

    @property
    def home(self) -> Path | None:
        """The folder where the set lies, in which may be kept what is found out about it."""
        ...

    def seen(self, index: int) -> Size:
        """The size of clip `index` before it is fitted, from headers or a first picture. Raises Unreadable."""
        ...

    def stamp(self) -> str:
        """What the clips are listed from: another text for another list."""
        ...


class Unreadable(Exception):
    """A clip that cannot be used. Its message is the reason, for the report; the run goes on without it."""
