"""All figures of a set of made videos beside real ones: what can be computed, and why the rest cannot.

Published names are only for the published networks (`metrics.extractors`); in their place stand proxies of other names
(`metrics.proxy`), and of these only those that were found to rank known corruptions.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from jaxtyping import Float, UInt8

from pixeldance.metrics import c3d, extractors, flow, i3d, image, lpips, proxy
from pixeldance.metrics.embedding import clipsim, consistency
from pixeldance.metrics.extractors import Extractor
from pixeldance.metrics.frechet import frechet_distance
from pixeldance.metrics.inception_score import inception_score
from pixeldance.metrics.kernel import kernel_distance
from pixeldance.metrics.score import Score, Setting, interval, not_computed

Video = UInt8[np.ndarray, "_ _ _ 3"]
Features = Float[np.ndarray, "n d"]
Distance = Callable[[Features, Features], float]
DISTANCES: dict[str, Distance] = {"fvd": frechet_distance, "kvd": kernel_distance}
PROXY_IS = "video-is-proxy"  # by the motions that our own network tells apart
RESAMPLES = 40
WIDEST = 512  # features of a distance that is resampled; of Inception's 2048 that would take a quarter of an hour
STORED = "none: frames as they were rendered"


@dataclass(frozen=True, kw_only=True)
class Sets:
    """What is compared. real, made: as many of each, of one size and length, the pairs of one request. others: real
    videos that are in neither, as many, for the floor. texts: of the requests."""

    real: Sequence[Video]
    others: Sequence[Video]
    made: Sequence[Video]
    texts: Sequence[str]
    fps: float

    def __post_init__(self) -> None:
        counts = {len(self.real), len(self.others), len(self.made), len(self.texts)}
        shapes = {video.shape for videos in (self.real, self.others, self.made) for video in videos}
        if len(counts) != 1 or min(counts) < 2 or len(shapes) != 1:
            raise ValueError(
                f"got sets of {sorted(counts)} and shapes {sorted(shapes)}; wanted 2 or more of each and one shape"
            )

    def setting(self, extractor: str | None = None, resize: str | None = None) -> Setting:
        """How all figures of these sets are measured."""
        f, h, w, _ = self.made[0].shape
        return Setting(
            n=len(self.made), frames=f, fps=self.fps, size=(h, w), resize=resize, codec=STORED, extractor=extractor
        )


def measured(sets: Sets, networks: Mapping[str, Extractor], rng: np.random.Generator) -> list[Score]:
    """Every figure, in the order in which a report shows it; `networks` by the name of their option."""
    return [
        *_of_videos(sets, networks.get("i3d"), rng),
        *_of_pictures(sets, networks.get("inception"), rng),
        *_of_classes(sets, networks.get("c3d")),
        *_of_clip(sets, networks.get("clip"), rng),
        *_of_pairs(sets, networks.get("lpips"), rng),
        *_of_motion(sets, rng),
    ]


def distance_score(
    name: str, distance: Distance, setting: Setting, features: Sequence[Features], rng: np.random.Generator
) -> Score:
    """A distance of made to real from the features of the real, then of the made, with its spread where these are not
    too many. A third set, of other real ones, gives the floor."""
    real, made, *others = features
    floor = distance(real, others[0]) if others else None
    score = Score(name=name, value=distance(real, made), setting=setting, floor=floor)
    return with_interval(score, (real, made), distance, rng) if real.shape[1] <= WIDEST else score


def mean_score(
    name: str, made: Sequence[float], real: Sequence[float] | None, setting: Setting, rng: np.random.Generator
) -> Score:
    """The mean of a figure that each video has, with what the real ones have; what has none (NaN) is left out."""
    known, there = ([each for each in values or () if np.isfinite(each)] for values in (made, real))
    if len(known) < 2:
        return not_computed(name, f"only {len(known)} of {len(made)} videos have it", setting)
    return Score(
        name=name,
        value=float(np.mean(known)),
        setting=replace(setting, n=len(known)),
        interval=interval(known, rng),
        floor=float(np.mean(there)) if there else None,
    )


def no_video_is(opened: Extractor | None, frames: int) -> str | None:
    """Why the inception score of videos cannot be had; None where it can."""
    if opened is None:
        return "it needs C3D's weights, fine-tuned on UCF-101: --c3d FILE"
    return None if frames == c3d.FRAMES else f"C3D takes {c3d.FRAMES} frames, and these have {frames}"


def with_interval(
    score: Score, features: tuple[Features, Features], distance: Distance, rng: np.random.Generator
) -> Score:
    """The score with what resampling both sets says of its spread: percentiles of resampled distances, moved so that
    their median is the value, as repeated samples alone make a distance larger."""
    assert score.value is not None
    values = []
    for _ in range(RESAMPLES):
        one, other = (x[rng.integers(len(x), size=len(x))] for x in features)
        values.append(distance(one, other))
    low, middle, high = np.percentile(values, [2.5, 50, 97.5])
    return replace(score, interval=(score.value + float(low - middle), score.value + float(high - middle)))


def _of_videos(sets: Sets, opened: Extractor | None, rng: np.random.Generator) -> list[Score]:
    """FVD and KVD, or their proxies."""
    found = []
    if opened is None:
        found += [not_computed(name, "it needs I3D's weights: --i3d FILE", sets.setting()) for name in DISTANCES]
        refused = {name: proxy.trusted(f"{name}-proxy") for name in DISTANCES}
        names = [f"{name}-proxy" for name in DISTANCES]
        found += [not_computed(f"{name}-proxy", why, sets.setting()) for name, why in refused.items() if why]
        kept = [name for name, why in zip(names, refused.values(), strict=True) if why is None]
        if not kept:
            return found
        setting = sets.setting(proxy.digest(), proxy.RESIZE)
        features = [proxy.seen(videos)[0] for videos in (sets.real, sets.made, sets.others)]
    else:
        kept, setting = list(DISTANCES), sets.setting(opened.sha256, opened.resize)
        if setting.frames is not None and setting.frames < i3d.LEAST:
            why = f"I3D takes {i3d.LEAST} frames or more, and these have {setting.frames}"
            return [not_computed(name, why, setting) for name in kept]
        features = [
            extractors.video_features(opened.net, list(videos)) for videos in (sets.real, sets.made, sets.others)
        ]
    return found + [
        distance_score(name, DISTANCES[name.removesuffix("-proxy")], setting, features, rng) for name in kept
    ]


def _of_pictures(sets: Sets, opened: Extractor | None, rng: np.random.Generator) -> list[Score]:
    """FID, of one frame drawn from each video, and IS of the made ones."""
    if opened is None:
        why = "it needs Inception's weights: --inception FILE"
        return [not_computed(name, why, sets.setting()) for name in ("fid", "is")]
    setting = sets.setting(opened.sha256, opened.resize)
    places = rng.integers(len(sets.made[0]), size=len(sets.made))
    pictures = [
        np.stack([video[place] for video, place in zip(videos, places, strict=True)])
        for videos in (sets.real, sets.made, sets.others)
    ]
    seen = [extractors.picture_features(opened.net, each) for each in pictures]
    fid = distance_score("fid", frechet_distance, setting, [features for features, _ in seen], rng)
    value, _ = inception_score(seen[1][1], splits=1)
    return [fid, Score(name="is", value=value, setting=setting, floor=inception_score(seen[0][1], splits=1)[0])]


def _of_classes(sets: Sets, opened: Extractor | None) -> list[Score]:
    """IS of videos, or its proxy: of the made ones, with that of the real ones."""
    why = no_video_is(opened, len(sets.made[0]))
    if why is None:
        assert opened is not None
        told = [extractors.video_classes(opened.net, list(videos)) for videos in (sets.made, sets.real)]
        return [_class_score("video-is", told, sets.setting(opened.sha256, opened.resize))]
    found, distrust = [not_computed("video-is", why, sets.setting())], proxy.trusted(PROXY_IS)
    if distrust is not None:
        return [*found, not_computed(PROXY_IS, distrust, sets.setting())]
    told = [proxy.seen(videos)[1]["motion"] for videos in (sets.made, sets.real)]
    return [*found, _class_score(PROXY_IS, told, sets.setting(proxy.digest(), proxy.RESIZE))]


def _class_score(name: str, told: Sequence[Features], setting: Setting) -> Score:
    """The inception score from the class probabilities of the made videos and of the real ones."""
    value, floor = (inception_score(each, splits=1)[0] for each in told)
    return Score(name=name, value=value, setting=setting, floor=floor)


def _of_clip(sets: Sets, opened: Extractor | None, rng: np.random.Generator) -> list[Score]:
    if opened is None:
        why = "it needs CLIP's weights: --clip DIR"
        return [not_computed(name, why, sets.setting()) for name in ("clipsim", "clip-consistency")]
    setting = sets.setting(opened.sha256, opened.resize)
    texts = [extractors.clip_text(opened.net, text) for text in sets.texts]
    frames = [[extractors.clip_frames(opened.net, video) for video in videos] for videos in (sets.made, sets.real)]
    said = [[clipsim(*pair) for pair in zip(each, texts, strict=True)] for each in frames]
    steady = [[consistency(each) for each in of] for of in frames]
    return [
        mean_score("clipsim", said[0], said[1], setting, rng),
        mean_score("clip-consistency", steady[0], steady[1], setting, rng),
    ]


def _of_pairs(sets: Sets, opened: Extractor | None, rng: np.random.Generator) -> list[Score]:
    """How near made videos are to the real ones of their requests: PSNR, SSIM, LPIPS."""
    pairs = list(zip(sets.made, sets.real, strict=True))
    found = [mean_score("psnr", [image.psnr(*pair) for pair in pairs], None, sets.setting(), rng)]
    found.append(mean_score("ssim", [image.ssim(*pair) for pair in pairs], None, sets.setting(), rng))
    if opened is None:
        return [*found, not_computed("lpips", "it needs LPIPS' weights: --lpips FILE", sets.setting())]
    tensors = [[torch.from_numpy(np.ascontiguousarray(video)) for video in pair] for pair in pairs]
    values = [float(np.mean(lpips.distances(opened.net, *pair))) for pair in tensors]
    return [*found, mean_score("lpips", values, None, sets.setting(opened.sha256, opened.resize), rng)]


def _of_motion(sets: Sets, rng: np.random.Generator) -> list[Score]:
    found = []
    for name, of in (("motion", flow.motion_magnitude), ("warping_error", flow.warping_error)):
        try:
            made, real = ([of(video) for video in videos] for videos in (sets.made, sets.real))
        except ValueError as error:
            found.append(not_computed(name, str(error), sets.setting()))
            continue
        found.append(mean_score(name, made, real, sets.setting(), rng))
    return found
