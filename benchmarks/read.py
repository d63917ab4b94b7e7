"""Random reads of 16 frames from H.264 files: our decoder beside PyAV's plain loop, OpenCV and decord.

    python benchmarks/read.py --json benchmarks/results/read.json [--peers FOLDER]

The files are the 480p film of `loader.py` with a key frame every 12 and every 250 frames. A read opens the file, finds
a random frame and gives it and the 15 behind it as RGB; every reader is asked for the same frames, one thread each, as
loaders run one process a core. That they give the same pictures is checked; they differ in how they make RGB of YUV.
FOLDER: site-packages that hold opencv-python-headless and decord2 (pip install --no-deps --target FOLDER ...).
"""

import argparse
import statistics
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import av
import numpy as np
import rounds
from loader import film

from pixeldance.data.decode import decode_clip
from pixeldance.video_read import upright

FRAMES, RATE, READS = 16, 25, 3
WANTED = 1.0
SAME_RGB = "the same loop with our RGB"
TOLERANCE = 8.0
"""Mean difference of bytes, up to which two pictures are taken for the same one: neighbours in a film are further."""


class At(np.random.Generator):
    """A generator whose one draw is a frame's time in the room for a clip's start, so that ours reads that frame."""

    def __init__(self, part: float) -> None:
        super().__init__(np.random.PCG64(0))
        self.part = part

    def random(self) -> float:  # type: ignore[override]
        return self.part


def ours(path: Path, start: int, total: int) -> np.ndarray:
    part = (start + 0.5) / (total - FRAMES + 1)
    return np.stack(decode_clip(path, "mp4", frames=FRAMES, fps=RATE, rng=At(part)).frames)


def fast(picture: av.VideoFrame) -> np.ndarray:
    """As PyAV makes RGB by itself."""
    return picture.to_ndarray(format="rgb24")


def plain(path: Path, start: int, total: int, rgb: Callable[[av.VideoFrame], np.ndarray] = fast) -> np.ndarray:
    """The loop of PyAV's documentation: seek to the key frame before, decode on, keep what is wanted."""
    with av.open(str(path)) as opened:
        stream = opened.streams.video[0]
        stream.codec_context.thread_count = 1
        at = int(start / RATE / stream.time_base)
        opened.seek(at, stream=stream)
        found: list[np.ndarray] = []
        for picture in opened.decode(stream):
            if picture.pts >= at:
                found.append(rgb(picture))
            if len(found) == FRAMES:
                break
        return np.stack(found)


def opencv(path: Path, start: int, total: int) -> np.ndarray:
    import cv2

    cv2.setNumThreads(1)
    opened = cv2.VideoCapture(str(path), cv2.CAP_FFMPEG, [cv2.CAP_PROP_N_THREADS, 1])
    opened.set(cv2.CAP_PROP_POS_FRAMES, start)
    found = [cv2.cvtColor(opened.read()[1], cv2.COLOR_BGR2RGB) for _ in range(FRAMES)]
    opened.release()
    return np.stack(found)


def decord(path: Path, start: int, total: int) -> np.ndarray:
    from decord import VideoReader

    return VideoReader(str(path), num_threads=1).get_batch(range(start, start + FRAMES)).asnumpy()


READERS: dict[str, Callable[[Path, int, int], np.ndarray]] = {
    "ours": ours,
    "PyAV's plain loop": plain,
    SAME_RGB: partial(plain, rgb=upright),
    "OpenCV": opencv,
    "decord2": decord,
}


def some(reader: Callable[[Path, int, int], np.ndarray], path: Path, total: int, rng: np.random.Generator) -> None:
    for start in rng.integers(0, total - FRAMES, READS):
        reader(path, int(start), total)


def compared(folder: Path, count: int) -> dict[str, Any]:
    """All measurements, by key frames."""
    result: dict[str, Any] = {"on": rounds.about(), "reads_a_round": READS, "times": {}, "differences": {}}
    for gap in (12, 250):
        path = film(folder / f"{gap}.mp4", gap)
        with av.open(str(path)) as opened:
            whole = [picture.to_ndarray(format="rgb24") for picture in opened.decode(video=0)]
        total, start = len(whole), len(whole) // 3
        wanted = np.stack(whole[start : start + FRAMES]).astype(int)
        off = {name: float(np.abs(reader(path, start, total) - wanted).mean()) for name, reader in READERS.items()}
        if max(off.values()) > TOLERANCE:
            raise ValueError(f"got other frames than asked for (mean difference of bytes: {off}); wanted the same ones")
        # Each reader has a generator of its own, and all the same seed.
        steps = {name: partial(some, reader, path, total, np.random.default_rng(0)) for name, reader in READERS.items()}
        result["times"][gap], result["differences"][gap] = rounds.interleaved(steps, count), off
    return result


def table(result: dict[str, Any]) -> str:
    """A line for each reader and kind of file, and ours against the best of the others."""
    lines = ["| key frame every | reader | processor ms a read, median (range) |", "|---|---|---|"]
    for gap, times in result["times"].items():
        took = {name: [1e3 * each / READS for each in found["processor_seconds"]] for name, found in times.items()}
        lines += [f"| {gap} | {name} | {rounds.told(each, '.0f')} |" for name, each in took.items()]
        median = {name: statistics.median(each) for name, each in took.items()}
        best = min((name for name in median if name not in ("ours", SAME_RGB)), key=lambda name: median[name])
        against = rounds.against(WANTED, median[best] / median["ours"])
        lines.append(f"ours against the best of the others, {best}: {against}; {rounds.loads(times)}")
        lines.append(f"the same, against the loop with our RGB: {median[SAME_RGB] / median['ours']:.2f} x")
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--peers", type=Path, help="where OpenCV and decord2 are, if not installed")
    parser.add_argument("--json", type=Path)
    chosen = parser.parse_args()
    if chosen.peers:
        sys.path.append(str(chosen.peers))
    with tempfile.TemporaryDirectory() as folder:
        result = compared(Path(folder), chosen.rounds)
    rounds.write(chosen.json, result)
    print(table(result))


if __name__ == "__main__":
    main()
