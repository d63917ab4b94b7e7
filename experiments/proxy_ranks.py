"""Whether the proxies of published metrics rank known corruptions: one that fails may not be reported.

Command:   python experiments/proxy_ranks.py
Cost:      about 5 minutes of one core; scipy is in the extra `test`
Expected:  a Spearman correlation above 0.9 with the level of each of seven corruptions, which for five levels means
           that all are in order
Obtained:  video-is-proxy orders all seven. fvd-proxy orders six; of blur the weakest level comes before none (0.9).
           kvd-proxy misses blur, cross-fades and drift by one pair each (0.9). fid-proxy, which sees single frames,
           orders neither rests nor shuffling (-0.3, 0.2). So the first may be reported, the others may not

Toybox clips of the held-out split, real ones against as many others that were corrupted; the levels were fixed before
the first run. Writes pixeldance/weights/proxy/ranks.json, which `metrics.proxy.trusted` reads, and, with all values,
results/proxy_ranks.json.
"""

import argparse
import json
from dataclasses import replace
from pathlib import Path

import numpy as np
from PIL import Image, ImageFilter
from scipy.stats import spearmanr

from pixeldance.atomic import atomic_file
from pixeldance.data.toybox import WORLD, clip
from pixeldance.metrics.frechet import frechet_distance
from pixeldance.metrics.inception_score import inception_score
from pixeldance.metrics.kernel import kernel_distance
from pixeldance.metrics.proxy import LEAST_SPEARMAN, RANKS, WIDTH, digest, seen

FRAMES, LEVELS = 16, (1, 2, 3, 4, 5)
MOVING = replace(WORLD, split="held-out", two=0.0, cut=0.0, moving_camera=0.25, roam=1.0)
REAL, CORRUPTED = 2**42, 2**42 + 10_000  # numbers of the first clips
STILL = 4  # times that a frame is repeated for figures of single frames
RESULTS = Path(__file__).parent / "results" / "proxy_ranks.json"

Video = np.ndarray


def blur(video: Video, level: int, rng: np.random.Generator) -> Video:
    """Gaussian, 0.4 to 2 pixels."""
    soft = ImageFilter.GaussianBlur(0.4 * level)
    return np.stack([np.asarray(Image.fromarray(frame).filter(soft)) for frame in video])


def noise(video: Video, level: int, rng: np.random.Generator) -> Video:
    """Gaussian, 5 to 25 levels of 255, of its own in each frame."""
    return video + 5 * level * rng.standard_normal(video.shape)


def frozen(video: Video, level: int, rng: np.random.Generator) -> Video:
    """The last 3, 6, 9, 12 or 15 frames are the one before them."""
    return video[np.minimum(np.arange(FRAMES), FRAMES - 1 - 3 * level)]


def shuffled(video: Video, level: int, rng: np.random.Generator) -> Video:
    """3, 6, 9, 12 or 15 of the frames change places."""
    order = np.arange(FRAMES)
    places = rng.choice(FRAMES, 3 * level, replace=False)
    order[places] = np.roll(places, 1)
    return video[order]


def crossfaded(video: Video, level: int, rng: np.random.Generator) -> Video:
    """A fifth to all of each frame is a blend of the ends."""
    u = np.linspace(0, 1, FRAMES)[:, None, None, None]
    fade = (1 - u) * video[0] + u * video[-1]
    return video + 0.2 * level * (fade - video)


def jump(video: Video, level: int, rng: np.random.Generator) -> Video:
    """From the middle on the picture is 3 to 15 pixels further to the right, what leaves it coming back at the left."""
    return np.concatenate([video[: FRAMES // 2], np.roll(video[FRAMES // 2 :], 3 * level, axis=2)])


def drift(video: Video, level: int, rng: np.random.Generator) -> Video:
    """It gets 12 to 60 levels brighter or darker to its end."""
    way = rng.choice([-1.0, 1.0])
    return video + way * 12 * level * np.linspace(0, 1, FRAMES)[:, None, None, None]


CORRUPTIONS = (blur, noise, frozen, shuffled, crossfaded, jump, drift)


def clips(first: int, n: int) -> list[Video]:
    return [clip(first + number, world=MOVING, frames=FRAMES).video for number in range(n)]


def single_frames(videos: list[Video]) -> list[Video]:
    """One frame of each video, drawn, as a video that stands still."""
    rng = np.random.default_rng(1)
    return [np.repeat(video[rng.integers(FRAMES)][None], STILL, axis=0) for video in videos]


def figures(real: dict[str, np.ndarray], videos: list[Video]) -> dict[str, float]:
    """Each proxy of a set of videos; the score, of which more is better, turned round."""
    features, facts = seen(videos)
    pictures, _ = seen(single_frames(videos))
    return {
        "fvd-proxy": frechet_distance(real["videos"], features),
        "kvd-proxy": kernel_distance(real["videos"], features),
        "fid-proxy": frechet_distance(real["pictures"], pictures),
        "video-is-proxy": -inception_score(facts["motion"], splits=1)[0],
    }


def main() -> None:
    """Measure, print and write."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--n", type=int, default=2 * WIDTH, help="clips on each side; more than the features there are")
    n = parser.parse_args().n
    shown, others = clips(REAL, n), clips(CORRUPTED, n)
    real = {"videos": seen(shown)[0], "pictures": seen(single_frames(shown))[0]}
    values = {"none": [figures(real, others)]}
    for corrupt in CORRUPTIONS:
        rows = []
        for level in LEVELS:
            rng = np.random.default_rng(0)  # the same noise and places at every level
            made = [np.clip(np.rint(corrupt(video, level, rng)), 0, 255).astype(np.uint8) for video in others]
            rows.append(figures(real, made))
        values[corrupt.__name__] = rows
    names = list(values["none"][0])
    ranks = {
        name: {
            corrupt.__name__: round(float(spearmanr(LEVELS, [row[name] for row in values[corrupt.__name__]])[0]), 4)
            for corrupt in CORRUPTIONS
        }
        for name in names
    }
    checked = {"network": digest(), "n": n, "frames": FRAMES, "above": LEAST_SPEARMAN, "spearman": ranks}
    with atomic_file(RANKS, overwrite=True) as part:
        part.write_text(json.dumps(checked, indent=1) + "\n")
    RESULTS.write_text(json.dumps(checked | {"values": values}, indent=1) + "\n")
    for name in names:
        verdict = "may be reported" if min(ranks[name].values()) > LEAST_SPEARMAN else "refused"
        print(f"{name}: {verdict}; without corruption {values['none'][0][name]:.4g}")
        for what, value in ranks[name].items():
            print(f"    {what:12} {value:+.2f}   " + " ".join(f"{row[name]:.4g}" for row in values[what]))


if __name__ == "__main__":
    main()
