"""The protocols end to end, on miniatures of the published layouts, and what is drawn for them."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest
from numbered import numbered, write
from PIL import Image

from pixeldance.data.ucf101 import PROMPTS
from pixeldance.metrics.protocols import MSRVTT, UCF101, Request, from_folder, of_text, opened, requests, run
from pixeldance.pipeline import Pipeline, load
from pixeldance.video_read import read_video

SAID = 20  # captions of a video


@pytest.fixture(scope="module")
def msrvtt(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("msrvtt")
    names = [f"video{number}" for number in range(7010, 7014)]
    videos = [{"video_id": name, "split": "test"} for name in names]
    sentences = [
        {"caption": f"a red circle {name} {way}", "video_id": name, "sen_id": way}
        for name in names
        for way in range(SAID)
    ]
    (root / "test_videodatainfo.json").write_text(json.dumps({"info": {}, "videos": videos, "sentences": sentences}))
    for place, name in enumerate(names):
        write(root / "TestVideo" / f"{name}.mp4", numbered(16, 32, 32, first=20 * place))
    return root


@pytest.fixture(scope="module")
def ucf(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("ucf")
    for place, name in enumerate(("Archery", "Archery", "YoYo")):
        path = root / "UCF-101" / name / f"v_{name}_g{place + 1:02d}_c01.avi"
        write(path, numbered(16, 32, 32, first=20 * place), codec="mpeg4")
    return root


@pytest.fixture(scope="module")
def pipeline(tiny_model: Path) -> Pipeline:
    return load(tiny_model)


def asked(found: list[Request]) -> list[tuple[int, str, str]]:
    return [(each.number, Path(each.name).stem, each.text) for each in found]


def test_msrvtt_takes_each_video_once_with_a_caption_of_its_own(msrvtt: Path, pipeline: Pipeline):
    source = opened(MSRVTT, msrvtt, pipeline)
    found = list(requests(MSRVTT, source, count=4))
    assert [each.number for each in found] == [0, 1, 2, 3]
    assert [Path(each.name).stem for each in found] == ["video7010", "video7011", "video7012", "video7013"]
    assert all(Path(each.name).stem in each.text for each in found)
    assert found[0].real.shape == (4, 32, 32, 3)
    again = list(requests(MSRVTT, source, count=4))
    assert asked(again) == asked(found)
    assert all(np.array_equal(a.real, b.real) for a, b in zip(found, again, strict=True))
    assert asked(list(requests(MSRVTT, source, count=2))) == asked(found)[:2]
    ways = {each.text for seed in range(10) for each in requests(MSRVTT, source, seed=seed, count=1)}
    assert len(ways) > 3  # another seed, another caption
    with pytest.raises(ValueError, match=r"got 4 videos; zero-shot MSR-VTT takes 2990"):
        next(requests(MSRVTT, source))


def test_ucf101_draws_each_video_once_while_they_last(ucf: Path, pipeline: Pipeline):
    source = opened(UCF101, ucf, pipeline)
    found = list(requests(UCF101, source, count=7))
    names = [each.name for each in found]
    assert len(set(names[:3])) == len(set(names[3:6])) == 3
    assert {each.text for each in found} == {PROMPTS["Archery"], PROMPTS["YoYo"]}
    orders = {tuple(each.name for each in requests(UCF101, source, seed=seed, count=3)) for seed in range(8)}
    assert len(orders) > 2
    assert len(list(itertools.islice(requests(UCF101, source), 20))) == 20  # 10,000 in all


def test_a_run_makes_measures_and_goes_on(msrvtt: Path, pipeline: Pipeline, tmp_path: Path):
    pictures = tmp_path / "first"
    pictures.mkdir()
    for place in range(7010, 7014):
        Image.new("RGB", (64, 32), (place % 256, 0, 90)).save(pictures / f"video{place}.png")
    done: list[int] = []
    first = from_folder(pictures)
    scores = run(MSRVTT, msrvtt, pipeline, tmp_path / "out", first=first, count=4, progress=done.append)
    assert done == [1, 2, 3, 4]
    known = {score.name: score for score in scores}
    assert {"fvd", "kvd", "fid", "is", "video-is", "clipsim"} <= known.keys()
    assert known["fvd"].because == "it needs I3D's weights: --i3d FILE"
    assert (known["fvd"].setting.n, known["fvd"].setting.frames, known["fvd"].setting.size) == (4, 4, (32, 32))
    files = sorted((tmp_path / "out").glob("*.mkv"))
    assert [each.name for each in files] == [f"{number:06d}.mkv" for number in range(4)]
    assert read_video(files[0])[0].shape == (4, 32, 32, 3)
    before = [each.read_bytes() for each in files]
    files[1].unlink()
    again = run(MSRVTT, msrvtt, pipeline, tmp_path / "out", first=first, count=4)
    assert [each.read_bytes() for each in files] == before
    assert again == scores
    with pytest.raises(ValueError, match="has clips of another seed; give another folder"):
        run(MSRVTT, msrvtt, pipeline, tmp_path / "out", first=first, count=4, seed=1)
    alone = run(MSRVTT, msrvtt, pipeline, tmp_path / "alone", first=of_text, count=2)
    assert alone[0].setting.n == 2
    assert (tmp_path / "alone" / "000000.mkv").read_bytes() != before[0]  # the first frame counted


def test_published_names_with_their_networks(ucf: Path, pipeline: Pipeline, tmp_path: Path):
    """Inception with random weights, to see that its figures come, and are named and settled right."""
    import torch
    from safetensors.torch import save_file

    from pixeldance.metrics.extractors import open_inception
    from pixeldance.metrics.inception import RESIZE, Inception

    torch.manual_seed(0)
    save_file(Inception().state_dict(), tmp_path / "inception.safetensors")
    network = open_inception(tmp_path / "inception.safetensors")
    scores = run(UCF101, ucf, pipeline, tmp_path / "out", networks={"inception": network}, count=3)
    known = {score.name: score for score in scores}
    assert known["fid"].value is not None
    assert known["fid"].value >= 0
    assert (known["fid"].setting.extractor, known["fid"].setting.resize) == (network.sha256, RESIZE)
    assert known["is"].value is not None
    assert 1 <= known["is"].value < 1.5
    assert known["clipsim"].value is None


def test_a_missing_first_frame_and_too_few_requests_are_told(msrvtt: Path, pipeline: Pipeline, tmp_path: Path):
    with pytest.raises(ValueError, match=r"video7010\.png is missing"):
        run(MSRVTT, msrvtt, pipeline, tmp_path / "out", first=from_folder(tmp_path), count=2)
    with pytest.raises(ValueError, match="got 1 requests; wanted 2"):
        run(MSRVTT, msrvtt, pipeline, tmp_path / "one", count=1)
