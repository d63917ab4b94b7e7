"""How a request edits the ends of its video: a colour through masks, or a picture put on both of them."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TypeVar

from pixeldance.edit.ends import pasted, read_mask, read_patch, recoloured
from pixeldance.image import Colour, Frame, colour_of
from pixeldance.serve.refused import invalid

Read = TypeVar("Read")
Place = tuple[int, int]


@dataclass(frozen=True, kw_only=True)
class Recolour:
    """What the masks of both ends show white takes another colour. masks: files of pictures of the video's size."""

    masks: tuple[bytes, bytes]
    colour: str

    def ends(self, first: Frame, last: Frame) -> tuple[Frame, Frame]:
        """Both ends, changed. Raises Refused, naming the field at fault."""
        colour = read("colour", lambda: colour_of(self.colour))
        return self._end(first, self.masks[0], colour, "mask"), self._end(last, self.masks[1], colour, "last_mask")

    def _end(self, end: Frame, mask: bytes, colour: Colour, param: str) -> Frame:
        return read(param, lambda: recoloured(end, read_mask(mask), colour))


@dataclass(frozen=True, kw_only=True)
class Paste:
    """A picture lies on both ends. patch: the file of a PNG or WebP, whose transparency counts. places: (x, y) of its
    left upper corner on the first and on the last frame, in pixels."""

    patch: bytes
    places: tuple[Place, Place]

    def ends(self, first: Frame, last: Frame) -> tuple[Frame, Frame]:
        """Both ends, changed. Raises Refused, naming the field at fault."""
        patch = read("paste", lambda: read_patch(self.patch))
        (x, y), (last_x, last_y) = self.places
        return read("at", lambda: pasted(first, patch, x, y)), read(
            "last_at", lambda: pasted(last, patch, last_x, last_y)
        )


Change = Recolour | Paste


def place(text: str) -> Place:
    """(x, y) of X,Y."""
    x, y = text.split(",")
    return int(x), int(y)


def read(param: str, what: Callable[[], Read]) -> Read:
    """What a call gives; what it finds wrong is the fault of the field `param`."""
    try:
        return what()
    except ValueError as error:
        raise invalid(str(error), param) from None
