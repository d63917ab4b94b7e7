import io
import json
import os
import pickle
import tarfile
from pathlib import Path

import numpy as np
import pytest
from numbered import numbered, numbers, write
from PIL import Image

from pixeldance.data import shards as module
from pixeldance.data.datasets import open_source
from pixeldance.data.shards import Shards, brace_expanded, write_shard
from pixeldance.data.source import Unreadable

RNG = np.random.default_rng(0)


def about(key: str, caption: str, **more: object) -> bytes:
    """The .json of video2dataset and img2dataset."""
    base = {"url": f"https://example.org/{key}", "caption": caption, "key": key, "status": "success"}
    return json.dumps({**base, "error_message": None, **more}).encode()


@pytest.fixture
def videos(tmp_path: Path) -> Path:
    """Two shards as video2dataset writes them: 5 videos whose frames begin at 0, 20, ..., 80."""
    for shard in range(2):
        samples = []
        for place in range(3 - shard):
            number = 3 * shard + place
            key = f"{shard:05d}{place:04d}"
            video = write(tmp_path / "made" / f"{number}.mp4", numbered(16, first=20 * number), rate=4).read_bytes()
            samples.append((key, {".mp4": video, ".txt": f"text {number}".encode(), ".json": about(key, "other")}))
        write_shard(tmp_path / f"{shard:05d}.tar", samples)
    return tmp_path


def first(source: object, index: int) -> int:
    return numbers(source.read(index, np.random.default_rng(0)).video)[0]


def test_any_sample_is_read_by_its_number(videos: Path) -> None:
    source = open_source(f"webdataset:{videos}/{{00000..00001}}.tar", size=(48, 64))
    assert len(source) == 5
    for index in (4, 0, 3, 1, 2):
        clip = source.read(index, np.random.default_rng(1))
        assert (clip.text, clip.fps, numbers(clip.video)) == (
            f"text {index}",
            4.0,
            list(range(20 * index, 20 * index + 16)),
        )
    assert source.name(4) == f"{videos}/00001.tar/000010001"
    assert len(open_source(f"webdataset:{videos}")) == 5
    assert first(pickle.loads(pickle.dumps(source)), 3) == 60  # as workers get it


def test_images_of_img2dataset(tmp_path: Path) -> None:
    data = io.BytesIO()
    Image.fromarray(numbered(1, first=7)[0]).save(data, "JPEG", quality=95)
    more = {"width": 64, "height": 48, "original_width": 640, "original_height": 480, "exif": "{}"}
    members = {".jpg": data.getvalue(), ".txt": b"seven", ".json": about("000000000", "seven", **more)}
    write_shard(tmp_path / "00000.tar", [("000000000", members)])
    clip = open_source(f"webdataset:{tmp_path}/00000.tar", frames=1, size=(48, 64)).read(0, RNG)
    assert (clip.text, numbers(clip.video)) == ("seven", [7])
    with pytest.raises(Unreadable, match="too short: a still picture"):
        open_source(f"webdataset:{tmp_path}/00000.tar", frames=2).read(0, RNG)


def test_what_was_never_downloaded_says_why(videos: Path) -> None:
    video = (videos / "made" / "0.mp4").read_bytes()
    samples = [
        ("a", {".json": about("a", "x", status="failed_to_download", error_message="Video unavailable")}),
        ("b", {".mp4": video, ".json": about("b", "from the json")}),
        ("c", {".mp4": video}),
        ("d", {".mp4": video, ".txt": b"x", ".json": b"{"}),
        ("e", {".m4a": b"", ".txt": b"x"}),
    ]
    write_shard(videos / "bad.tar", samples)
    source = open_source(f"webdataset:{videos}/bad.tar", frames=4)
    reasons = {}
    for index in (0, 2, 3, 4):
        with pytest.raises(Unreadable) as caught:
            source.read(index, RNG)
        reasons[index] = str(caught.value).partition(":")[0]
    assert reasons == {0: "never downloaded", 2: "no text", 3: "damaged", 4: "no video"}
    assert source.read(1, RNG).text == "from the json"
    assert open_source(f"webdataset:{videos}/bad.tar?text=all the same", frames=4).read(2, RNG).text == "all the same"


def test_clips_that_are_noted_but_not_cut_bound_the_reading(videos: Path) -> None:
    video = write(videos / "long.mp4", numbered(80), rate=8).read_bytes()
    clips = {"clips": [["00:00:05.000", "00:00:07.500"]]}
    members = {".mp4": video, ".json": about("0", "x", **clips)}
    write_shard(videos / "c.tar", [("0", members), ("0_00000", members)])
    source = open_source(f"webdataset:{videos}/c.tar", frames=4, fps=2, size=(48, 64))
    whole = [first_of(source, 0, seed) for seed in range(12)]
    cut = [first_of(source, 1, seed) for seed in range(12)]
    spoiled = {".mp4": video, ".json": about("0", "x", clips=[["soon", 2]])}
    write_shard(videos / "d.tar", [("0", spoiled)])
    with pytest.raises(Unreadable, match="damaged: no times in the clip"):
        open_source(f"webdataset:{videos}/d.tar").read(0, RNG)
    assert min(whole) >= 40
    assert max(whole) < 60 - 12
    assert min(cut) < 40  # the file is the clip itself


def first_of(source: object, index: int, seed: int) -> int:
    return numbers(source.read(index, np.random.default_rng(seed)).video)[0]


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 1.0])
def test_of_a_shard_that_is_cut_off_the_whole_part_is_used(videos: Path, share: float) -> None:
    path = videos / "00000.tar"
    data = path.read_bytes().rstrip(b"\0")  # zeros fill an archive up
    path.write_bytes(data[: int(share * len(data))])
    shards = Shards([path, videos / "00001.tar"])
    ((name, reason),) = shards.problems
    assert name == str(path)
    assert reason.startswith("cut off")
    source = open_source(f"webdataset:{videos}/{{00000..00001}}.tar", size=(48, 64))
    readable, reasons = [], []
    for index in range(len(source)):
        try:
            readable.append(first(source, index))
        except Unreadable as error:
            # A sample that lost its last members is no video or has no text; it is never half of one.
            reasons.append(str(error).partition(":")[0])
    assert readable == [*range(0, 20 * int(3 * share + 0.01), 20), 60, 80]
    assert set(reasons) <= {"no video", "no text"}


def test_the_index_is_kept_and_made_again_for_a_changed_shard(
    videos: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = videos / "00000.tar"
    assert len(Shards([path])) == 3
    index = videos / ".00000.tar.index"
    assert index.is_file()
    module._index.cache_clear()
    with monkeypatch.context() as patch:
        patch.setattr(module, "_scan", None)  # a second scan would fail
        assert len(Shards([path])) == 3
    write_shard(videos / "new.tar", [("k", {".txt": b"x"})])
    os.replace(videos / "new.tar", path)
    assert len(Shards([path])) == 1
    index.write_bytes(index.read_bytes()[:-1])
    module._index.cache_clear()
    assert len(Shards([path])) == 1


def test_without_a_place_beside_the_shard_the_index_goes_to_the_cache(
    videos: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(videos / "cache"))
    (videos / ".00000.tar.index").mkdir()  # root may write anywhere, but not over a folder
    assert len(Shards([videos / "00000.tar"])) == 3
    assert len(list((videos / "cache" / "pixeldance" / "shards").iterdir())) == 1


def test_shards_by_other_writers_are_read(tmp_path: Path) -> None:
    with tarfile.open(tmp_path / "a.tar", "w", format=tarfile.PAX_FORMAT) as tar:
        for name, data in (
            ("dir/", None),
            ("dir/key.one.txt", b"x"),
            ("dir/k1.JPG", b"1"),
            ("dir/k1.txt", b"2"),
            ("dir/k1.seg.png", b"3"),
            ("dir/" + 120 * "long" + ".txt", b"4"),
        ):
            entry = tarfile.TarInfo(name)
            entry.type = tarfile.DIRTYPE if data is None else tarfile.REGTYPE
            entry.size = len(data or b"")
            tar.addfile(entry, io.BytesIO(data or b""))
    shards = Shards([tmp_path / "a.tar"])
    assert len(shards) == 3
    assert shards.members(1) == (".jpg", {"media": b"1", "txt": b"2"})
    assert shards.members(2) == ("", {"txt": b"4"})


def test_writing_is_all_or_nothing_and_the_same_each_time(tmp_path: Path) -> None:
    def fails() -> object:
        yield "a", {".txt": b"1"}
        raise OSError("gone")

    with pytest.raises(OSError, match="gone"):
        write_shard(tmp_path / "a.tar", fails())
    assert list(tmp_path.iterdir()) == []
    assert write_shard(tmp_path / "a.tar", [("a", {".txt": b"1"})]) == 1
    write_shard(tmp_path / "b.tar", [("a", {".txt": b"1"})])
    assert (tmp_path / "a.tar").read_bytes() == (tmp_path / "b.tar").read_bytes()
    with pytest.raises(ValueError, match="without a dot"):
        write_shard(tmp_path / "c.tar", [("a.b", {".txt": b"1"})])


def test_braces() -> None:
    assert list(brace_expanded("x/{00008..00011}.tar")) == ["x/00008.tar", "x/00009.tar", "x/00010.tar", "x/00011.tar"]
    assert list(brace_expanded("{a,b}-{1..2}")) == ["a-1", "a-2", "b-1", "b-2"]
    assert list(brace_expanded("plain.tar")) == ["plain.tar"]
    with pytest.raises(ValueError, match=r"cannot read the shard .*00001\.tar: No such file"):
        open_source("webdataset:/nowhere/{00001..00002}.tar")
