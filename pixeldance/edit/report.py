"""What an edit did besides what was asked: to what lies around, to the object's path, and to its looks on the way.

What was edited is where the edited ends differ from the video's own. From there it is followed through the video and
through the result by optical flow, from the first frame forwards and from the last one backwards.
"""

import numpy as np
from jaxtyping import Bool, Float, UInt8

from pixeldance.data.drafts import grown
from pixeldance.image import Frame
from pixeldance.metrics.flow import optical_flow, warped
from pixeldance.metrics.image import psnr
from pixeldance.metrics.score import Score, Setting, not_computed

Video = UInt8[np.ndarray, "f h w 3"]
Region = Bool[np.ndarray, "h w"]
Regions = Bool[np.ndarray, "f h w"]

CHANGED = 24  # levels of 255 by which a channel of an end must differ to have been edited
LARGEST = 0.6  # share of the picture beyond which an edit has no surroundings
ROOM = 3 / 64  # of the shorter side: so far around the object the codec and the flow blur
BINS = 6  # of each channel, in a histogram of colours


def report(source: Video, made: Video, first: Frame, last: Frame, fps: float) -> tuple[Score, ...]:
    """The figures of an edit of `source` into `made`, whose edited ends are `first` and `last`; all of one size.

    outside_psnr: dB between result and video where, in the frame concerned, neither shows what was edited. path_error:
    median distance of the object's place in the result from that in the video, pixels of a picture whose shorter side
    is 64. identity: how much of the object's colours in the edited first frame is seen in its place later, the mean
    intersection of histograms, 0 to 1. Each says why where it could not be computed.
    """
    size = (source.shape[1], source.shape[2])
    setting = Setting(n=1, frames=len(source), fps=fps, size=size)
    names = ("outside_psnr", "path_error", "identity")
    ends = [edited_region(*pair) for pair in ((source[0], first), (source[-1], last))]
    try:
        if not all(end.any() for end in ends):
            raise ValueError("an end is the video's own, so that nothing tells where the edit is")
        if max(end.mean() for end in ends) > LARGEST:
            raise ValueError("the edit is nearly everywhere, and nothing is outside of it")
        there, here = (followed(video, *ends) for video in (source, made))
    except ValueError as error:
        return tuple(not_computed(name, str(error), setting) for name in names)
    regions = np.concatenate([there, here])
    found = {
        "outside_psnr": outside_psnr(source, made, np.logical_or.reduce(regions)),
        "path_error": float(np.median(np.hypot(*(path(there) - path(here)).T))) * 64 / min(size),
        "identity": identity(first, ends[0], made, here),
    }
    none = "nothing is far enough from what was edited"
    return tuple(
        not_computed(name, none, setting) if value is None else Score(name=name, value=value, setting=setting)
        for name, value in found.items()
    )


def edited_region(own: Frame, edited: Frame) -> Region:
    """Where an edited end differs from the video's own frame."""
    return np.abs(own.astype(np.int16) - edited).max(axis=-1) > CHANGED


def followed(video: Video, first: Region, last: Region) -> Bool[np.ndarray, "2 f h w"]:
    """The region in each frame, carried on from the first frame, and carried back from the last one.

    Raises ValueError where it is lost on the way, and where there is no optical flow to be had.
    """
    on, back = [first], [last]
    for number in range(1, len(video)):
        on.append(_carried(on[-1], video[number - 1], video[number], number))
        place = len(video) - 1 - number
        back.append(_carried(back[-1], video[place + 1], video[place], place))
    return np.stack([np.stack(on), np.stack(back[::-1])])


def path(regions: Bool[np.ndarray, "2 f h w"]) -> Float[np.ndarray, "f 2"]:
    """The centre (x, y) in each frame: at the start of the region carried on, at the end of the one carried back."""
    centres = np.stack([[np.argwhere(region).mean(axis=0)[::-1] for region in each] for each in regions])
    share = np.linspace(0, 1, regions.shape[1])[:, None]
    return np.asarray((1 - share) * centres[0] + share * centres[1])


def outside_psnr(source: Video, made: Video, regions: Regions) -> float | None:
    """dB between two videos outside of regions and what is near to them, at most 100; None where nothing is outside."""
    room = max(1, round(ROOM * min(source.shape[1:3])))
    outside = ~np.stack([grown(region, room) for region in regions])
    return psnr(made[outside], source[outside]) if outside.any() else None


def identity(first: Frame, region: Region, made: Video, regions: Bool[np.ndarray, "2 f h w"]) -> float:
    """The mean over frames of how much of the colours of `region` in `first` is in the place of the object later."""
    wanted = _colours(first[region])
    frames = [
        max(float(np.minimum(wanted, _colours(frame[one])).sum()) for one in places)
        for frame, *places in zip(made, *regions, strict=True)
    ]
    return float(np.mean(frames))


def _carried(region: Region, here: Frame, there: Frame, number: int) -> Region:
    carried = warped(region.astype(np.float32), optical_flow(there, here)) > 0.5
    if not carried.any():
        raise ValueError(f"optical flow loses what was edited at frame {number}")
    return np.asarray(carried)


def _colours(pixels: UInt8[np.ndarray, "n 3"]) -> Float[np.ndarray, "bins"]:
    """The shares of colours, each counted in the eight nearest boxes, so that a small shift is a small difference."""
    place = pixels.astype(np.float64) / 255 * (BINS - 1)
    low = np.minimum(place.astype(int), BINS - 2)
    part = place - low
    counts = np.zeros(BINS**3)
    for corner in np.ndindex(2, 2, 2):
        weight = np.where(np.array(corner) == 1, part, 1 - part).prod(axis=1)
        np.add.at(counts, (low + corner) @ np.array([BINS**2, BINS, 1]), weight)
    return counts / counts.sum()
