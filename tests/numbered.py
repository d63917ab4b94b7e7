"""Videos whose frames show their own number, so that a test can say which frame it was given."""

from fractions import Fraction
from pathlib import Path

import av
import numpy as np
from PIL import Image

BITS = 8


def numbered(count: int, height: int = 48, width: int = 64, first: int = 0) -> np.ndarray:
    """uint8 (count, height, width, 3): BITS upright stripes, white for the ones of the frame's number."""
    numbers = np.arange(first, first + count)
    bits = numbers[:, None] >> np.arange(BITS)[::-1] & 1
    stripes = bits[:, np.arange(width) * BITS // width][:, None, :, None] * 255
    return np.broadcast_to(stripes, (count, height, width, 3)).astype(np.uint8)


def numbers(frames: np.ndarray) -> list[int]:
    """The numbers that frames of `numbered` show, whatever their size."""
    width = frames.shape[2]
    middles = ((np.arange(BITS) + 0.5) * width / BITS).astype(int)
    bits = frames[:, frames.shape[1] // 2, middles, 1] > 127
    return [int(row @ (1 << np.arange(BITS)[::-1])) for row in bits]


def write(
    path: Path,
    frames: np.ndarray,
    *,
    rate: int = 8,
    times: list[int] | None = None,
    codec: str = "libx264",
    pix_fmt: str = "yuv420p",
    **stream: object,
) -> Path:
    """A video as others make them, by PyAV alone; `times` in units of 1 / rate; `stream` sets the encoder's fields."""
    path.parent.mkdir(parents=True, exist_ok=True)
    kind = {".mkv": "matroska"}.get(path.suffix, path.suffix[1:])
    # An absolute path, because FFmpeg takes "a:b.mp4" for the protocol a.
    with av.open(str(path.absolute()), "w", format=kind) as output:
        out = output.add_stream(codec, rate=rate)
        out.height, out.width, out.pix_fmt = *frames.shape[1:3], pix_fmt
        for name, value in stream.items():
            setattr(out.codec_context, name, value)
        for index, frame in enumerate(frames):
            picture = av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24").reformat(format=pix_fmt)
            picture.pts, picture.time_base = times[index] if times else index, Fraction(1, rate)
            output.mux(out.encode(picture))
        output.mux(out.encode())
    return path


def write_pictures(folder: Path, frames: np.ndarray, name: str) -> list[Path]:
    """Frames as pictures; `name` is a pattern for their number, such as "%05d.jpg"."""
    folder.mkdir(parents=True, exist_ok=True)
    paths = [folder / (name % index) for index in range(len(frames))]
    for path, frame in zip(paths, frames, strict=True):
        Image.fromarray(frame).save(path)
    return paths


def turn(path: Path, matrix: tuple[int, int, int, int]) -> Path:
    """Write a display matrix (a, b, c, d) into the track header of an .mp4."""
    data = bytearray(path.read_bytes())
    at = data.index(b"tkhd") + 4 + 40
    for offset, value in zip((0, 4, 12, 16), matrix, strict=True):
        data[at + offset : at + offset + 4] = (value << 16).to_bytes(4, "big", signed=True)
    path.write_bytes(data)
    return path


def sound(path: Path) -> Path:
    """A second of silence, and no picture."""
    with av.open(str(path), "w") as output:
        stream = output.add_stream("aac", rate=16000)
        for _ in range(16):
            silence = av.AudioFrame.from_ndarray(np.zeros((1, 1024), np.float32), format="fltp", layout="mono")
            silence.sample_rate = 16000
            output.mux(stream.encode(silence))
        output.mux(stream.encode())
    return path
