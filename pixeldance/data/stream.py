"""What each training step reads: clips in a global order that depends on neither the number of processes nor workers.

The video batch number v is positions v B .. (v + 1) B - 1 of `Order`, or where clips come in several sizes, a batch of
one of them (groups.py); every `image_every`-th step takes a batch of images instead, from a stream that counts its own
batches. What cannot be read is replaced by another clip, always the same one, and reported.
"""

import signal
from collections.abc import Iterator
from dataclasses import dataclass

from torch.utils.data import DataLoader, Dataset

from pixeldance.data.clip import Clip, Example
from pixeldance.data.groups import Alike, Grouped, Grouping
from pixeldance.data.order import reading_rng, share
from pixeldance.data.sizes import PATTERN
from pixeldance.data.source import Size, Source, Unreadable

ATTEMPTS = 100
"""So many unreadable clips in a row are no accident."""


@dataclass(frozen=True, kw_only=True)
class Ask:
    """One reading: clip `index` of the clips, or of the images, as read in an epoch."""

    image: bool
    epoch: int
    index: int


@dataclass(frozen=True, kw_only=True)
class Taken:
    """What a reading gave, and (name, reason) of each clip that could not be read before it."""

    name: str
    clip: Clip | Example
    unreadable: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, kw_only=True)
class Stream:
    """The readings of a run, step by step.

    clips: the videos. images: clips of one frame; None takes the first frames of the clips. groups, image_groups: which
    of them may share a batch; None for any. batch, image_batch: of all processes together. image_every: every so
    manieth step is on images, 0 for none.
    """

    clips: Source
    images: Source | None = None
    groups: Grouped | None = None
    image_groups: Grouped | None = None
    batch: int = 16
    image_batch: int = 64
    image_every: int = 8
    seed: int = 0

    def is_image(self, step: int) -> bool:
        """Whether a step is on images."""
        return self.image_every > 0 and step % self.image_every == self.image_every - 1

    def size(self, step: int) -> int:
        """The batch of a step, over all processes."""
        return self.image_batch if self.is_image(step) else self.batch

    def asks(self, step: int, part: int = 0, parts: int = 1) -> list[Ask]:
        """What one of `parts` equal parts of the batch of a step reads, in order."""
        image, size = self.is_image(step), self.size(step)
        images_before = step // self.image_every if self.image_every else 0
        number = images_before if image else step - images_before
        _, grouping, seed = self._source(image)
        found = grouping.batch(number, share(size, part, parts), batch=size, seed=seed)
        return [Ask(image=image, epoch=epoch, index=index) for epoch, index in found]

    def read(self, ask: Ask) -> Taken:
        """One reading, or its replacement. Raises ValueError where a hundred replacements cannot be read either."""
        source, grouping, seed = self._source(ask.image)
        index, failed = ask.index, list[tuple[str, str]]()
        while len(failed) < ATTEMPTS:
            try:
                clip = source.read(index, reading_rng(seed, ask.epoch, index))
                _check_size(clip, grouping.size(index))
                return Taken(name=source.name(index), clip=clip, unreadable=tuple(failed))
            except Unreadable as error:
                failed.append((source.name(index), str(error)))
                index = grouping.instead(seed, ask.epoch, ask.index, len(failed))
        name, reason = failed[-1]
        raise ValueError(
            f"got {ATTEMPTS} unreadable clips in a row, the last being {name} ({reason}); wanted data that can be "
            "read: check where it lies"
        )

    def batches(
        self, first: int, last: int, *, rank: int = 0, ranks: int = 1, accumulate: int = 1, workers: int = 0
    ) -> Iterator[list[Taken]]:
        """The pieces that process `rank` takes in steps `first` to `last` - 1: `accumulate` for each, in order.

        `workers`: processes that read ahead; 0 reads here. Neither it nor where `first` lies changes what comes.
        """
        part, parts = rank * accumulate, ranks * accumulate
        pieces = _Pieces(self, first, part, parts, accumulate)
        numbers = range((last - first) * accumulate)
        loader = DataLoader(
            pieces,
            sampler=numbers,
            batch_size=None,
            num_workers=workers,
            collate_fn=_as_it_is,
            worker_init_fn=_leave_signals_to_the_parent,
        )
        return iter(loader)

    def _source(self, image: bool) -> tuple[Source, Grouping, int]:
        """Where images or videos come from, what may share a batch, and the seed of their order: one of their own for
        images."""
        source, groups = self.clips, self.groups
        if image and self.images is not None:
            source, groups = self.images, self.image_groups
        return source, Alike(len(source)) if groups is None else groups, 2 * self.seed + image


def _check_size(clip: Clip | Example, wanted: Size | None) -> None:
    """Raise Unreadable for a clip that does not fit to its batch."""
    size = clip.size if isinstance(clip, Example) else clip.video.shape[1:3]
    if wanted is not None and size != wanted:
        raise Unreadable(
            f"changed: it comes as {size}, and is listed for {wanted}; remove {PATTERN} beside the data to list "
            "the sizes again"
        )


class _Pieces(Dataset[list[Taken]]):
    """A stream as what a DataLoader takes: item n is the n-th piece from step `first` on."""

    def __init__(self, stream: Stream, first: int, part: int, parts: int, accumulate: int) -> None:
        self.stream, self.first, self.part, self.parts, self.accumulate = stream, first, part, parts, accumulate

    def __getitem__(self, number: int) -> list[Taken]:
        step, piece = divmod(number, self.accumulate)
        return [self.stream.read(ask) for ask in self.stream.asks(self.first + step, self.part + piece, self.parts)]


def _as_it_is(piece: list[Taken]) -> list[Taken]:
    return piece


def _leave_signals_to_the_parent(worker: int) -> None:
    # Ctrl-C and a cluster's SIGTERM reach the whole group; the parent still needs us to end its step.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
