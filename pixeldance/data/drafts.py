"""Drafts: what a last frame looks like when somebody made it in a minute, of a picture and the region of its object.

PixelDance's last frame may be a rough draft made with basic image tools (arXiv 2311.10982, sec. 3.4). A model that is
to arrive at what is meant, and not at the draft, is trained on drafts as last frames of true clips.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Literal, get_args

import numpy as np
from jaxtyping import Bool, Float32, UInt8
from PIL import Image, ImageDraw, ImageFilter

from pixeldance.data.clip import Clip, Example
from pixeldance.data.source import Source

Picture = UInt8[np.ndarray, "h w 3"]
Region = Bool[np.ndarray, "y x"]
Maker = Callable[[Picture, Region, np.random.Generator], Picture]
Kind = Literal["blob", "cutout", "ground", "blurred", "strokes"]
KINDS: tuple[Kind, ...] = get_args(Kind)

PX = 1 / 64  # of the shorter side: lengths below are pixels of a picture of 64
ROOM = 3  # pixels around the object that scissors leave on, and that erasing takes away
CORNERS = 9  # of the polygon that scissors cut along
BLUR = (1.5, 3.0)  # standard deviations
STROKE = (3.0, 5.0)  # widths
STROKES = 240  # so many cover a picture about three times over


def draft(picture: Picture, region: Region, kind: str, rng: np.random.Generator) -> Picture:
    """A rough drawing of a picture (h, w, 3) whose object is where `region` (h, w) is true.

    blob: an ellipse of the object's mean colour in its place. cutout: the object cut out along a few straight lines,
    some of its surroundings with it, turned and scaled a little and pasted where it was. ground: the true object before
    a background of another colour. blurred: all of it. strokes: all of it, painted in broad strokes.
    Raises ValueError for another kind, a region of another size, and where an object is drawn and the region is empty.
    """
    if kind not in KINDS:
        raise ValueError(f"got the kind of draft {kind!r}; wanted {' or '.join(KINDS)}")
    if region.shape != picture.shape[:2]:
        raise ValueError(f"got a region of {region.shape} in a picture of {picture.shape[:2]}; wanted one size")
    if kind not in kinds_of(region):
        raise ValueError(f"got an empty region; wanted one with an object, or {' or '.join(kinds_of(region))}")
    return MAKERS[kind](picture, region, rng)


def kinds_of(region: Region) -> tuple[Kind, ...]:
    """The kinds of drafts that there are of a region: without an object, those of the whole picture."""
    return KINDS if region.any() else ("blurred", "strokes")


@dataclass(frozen=True, kw_only=True)
class Drafts:
    """The clips of another source in pixels, each with a draft of one of its last `last_of` frames.

    `Objective(draft=...)` says how often training takes it. A clip whose objects are not known has drafts of the whole
    picture only, and so has one whose object is not to be seen at the end.
    """

    source: Source
    kinds: Sequence[Kind] = KINDS
    last_of: int = 3

    def __len__(self) -> int:
        return len(self.source)

    def read(self, index: int, rng: np.random.Generator) -> Clip:
        clip = self.source.read(index, rng)
        if isinstance(clip, Example):
            raise ValueError(f"got {self.name(index)} as latents; drafts are drawn on pixels: wanted them unencoded")
        place = len(clip.video) - 1 - int(rng.integers(min(self.last_of, len(clip.video))))
        region = np.zeros(clip.video.shape[1:3], np.bool_) if clip.focus is None else clip.focus[place]
        possible = [kind for kind in self.kinds if kind in kinds_of(region)]
        if not possible:
            return replace(clip, drawn=clip.video[place])
        return replace(clip, drawn=draft(clip.video[place], region, possible[int(rng.integers(len(possible)))], rng))

    def name(self, index: int) -> str:
        return self.source.name(index)


def erased(picture: Picture, region: Region) -> Picture:
    """The picture without what is in the region: filled from its border inwards, each pixel the mean of known ones."""
    known, filled = (~region).astype(np.float32), picture.astype(np.float32) * ~region[..., None]
    if not known.any():
        return np.full_like(picture, 128)
    while not known.all():
        count, total = _around(known[..., None])[..., 0], _around(filled)
        new = (known == 0) & (count > 0)
        filled[new] = total[new] / count[new, None]
        known[new] = 1
    return np.rint(filled).astype(np.uint8)


def grown(region: Region, pixels: int) -> Region:
    """The region and all within so many pixels of it."""
    if pixels < 1:
        return region.copy()
    return np.asarray(Image.fromarray(region.astype(np.uint8)).filter(ImageFilter.MaxFilter(2 * pixels + 1))) > 0


def _blob(picture: Picture, region: Region, rng: np.random.Generator) -> Picture:
    """The ellipse has the region's centre, area and proportions."""
    y, x = np.nonzero(region)
    half_w, half_h = 2 * x.std() + 0.5, 2 * y.std() + 0.5
    scale = (region.sum() / (np.pi * half_w * half_h)) ** 0.5
    colour = tuple(np.rint(picture[region].mean(axis=0)).astype(int).tolist())
    image = Image.fromarray(erased(picture, grown(region, _pixels(picture, ROOM))))
    box = (x.mean() - scale * half_w, y.mean() - scale * half_h, x.mean() + scale * half_w, y.mean() + scale * half_h)
    ImageDraw.Draw(image).ellipse(box, fill=colour)
    return np.array(image)


def _cutout(picture: Picture, region: Region, rng: np.random.Generator) -> Picture:
    """Cut along a polygon around the region, each corner a little farther out than it need be."""
    y, x = np.nonzero(region)
    centre = np.array([x.mean(), y.mean()])
    corners = []
    for angle in (np.arange(CORNERS) + rng.uniform(0, 0.8, CORNERS)) * 2 * np.pi / CORNERS:
        way = np.array([np.cos(angle), np.sin(angle)])
        reach = float(((np.stack([x, y], 1) - centre) @ way).max())
        corners.append(tuple((centre + way * (max(reach, 0) + rng.uniform(0.5, ROOM) * _unit(picture))).tolist()))
    cut = Image.new("L", (picture.shape[1], picture.shape[0]))
    ImageDraw.Draw(cut).polygon(corners, fill=255)
    # What scissors took along is from where the object was photographed, not from where it is pasted.
    shade = np.float32(rng.uniform(0.75, 1.25))
    piece = np.where(region[..., None], picture, np.clip(picture * shade, 0, 255).astype(np.uint8))
    turn, size = float(rng.uniform(-12, 12)), float(rng.uniform(0.9, 1.1))
    moved = [_turned(Image.fromarray(each), centre, turn, size) for each in (piece, np.asarray(cut))]
    ground = erased(picture, grown(region, _pixels(picture, ROOM)))
    return np.where(np.asarray(moved[1])[..., None] > 127, np.asarray(moved[0]), ground)


def _ground(picture: Picture, region: Region, rng: np.random.Generator) -> Picture:
    """Another colour at the top and another at the bottom, muted, and far from that of the true background."""
    true = picture[~region].mean(axis=0) if not region.all() else picture.mean(axis=(0, 1))
    others = rng.uniform(30, 225, (16, 1)) + rng.uniform(-25, 25, (16, 3))
    top = others[np.abs(others - true).sum(axis=1).argmax()]
    bottom = top + rng.uniform(-30, 30, 3)
    height, width = region.shape
    ramp = np.linspace(top, bottom, height)[:, None].repeat(width, axis=1)
    return np.where(region[..., None], picture, ramp.clip(0, 255).astype(np.uint8))


def _blurred(picture: Picture, region: Region, rng: np.random.Generator) -> Picture:
    deviation = float(rng.uniform(*BLUR)) * _unit(picture)
    return np.array(Image.fromarray(picture).filter(ImageFilter.GaussianBlur(deviation)))


def _strokes(picture: Picture, region: Region, rng: np.random.Generator) -> Picture:
    """Strokes of the colour under their middle, the background's first; those of the object stay about inside it."""
    unit, (height, width) = _unit(picture), region.shape
    image = Image.fromarray(erased(picture, grown(region, _pixels(picture, ROOM))))
    pen = ImageDraw.Draw(image)
    ground = np.asarray(image)
    places = np.argwhere(region)
    on_object = rng.integers(len(places), size=max(8, round(3 * STROKES * region.mean()))) if len(places) else []
    all_over = zip(rng.integers(height, size=STROKES), rng.integers(width, size=STROKES), strict=True)
    dabs = [(int(y), int(x), ground, 8.0) for y, x in all_over]
    dabs += [(int(places[at][0]), int(places[at][1]), picture, 3.0) for at in on_object]
    for y, x, source, length in dabs:
        angle, half = rng.uniform(0, np.pi), length * unit / 2
        colour = tuple(np.clip(source[y, x] + rng.normal(0, 6), 0, 255).astype(int).tolist())
        dx, dy = half * np.cos(angle), half * np.sin(angle)
        pen.line((x - dx, y - dy, x + dx, y + dy), fill=colour, width=max(1, round(rng.uniform(*STROKE) * unit)))
    return np.array(image)


MAKERS: dict[str, Maker] = {
    "blob": _blob,
    "cutout": _cutout,
    "ground": _ground,
    "blurred": _blurred,
    "strokes": _strokes,
}


def _turned(image: Image.Image, centre: np.ndarray, degrees: float, size: float) -> Image.Image:
    """An image turned and scaled about a point (x, y)."""
    cos, sin = np.cos(np.radians(degrees)) / size, np.sin(np.radians(degrees)) / size
    x, y = centre
    back = (cos, sin, x - cos * x - sin * y, -sin, cos, y + sin * x - cos * y)
    return image.transform(image.size, Image.Transform.AFFINE, back, Image.Resampling.BILINEAR)


def _around(values: Float32[np.ndarray, "h w c"]) -> Float32[np.ndarray, "h w c"]:
    """The sum over each pixel and its neighbours."""
    h, w = values.shape[:2]
    padded = np.pad(values, ((1, 1), (1, 1), (0, 0)))
    return np.asarray(sum(padded[i : i + h, j : j + w] for i in range(3) for j in range(3)), np.float32)


def _unit(picture: Picture) -> float:
    """Pixels of this picture for one of a picture of 64."""
    return PX * min(picture.shape[:2])


def _pixels(picture: Picture, length: float) -> int:
    return max(1, round(length * _unit(picture)))
