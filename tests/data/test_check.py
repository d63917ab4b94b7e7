import json
from pathlib import Path

import numpy as np
import pytest
from command import Run
from numbered import numbered, sound, write

from pixeldance.data.check import check, check_all, damaged_shards, report
from pixeldance.data.datasets import open_source
from pixeldance.data.shards import write_shard


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Good, short, empty, damaged and silent ones, and one without a text."""
    folder = tmp_path / "set"
    write(folder / "good.mp4", numbered(32), rate=4)
    write(folder / "short.mp4", numbered(8), rate=4)
    write(folder / "wordless.webm", numbered(32), rate=4, codec="libvpx-vp9")
    noise = np.random.default_rng(0).integers(0, 256, (32, 48, 64, 3), dtype=np.uint8)
    damaged = bytearray(write(folder / "damaged.avi", noise, rate=4, codec="mjpeg", pix_fmt="yuvj420p").read_bytes())
    end = len(damaged) * 9 // 10
    damaged[end - 4000 : end] = bytes(4000)
    (folder / "damaged.avi").write_bytes(damaged)
    (folder / "empty.mp4").write_bytes(b"")
    sound(folder / "sound.mp4")
    for path in [*folder.iterdir()]:
        if path.stem != "wordless":
            path.with_suffix(".txt").write_text("text")
    return folder


def test_each_is_found_with_its_reason(mixed: Path) -> None:
    source = open_source(f"folder:{mixed}")
    found = {Path(clip.name).name: clip for clip in check_all(source)}
    kinds = {name: clip.reason.partition(":")[0] for name, clip in found.items()}
    assert kinds == {
        "damaged.avi": "damaged",
        "empty.mp4": "empty",
        "good.mp4": "",
        "short.mp4": "too short",
        "sound.mp4": "not a video",
        "wordless.webm": "no text",
    }
    assert (found["good.mp4"].seconds, found["good.mp4"].size) == (8.0, (48, 64))
    assert found["short.mp4"].seconds == 2.0


def test_in_several_processes_the_same(mixed: Path) -> None:
    source = open_source(f"folder:{mixed}")
    assert list(check_all(source, workers=2)) == list(check_all(source))


def test_quick_reads_less(mixed: Path) -> None:
    source = open_source(f"folder:{mixed}", frames=1)
    names = [Path(source.name(i)).name for i in range(len(source))]
    assert check(source, names.index("damaged.avi"), quick=True).reason == ""
    assert check(source, names.index("damaged.avi")).reason.startswith("damaged")


def test_the_report_counts(mixed: Path) -> None:
    told = report(check_all(open_source(f"folder:{mixed}", f"folder:{mixed}")), [("a.tar", "cut off: in x")])
    assert (told["clips"], told["readable"], len(told["unreadable"])) == (12, 2, 10)
    assert told["reasons"] == {"damaged": 2, "empty": 2, "too short": 2, "not a video": 2, "no text": 2}
    assert told["seconds"] == {"total": 36.0, "shortest": 2.0, "median": 8.0, "longest": 8.0}
    assert told["sizes"] == {"64x48": 6}
    assert told["damaged_shards"] == [{"name": "a.tar", "reason": "cut off: in x"}]


def test_the_command(mixed: Path, run: Run) -> None:
    code, out, errors = run("data", "check", mixed, "--json", mixed.parent / "report.json")
    assert code == 1
    assert "1 of 6 clips can be used" in out
    assert "empty.mp4: empty: the file has no bytes" in errors
    assert json.loads((mixed.parent / "report.json").read_text())["reasons"]["too short"] == 1
    for path in mixed.iterdir():
        if path.stem != "good":
            path.unlink()
    code, out, errors = run("data", "check", mixed, "--quick")
    assert (code, errors) == (0, "")
    assert "seconds: 8.0 in all" in out
    assert "sizes: 64x48 (1)" in out
    code, _, errors = run("data", "check", "nosuch:x")
    assert (code, "wanted NAME:PATH" in errors) == (2, True)


def test_a_shard_that_is_not_whole_fails_the_check(mixed: Path, run: Run) -> None:
    path = mixed.parent / "0.tar"
    write_shard(path, [(name, {".mp4": (mixed / "good.mp4").read_bytes(), ".txt": b"x"}) for name in ("a", "b")])
    source = open_source(f"webdataset:{path}")
    assert damaged_shards(source) == []
    assert run("data", "check", f"webdataset:{path}")[0] == 0
    path.write_bytes(path.read_bytes().rstrip(b"\0"))
    code, out, errors = run("data", "check", f"webdataset:{path}")
    assert (code, "cut off" in errors) == (1, True)
    assert "clips can be used" in out
