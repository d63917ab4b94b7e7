"""Drafts of a picture: what each kind keeps and what it loses; and a source that gives them to training."""

from dataclasses import dataclass, replace

import numpy as np
import pytest

from pixeldance.codec import PatchConfig, build_codec, to_pixels
from pixeldance.data.clip import Clip, Example
from pixeldance.data.drafts import KINDS, Drafts, Kind, draft, erased, grown, kinds_of
from pixeldance.data.encode import encode

RED, GREEN = (220, 30, 30), (60, 120, 60)


def picture(size: int = 64) -> tuple[np.ndarray, np.ndarray]:
    """A red bar, upright and right of the middle, on green with faint stripes; and its region."""
    pixels = np.empty((size, size, 3), np.uint8)
    pixels[:] = GREEN
    pixels[::4] += 20
    region = np.zeros((size, size), np.bool_)
    region[size // 4 : size // 4 * 3, size // 2 : size // 2 + size // 8] = True
    pixels[region] = RED
    return pixels, region


def drawn(kind: Kind, size: int = 64, seed: int = 0) -> np.ndarray:
    return draft(*picture(size), kind, np.random.default_rng(seed))


def red(pixels: np.ndarray) -> np.ndarray:
    return pixels[..., 0].astype(int) - pixels[..., 1] > 60


@pytest.mark.parametrize("size", [64, 128])
@pytest.mark.parametrize("kind", KINDS)
def test_a_draft_has_the_object_in_its_place(kind: Kind, size: int):
    pixels, region = picture(size)
    made = drawn(kind, size)
    assert (made.shape, made.dtype) == (pixels.shape, np.uint8)
    assert made.flags.writeable
    assert (made != pixels).any()
    centre, true = np.argwhere(red(made)).mean(axis=0), np.argwhere(region).mean(axis=0)
    assert np.abs(centre - true).max() < 2 * size / 64
    assert 0.5 < red(made).sum() / region.sum() < 1.6


@pytest.mark.parametrize("kind", KINDS)
def test_a_draft_is_a_function_of_its_generator(kind: Kind):
    assert (drawn(kind, seed=1) == drawn(kind, seed=1)).all()
    if kind != "blob":
        assert (drawn(kind, seed=1) != drawn(kind, seed=2)).any()


def test_each_kind_loses_what_it_should():
    pixels, region = picture()
    far = ~grown(region, 8)
    assert (drawn("blob")[far] == pixels[far]).all()
    assert (drawn("cutout")[far] == pixels[far]).all()
    ground = drawn("ground")
    assert (ground[region] == pixels[region]).all()
    assert np.abs(ground[far].astype(int) - pixels[far]).mean() > 30
    sharp = np.abs(np.diff(pixels.astype(int), axis=1)).max()
    assert np.abs(np.diff(drawn("blurred").astype(int), axis=1)).max() < 0.5 * sharp
    assert (drawn("strokes")[far] != pixels[far]).mean() > 0.5


def test_what_is_erased_is_filled_from_around():
    pixels, region = picture()
    filled = erased(pixels, region)
    assert (filled[~region] == pixels[~region]).all()
    assert not red(filled).any()
    assert (erased(pixels, np.ones_like(region)) == 128).all()


@pytest.mark.parametrize(
    ("kind", "region", "message"),
    [
        ("scribble", np.ones((64, 64), np.bool_), r"got the kind of draft 'scribble'; wanted blob or"),
        ("blob", np.ones((8, 8), np.bool_), r"got a region of \(8, 8\) in a picture of \(64, 64\)"),
        (
            "ground",
            np.zeros((64, 64), np.bool_),
            r"got an empty region; wanted one with an object, or blurred or strokes",
        ),
    ],
)
def test_impossible_drafts_are_refused(kind: str, region: np.ndarray, message: str):
    with pytest.raises(ValueError, match=message):
        draft(picture()[0], region, kind, np.random.default_rng(0))


@dataclass(frozen=True)
class Three:
    """Clips of five frames whose last three frames are three greys; the object may be gone at the end."""

    seen: bool = True
    latents: bool = False

    def __len__(self) -> int:
        return 3

    def name(self, index: int) -> str:
        return f"clip {index}"

    def read(self, index: int, rng: np.random.Generator) -> Clip | Example:
        pixels, region = picture()
        video = np.stack([pixels, pixels, *(np.where(region[..., None], pixels, grey) for grey in (50, 100, 150))])
        clip = Clip(video=video.astype(np.uint8), text="a red bar", fps=8.0, focus=np.stack([region & self.seen] * 5))
        return encode(build_codec(PatchConfig(patch=4)), [clip])[0] if self.latents else clip


def test_a_source_gives_drafts_of_the_last_frames():
    """The ground of a blob tells which frame it is of."""
    source = Drafts(source=Three(), kinds=("blob",))
    greys = set()
    for seed in range(20):
        clip = source.read(seed % 3, np.random.default_rng(seed))
        assert clip.drawn is not None
        greys.add(int(clip.drawn[0, 0, 0]))
        assert (clip.drawn != clip.video[2:]).any(axis=(1, 2, 3)).all()
    assert greys == {50, 100, 150}
    assert (len(source), source.name(2)) == (3, "clip 2")


def test_without_an_object_there_are_drafts_of_the_whole_picture_or_none():
    empty = np.zeros((64, 64), np.bool_)
    assert kinds_of(empty) == ("blurred", "strokes")
    clip = Drafts(source=Three(seen=False), last_of=1).read(0, np.random.default_rng(0))
    assert (clip.drawn != clip.video[-1]).any()
    undrawn = Drafts(source=Three(seen=False), kinds=("blob",), last_of=1).read(0, np.random.default_rng(0))
    assert (undrawn.drawn == undrawn.video[-1]).all()


def test_latents_cannot_be_drawn_on():
    with pytest.raises(ValueError, match="got clip 1 as latents; drafts are drawn on pixels"):
        Drafts(source=Three(latents=True)).read(1, np.random.default_rng(0))


def test_a_drawing_is_encoded_with_its_clip():
    codec = build_codec(PatchConfig(patch=4))
    clip = Drafts(source=Three(), kinds=("ground",)).read(0, np.random.default_rng(0))
    (example,) = encode(codec, [clip])
    assert example.drawn is not None
    assert (to_pixels(codec.decode(example.drawn[None, None])[0])[0] == clip.drawn).all()
    (image,) = encode(codec, [clip], image=True)
    assert image.drawn is None
    with pytest.raises(ValueError, match=r"drawn: got \(8, 8, 3\), wanted \(64, 64, 3\)"):
        replace(clip, drawn=np.zeros((8, 8, 3), np.uint8))
