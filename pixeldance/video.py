"""Videos out and in: uint8 RGB frames (f, h, w, 3) become .mp4, .mkv, .gif, .webp or a folder of PNGs.

.mkv (FFV1 in RGB), .webp and PNG keep every pixel; .mp4 (H.264) plays everywhere; .gif has 256 colours.
"""

import hashlib
import io
import itertools
import json
import math
import os
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, cast

import numpy as np
from PIL import Image, PngImagePlugin

from pixeldance.atomic import atomic_file, atomic_folder, check_file, check_folder
from pixeldance.image import check_frame
from pixeldance.video_read import EXIF_DESCRIPTION, Rate, StrPath, Video, iterate_video, read_video

if TYPE_CHECKING:  # PyAV is loaded where it is used: a quarter of a second that most commands do not need
    from av import VideoFrame
    from av.video.stream import VideoStream

__all__ = ["Video", "check_output", "frames_sha256", "iterate_video", "read_video", "video_file", "write_video"]

PNG_NAMES = "frame-*.png"
GIF_FASTEST = 50  # browsers slow a GIF down that asks for more
FASTEST = 240


def write_video(
    path: StrPath,
    frames: np.ndarray | Iterable[np.ndarray],
    *,
    fps: Rate,
    overwrite: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> None:
    """Write frames, uint8 (f, h, w, 3) or an iterator of (h, w, 3), in the format that the name asks for.

    .mp4    H.264, crf 16, BT.709, playable while it loads; 4:2:0, or 4:4:4 (fewer players) for an odd size
    .mkv    FFV1 in RGB, lossless
    .gif    one palette of 256 colours for the clip, looping, at most 50 frames per second
    .webp   lossless, looping
    name/   a folder of frame-0000.png, frame-0001.png, ..., lossless

    No size is ever changed. .mp4, .mkv and folders take frames one by one, .gif and .webp hold the clip in
    memory. `metadata` is stored in the file (.mkv writes its names in capitals). The same frames give the
    same bytes. The result appears finished or not at all, and replaces something only with `overwrite`.
    Raises ValueError as `check_output` does and for frames of another kind or size; OSError on a full disk.
    """
    with video_file(path, frames, fps=fps, overwrite=overwrite, metadata=metadata):
        pass


@contextmanager
def video_file(
    path: StrPath,
    frames: np.ndarray | Iterable[np.ndarray],
    *,
    fps: Rate,
    overwrite: bool = False,
    metadata: Mapping[str, str] | None = None,
) -> Iterator[None]:
    """As `write_video`: the video is complete when the body begins, and gets its name when that has ended well."""
    check_output(path, overwrite=overwrite, fps=fps)
    # 1001 holds the broadcast rates, such as 30000/1001, exactly.
    checked, rate, notes = _checked(frames), Fraction(fps).limit_denominator(1001), dict(metadata or {})
    if _is_folder(path):
        with atomic_folder(path, overwrite=overwrite, only=PNG_NAMES) as folder:
            _write_pngs(folder, checked, rate, notes)
            yield
    else:
        with atomic_file(path, overwrite=overwrite) as temporary:
            WRITERS[_ending(path)](temporary, checked, rate, notes)
            yield


def check_output(path: StrPath, *, overwrite: bool = False, fps: Rate | None = None) -> None:
    """Raise now, before any work, what `write_video` would raise about its target.

    ValueError: an ending that is not known, a parent folder that does not exist or cannot be written, a
    target that exists without `overwrite`, a rate (frames per second) that the format cannot keep.
    """
    if not _is_folder(path) and _ending(path) not in WRITERS:
        raise ValueError(
            f"cannot write {os.fspath(path)}: got the ending {_ending(path)!r}; choose {', '.join(WRITERS)}, "
            'or a string that ends in "/" for a folder of PNGs'
        )
    fastest = GIF_FASTEST if _ending(path) == ".gif" else FASTEST
    if fps is not None and not (math.isfinite(fps) and 0.1 <= fps <= fastest):
        raise ValueError(
            f"cannot write {os.fspath(path)} at {fps} frames per second; choose 0.1 to {fastest}"
            + (", or another format" if fastest < FASTEST else "")
        )
    if _is_folder(path):
        check_folder(path, overwrite=overwrite, only=PNG_NAMES)
    else:
        check_file(path, overwrite=overwrite)


def frames_sha256(frames: np.ndarray | Iterable[np.ndarray]) -> str:
    """The sha256, in hex, of the raw RGB bytes of a clip in the order frame, row, column, channel."""
    digest = hashlib.sha256()
    for frame in _checked(frames):
        digest.update(frame.data)
    return digest.hexdigest()


def _is_folder(path: StrPath) -> bool:
    return os.fspath(path).endswith(("/", os.sep))


def _ending(path: StrPath) -> str:
    return Path(path).suffix.lower()


def _checked(frames: Iterable[np.ndarray]) -> Iterator[np.ndarray]:
    """Pass frames on, contiguous; ValueError unless there is one and all are uint8 pictures of one size."""
    shape = None
    for index, frame in enumerate(frames):
        frame = check_frame(frame)
        shape = shape or frame.shape
        if frame.shape != shape:
            raise ValueError(f"frame {index} is {frame.shape} and the first {shape}; bring all to one size (image.fit)")
        yield frame
    if shape is None:
        raise ValueError("got no frames; give one or more, uint8 (f, h, w, 3)")


def _write_mp4(path: Path, frames: Iterator[np.ndarray], rate: Fraction, notes: dict[str, str]) -> None:
    from av.video.reformatter import Interpolation as I

    def converted(picture: "VideoFrame") -> "VideoFrame":
        pixels = "yuv444p" if picture.width % 2 or picture.height % 2 else "yuv420p"
        # The exact flags give the same bytes on every processor.
        how = I.BICUBIC | I.FULL_CHR_H_INP | I.ACCURATE_RND | I.BITEXACT
        return picture.reformat(format=pixels, dst_colorspace="ITU709", interpolation=how, threads=1)

    _encode(
        path,
        map(converted, _pictures(frames, rate)),
        rate,
        notes,
        container="mp4",
        codec="libx264",
        options={"crf": "16", "preset": "medium"},
        muxer={"movflags": "+faststart+use_metadata_tags"},
    )


def _write_mkv(path: Path, frames: Iterator[np.ndarray], rate: Fraction, notes: dict[str, str]) -> None:
    pictures = (picture.reformat(format="bgr0", threads=1) for picture in _pictures(frames, rate))
    options = {"level": "3", "g": "1"}  # each frame stands for itself
    _encode(path, pictures, rate, notes, container="matroska", codec="ffv1", options=options)


def _write_gif(path: Path, frames: Iterator[np.ndarray], rate: Fraction, notes: dict[str, str]) -> None:
    _encode(path, _with_palette(_pictures(frames, rate)), rate, {}, container="gif", codec="gif")
    # FFmpeg writes no comments: put ours where they belong, behind the global colour table.
    data, note = path.read_bytes(), _note(rate, notes)
    end = 13 + (3 * 2 ** ((data[10] & 7) + 1) if data[10] & 0x80 else 0)
    blocks = (note[i : i + 255] for i in range(0, len(note), 255))
    comment = b"\x21\xfe" + b"".join(bytes([len(block)]) + block for block in blocks) + b"\0"
    path.write_bytes(data[:end] + comment + data[end:])


def _write_webp(path: Path, frames: Iterator[np.ndarray], rate: Fraction, notes: dict[str, str]) -> None:
    first, *rest = [Image.fromarray(frame) for frame in frames]
    ends = [round(1000 * i / rate) for i in range(len(rest) + 2)]
    exif = Image.Exif()
    # WebP joins equal frames, and where all are equal it keeps neither their number nor a duration.
    exif[EXIF_DESCRIPTION] = _note(rate, {**notes, "frames": str(len(rest) + 1)})
    data = io.BytesIO()
    first.save(
        data,
        format="WEBP",
        save_all=True,
        append_images=rest,
        duration=[int(b - a) for a, b in itertools.pairwise(ends)],
        loop=0,
        lossless=True,
        exif=exif,
    )
    path.write_bytes(data.getbuffer())


def _write_pngs(folder: Path, frames: Iterator[np.ndarray], rate: Fraction, notes: dict[str, str]) -> None:
    for index, frame in enumerate(frames):
        text = PngImagePlugin.PngInfo()
        text.add_text("Comment", _note(rate, notes))
        Image.fromarray(frame).save(folder / f"frame-{index:04d}.png", format="PNG", pnginfo=text)


WRITERS = {".mp4": _write_mp4, ".mkv": _write_mkv, ".gif": _write_gif, ".webp": _write_webp}


def _note(rate: Fraction, notes: dict[str, str]) -> bytes:
    """The comment of formats that have no place for the exact rate and for metadata: ASCII JSON."""
    return json.dumps({**notes, "fps": str(rate)}).encode("ascii")


def _pictures(frames: Iterator[np.ndarray], rate: Fraction) -> Iterator["VideoFrame"]:
    import av

    for index, frame in enumerate(frames):
        picture = av.VideoFrame.from_ndarray(frame, format="rgb24")
        picture.pts, picture.time_base = index, 1 / rate
        yield picture


def _with_palette(pictures: Iterator["VideoFrame"]) -> Iterator["VideoFrame"]:
    """One palette for the clip: exact where 256 colours are enough, with error diffusion elsewhere."""
    import av
    from av.filter import Graph

    first = next(pictures)
    graph = Graph()
    graph.threads = 1
    source = graph.add_buffer(width=first.width, height=first.height, format=first.format, time_base=first.time_base)
    split, sink = graph.add("split"), graph.add("buffersink")
    palette = graph.add("palettegen", "reserve_transparent=0")
    use = graph.add("paletteuse", "dither=sierra2_4a:diff_mode=rectangle")
    source.link_to(split)
    split.link_to(use, 0, 0)
    split.link_to(palette, 1, 0)
    palette.link_to(use, 0, 1)
    use.link_to(sink)
    graph.configure()
    for picture in itertools.chain([first], pictures):
        graph.vpush(picture)
    graph.vpush(None)
    while True:
        try:
            yield graph.vpull()
        except av.error.EOFError:
            return


def _encode(
    path: Path,
    pictures: Iterator["VideoFrame"],
    rate: Fraction,
    notes: dict[str, str],
    *,
    container: str,
    codec: str,
    options: dict[str, str] | None = None,
    muxer: dict[str, str] | None = None,
) -> None:
    """Encode pictures in the pixel format that they have, reproducibly: one thread, no dates, no versions."""
    import av

    first = next(pictures)
    settings = {"fflags": "+bitexact", **(muxer or {})}
    # An absolute path, because FFmpeg takes "a:b.mp4" for the protocol a.
    with av.open(os.path.abspath(path), "w", format=container, options=settings) as output:
        output.metadata.update(notes)
        stream = cast("VideoStream", output.add_stream(codec, rate=rate, options=options))
        stream.width, stream.height, stream.pix_fmt = first.width, first.height, first.format.name
        context = stream.codec_context
        context.thread_count = 1
        if first.format.name.startswith("yuv"):
            # 1 is BT.709 in all three tables of ITU-T H.273, and limited range in FFmpeg's.
            context.colorspace = context.color_primaries = context.color_trc = context.color_range = 1
        for picture in itertools.chain([first], pictures):
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
