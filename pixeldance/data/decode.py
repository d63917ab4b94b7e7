"""Clips out of video files: some frames at a steady rate from a random start, by presentation time.

What is shown at time t is the last picture whose time is at or before t, as a player shows it, whether the file's own
rate is steady or not. Decoding begins at the key frame before the start, and only the pictures shown become RGB.
"""

import io
import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from jaxtyping import UInt8
from PIL import ExifTags

from pixeldance.data.source import Size, Unreadable
from pixeldance.image import IMAGE_FORMATS, MAX_PIXELS, open_image, read_image
from pixeldance.video_read import open_container, upright

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

    Opened = tuple[InputContainer, VideoStream]

REORDERED = 17
"""So many packets hold the picture that is shown first: decoders reorder 16 at most (H.264, annex A)."""

TURNED = (5, 6, 7, 8)
"""The EXIF orientations in which a picture lies on its side."""

Span = tuple[float, float]
"""Where a clip lies in its video: from, to, in seconds."""


@dataclass(frozen=True, kw_only=True)
class Shown:
    """Frames as a video shows them: uint8 RGB (h, w, 3) each, upright, of one size.

    pixel_aspect: the width of their pixels relative to the height; 1 is square.
    """

    frames: list[UInt8[np.ndarray, "h w 3"]]
    pixel_aspect: float = 1.0

    @property
    def size(self) -> tuple[int, int]:
        """(height, width) as it is seen, in square pixels, the longer side of the others being made of more of them."""
        height, width = self.frames[0].shape[:2]
        if self.pixel_aspect < 1:
            return round(height / self.pixel_aspect), width
        return height, round(width * self.pixel_aspect)


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What a video is: its length in seconds, and (height, width) as it is seen: upright, in square pixels."""

    seconds: float
    size: tuple[int, int]


def decode_clip(
    source: Path | bytes,
    container: str,
    *,
    frames: int,
    fps: float,
    rng: np.random.Generator,
    span: Span | None = None,
) -> Shown:
    """`frames` frames, `fps` a second, from a start drawn evenly from where the whole clip fits into `span`.

    source: a file or the bytes of one; container: FFmpeg's name of its format, such as "mp4", for nothing else is
    tried. Raises Unreadable, its message being "kind: details", for no, other, damaged, cut off or HDR video and
    for one that is too short.
    """
    with _opened(source, container) as (opened, stream):
        base, extent = _time_base(stream), _extent(opened, stream)
        start = draw_start(float(extent.length * base), frames=frames, fps=fps, rng=rng, span=span)
        ticks = [extent.first + math.floor(time / base) for time in _times(start, frames, fps)]
        pictures = _pictures_at(opened, stream, ticks, extent)
        return _shown(pictures, float(stream.sample_aspect_ratio or 1))


def decode_pictures(
    paths: Sequence[Path], rate: float, *, frames: int, fps: float, rng: np.random.Generator, span: Span | None = None
) -> Shown:
    """The same from a video that is kept as one picture a frame, `rate` a second. One picture is a still: 1 frame."""
    if len(paths) == 1:
        if frames > 1:
            raise Unreadable(f"too short: one picture, where {frames} frames are wanted")
        return Shown(frames=[still(paths[0])])
    start = draw_start(len(paths) / rate, frames=frames, fps=fps, rng=rng, span=span)
    step = 1 / Fraction(rate).limit_denominator(1001)
    wanted = [min(math.floor(time / step), len(paths) - 1) for time in _times(start, frames, fps)]
    read = {index: still(paths[index]) for index in set(wanted)}
    return _of_one_size([read[index] for index in wanted], 1.0)


def still(source: Path | bytes) -> np.ndarray:
    """A picture, uint8 RGB (h, w, 3). Raises Unreadable for none, and for one that cannot be read."""
    _check_there(source)
    try:
        return read_image(source)
    except ValueError as error:
        raise Unreadable(f"damaged: {error}") from error


def facts(source: Path | bytes, container: str) -> Facts:
    """Length and size of a video, from its packets and its first picture. Raises Unreadable like `decode_clip`."""
    with _opened(source, container) as (opened, stream):
        extent = _extent(opened, stream)
        first = _pictures_at(opened, stream, [extent.first], extent)
        shown = _shown(first, float(stream.sample_aspect_ratio or 1))
        return Facts(seconds=float(extent.length * _time_base(stream)), size=shown.size)


def seen_size(source: Path | bytes, container: str) -> Size:
    """(height, width) of a video as it is seen, from its first picture. Raises Unreadable."""
    import av

    with _opened(source, container) as (opened, stream):
        try:
            first = next(picture for picture in opened.decode(stream) if not picture.is_corrupt)
        except (av.FFmpegError, StopIteration) as error:
            raise Unreadable("damaged: it has no picture that can be decoded") from error
        return _shown([first], float(stream.sample_aspect_ratio or 1)).size


def picture_size(source: Path | bytes) -> Size:
    """(height, width) of a picture as it is seen, upright, from its header. Raises Unreadable."""
    _check_there(source)
    try:
        with io.BytesIO(source) if isinstance(source, bytes) else source.open("rb") as file:
            image = open_image(file, "the picture", formats=IMAGE_FORMATS)
            lying = image.getexif().get(ExifTags.Base.Orientation, 1) in TURNED
            return image.size if lying else image.size[::-1]
    except (ValueError, OSError, SyntaxError) as error:
        raise Unreadable(f"damaged: {error}") from error


def decode_through(source: Path | bytes, container: str) -> int:
    """Decode a whole video and throw it away: how many pictures it has. Raises Unreadable where one is damaged."""
    import av

    with _opened(source, container) as (opened, stream):
        extent, count, last = _extent(opened, stream), 0, None
        opened.seek(extent.first, stream=stream)
        try:
            for picture in opened.decode(stream):
                if picture.is_corrupt:
                    raise Unreadable(f"damaged: picture {count}")
                count, last = count + 1, picture.pts
        except av.FFmpegError as error:
            raise Unreadable(f"damaged: behind picture {count} ({error.strerror})") from error
        _check_end(last, extent, stream)
        return count


def draw_start(length: float, *, frames: int, fps: float, rng: np.random.Generator, span: Span | None = None) -> float:
    """A time in seconds from which `frames` frames at `fps` fit into a video of `length` seconds, within `span`.

    The last of them is (frames - 1) / fps seconds later and still before the end. Raises Unreadable where none is.
    """
    begin, end = span or (0.0, length)
    room = min(end, length) - begin - (frames - 1) / fps
    if room <= 0:
        raise Unreadable(
            f"too short: {max(0.0, min(end, length) - begin):.2f} s, where {frames} frames at {fps:g} a second "
            f"need more than {(frames - 1) / fps:.2f} s"
        )
    return begin + room * float(rng.random())


@dataclass(frozen=True)
class _Extent:
    """In ticks of the stream: time of the first picture, of the last one, and how long they all last."""

    first: int
    last: int
    length: int


def _check_there(source: Path | bytes) -> None:
    if isinstance(source, Path) and not source.is_file():
        raise Unreadable("missing: there is no such file")
    if (len(source) if isinstance(source, bytes) else source.stat().st_size) == 0:
        raise Unreadable("empty: the file has no bytes")


@contextmanager
def _opened(source: Path | bytes, container: str) -> Iterator["Opened"]:
    _check_there(source)
    try:
        opened, stream = open_container(source, container)
    except ValueError as error:
        raise Unreadable(f"not a video: {error}") from error
    with opened:
        context = stream.codec_context
        if context.width * context.height > MAX_PIXELS:
            raise Unreadable(f"too large: {context.width} x {context.height} pixels, {MAX_PIXELS:,} at most")
        context.thread_count = 1  # loaders are parallel by their processes
        yield opened, stream


def _time_base(stream: "VideoStream") -> Fraction:
    if stream.time_base is None:
        raise Unreadable("no times: the file does not say when its pictures are shown")
    return stream.time_base


def _extent(opened: "InputContainer", stream: "VideoStream") -> _Extent:
    """From the first packets and those behind the last key frame: what headers say of time is often not so."""
    base, stated = _time_base(stream), stream.duration
    if stated is None and opened.duration is not None:
        stated = math.floor(Fraction(opened.duration, 1_000_000) / base)
    head = _stamps(opened, stream, most=REORDERED)
    if not head:
        raise Unreadable("empty: it has no pictures")
    first = min(head)[0]
    tail = _stamps(opened, stream, seek=first + (stated or 0))
    if not tail:
        raise Unreadable(f"cut off: its end, at {float((stated or 0) * base):.2f} s, is missing")
    usual = 1 / stream.average_rate / base if stream.average_rate else Fraction(0)
    last, lasts = max(tail)
    return _Extent(first=first, last=last, length=last + (lasts or math.ceil(usual)) - first)


def _stamps(
    opened: "InputContainer", stream: "VideoStream", *, seek: int | None = None, most: int | None = None
) -> list[tuple[int, int]]:
    """(time, duration) of the packets from the key frame before `seek` on, or from here; of the first `most`."""
    import av

    found: list[tuple[int, int]] = []
    try:
        if seek is not None:
            opened.seek(seek, stream=stream)
        for packet in opened.demux(stream):
            time = packet.dts if packet.pts is None else packet.pts
            if time is None:
                continue  # what ends the stream, or stands outside of time
            if packet.is_corrupt:
                raise Unreadable(f"cut off: behind {float(time * _time_base(stream)):.2f} s")
            if not packet.is_discard:
                found.append((time, packet.duration or 0))
            if len(found) == most:
                break
    except av.FFmpegError as error:
        raise Unreadable(f"cut off: {error.strerror}") from error
    return found


def _times(start: float, frames: int, fps: float) -> list[Fraction]:
    # As fractions, so that the same rate as the file's gives each of its frames once.
    first, step = Fraction(start).limit_denominator(1_000_000), 1 / Fraction(fps).limit_denominator(1001)
    return [first + index * step for index in range(frames)]


def _pictures_at(
    opened: "InputContainer", stream: "VideoStream", ticks: list[int], extent: _Extent
) -> list["VideoFrame"]:
    """The picture that is shown at each of some rising times."""
    import av

    margin = math.ceil(2 / _time_base(stream))
    try:
        # Seeking goes by decoding time in some formats and may land behind what is wanted: then from further back.
        for back in (ticks[0], ticks[0] - margin):
            if back > extent.first:
                opened.seek(back, stream=stream)
                found = _walk(opened, stream, ticks, extent)
                if found is not None:
                    return found
        opened.seek(min(0, extent.first), stream=stream)
        found = _walk(opened, stream, ticks, extent)
    except av.FFmpegError as error:
        raise Unreadable(f"damaged: {error.strerror}") from error
    if found is None:
        raise Unreadable("damaged: its first pictures cannot be decoded")
    return found


def _walk(
    opened: "InputContainer", stream: "VideoStream", ticks: list[int], extent: _Extent
) -> list["VideoFrame"] | None:
    """The pictures at `ticks` by decoding on from here; None where the first one lies before what can be decoded."""
    found: list[VideoFrame] = []
    before = None
    for picture in opened.decode(stream):
        if picture.pts is None:
            raise Unreadable("no times: the file does not say when its pictures are shown")
        if picture.is_corrupt:
            if before is None:
                continue  # it leans on a picture from before the key frame, and is shown before it
            raise Unreadable(f"damaged: at {float(picture.pts * _time_base(stream)):.2f} s")
        while len(found) < len(ticks) and picture.pts > ticks[len(found)]:
            if before is None:
                return None
            found.append(before)
        if len(found) == len(ticks):
            return found
        before = picture
    if before is None:
        return None
    _check_end(before.pts, extent, stream)
    return found + [before] * (len(ticks) - len(found))


def _check_end(last: int | None, extent: _Extent, stream: "VideoStream") -> None:
    """Raise Unreadable where the pictures end clearly before the packets do."""
    base, usual = _time_base(stream), 1 / (stream.average_rate or Fraction(25))
    if last is None or (extent.last - last) * base > 3 * usual:
        at = 0.0 if last is None else float(last * base)
        raise Unreadable(f"damaged: no picture can be decoded behind {at:.2f} s of {float(extent.last * base):.2f} s")


def _shown(pictures: list["VideoFrame"], aspect: float) -> Shown:
    # A slow video shows a picture several times; it is converted once.
    rgb = {}
    for picture in pictures:
        if id(picture) not in rgb:
            try:
                rgb[id(picture)] = upright(picture)
            except ValueError as error:
                raise Unreadable(f"not readable: {error}") from error
    lying = round(pictures[0].rotation) % 180 == 90
    return _of_one_size([rgb[id(picture)] for picture in pictures], 1 / aspect if lying else aspect)


def _of_one_size(frames: list[np.ndarray], aspect: float) -> Shown:
    if len({frame.shape for frame in frames}) > 1:
        raise Unreadable("size changes: its pictures are of several sizes")
    return Shown(frames=frames, pixel_aspect=aspect)
