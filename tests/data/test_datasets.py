"""Each published set in its own naming, in small, and what is read of it."""

import csv
import json
from pathlib import Path

import numpy as np
import pytest
from numbered import numbered, numbers, write, write_pictures

from pixeldance.data.clip import Clip
from pixeldance.data.datasets import LAYOUTS, open_source
from pixeldance.data.source import Source, Unreadable
from pixeldance.data.ucf101 import PROMPTS

SIZE = (48, 64)


def opened(spec: str, frames: int = 4, fps: float = 4) -> Source:
    return open_source(spec, frames=frames, fps=fps, size=SIZE)


def clip(source: Source, index: int, seed: int = 0) -> Clip:
    return source.read(index, np.random.default_rng(seed))


def firsts(source: Source) -> list[int]:
    """Which of the videos made here each clip is from: their frames begin at multiples of 20."""
    return [numbers(clip(source, index).video)[0] // 20 * 20 for index in range(len(source))]


def texts(source: Source) -> list[str]:
    return [clip(source, index).text for index in range(len(source))]


def video(path: Path, number: int, count: int = 16, **settings: object) -> None:
    """A video that shows the numbers from 20 times `number` on."""
    write(path, numbered(count, first=20 * number), **settings)


def table(path: Path, rows: list[dict[str, object]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w", newline="") as file:
        writer = csv.DictWriter(file, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


def test_folder(tmp_path: Path) -> None:
    video(tmp_path / "a.mp4", 0)
    video(tmp_path / "deep" / "b.webm", 1, codec="libvpx-vp9")
    video(tmp_path / "deep" / "c.MKV".lower(), 2)
    (tmp_path / "a.txt").write_text("text of a\n")
    (tmp_path / "deep" / "b.json").write_text('{"caption": "text of b"}')
    write_pictures(tmp_path, numbered(1), "thumbnail%d.jpg")
    source = opened(f"folder:{tmp_path}")
    assert [Path(source.name(i)).name for i in range(3)] == ["a.mp4", "b.webm", "c.mkv"]
    assert [clip(source, i).text for i in range(2)] == ["text of a", "text of b"]
    with pytest.raises(Unreadable, match=r"no text: wanted a \.txt or \.json beside it"):
        clip(source, 2)
    source = opened(f"folder:{tmp_path}?text=some video")
    assert texts(source) == ["text of a", "text of b", "some video"]
    assert firsts(source) == [0, 20, 40]
    assert clip(source, 0).video.shape == (4, 48, 64, 3)
    np.testing.assert_array_equal(clip(source, 0, 5).video, clip(source, 0, 5).video)


def test_images_and_laion(tmp_path: Path) -> None:
    (one, two) = write_pictures(tmp_path / "00000", numbered(2), "%09d.jpg")
    one.with_suffix(".txt").write_text("zero")
    two.with_suffix(".json").write_text('{"url": "u", "caption": "one", "key": "000000001", "status": "success"}')
    for spec in (f"laion:{tmp_path}", f"images:{tmp_path}"):
        source = opened(spec, frames=1)
        assert (texts(source), [numbers(clip(source, i).video) for i in range(2)]) == (["zero", "one"], [[0], [1]])


def test_webvid(tmp_path: Path) -> None:
    rows = [
        {
            "videoid": 1000 + n,
            "contentUrl": f"https://e.org/{n}.mp4",
            "duration": "PT00H00M04S",
            "page_dir": "006001_006050",
            "name": f"Text, {n}",
        }
        for n in range(3)
    ]
    table(tmp_path / "results_2M_train.csv", rows)
    table(tmp_path / "results_2M_val.csv", rows[:1])
    for number in (0, 1):
        video(tmp_path / "videos" / "006001_006050" / f"{1000 + number}.mp4", number)
    source = opened(f"webvid:{tmp_path}?split=train")
    assert len(source) == 3
    assert [clip(source, i).text for i in range(2)] == ["Text, 0", "Text, 1"]
    assert numbers(clip(source, 1).video)[0] >= 20
    with pytest.raises(Unreadable, match="missing"):
        clip(source, 2)
    video(tmp_path / "videos" / "1002.mp4", 2)
    assert numbers(clip(source, 2).video)[0] >= 40  # without the page's folder
    (tmp_path / "videos" / "1002.mp4").unlink()
    assert source.name(2) == str(tmp_path / "videos/006001_006050/1002.mp4")
    assert len(opened(f"webvid:{tmp_path}")) == 4
    (tmp_path / "mine.jsonl").write_text("\n".join(json.dumps(row) for row in rows))
    assert clip(opened(f"webvid:{tmp_path}/mine.jsonl"), 1).text == "Text, 1"


def test_msrvtt(tmp_path: Path) -> None:
    for part, names in (("train_val", (("video0", "train"), ("video1", "validate"))), ("test", (("video2", "test"),))):
        videos = [
            {
                "category": 9,
                "url": "u",
                "video_id": name,
                "start time": 137.72,
                "end time": 149.44,
                "split": split,
                "id": 0,
            }
            for name, split in names
        ]
        sentences = [
            {"caption": f"{name} said {way}", "video_id": name, "sen_id": way} for name, _ in names for way in range(20)
        ]
        (tmp_path / f"{part}_videodatainfo.json").write_text(
            json.dumps({"info": {}, "videos": videos, "sentences": sentences})
        )
    video(tmp_path / "TrainValVideo" / "video0.mp4", 0)
    video(tmp_path / "TrainValVideo" / "video1.mp4", 1)
    video(tmp_path / "TestVideo" / "video2.mp4", 2)
    assert firsts(opened(f"msrvtt:{tmp_path}")) == [40, 0, 20]
    source = opened(f"msrvtt:{tmp_path}?split=test")
    assert firsts(source) == [40]
    said = {clip(source, 0, seed).text for seed in range(30)}
    assert said <= {f"video2 said {way}" for way in range(20)}
    assert len(said) > 5


def test_ucf101(tmp_path: Path) -> None:
    assert len(PROMPTS) == len(set(PROMPTS.values())) == 101
    names = [
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g01_c01",
        "ApplyEyeMakeup/v_ApplyEyeMakeup_g08_c01",
        "YoYo/v_YoYo_g08_c01",
    ]
    names.append("HandstandPushups/v_HandStandPushups_g01_c01")  # the two are written differently, in the set itself
    for number, name in enumerate(names):
        video(tmp_path / "UCF-101" / f"{name}.avi", number, codec="mpeg4")
    lists = tmp_path / "ucfTrainTestlist"
    lists.mkdir()
    (lists / "classInd.txt").write_text("1 ApplyEyeMakeup\n")
    (lists / "trainlist01.txt").write_text(f"{names[1]}.avi 1\r\n{names[2]}.avi 101\r\n")
    (lists / "testlist01.txt").write_text(f"{names[0]}.avi\n{names[3]}.avi\n")
    source = opened(f"ucf101:{tmp_path}?split=train01")
    assert firsts(source) == [20, 40]
    assert texts(source) == [PROMPTS["ApplyEyeMakeup"], PROMPTS["YoYo"]]
    assert firsts(opened(f"ucf101:{tmp_path}?split=test01")) == [0, 60]
    assert len(opened(f"ucf101:{tmp_path}")) == 4
    with pytest.raises(ValueError, match=r"there is no .*testlist03\.txt"):
        opened(f"ucf101:{tmp_path}?split=test03")


def test_hdvila(tmp_path: Path) -> None:
    clips = [
        {"clip_id": "QMi8x8o55Ns.1.mp4", "span": ["00:00:00.000", "00:00:02.000"]},
        {"clip_id": "QMi8x8o55Ns.2.mp4", "span": ["00:00:05.000", "00:00:07.500"]},
    ]
    line = {"video_id": "QMi8x8o55Ns", "url": "https://www.youtube.com/watch?v=QMi8x8o55Ns", "clip": clips}
    (tmp_path / "hdvila_part0.jsonl").write_text(json.dumps(line) + "\n")
    write(tmp_path / "download_videos" / "QMi8x8o55Ns.mp4", numbered(80), rate=8)
    write(tmp_path / "video_clips" / "QMi8x8o55Ns" / "QMi8x8o55Ns.1.mp4", numbered(16, first=200), rate=8)
    with pytest.raises(ValueError, match=r"publishes no texts; .*\?text="):
        opened(f"hdvila:{tmp_path}")
    source = opened(f"hdvila:{tmp_path}?text=")
    assert len(source) == 2
    assert numbers(clip(source, 0).video)[0] >= 200  # the one that was cut out
    assert all(40 <= number < 60 for seed in range(5) for number in numbers(clip(source, 1, seed).video))
    assert clip(source, 1).text == ""


def test_davis(tmp_path: Path) -> None:
    for number, name in enumerate(("bear", "dog")):
        write_pictures(tmp_path / "JPEGImages" / "480p" / name, numbered(48, first=60 * number), "%05d.jpg")
        write_pictures(tmp_path / "Annotations" / "480p" / name, numbered(2), "%05d.png")
    (tmp_path / "ImageSets" / "2017").mkdir(parents=True)
    (tmp_path / "ImageSets" / "2017" / "val.txt").write_text("dog\n")
    source = opened(f"davis:{tmp_path}?split=val")
    assert len(source) == 1
    shown = numbers(clip(source, 0).video)
    assert shown[0] >= 60
    assert np.diff(shown).tolist() == [6, 6, 6]  # 24 a second
    assert len(opened(f"davis:{tmp_path}")) == 2


def test_kinetics(tmp_path: Path) -> None:
    rows = [
        {
            "label": "air drumming",
            "youtube_id": "---QUuC4vJs",
            "time_start": 84,
            "time_end": 94,
            "split": "train",
            "is_cc": 0,
        },
        {"label": "zumba", "youtube_id": "--3ouPhoy2A", "time_start": 20, "time_end": 30, "split": "train", "is_cc": 0},
    ]
    table(tmp_path / "train.csv", rows)
    table(tmp_path / "test.csv", [{"youtube_id": "abc", "time_start": 0, "time_end": 10, "split": "test"}])
    video(tmp_path / "air drumming" / "---QUuC4vJs_000084_000094.mp4", 0)
    video(tmp_path / "train" / "zumba" / "--3ouPhoy2A_000020_000030.mp4", 1)
    source = opened(f"kinetics:{tmp_path}?split=train")
    assert (texts(source), firsts(source)) == (["air drumming", "zumba"], [0, 20])
    video(tmp_path / "test" / "abc_000000_000010.mp4", 2)
    with pytest.raises(Unreadable, match="no text: wanted a column 'label'"):
        clip(opened(f"kinetics:{tmp_path}?split=test"), 0)
    assert firsts(opened(f"kinetics:{tmp_path}?split=test&text=")) == [40]
    (tmp_path / "test.csv").write_text("split\ntest\n")
    with pytest.raises(Unreadable, match=r"lacks or spoils a column .*youtube_id"):
        clip(opened(f"kinetics:{tmp_path}?split=test&text="), 0)


def test_something_something(tmp_path: Path) -> None:
    rows = [
        {
            "id": "78687",
            "label": "holding potato next to vicks vaporub bottle",
            "template": "Holding [something]",
            "placeholders": ["potato"],
        }
    ]
    (tmp_path / "something-something-v2-train.json").write_text(json.dumps(rows))
    video(tmp_path / "20bn-something-something-v2" / "78687.webm", 3, codec="libvpx-vp9")
    source = opened(f"ssv2:{tmp_path}?split=train")
    assert (texts(source), firsts(source)) == (["holding potato next to vicks vaporub bottle"], [60])


def test_sky(tmp_path: Path) -> None:
    for part, number in (("train", 0), ("test", 1)):
        write_pictures(
            tmp_path / f"sky_{part}" / "07U1fSrk9oI" / "07U1fSrk9oI_1",
            numbered(20, first=20 * number),
            "07U1fSrk9oI_frames_%08d.jpg",
        )
    with pytest.raises(ValueError, match=r"no rate is published; .*\?rate=25"):
        opened(f"sky:{tmp_path}")
    source = opened(f"sky:{tmp_path}?rate=8&split=test")
    assert (texts(source), firsts(source)) == (["a time-lapse video of the sky"], [20])
    assert np.diff(numbers(clip(source, 0).video)).tolist() == [2, 2, 2]
    assert len(opened(f"sky:{tmp_path}?rate=8")) == 2


def test_taichi(tmp_path: Path) -> None:
    name = "aDyyTMUBoLE#000164#000351.mp4"
    video(tmp_path / "train" / name, 0)
    write_pictures(tmp_path / "test" / name, numbered(20, first=20), "%07d.png")
    assert firsts(opened(f"taichi:{tmp_path}?split=train")) == [0]
    assert firsts(opened(f"taichi:{tmp_path}?split=test&rate=8")) == [20]
    with pytest.raises(ValueError, match=r"no rate is published, and taichi-metadata\*\.csv beside the splits is not"):
        opened(f"taichi:{tmp_path}?split=test")
    # 20 pictures of 0.8 seconds, whatever the rate of the copy that they were taken from.
    row = {"video_id": "aDyyTMUBoLE", "start": 164, "end": 184, "bbox": "1-2-3-4", "fps": 25.0, "partition": "test"}
    table(tmp_path / "taichi-metadata.csv", [row, {**row, "end": 351, "fps": 233.75}])
    source = opened(f"taichi:{tmp_path}?split=test", fps=12.5)
    assert np.diff(numbers(clip(source, 0).video)).tolist() == [2, 2, 2]
    table(tmp_path / "taichi-metadata.csv", [{**row, "fps": "unknown"}])
    with pytest.raises(ValueError, match=r"taichi-metadata\.csv, row 1: lacks or spoils a column"):
        opened(f"taichi:{tmp_path}?split=test")


def test_bair(tmp_path: Path) -> None:
    for number in (0, 1):
        write_pictures(
            tmp_path / "processed_data" / "train" / "traj_0_to_255" / str(number + 1),
            numbered(30, first=40 * number),
            "%d.png",
        )
    source = opened(f"bair:{tmp_path}?split=train&rate=4", frames=30, fps=4)
    assert numbers(clip(source, 1).video) == list(range(40, 70))  # 2.png before 10.png
    assert len(source) == 2


def test_kth(tmp_path: Path) -> None:
    video(tmp_path / "boxing" / "person11_boxing_d1_uncomp.avi", 0, 120, codec="mpeg4", rate=25)
    video(tmp_path / "walking" / "person02_walking_d4_uncomp.avi", 0, 120, codec="mpeg4", rate=25)
    (tmp_path / "00sequences.txt").write_text(
        "The video files are named as follows\n\nTraining:   person11, 12, 13\n\n"
        "person11_boxing_d1\t\tframes\t1-50, 51-100\nperson02_walking_d4\t\tframes\t61-120\n"
        "person13_handclapping_d3\t*missing*\n"
    )
    source = opened(f"kth:{tmp_path}?split=train")
    assert texts(source) == ["a person boxes in the air"] * 2
    for seed in range(6):
        assert all(0 <= number < 50 for number in numbers(clip(source, 0, seed).video))
        assert all(50 <= number < 100 for number in numbers(clip(source, 1, seed).video))
    assert source.name(1).endswith("person11_boxing_d1_uncomp.avi#51-100")
    (third,) = texts(opened(f"kth:{tmp_path}?split=test"))
    assert third == "a person walks"
    assert len(opened(f"kth:{tmp_path}")) == 3


def test_landscape(tmp_path: Path) -> None:
    video(tmp_path / "train" / "fire" / "a.mp4", 0)
    video(tmp_path / "test" / "b.mp4", 1)
    assert firsts(opened(f"landscape:{tmp_path}?split=train")) == [0]
    assert firsts(opened(f"landscape:{tmp_path}")) == [0, 20]
    (tmp_path / "test" / "b.mp4").unlink()
    with pytest.raises(ValueError, match=r"wanted test/\*\*/\*\.mp4\."):  # and not all there is instead
        opened(f"landscape:{tmp_path}?split=test")


def test_cityscapes(tmp_path: Path) -> None:
    folder = tmp_path / "leftImg8bit_sequence" / "train" / "aachen"
    write_pictures(folder, numbered(34), "aachen_000000_%06d_leftImg8bit.png")
    for frame in (10, 11):  # a gap: two runs
        (folder / f"aachen_000000_{frame:06d}_leftImg8bit.png").unlink()
    write_pictures(folder, numbered(20, first=100), "aachen_000001_%06d_leftImg8bit.png")
    source = opened(f"cityscapes:{tmp_path}?split=train", fps=17)
    assert [Path(source.name(i)).name for i in range(3)] == [
        "aachen_000000_000000",
        "aachen_000000_000012",
        "aachen_000001_000000",
    ]
    for index, (low, high) in enumerate(((0, 9), (12, 33), (100, 119))):
        for seed in range(4):
            shown = numbers(clip(source, index, seed).video)
            assert low <= shown[0] == shown[-1] - 3
            assert shown[-1] <= high


def test_sets_are_joined_and_texts_cover_all_layouts(tmp_path: Path) -> None:
    for name in ("a", "b"):
        video(tmp_path / name / "x.mp4", ord(name) - ord("a"))
    source = open_source(f"folder:{tmp_path}/a?text=a", f"folder:{tmp_path}/b?text=b", frames=4, size=SIZE)
    assert (texts(source), firsts(source), len(source)) == (["a", "b"], [0, 20], 2)
    assert source.name(1) == str(tmp_path / "b" / "x.mp4")
    tested = {name.removeprefix("test_") for name in globals() if name.startswith("test_")}
    renamed = {"something_something": "ssv2", "images_and_laion": "laion"}
    assert {renamed.get(name, name) for name in tested} >= LAYOUTS.keys() - {"images"}


def test_buckets_follow_the_shape(tmp_path: Path) -> None:
    write(tmp_path / "wide.mp4", numbered(16, 36, 64))
    write(tmp_path / "tall.mp4", numbered(16, 64, 36))
    source = open_source(f"folder:{tmp_path}?text=", frames=2, size=((40, 24), (24, 40)))
    assert [source.seen(i) for i in range(2)] == [(64, 36), (36, 64)]
    assert [clip(source, i).video.shape[1:3] for i in range(2)] == [(40, 24), (24, 40)]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("folder", "wanted NAME:PATH"),
        ("nosuch:/tmp", "NAME being one of bair, "),
        ("folder:/no/such/folder", "which is no folder"),
        ("folder:HERE?colour=red", "got colour in .*known are split, text and rate"),
        ("folder:HERE?split=train", "got the split 'train' of folder, which has no splits"),
        ("ucf101:HERE?split=train04", "which has train01, train02"),
        ("ucf101:HERE", r"found nothing in .*; wanted UCF-101/\*/v_\*\.avi or .*arXiv 1212\.0402"),
        ("sky:HERE?rate=fast", "got rate=fast"),
        ("webdataset:HERE", r"holds no \.tar files"),
        ("latents:HERE", r"holds no encoding\.json"),
    ],
)
def test_specs_that_cannot_be_opened_say_what_is_wanted(tmp_path: Path, spec: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        open_source(spec.replace("HERE", str(tmp_path)))
