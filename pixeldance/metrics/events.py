"""What happens in a video, from its traces: cuts, seams, rests, flashes, fades and drifts.

Each function says one thing. Steps are numbered by the frame that they lead to: a cut at 30 means that frame 30 is the
first one of a new shot. What is measured over time is measured within shots, so that cuts spoil nothing.
"""

from itertools import pairwise

import numpy as np
from jaxtyping import Bool, Float32

from pixeldance.metrics.traces import Series, Traces, tilt

NEAR = 4  # steps on each side that a step is compared with
CUT, CUT_OVER_ALL, CUT_OVER_MOST = 0.4, 0.06, 0.2  # of a step's newness; how far above its neighbours' largest, median
UNMATCHED_OVER_ALL, RECOLOURED = 0.4, 0.08  # or: this far above all neighbours, with some change of colours
SEAM_SHIFT, SEAM_RATIO = 8.0, 4.0  # levels of the whole picture; times the change of its neighbours
REST, REST_SHARE = 1.2, 0.04  # levels in the most changing cell; as a share of that of the clip's livelier steps
LEAST_CHANGE = 0.15  # levels: steps below count as this, so that a rest is no unit of motion
FLASH = 0.1  # share of the brighter frame
SPAN = 16  # frames of a window: flashes are counted and fades looked for in these
LEAST_SHOT = 8  # frames; a drift in fewer is none
LEAST_FADE = 1.0  # levels between the ends
DARK = 8.0  # levels: darker frames count as this when brightness is a unit
BOLD, LEAST_BOLD = 0.995, 4.0  # of the pixels: the rest stand out most; levels
MOVES, EDGES, LEAST_EDGE = 16.0, 0.005, 6.0  # levels off the shot's median; share of the pixels; levels a pixel


def cuts(seen: Traces) -> list[int]:
    """The first frames of the shots after the first one.

    A step's newness is the geometric mean of `Traces.unmatched` and `Traces.recoloured`: what moves is found again
    nearby, and what is lit otherwise keeps its shape. A cut is new, and stands out from the steps around it. Between
    shots of like colours it is enough that hardly anything is found again.
    """
    new = np.sqrt(seen.unmatched * seen.recoloured)
    found = []
    for step, value in enumerate(new):
        if max(seen.white[step], seen.white[step + 1]) > 0.5:  # white frames resemble nothing, and are no shot
            continue
        near, near_unmatched = _near(new, step), _near(seen.unmatched, step)
        apart = value - near.max(initial=0) >= CUT_OVER_ALL and value - _median(near) >= CUT_OVER_MOST
        lost = seen.unmatched[step] - near_unmatched.max(initial=0) >= UNMATCHED_OVER_ALL
        if (value >= CUT and apart) or (lost and seen.recoloured[step] >= RECOLOURED):
            found.append(step + 1)
    return found


def seams(seen: Traces, shots: list[range]) -> list[int]:
    """Frames before which something stands out that is no cut: the picture as a whole gets brighter or another colour
    by 8 levels more than around there, or changes 4 times as much."""
    shift = np.abs(seen.shift).max(axis=1)
    change = np.maximum(seen.change, LEAST_CHANGE)
    found = []
    for shot in shots:
        inside = slice(shot.start, shot.stop - 1)
        for step in range(len(shot) - 1):
            over = shift[inside][step] - _median(_near(shift[inside], step))
            times = change[inside][step] / max(_median(_near(change[inside], step)), LEAST_CHANGE)
            if over >= SEAM_SHIFT or (times >= SEAM_RATIO and change[inside][step] >= 1):
                found.append(shot.start + step + 1)
    return found


def end_jump(seen: Traces, shots: list[range]) -> float:
    """The last step over the largest of the inner steps of its shot: above 1 it is larger than all of these. Where that
    shot has fewer than 4, over all inner steps that are no cuts. 0 for a single step."""
    inner = seen.change[shots[-1].start : -1]
    if len(inner) < NEAR:
        firsts = [shot.start - 1 for shot in shots[1:]]
        inner = np.delete(seen.change[:-1], [step for step in firsts if step < len(seen.change) - 1])
    return float(seen.change[-1] / max(inner.max(), LEAST_CHANGE)) if len(inner) else 0.0


def frozen(seen: Traces) -> float:
    """The longest run of steps in which nothing moves, as a share of all steps. Single repeated frames, as conversions
    of the frame rate leave them, make no run."""
    limit = max(REST, REST_SHARE * float(np.quantile(seen.peak, 0.9)))
    longest = run = 0
    for value in seen.peak:
        run = run + 1 if value < limit else 0
        longest = max(longest, run)
    return longest / len(seen.peak)


def flashes(seen: Traces) -> float:
    """Flashes a frame, 0 to 0.5, in the 16 frames that have most: pairs of opposing changes of the mean brightness,
    each by 10 % or more (after WCAG 2.2, 2.3.1, which allows 3 flashes a second)."""
    turns = _turns(seen.grey.mean(axis=(1, 2), dtype=np.float64))
    span = min(SPAN, len(seen.small))
    most = max((sum(start <= turn < start + span for turn in turns) for start in turns), default=0)
    return most // 2 / span


def flicker(seen: Traces, shots: list[range]) -> float:
    """By how many per cent the brightness of a frame, as a whole, is off from the mean of the frames beside it: the
    median over time. A single flash or cut leaves it as it is."""
    brightness = seen.grey.mean(axis=(1, 2), dtype=np.float64)
    unit = np.maximum(brightness, DARK) / 100
    off = [np.abs(np.diff(brightness[s.start : s.stop], 2)) / 2 / unit[s.start + 1 : s.stop - 1] for s in shots]
    return _median(np.concatenate(off))


def crossfade(seen: Traces, shots: list[range]) -> float:
    """How well a blend of the ends explains what lies between them, 0 to 1: of the difference of an inner frame to the
    nearer end, the share that the best blend takes away; the median over the frames of 16, where it is largest.

    A thing that moves is in neither end where it is in between, and a blend shows it twice: 0.25 is usual.
    """
    return max(_blended(seen.small[span.start : span.stop]) for span in _spans(shots))


def dissolve(seen: Traces, shots: list[range]) -> float:
    """The share, 0 to 1, of the edges of what moves that is lost: of their strength (`_edges`) in the first two frames
    of 16, what the median of the last quarter lacks; where it is largest. A thing that melts into a smear loses nearly
    all; so does one that disappears."""
    found = [0.0]
    for span in _spans(shots):
        if len(span) >= LEAST_SHOT:
            strength = _edges(seen, span)
            before = float(strength[:2].mean())
            if before >= LEAST_EDGE:
                found.append(1 - _median(strength[-(len(span) // 4) :]) / before)
    return max(found)


def drift_of_colour(seen: Traces, shots: list[range]) -> float:
    """By how many levels a shot gets brighter, darker or another colour from its start to its end: of the three
    channels and all shots the largest. Only what is slow and goes on: see `_steady`."""
    found = [0.0]
    for shot in shots:
        if len(shot) >= LEAST_SHOT:
            shifts = [tilt(seen.small[one], seen.small[other]) for one, other in _links(shot)]
            found += [_steady(channel) for channel in np.transpose(shifts)]
    return max(found)


def drift_of_contrast(seen: Traces, shots: list[range]) -> float:
    """By how many octaves the contrast rises or falls over a shot; 1 is the double or half.

    For each link of frames it is read twice, and the larger drift counts: the standard deviation over the pixels that
    change least, 19 of 20; and how far the boldest pixels, one in 200, are from the picture's median colour, which
    tells where a plain ground has no contrast of its own and all of it is in what moves.
    """
    found = [0.0]
    for shot in shots:
        if len(shot) >= LEAST_SHOT:
            links = _links(shot)
            gains = [_gain(seen.grey[one], seen.grey[other]) for one, other in links]
            bold = np.log2([_boldness(seen.small[frame]) for frame in (shot.start, *(other for _, other in links))])
            found += [_steady(np.array(gains)), _steady(np.diff(bold))]
    return max(found)


def drift_of_sharpness(seen: Traces, shots: list[range]) -> float:
    """By how many octaves the detail of a shot gets finer or coarser (`traces.sharpness`), or the edges of what moves
    get weaker: on a textured ground a small thing may blur and leave the detail as it is."""
    found = [0.0]
    for shot in shots:
        if len(shot) >= LEAST_SHOT:
            edges = np.log2(np.maximum(_edges(seen, shot), LEAST_EDGE))
            found += [abs(_trend(np.log2(seen.sharpness[shot.start : shot.stop]))), -_trend(edges)]
    return max(found)


def shots_between(cut_frames: list[int], frames: int) -> list[range]:
    """The frames of each shot."""
    return [range(start, stop) for start, stop in pairwise([0, *cut_frames, frames])]


def _spans(shots: list[range]) -> list[range]:
    """The frames of each shot in overlapping spans of 16, or in one where it has fewer."""
    return [
        range(start, min(start + SPAN, shot.stop))
        for shot in shots
        for start in range(shot.start, max(shot.start, shot.stop - SPAN) + 1, SPAN // 2)
    ]


def _edges(seen: Traces, span: range) -> Series:
    """How strong the edges of what moves are in each frame: the mean of the largest gradients, of one pixel in 200,
    among the pixels that are off the span's median by 16 levels, and those around them. Levels a pixel."""
    x = seen.small[span.start : span.stop]
    moves = np.abs(x - np.median(x, axis=0)).max(axis=-1) > MOVES
    edges = np.where(_widened(moves), seen.gradients[span.start : span.stop], 0).reshape(len(x), -1)
    count = max(4, int(EDGES * edges.shape[1]))
    return np.asarray(np.partition(edges, -count, axis=1)[:, -count:].mean(axis=1), np.float64)


def _widened(marks: Bool[np.ndarray, "f h w"]) -> Bool[np.ndarray, "f h w"]:
    """Marks that take in the pixels around them."""
    tall = marks.copy()
    tall[:, 1:] |= marks[:, :-1]
    tall[:, :-1] |= marks[:, 1:]
    wide = tall.copy()
    wide[:, :, 1:] |= tall[:, :, :-1]
    wide[:, :, :-1] |= tall[:, :, 1:]
    return wide


def _trend(x: Series) -> float:
    """The rise of a series over its length: the median slope of all pairs (Theil 1950, Sen 1968)."""
    one, other = np.triu_indices(len(x), 1)
    return _median((x[other] - x[one]) / (other - one)) * (len(x) - 1)


def _near(x: Series, step: int) -> Series:
    """The values around a step, without its own."""
    return np.concatenate([x[max(0, step - NEAR) : step], x[step + 1 : step + 1 + NEAR]])


def _median(x: Series) -> float:
    return float(np.median(x)) if len(x) else 0.0


def _turns(brightness: Series) -> list[int]:
    """The frames from which the brightness has changed by a flash's measure, each the other way than the one before."""
    low = high = brightness[0]
    way, found = 0, []
    for frame, value in enumerate(brightness):
        low, high = min(low, value), max(high, value)
        if way <= 0 and value - low > max(FLASH * value, 2.0):
            way, high = 1, value
            found.append(frame)
        elif way >= 0 and high - value > max(FLASH * high, 2.0):
            way, low = -1, value
            found.append(frame)
    return found


def _blended(x: Float32[np.ndarray, "f h w 3"]) -> float:
    if len(x) < 3:
        return 0.0
    flat = (x - x.mean(axis=(1, 2), keepdims=True)).reshape(len(x), -1)  # a ramp of light alone is no fade
    way = flat[-1] - flat[0]
    length = float(way @ way)
    if length < LEAST_FADE**2 * len(way):
        return 0.0
    shares = []
    for inner in flat[1:-1]:
        gone = inner - flat[0]
        weight = min(max(float(gone @ way) / length, 0.0), 1.0)
        nearer = min(float(np.abs(gone).mean()), float(np.abs(inner - flat[-1]).mean()))
        shares.append(1 - float(np.abs(gone - weight * way).mean()) / max(nearer, 0.25))
    return min(1.0, max(0.0, float(np.median(shares))))


def _steady(changes: Series) -> float:
    """The size of what a series of changes adds up to, if all were like the quartile that is nearer to 0: what passes
    by, or comes and goes, leaves one of the quartiles at 0 or on the other side of it."""
    low, high = np.quantile(changes, [0.25, 0.75])
    return float(max(low, -high, 0.0)) * len(changes)


def _links(shot: range) -> list[tuple[int, int]]:
    """Pairs of frames that span a shot: five of them, or more where these would be over 8 frames apart."""
    links = max(5, -(-(len(shot) - 1) // 8))
    ends = np.linspace(shot.start, shot.stop - 1, links + 1).round().astype(int)
    return list(pairwise(int(end) for end in ends))


def _gain(one: Float32[np.ndarray, "h w"], other: Float32[np.ndarray, "h w"]) -> float:
    """The contrast of the second frame over that of the first, in octaves, where they differ least."""
    apart = np.abs(other - one)
    stays = apart <= np.quantile(apart, 0.95)
    return float(np.log2((other[stays].std() + 1) / (one[stays].std() + 1)))


def _boldness(frame: Float32[np.ndarray, "h w 3"]) -> float:
    """How far the pixels that stand out most are from the median colour, in levels of the channel with most. A thing
    that grows or shrinks is as bold as before."""
    off = np.abs(frame - np.median(frame, axis=(0, 1))).max(axis=-1)
    return float(np.quantile(off, BOLD)) + LEAST_BOLD
