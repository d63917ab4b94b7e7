"""Edits of one picture, a video's first or last frame: recoloured, pasted on, or by a program of yours."""

import io
import shlex
import subprocess
import tempfile
from pathlib import Path

import numpy as np
from jaxtyping import UInt8
from PIL import Image

from pixeldance.image import Colour, Frame, open_image, read_image, write_image

PASTED = ("PNG", "WEBP")
SAID = 300  # so many characters of what an editor said go into a message


def recoloured(picture: Frame, mask: UInt8[np.ndarray, "y x"], colour: Colour) -> Frame:
    """The picture with what is masked in another colour, its shades kept.

    p + m (colour - mean), where mean is that of the masked pixels and m the mask from 0 to 1: soft edges whose mask is
    as soft come out exactly. Raises ValueError for a mask of another size, and for one of nothing.
    """
    if mask.shape != picture.shape[:2]:
        raise ValueError(f"got a mask of {_size(mask)} for a picture of {_size(picture)}; wanted the picture's size")
    share = mask[..., None].astype(np.float64) / 255
    if mask.max() < 128:
        raise ValueError("got a mask that is dark all over; wanted white where the picture is to be recoloured")
    mean = picture[mask >= mask.max() * 0.98].mean(axis=0)  # edges have some of the ground in them
    return np.rint(np.clip(picture + share * (np.array(colour) - mean), 0, 255)).astype(np.uint8)


def read_mask(source: str | bytes) -> UInt8[np.ndarray, "h w"]:
    """A mask from a picture's path or bytes: white is all of it, black nothing; transparent counts as black."""
    return read_image(source, background=(0, 0, 0)).max(axis=2)


def pasted(picture: Frame, patch: Image.Image, x: int, y: int) -> Frame:
    """The picture with a patch on it, its left upper corner at (x, y) pixels; what is transparent stays as it was.

    Raises ValueError where it does not lie wholly inside.
    """
    height, width = picture.shape[:2]
    if not (0 <= x <= width - patch.width and 0 <= y <= height - patch.height):
        raise ValueError(
            f"got a patch of {patch.width}x{patch.height} at {x},{y} of a picture of {width}x{height}; wanted it "
            f"inside: at most {max(0, width - patch.width)},{max(0, height - patch.height)}, or a smaller patch"
        )
    whole = Image.fromarray(picture).convert("RGBA")
    whole.alpha_composite(patch.convert("RGBA"), (x, y))
    return np.array(whole.convert("RGB"))


def read_patch(source: str | bytes) -> Image.Image:
    """A picture with its transparency, to paste, from its path or its bytes. Raises ValueError for what cannot have
    any."""
    if isinstance(source, str) and not Path(source).is_file():
        raise ValueError(f"cannot read the patch {source}: there is no such file; give the path of a PNG or WebP")
    name = f"the patch {source}" if isinstance(source, str) else f"the patch of {len(source)} bytes"
    data = Path(source).read_bytes() if isinstance(source, str) else source
    with open_image(io.BytesIO(data), name, formats=PASTED) as image:
        try:
            return image.convert("RGBA")
        except Exception as error:  # a decoder meeting hostile bytes may raise anything
            raise ValueError(f"cannot read {name}: {error}; export it again as PNG") from error


def by_command(picture: Frame, command: str, *, seconds: float) -> Frame:
    """The picture as a program changes it: `command` is split into words as a shell does, but none is started, and two
    paths are added, of the PNG that it is to read and of the one that it is to write.

    Raises ValueError where there is no such program, it fails, takes longer than `seconds`, or writes no picture of the
    same size.
    """
    try:
        words = shlex.split(command)
    except ValueError as error:
        raise ValueError(f"got the editor {command!r}, which cannot be split into words: {error}") from None
    if not words:
        raise ValueError("got no editor; wanted a program, such as 'python edit.py', that takes two paths")
    with tempfile.TemporaryDirectory() as folder:
        given, wanted = Path(folder, "in.png"), Path(folder, "out.png")
        write_image(given, picture)
        try:
            done = subprocess.run(
                [*words, given, wanted], capture_output=True, timeout=seconds, stdin=subprocess.DEVNULL
            )
        except subprocess.TimeoutExpired:
            raise ValueError(
                f"the editor {words[0]} took longer than {seconds:g} s and was ended; raise the limit"
            ) from None
        except OSError as error:
            raise ValueError(
                f"the editor {words[0]} could not be started: {error.strerror}; wanted a program"
            ) from None
        if done.returncode:
            said = done.stderr.decode(errors="replace").strip()[-SAID:]
            raise ValueError(f"the editor {words[0]} ended with code {done.returncode}: {said or 'it said nothing'}")
        if not wanted.exists():
            raise ValueError(f"the editor {words[0]} wrote nothing to its second path; wanted a picture there")
        edited = read_image(wanted)
    if edited.shape != picture.shape:
        raise ValueError(f"the editor {words[0]} made {_size(edited)} of {_size(picture)}; wanted the same size")
    return edited


def _size(picture: np.ndarray) -> str:
    return f"{picture.shape[1]}x{picture.shape[0]}"
