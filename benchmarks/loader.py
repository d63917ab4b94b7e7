"""How many clips a second data can be read at: from 480p H.264 files, from shards of them, and from the toybox.

    python benchmarks/loader.py [--seconds 20] [--workers 0 1 2] [--json out.json]

A clip is 16 frames of 256 x 256 at 4 a second from a random start. The files are a real film (bigbuckbunny, see
tests/footage.py) at 854 x 480, played to and fro for 10.6 seconds, with a key frame every 12 and every 250 frames: the
second is x264's own choice, and makes seeking dear. The toybox draws its clips, of 64 x 64. Without workers, the
time of the processor is told too: it does not count what else the machine does.
"""

import argparse
import json
import platform
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import av
import numpy as np

sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
import footage

from pixeldance.data.datasets import open_source
from pixeldance.data.parallel import mapped
from pixeldance.data.shards import write_shard
from pixeldance.data.source import Source
from pixeldance.data.toybox.source import Toybox


def film(path: Path, key_frames: int) -> Path:
    """The film at 480p, to and fro."""
    with av.open(str(footage.fetch() / "bigbuckbunny.mp4")) as source:
        frames = [picture.reformat(width=854, height=480, format="yuv420p") for picture in source.decode(video=0)]
    with av.open(str(path), "w") as output:
        stream = output.add_stream("libx264", rate=25, options={"crf": "23", "preset": "medium"})
        stream.width, stream.height, stream.pix_fmt = 854, 480, "yuv420p"
        stream.codec_context.gop_size = key_frames
        for number, frame in enumerate([*frames, *frames[::-1]]):
            picture = av.VideoFrame.from_ndarray(frame.to_ndarray(), format="yuv420p")
            picture.pts = number
            output.mux(stream.encode(picture))
        output.mux(stream.encode())
    return path


def read(source: Source, index: int) -> int:
    """One reading; gives the number of frames, so that little comes back from a worker but the clip was made."""
    return len(source.read(index % len(source), np.random.default_rng(index)).video)


def rate(source: Source, workers: int, seconds: float) -> tuple[float, float]:
    """Clips a second, and clips a second of this process's processor time, after the first two for each worker."""
    readings = mapped(partial(read, source), range(10**6), workers)
    for _ in range(max(1, 2 * workers)):
        next(readings)
    count, start, busy = 0, time.perf_counter(), time.process_time()
    while time.perf_counter() - start < seconds:
        next(readings)
        count += 1
    return count / (time.perf_counter() - start), count / (time.process_time() - busy)


def sources(folder: Path) -> dict[str, Callable[[], Source]]:
    """What is measured."""
    for gap in (12, 250):
        (folder / str(gap)).mkdir()
        path = film(folder / str(gap) / "film.mp4", gap)
        write_shard(folder / f"{gap}.tar", [(f"{i:03d}", {".mp4": path.read_bytes(), ".txt": b""}) for i in range(8)])
    return {
        "480p H.264, key frame every 12": lambda: open_source(f"folder:{folder}/12?text="),
        "480p H.264, key frame every 250": lambda: open_source(f"folder:{folder}/250?text="),
        "the same (12) in a shard": lambda: open_source(f"webdataset:{folder}/12.tar"),
        "toybox, 64 x 64": Toybox,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--workers", type=int, nargs="+", default=[0])
    parser.add_argument("--json", type=Path)
    arguments = parser.parse_args()
    found = {}
    with tempfile.TemporaryDirectory() as folder:
        for name, make in sources(Path(folder)).items():
            for workers in arguments.workers:
                value, alone = rate(make(), workers, arguments.seconds)
                found[f"{name}, {workers} workers"] = {"wall": value, "processor": None if workers else alone}
                of_processor = "" if workers else f", {alone:6.2f} a second of processor time"
                print(f"{name:34} {workers:3} workers {value:7.2f} clips/s{of_processor}", flush=True)
    if arguments.json:
        about = {"machine": platform.machine(), "python": platform.python_version(), "av": av.__version__}
        arguments.json.write_text(json.dumps({"clips per second": found, "on": about}, indent=1) + "\n")


if __name__ == "__main__":
    main()
