"""The director's meter: what is wrong with a video, read from its pixels alone.

Does it start on the frame that was asked for, arrive at the last one, freeze, jump, fade across, flicker, drift? Each
reading is one number with a unit, a range and a limit beyond which it is a fault. How often faults are found, and
found where there are none, is measured by experiments/meter.py. A reading that cannot be had (no first frame was asked
for) is left out.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from pixeldance.metrics import events
from pixeldance.metrics.image import psnr
from pixeldance.metrics.traces import Frame, shrunk, traces

COARSE = 16  # pixels of the shorter side at which a landing is judged: near is nearly there
LEAST_WAY = 2.0  # levels; where first and last frame are closer than this, there is no way to go


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a number means. unit: with its range. low, high: below or above it is a fault; None where nothing is."""

    says: str
    unit: str
    low: float | None = None
    high: float | None = None

    def fault(self, value: float) -> bool:
        """Whether a value is one that a director would send back."""
        return (self.low is not None and value < self.low) or (self.high is not None and value > self.high)

    def limit(self) -> str:
        """The limit in words."""
        if self.low is not None:
            return f"at least {self.low:g}"
        return "" if self.high is None else f"at most {self.high:g}"


READINGS = {
    "first_psnr": Reading(says="the first frame is the one asked for", unit="dB, 0 to 100", low=25.0),
    "landing": Reading(says="share of the way to the last frame asked for", unit="up to 1", low=0.5),
    "end_copy": Reading(says="the last frame is a copy of the one asked for", unit="dB, 0 to 100"),
    "end_jump": Reading(says="last step over the largest before", unit="0 up, 1 is even", high=1.5),
    "frozen": Reading(says="longest rest", unit="share of the steps", high=0.2),
    "crossfade": Reading(says="explained by a blend of the ends", unit="0 to 1", high=0.43),
    "dissolve": Reading(says="edges of what moves that are lost", unit="0 to 1", high=0.27),
    "cuts": Reading(says="cuts", unit="number", high=0.0),
    "seams": Reading(says="other steps that stand out", unit="number", high=0.0),
    "strobe": Reading(says="flashes a frame, worst 16 frames", unit="0 to 0.5", high=0.15),
    "strobe_hz": Reading(says="flashes a second (WCAG: 3 at most)", unit="Hz", high=3.0),
    "flicker": Reading(says="unsteady brightness", unit="% of it", high=2.0),
    "whiteout": Reading(says="white frames", unit="share of the frames", high=0.0),
    "drift_colour": Reading(says="slow change of brightness or colour", unit="levels, 0 to 255", high=14.0),
    "drift_contrast": Reading(says="slow change of contrast", unit="octaves", high=0.2),
    "drift_sharpness": Reading(says="slow change of sharpness", unit="octaves", high=0.7),
}
"""Every reading, in the order in which it is shown."""

WHITE_SHARE = 0.9  # of a frame's pixels; then the frame is white


@dataclass(frozen=True, kw_only=True)
class Metered:
    """The readings by name, and where the cuts and seams are: the numbers of the frames before which they lie."""

    readings: dict[str, float]
    cuts: list[int]
    seams: list[int]

    def faults(self) -> list[str]:
        """The names of the readings beyond their limits."""
        return [name for name, value in self.readings.items() if READINGS[name].fault(value)]


def meter(
    video: UInt8[np.ndarray, "f h w 3"], first: Frame | None = None, last: Frame | None = None, fps: float | None = None
) -> dict[str, float]:
    """The readings of a video by name (`READINGS`); `first` and `last` are the frames that were asked for, in its size.

    Raises ValueError for fewer than 2 frames, and for asked frames of another size.
    """
    return metered(video, first, last, fps).readings


def metered(
    frames: Iterable[Frame], first: Frame | None = None, last: Frame | None = None, fps: float | None = None
) -> Metered:
    """The same with places, from frames that come one by one and need not all fit in memory."""
    ends = _Ends()
    seen = traces(ends.passing(frames))
    for asked in (first, last):
        if asked is not None and asked.shape != ends.first.shape:
            raise ValueError(
                f"got an asked frame of {asked.shape[1]}x{asked.shape[0]} and a video of "
                f"{ends.first.shape[1]}x{ends.first.shape[0]}; bring it to that size (image.fit)"
            )
    cut_frames = events.cuts(seen)
    shots = events.shots_between(cut_frames, len(seen.small))
    seam_frames = events.seams(seen, shots)
    strobe = events.flashes(seen)
    readings: dict[str, float | None] = {
        "first_psnr": None if first is None else psnr(ends.first, first),
        "landing": None if last is None else landing(ends.first if first is None else first, ends.last, last),
        "end_copy": None if last is None else psnr(ends.last, last),
        "end_jump": events.end_jump(seen, shots),
        "frozen": events.frozen(seen),
        "crossfade": events.crossfade(seen, shots),
        "dissolve": events.dissolve(seen, shots),
        "cuts": float(len(cut_frames)),
        "seams": float(len(seam_frames)),
        "strobe": strobe,
        "strobe_hz": None if fps is None else strobe * fps,
        "flicker": events.flicker(seen, shots),
        "whiteout": float((seen.white >= WHITE_SHARE).mean()),
        "drift_colour": events.drift_of_colour(seen, shots),
        "drift_contrast": events.drift_of_contrast(seen, shots),
        "drift_sharpness": events.drift_of_sharpness(seen, shots),
    }
    known = {name: round(value, 4) for name, value in readings.items() if value is not None}
    return Metered(readings=known, cuts=cut_frames, seams=seam_frames)


def landing(start: Frame, end: Frame, asked: Frame) -> float | None:
    """Of the way from `start` to `asked`, the share that `end` has gone, at most 1: by root mean square differences of
    the pictures at a side of 16. None where they are so near each other that there is no way."""
    one, other, goal = (shrunk(each, COARSE) for each in (start, end, asked))
    way = float(np.sqrt(((goal - one) ** 2).mean()))
    return 1 - float(np.sqrt(((goal - other) ** 2).mean())) / way if way >= LEAST_WAY else None


class _Ends:
    """Keeps the first and the last of the frames that pass by."""

    first: Frame
    last: Frame

    def passing(self, frames: Iterable[Frame]) -> Iterable[Frame]:
        for number, frame in enumerate(frames):
            if number == 0:
                self.first = frame
            self.last = frame
            yield frame
