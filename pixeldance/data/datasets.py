"""The sets that are known by name, and `open_source`, which makes a source of clips of a spec such as
"ucf101:/data/ucf?split=train01", "webdataset:/data/{00000..00010}.tar" or "folder:/data/mine"."""

from pathlib import Path
from urllib.parse import parse_qsl

from pixeldance.data import latents
from pixeldance.data.buckets import Buckets
from pixeldance.data.layouts import Asked, Layout, check, files, folders, runs, sentences, sequences, table
from pixeldance.data.shards import ShardItems, Shards, brace_expanded
from pixeldance.data.source import Size, Source
from pixeldance.data.ucf101 import PROMPTS
from pixeldance.data.videos import PICTURES, Joined, Take, Videos

Sizes = Size | tuple[Size, ...]

KTH_ACTIONS = {
    "boxing": "a person boxes in the air",
    "handclapping": "a person claps their hands",
    "handwaving": "a person waves both arms",
    "jogging": "a person jogs",
    "running": "a person runs",
    "walking": "a person walks",
}

LAYOUTS: dict[str, Layout] = {
    "folder": Layout(
        list=files,
        videos=("**/*.*",),
        beside=True,
        note="Any folder of videos, at any depth, each with its text beside it: NAME.mp4 and NAME.txt or NAME.json.",
    ),
    "images": Layout(
        list=files,
        videos=("**/*.*",),
        beside=True,
        endings=PICTURES,
        note="Any folder of still pictures, at any depth, each with its text beside it: clips of one frame.",
    ),
    "laion": Layout(
        list=files,
        videos=("[0-9]*/*.*",),
        beside=True,
        endings=PICTURES,
        note="LAION as img2dataset fetches it with output_format=files: 00000/000000000.jpg, .txt and .json with "
        "url, caption, key, status, width, height (github.com/rom1504/img2dataset, README). Its tar files are "
        "webdataset:. 00000.parquet beside a folder or tar file repeats these .json, downloads that failed included "
        "(img2dataset/writer.py), and is not read. Clips of one frame.",
    ),
    "webvid": Layout(
        list=table,
        splits=("train", "val"),
        table=("results_*_{split}.csv", "*_{split}.csv", "*_{split}.jsonl"),
        videos=("videos/{page_dir}/{videoid}.mp4", "{page_dir}/{videoid}.mp4", "videos/{videoid}.mp4", "{videoid}.mp4"),
        column="name",
        note="WebVid (arXiv 2104.00650): results_2M_train.csv with videoid, contentUrl, duration, page_dir, name; "
        "videos/PAGE_DIR/VIDEOID.mp4 (github.com/m-bain/webvid, README and download.py). One table alone may be "
        "given instead of the folder, as .csv or .jsonl.",
    ),
    "msrvtt": Layout(
        list=sentences,
        splits=("train", "validate", "test"),
        table=("*videodatainfo.json", "*/*videodatainfo.json"),
        videos=("TrainValVideo/{video_id}.mp4", "TestVideo/{video_id}.mp4", "videos/all/{video_id}.mp4"),
        column="caption",
        note="MSR-VTT (CVPR 2016): train_val_videodatainfo.json and test_videodatainfo.json with `videos` (video_id, "
        "split, start time, end time: those of the film that the clip was cut from) and `sentences` (video_id, "
        "caption), its readme.txt; TrainValVideo/video0.mp4, TestVideo/video7010.mp4.",
    ),
    "ucf101": Layout(
        list=files,
        splits=("train01", "train02", "train03", "test01", "test02", "test03"),
        videos=("UCF-101/*/v_*.avi", "*/v_*.avi"),
        members="ucfTrainTestlist/{split}.txt",
        groups={
            f"{part}{number}": f"{part}list{number}" for part in ("train", "test") for number in ("01", "02", "03")
        },
        texts=PROMPTS,
        named=r"([A-Za-z]+)/v_[^/]*$",
        note="UCF-101 (arXiv 1212.0402): UCF-101/CLASS/v_CLASS_g01_c01.avi, and in ucfTrainTestlist/ trainlist01.txt "
        '("CLASS/v_CLASS_g08_c01.avi 1") to testlist03.txt. The prompts are ours (data/ucf101.py).',
    ),
    "hdvila": Layout(
        list=table,
        table=("hdvila_part*.jsonl", "metafiles/hdvila_part*.jsonl", "hdvila/hdvila_part*.jsonl"),
        several="clip",
        videos=("video_clips/{video_id}/{clip_id}",),
        uncut="download_videos/{video_id}.mp4",
        span=("span",),
        note="HD-VILA-100M (CVPR 2022): hdvila_part0.jsonl to part10, a video a line with its clips, {video_id, url, "
        "clip: [{clip_id, span: [00:00:17.759, 00:00:23.279]}]}; video_clips/ID/ID.1.mp4 once cut, download_videos/"
        "ID.mp4 before (github.com/microsoft/XPretrain, hd-vila-100m). The transcripts are not in the files.",
    ),
    "davis": Layout(
        list=folders,
        splits=("train", "val", "test-dev", "test-challenge"),
        videos=("JPEGImages/480p/*", "JPEGImages/Full-Resolution/*"),
        members="ImageSets/2017/{split}.txt",
        text="a video",
        rate=24,
        note="DAVIS 2017 (arXiv 1704.00675): JPEGImages/480p/NAME/00000.jpg, ImageSets/2017/val.txt with a name a "
        "line; 24 pictures a second (CVPR 2016, sec. 3). It has no texts; the one here is ours.",
    ),
    "kinetics": Layout(
        list=table,
        splits=("train", "val", "validate", "test"),
        table=("{split}.csv", "*_{split}.csv", "*/{split}.csv"),
        videos=(
            "{split}/{label}/{youtube_id}_{time_start:0>6}_{time_end:0>6}.mp4",
            "{label}/{youtube_id}_{time_start:0>6}_{time_end:0>6}.mp4",
            "{split}/{youtube_id}_{time_start:0>6}_{time_end:0>6}.mp4",
        ),
        column="label",
        note="Kinetics-400/600/700 (arXiv 1705.06950): train.csv with label, youtube_id, time_start, time_end, split "
        "(git-disl.github.io/GTDLBench/datasets/kinetics_datasets); LABEL/ID_000010_000020.mp4 as ActivityNet's "
        "Crawler/Kinetics/download.py names what it has cut out. Rows of test.csv have no label.",
    ),
    "ssv2": Layout(
        list=table,
        splits=("train", "validation", "test"),
        table=(
            "something-something-v2-{split}.json",
            "*/something-something-v2-{split}.json",
            "labels/{split}.json",
        ),
        videos=("20bn-something-something-v2/{id}.webm", "{id}.webm", "videos/{id}.webm"),
        column="label",
        note="Something-Something v2 (arXiv 1706.04261): something-something-v2-train.json, a list of {id, label, "
        "template, placeholders}; 20bn-something-something-v2/ID.webm. The test rows have an id alone.",
    ),
    "sky": Layout(
        list=folders,
        splits=("train", "test"),
        videos=("sky_{split}/**",),
        text="a time-lapse video of the sky",
        note="Sky Time-lapse (arXiv 1709.07592): sky_train/ and sky_test/, a folder of .jpg a clip, two levels down "
        "(the readme of its archive; datasets/sky_datasets.py of github.com/Vchitect/Latte). Rates are not "
        "published; the text is ours.",
    ),
    "taichi": Layout(
        list=folders,
        splits=("train", "test"),
        videos=("{split}/*.mp4", "{split}/*"),
        text="a person practises tai chi",
        table=("taichi-metadata*.csv",),
        lengths="{video_id}#{start:0>6}#{end:0>6}.mp4",
        note="Taichi-HD (NeurIPS 2019, first order motion model) as data/taichi-loading/load_videos.py of "
        "github.com/AliaksandrSiarohin/first-order-model leaves it: train/ID#000123#000456.mp4, a folder of that name "
        "with 0000000.png, whose rate follows from its taichi-metadata.csv (video_id, start, end, fps), to be put "
        "beside train/ and test/; or, with --format .mp4, a file, which imageio writes at 10 a second whatever the "
        "film's rate was: the folders have the right times. The text is ours.",
    ),
    "bair": Layout(
        list=folders,
        splits=("train", "test"),
        videos=("processed_data/{split}/*/*",),
        text="a robot arm pushes objects around in a bin",
        note="BAIR robot pushing, small (arXiv 1710.05268), as data/convert_bair.py of github.com/edenton/svg turns "
        "its TFRecords into pictures: processed_data/train/traj_0_to_255/1/0.png to 29.png, 64 x 64. The rate is not "
        "published; the text is ours.",
    ),
    "kth": Layout(
        list=sequences,
        splits=("train", "validation", "test"),
        table=("00sequences.txt", "*/00sequences.txt"),
        videos=("**/person*_uncomp.avi",),
        groups={
            "train": "11 12 13 14 15 16 17 18",
            "validation": "19 20 21 23 24 25 01 04",
            "test": "22 02 03 05 06 07 08 09 10",
        },
        texts=KTH_ACTIONS,
        named=r"person\d\d_(\w+)_d\d",
        rate=25,
        note="KTH actions (ICPR 2004): person01_boxing_d1_uncomp.avi, 160 x 120 at 25 a second, and 00sequences.txt "
        '("person01_boxing_d1 frames 1-95, 96-185, ..."), which also gives the persons of each split '
        "(csc.kth.se/cvap/actions). The texts are ours.",
    ),
    "landscape": Layout(
        list=files,
        splits=("train", "test"),
        videos=("{split}/**/*.mp4", "**/*.mp4"),
        text="a video of a landscape",
        note="Landscape as MM-Diffusion uses it (arXiv 2212.09478): every .mp4 below a folder, however they are "
        "organised (github.com/researchmm/MM-Diffusion, README). The text is ours.",
    ),
    "cityscapes": Layout(
        list=runs,
        splits=("train", "val", "test"),
        videos=("leftImg8bit_sequence/{split}/*/*_leftImg8bit.png",),
        named=r"([a-z-]+_\d{6})_(\d{6})_leftImg8bit\.png",
        text="a street in a city, seen from a moving car",
        rate=17,
        note="Cityscapes' sequences (arXiv 1604.01685): "
        "leftImg8bit_sequence/SPLIT/CITY/CITY_SEQ_FRAME_leftImg8bit.png, SEQ and FRAME of 6 "
        "digits (github.com/mcordts/cityscapesScripts, README), 30 in a run at 17 a second "
        "(sec. 2.1). The text is ours.",
    ),
}


def open_source(
    *specs: str,
    frames: int | None = None,
    fps: float | None = None,
    size: Sizes | None = None,
) -> Source:
    """The clips of one or more sets, one after the other.

    spec: NAME:PATH?split=...&text=...&rate=..., NAME being one of `LAYOUTS`, "webdataset" (PATH is a .tar, may hold
    {00000..00010}, or is a folder of .tar files) or "latents" (a folder that `pixeldance encode` wrote, which comes as
    it was encoded). frames, fps: of each clip; 16 at 4 a second. size: (height, width), or several to choose the
    nearest in shape from; 256 x 256. Raises ValueError for anything else, and for a set that is not there.
    """
    if not specs:
        raise ValueError("got no data; wanted one spec or more, such as folder:PATH")
    sizes = None if size is None else _several(size)
    sources = [_open(spec, frames, fps, sizes) for spec in specs]
    return sources[0] if len(sources) == 1 else Joined(sources)


def _open(spec: str, frames: int | None, fps: float | None, sizes: tuple[Size, ...] | None) -> Source:
    name, colon, rest = spec.partition(":")
    known = sorted({*LAYOUTS, "webdataset", "latents"})
    if not (colon and rest) or name not in known:
        raise ValueError(f"got the data {spec!r}; wanted NAME:PATH, NAME being one of {', '.join(known)}")
    where, _, query = rest.partition("?")
    options = dict(parse_qsl(query, keep_blank_values=True))
    if odd := options.keys() - {"split", "text", "rate"}:
        raise ValueError(f"got {', '.join(sorted(odd))} in {spec!r}; known are split, text and rate")
    asked = Asked(split=options.get("split", ""), text=options.get("text"), rate=_rate(options.get("rate"), spec))
    if name == "latents":
        return latents.Latents.opened(Path(where), frames=frames, fps=fps, sizes=sizes)
    buckets = Buckets() if sizes is None else Buckets(sizes=sizes)
    take = Take(frames=16 if frames is None else frames, fps=4.0 if fps is None else fps, buckets=buckets)
    if name == "webdataset":
        paths = shard_paths(where)
        return Videos(ShardItems(Shards(paths), asked.text), take, paths[0].parent)
    check(name, LAYOUTS[name], asked)
    root = Path(where)
    items = LAYOUTS[name].list(LAYOUTS[name], root, asked)
    return Videos(items, take, root if root.is_dir() else root.parent)


def _several(size: Sizes) -> tuple[Size, ...]:
    return (size,) if isinstance(size[0], int) else size


def shard_paths(where: str) -> list[Path]:
    """The shards that a path with braces stands for, or that a folder holds."""
    paths = [Path(path) for path in brace_expanded(where)]
    if len(paths) == 1 and paths[0].is_dir():
        found = sorted(paths[0].glob("*.tar"))
        if not found:
            raise ValueError(f"the folder {where} holds no .tar files; give one that does")
        return found
    return paths


def _rate(text: str | None, spec: str) -> float | None:
    if text is None:
        return None
    try:
        rate = float(text)
    except ValueError:
        rate = 0.0
    if not 0 < rate < 1000:
        raise ValueError(f"got rate={text} in {spec!r}; wanted the pictures a second, such as 25")
    return rate
