"""Contact sheets: the frames of one or several clips side by side in one labelled picture."""

import textwrap
import unicodedata
from collections.abc import Sequence

import numpy as np
from jaxtyping import UInt8
from PIL import Image, ImageDraw, ImageFont

from pixeldance.image import Colour, Frame, check_frame, fit

PAPER: Colour = (250, 250, 248)
INK: Colour = (32, 34, 38)
PALE_INK: Colour = (120, 124, 130)
EDGE: Colour = (212, 212, 206)
GIVEN: Colour = (214, 120, 20)
MARGIN, GAP, CAPTION, LINE = 16, 8, 20, 2
TINY, LARGE = 128, 256

Cell = tuple[str, np.ndarray, Colour]


def contact_sheet(
    rows: np.ndarray | Sequence[tuple[str, np.ndarray]],
    *,
    columns: int = 8,
    scale: int | None = None,
    first: np.ndarray | None = None,
    last: np.ndarray | None = None,
) -> UInt8[np.ndarray, "height width 3"]:
    """Lay clips out under each other as one picture (height, width, 3), uint8.

    `rows` is one clip (f, h, w, 3) or a list of (label, clip); each clip fills lines of `columns` frames with
    the frame numbers from 0 under them. The given images, `first` and `last`, stand in front of each clip,
    in orange. Every frame is enlarged `scale` times with hard pixels; by default clips below 128 px are
    enlarged to at most that, and clips above 256 px reduced to it. Raises ValueError on no frames.
    """
    clips = [("", rows)] if isinstance(rows, np.ndarray) else list(rows)
    if not clips or any(len(frames) == 0 for _, frames in clips):
        raise ValueError("got no frames for a contact sheet; give one clip (f, h, w, 3) or more")
    if columns < 1 or (scale is not None and scale < 1):
        raise ValueError(f"got columns={columns} and scale={scale}, want 1 or more of each")
    columns = min(columns, max(len(frames) for _, frames in clips))
    blocks = [_block(frames, columns, scale, first, last) for _, frames in clips]
    sheet_width = max(block.width for block in blocks) + 2 * MARGIN
    headings = [_heading(label, sheet_width - 2 * MARGIN) for label, _ in clips]
    parts = [[part for part in pair if part] for pair in zip(headings, blocks, strict=True)]
    height = MARGIN + sum(MARGIN + sum(part.height for part in pair) for pair in parts)
    sheet = Image.new("RGB", (sheet_width, height), PAPER)
    top = MARGIN
    for pair in parts:
        for part in pair:
            sheet.paste(part, (MARGIN, top))
            top += part.height
        top += MARGIN
    return np.array(sheet)


def _block(
    frames: np.ndarray, columns: int, scale: int | None, first: np.ndarray | None, last: np.ndarray | None
) -> Image.Image:
    """The picture of one clip: the given images in columns of their own, then the frames line by line."""
    cells: list[Cell] = [(str(i), _scaled(frame, scale), PALE_INK) for i, frame in enumerate(frames)]
    h, w = cells[0][1].shape[:2]
    given: list[Cell] = [
        (name, fit(_scaled(image, scale), size=(h, w)), GIVEN)
        for name, image in (("first", first), ("last", last))
        if image is not None
    ]
    lines = -(-len(cells) // columns)
    given_columns = -(-len(given) // lines)
    offset = given_columns * (w + GAP) + (2 * GAP if given else 0)
    width = offset + columns * (w + GAP) - GAP + 2 * LINE
    block = Image.new("RGB", (width, lines * (h + CAPTION + GAP) - GAP + 2 * LINE), PAPER)
    for left, across, group in ((0, given_columns, given), (offset, columns, cells)):
        for index, cell in enumerate(group):
            line, column = divmod(index, across)
            _draw(block, cell, LINE + left + column * (w + GAP), LINE + line * (h + CAPTION + GAP))
    return block


def _draw(block: Image.Image, cell: Cell, x: int, y: int) -> None:
    caption, image, ink = cell
    h, w = image.shape[:2]
    draw, font = ImageDraw.Draw(block), ImageFont.load_default(12)
    line = LINE if ink == GIVEN else 1
    draw.rectangle((x - line, y - line, x + w + line - 1, y + h + line - 1), fill=EDGE if line == 1 else ink)
    block.paste(Image.fromarray(image), (x, y))
    draw.text((x + w / 2, y + h + CAPTION / 2 + 1), caption, fill=ink, font=font, anchor="mm")


def _scaled(frame: np.ndarray, scale: int | None) -> Frame:
    frame = check_frame(frame)
    h, w = frame.shape[:2]
    longest = max(h, w)
    if scale is None and longest > LARGE:
        size = (max(1, round(h * LARGE / longest)), max(1, round(w * LARGE / longest)))
        return np.array(Image.fromarray(frame).resize(size[::-1], Image.Resampling.LANCZOS))
    times = max(1, TINY // longest) if scale is None else scale
    return frame.repeat(times, axis=0).repeat(times, axis=1)


def _heading(label: str, width: int) -> Image.Image | None:
    """The label of a clip, broken into lines no wider than the sheet; None for an empty one."""
    # Pillow's own font draws ASCII alone: accents go, other letters become question marks.
    plain = "".join(c for c in unicodedata.normalize("NFKD", label) if not unicodedata.combining(c))
    label = plain.encode("ascii", "replace").decode()
    if not label.strip():
        return None
    font = ImageFont.load_default(15)
    mean_width = font.getlength(" ".join(label.split())) / len(label)
    lines = textwrap.wrap(label, max(1, int(0.94 * width / mean_width)))
    heading = Image.new("RGB", (width, 20 * len(lines) + 6), PAPER)
    ImageDraw.Draw(heading).multiline_text((0, 0), "\n".join(lines), fill=INK, font=font, spacing=4)
    return heading
