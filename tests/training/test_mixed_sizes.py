"""Videos of several shapes in one run: batches of one size, the same after a kill and on two processes."""

import json
import os
import signal
import subprocess
import sys
import time
from multiprocessing import get_context
from pathlib import Path

import numpy as np
import pytest
from mixed_run import SIZES, config
from numbered import numbered, write
from tiny_run import lines, same

from pixeldance.data import sizes
from pixeldance.data.groups import Grouped
from pixeldance.data.stream import Stream
from pixeldance.training.loop import train

EXPERIMENT = Path(__file__).parents[1] / "mixed_run.py"


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Nine videos of three shapes, and a torn one."""
    folder = tmp_path / "videos"
    for number in range(9):
        height, width = ((48, 48), (48, 80), (80, 48))[number % 3]
        write(folder / f"{number}.mp4", numbered(12, height, width, first=12 * number))
    (folder / "torn.mp4").write_bytes((folder / "0.mp4").read_bytes()[:300])
    return folder


def losses(folder: Path) -> list[tuple[int, float]]:
    return [(line["step"], line["loss"]) for line in lines(folder)]


def test_a_killed_run_on_several_sizes_goes_on_to_the_same_bytes(videos: Path, tmp_path: Path):
    """The second process finds the sizes where the first one kept them."""
    run, folder = config(videos), tmp_path / "killed"
    child = get_context("fork").Process(target=train, args=(run, folder, False))
    child.start()
    log = folder / "log.jsonl"
    while child.is_alive() and not (log.exists() and log.read_bytes().count(b"\n") >= 3):
        time.sleep(0.002)
    assert child.pid is not None
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert child.exitcode == -signal.SIGKILL
    (kept,) = videos.glob(sizes.PATTERN)
    found = np.load(kept)
    assert found.tolist() == [[48, 48], [48, 80], [80, 48]] * 3 + [[0, 0]]
    written = kept.stat().st_mtime_ns
    resumed = train(run, folder, progress=False)
    assert kept.stat().st_mtime_ns == written
    kept.unlink()
    assert same(train(run, tmp_path / "unbroken", progress=False), resumed)
    assert losses(folder) == losses(tmp_path / "unbroken")
    assert [line["name"] for line in lines(folder, "quarantine.jsonl")] == [str(videos / "torn.mp4")]
    # The run has seen every size, and image steps, which take first frames, too.
    stream = Stream(clips=run.data(), groups=Grouped.by_shape(SIZES, found), batch=4, image_batch=4, image_every=4)
    shown = {step: stream.read(stream.asks(step)[0]).clip.video.shape[1:3] for step in range(8)}
    assert set(shown.values()) == set(SIZES)


def test_two_processes_by_the_command_train_what_one_does(videos: Path, tmp_path: Path):
    settings = [EXPERIMENT, f"videos={videos}", "steps=4", "workers=1"]
    torchrun = ["-m", "torch.distributed.run", "--nproc-per-node", "2", "--rdzv-backend", "c10d"]
    torchrun += ["--rdzv-endpoint", "localhost:0"]
    for name, launcher, extra in (("two", torchrun, ["parallel=ddp"]), ("one", [], [])):
        command = [sys.executable, *launcher, "-m", "pixeldance", "train", *settings, *extra, "-o", tmp_path / name]
        path = os.pathsep.join([str(EXPERIMENT.parent), os.environ.get("PYTHONPATH", "")])
        done = subprocess.run(
            [*map(str, command)], env={**os.environ, "PYTHONPATH": path}, text=True, capture_output=True, timeout=600
        )
        assert done.returncode == 0, done.stderr[-4000:]
        # The sizes were found by both processes, each a part, and kept for the run on one.
        assert ("finding the sizes of 10 clips, once" in done.stderr) == (name == "two")
    assert [step for step, _ in losses(tmp_path / "one")] == [0, 1, 2, 3]
    wanted = [loss for _, loss in losses(tmp_path / "one")]
    assert [loss for _, loss in losses(tmp_path / "two")] == pytest.approx(wanted, abs=1e-5)
    assert json.loads((tmp_path / "two" / "run.json").read_text())["recipe"]["parallel"] == "ddp"
