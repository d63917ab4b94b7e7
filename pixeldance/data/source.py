"""What training reads from: a numbered set of clips, each a function of its number and of one generator."""

from typing import Protocol, runtime_checkable

import numpy as np

from pixeldance.data.clip import Clip, Example


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


class Unreadable(Exception):
    """A clip that cannot be used. Its message is the reason, for the report; the run goes on without it."""
