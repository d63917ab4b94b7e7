"""Videos in: files and folders of PNGs become uint8 RGB frames, upright and one by one.

A file is opened as the one container that its ending names, and nothing it points to is opened: playlists,
damaged files and pixels that 8-bit RGB cannot hold are refused.
"""

import io
import itertools
import json
import os
import re
from collections.abc import Iterator
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from jaxtyping import UInt8

from pixeldance.image import IMAGE_FORMATS, flatten, open_image, read_image

if TYPE_CHECKING:
    from av import VideoFrame
    from av.container import InputContainer
    from av.video.stream import VideoStream

Video = UInt8[np.ndarray, "f h w 3"]
Rate = int | float | Fraction
StrPath = str | os.PathLike[str]
Frames = Iterator[np.ndarray]

CONTAINERS = {".mp4": "mp4", ".mov": "mov", ".mkv": "matroska", ".webm": "matroska", ".avi": "avi"}
ANIMATIONS = {".gif": "GIF", ".webp": "WEBP"}
EXIF_DESCRIPTION = 0x010E
HDR = {16: "PQ", 18: "HLG"}  # transfer functions of ITU-T H.273
UNSPECIFIED = 2  # the colour matrix, in ITU-T H.273


def read_video(path: StrPath, *, fps: Rate | None = None) -> tuple[Video, float]:
    """Read a whole video: (frames uint8 (f, h, w, 3), frames per second). See `iterate_video`."""
    frames, rate = iterate_video(path, fps=fps)
    return np.stack(list(frames)), rate


def iterate_video(path: StrPath, *, fps: Rate | None = None) -> tuple[Frames, float]:
    """Open a video or a folder of PNGs: (its frames one by one, each uint8 (h, w, 3) and upright, its rate).

    Every stored frame comes once; where they are not evenly spaced, the rate is the mean one. `fps` is used
    only where the file states no rate. Reads .mp4 .mov .mkv .webm .avi .gif .webp; 10 bits become 8.
    Raises ValueError, at once or at the frame concerned, for no or another kind of file, playlists, sound
    without pictures, damaged or cut off files, HDR, pixels that are not square, and a size that changes.
    """
    name, ending = f"the video {os.fspath(path)}", Path(path).suffix.lower()
    if os.path.isdir(path):
        frames, rate = _read_pngs(Path(path), name)
    elif not os.path.isfile(path):
        raise ValueError(f"cannot read {name}: there is no such file; give the path of a video")
    elif ending in ANIMATIONS:
        frames, rate = _read_animation(Path(path), name, ANIMATIONS[ending])
    elif ending in CONTAINERS:
        frames, rate = _read_container(Path(path), name, CONTAINERS[ending])
    else:
        known = ", ".join([*CONTAINERS, *ANIMATIONS])
        raise ValueError(f"cannot read {name}: got the ending {ending!r}, know {known}; convert it first")
    if not (rate or fps):
        raise ValueError(f"cannot read {name}: it states no frame rate; give one, such as fps=8")
    return _one_size(frames, name), float(rate or fps or 0)


def _one_size(frames: Frames, name: str) -> Frames:
    shape = None
    for index, frame in enumerate(frames):
        shape = shape or frame.shape
        if frame.shape != shape:
            raise ValueError(
                f"cannot read {name}: frame {index} is {frame.shape[1]} x {frame.shape[0]} and the first "
                f"{shape[1]} x {shape[0]}; cut the video where its size changes"
            )
        yield frame
    if shape is None:
        raise ValueError(f"cannot read {name}: it has no frames; give another file")


def number_order(path: Path) -> list[Any]:
    """A sort key that puts 2.png before 10.png."""
    return [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", path.name)]


def _read_pngs(folder: Path, name: str) -> tuple[Frames, Fraction | None]:
    paths = sorted(folder.glob("*.png"), key=number_order)
    if not paths:
        raise ValueError(f"cannot read {name}: the folder holds no .png files; give another")
    with open(paths[0], "rb") as file, open_image(file, name, formats=IMAGE_FORMATS) as image:
        rate = _noted(image.info.get("Comment"), "fps")
    return (read_image(path) for path in paths), rate


def _read_animation(path: Path, name: str, kind: str) -> tuple[Frames, Fraction | None]:
    frames, milliseconds = [], []
    with open(path, "rb") as file, open_image(file, name, formats=(kind,)) as image:
        note = image.info.get("comment") or image.getexif().get(EXIF_DESCRIPTION)
        noted, count = _noted(note, "fps"), _noted(note, "frames")
        try:
            for index in range(getattr(image, "n_frames", 1)):
                image.seek(index)
                frames.append(flatten(image))
                milliseconds.append(image.info.get("duration") or 0)
        except Exception as error:  # a decoder meeting hostile bytes may raise anything
            raise ValueError(f"cannot read {name}: {error} at frame {len(frames)}; export it again") from error
    if noted is None:
        total = Fraction(sum(milliseconds)) / 1000
        return iter(frames), len(frames) / total if total else None
    return _repeated(frames, milliseconds, noted, int(count or 0)), noted


def _repeated(frames: list[np.ndarray], milliseconds: list[int], rate: Fraction, count: int) -> Frames:
    """Undo what encoders do to frames that equal the one before: they make that one last longer."""
    end, done = 0, 0
    for frame, duration in zip(frames, milliseconds, strict=True):
        start, end = end, end + duration
        times = max(1, round(end * rate / 1000) - round(start * rate / 1000))
        yield from itertools.repeat(frame, times)
        done += times
    yield from itertools.repeat(frames[-1], max(0, count - done))


def _noted(note: Any, name: str) -> Fraction | None:
    """A positive number in the comment that `write_video` leaves in a file; None for a comment of others."""
    try:
        value = Fraction(json.loads(note)[name])
    except (TypeError, ValueError, KeyError, ZeroDivisionError):
        return None
    return value if value > 0 else None


def open_container(source: Path | bytes, container: str) -> "tuple[InputContainer, VideoStream]":
    """Open a file, or the bytes of one, as the one `container` given (FFmpeg's name of it), and its moving pictures.

    Raises ValueError with the reason for another kind of file, for a damaged one and for one without pictures.
    """
    import av

    if container == "matroska" and _cut_off(source):
        raise ValueError("its end is missing; copy or make it again")
    # A fixed format and protocol: by itself FFmpeg would follow a playlist to any file or address.
    protocol = "file" if isinstance(source, Path) else "none"
    file = os.path.abspath(source) if isinstance(source, Path) else io.BytesIO(source)
    try:
        opened = av.open(file, "r", format=container, options={"protocol_whitelist": protocol})
    except av.FFmpegError as error:
        raise ValueError(f"it is damaged or not {container} ({error.strerror}); convert it again") from error
    streams = [s for s in opened.streams.video if not s.disposition & s.disposition.attached_pic]
    if not streams:
        opened.close()
        raise ValueError("it holds no moving pictures; give a file with a video track")
    return opened, streams[0]


def upright(picture: "VideoFrame") -> np.ndarray:
    """A decoded picture as uint8 RGB (h, w, 3), turned as its file says. ValueError, with the reason, for HDR."""
    from av.video.reformatter import Interpolation as I

    if picture.color_trc in HDR:
        raise ValueError(
            f"it is HDR ({HDR[picture.color_trc]}), more than 8-bit RGB can hold; tone-map it first: ffmpeg -i IN -vf "
            "zscale=t=linear:npl=100,tonemap=hable,zscale=p=bt709:t=bt709:m=bt709:r=tv,format=yuv420p OUT"
        )
    turns, rest = divmod(round(picture.rotation), 90)
    if rest:
        raise ValueError(f"it is turned by {picture.rotation} degrees; export it upright")
    # Players take an HD picture without a stated matrix for BT.709, FFmpeg any for BT.601.
    assumed = "ITU709" if picture.colorspace == UNSPECIFIED and picture.height >= 720 else None
    how = I.BICUBIC | I.FULL_CHR_H_INT | I.ACCURATE_RND | I.BITEXACT
    rgb = picture.reformat(format="rgb24", src_colorspace=assumed, interpolation=how, threads=1)
    return np.ascontiguousarray(np.rot90(rgb.to_ndarray(), turns))


def _read_container(path: Path, name: str, container: str) -> tuple[Frames, Fraction | None]:
    try:
        source, stream = open_container(path, container)
    except ValueError as error:
        raise ValueError(f"cannot read {name}: {error}") from error
    shape = stream.sample_aspect_ratio or 1
    if shape != 1:
        source.close()
        raise ValueError(
            f"cannot read {name}: its pixels are not square ({shape}); convert it first: "
            "ffmpeg -i IN -vf scale=iw*sar:ih,setsar=1 OUT"
        )
    return _decode(source, stream, name), stream.average_rate


def _decode(source: "InputContainer", stream: "VideoStream", name: str) -> Frames:
    import av

    count = 0
    try:
        with source:
            for picture in source.decode(stream):
                if picture.is_corrupt:
                    raise ValueError(f"frame {count} is damaged; copy or make it again")
                yield upright(picture)
                count += 1
    except av.FFmpegError as error:
        raise ValueError(
            f"cannot read {name}: damaged or cut off behind frame {count} ({error.strerror}); copy or make it again"
        ) from error
    except ValueError as error:
        raise ValueError(f"cannot read {name}: {error}") from error


def _cut_off(source: Path | bytes) -> bool:
    """Whether a Matroska file is shorter than its segment states, which FFmpeg does not mind."""
    if isinstance(source, bytes):
        head, there = source[:4096], len(source)
    else:
        with open(source, "rb") as file:
            head, there = file.read(4096), os.path.getsize(source)

    def number(at: int) -> tuple[int, int, bool]:
        """The variable-length integer at a position (RFC 8794): (value, where it ends, whether known)."""
        length = 9 - head[at].bit_length()
        ones = (1 << 7 * length) - 1
        value = int.from_bytes(head[at : at + length]) & ones
        return value, at + length, value != ones

    try:
        size, start, _ = number(4)
        size, start, known = number(start + size + 4)
    except IndexError:
        return False  # no Matroska at all, which the decoder says better
    return known and start + size > there
