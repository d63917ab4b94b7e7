"""The two zero-shot protocols that text-to-video works are compared by, as code: MSR-VTT and UCF-101.

MSR-VTT: one clip for each of the 2,990 videos of its test split, from one of that video's 20 captions, drawn. UCF-101:
10,000 clips from a prompt a class, classes as often as among as many videos drawn from the set. Published works differ
in what they leave unsaid (which captions, which prompts, which frames of the real videos), so that their numbers
compare only roughly; here all of it follows from the seed. PixelDance (arXiv 2311.10982, sec. 4.1) gives its model a
first frame that a text-to-image model made; where ours comes from, a folder or a function, is the caller's to say.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import UInt8

from pixeldance.atomic import atomic_file
from pixeldance.data.clip import Clip
from pixeldance.data.datasets import open_source
from pixeldance.data.source import Source
from pixeldance.diffusion.noise import generators
from pixeldance.generate import Sampling
from pixeldance.image import fit, read_image
from pixeldance.metrics import extractors, proxy
from pixeldance.metrics.embedding import clipsim
from pixeldance.metrics.extractors import Extractor
from pixeldance.metrics.inception_score import inception_score
from pixeldance.metrics.measure import DISTANCES, distance_score, mean_score, no_video_is
from pixeldance.metrics.score import Score, Setting, not_computed
from pixeldance.pipeline import Pipeline
from pixeldance.video import write_video
from pixeldance.video_read import read_video

Frame = UInt8[np.ndarray, "h w 3"]
Video = UInt8[np.ndarray, "f h w 3"]


@dataclass(frozen=True, kw_only=True)
class Protocol:
    """spec: of `open_source`, with {root}. count: how many clips are made. drawn: whether videos are drawn from the
    set, each once while they last; else they are taken in the set's order."""

    name: str
    spec: str
    count: int
    drawn: bool = False


MSRVTT = Protocol(name="zero-shot MSR-VTT", spec="msrvtt:{root}?split=test", count=2990)
UCF101 = Protocol(name="zero-shot UCF-101", spec="ucf101:{root}", count=10_000, drawn=True)


@dataclass(frozen=True, kw_only=True)
class Request:
    """One clip to make. number: in the protocol, and the seed of its noise. name: of the real video. text: what is
    asked for. real: frames of the real video, of the length, rate and size of what is made."""

    number: int
    name: str
    text: str
    real: Video


First = Callable[[Request], Frame | None]
"""Where a first frame comes from; None for text alone. A text-to-image pipeline is a function of `request.text`."""


def requests(protocol: Protocol, source: Source, *, seed: int = 0, count: int | None = None) -> Iterator[Request]:
    """The protocol's requests, or the first `count` of them. The same seed gives the same ones, in any order of
    reading. Raises ValueError for a set with fewer videos than a protocol takes in order."""
    wanted = protocol.count if count is None else min(count, protocol.count)
    if not protocol.drawn and len(source) < wanted:
        raise ValueError(f"got {len(source)} videos; {protocol.name} takes {wanted}: give the whole set, or a count")
    for number in range(wanted):
        turn, place = divmod(number, len(source))
        index = place
        if protocol.drawn:
            index = int(np.random.default_rng((seed, turn)).permutation(len(source))[place])
        clip = source.read(index, np.random.default_rng((seed, number)))
        assert isinstance(clip, Clip)
        yield Request(number=number, name=source.name(index), text=clip.text, real=clip.video)


def opened(protocol: Protocol, root: Path, pipeline: Pipeline) -> Source:
    """The protocol's set, in clips as the pipeline makes them."""
    system = pipeline.system
    return open_source(protocol.spec.format(root=root), frames=system.frames[0], fps=system.fps, size=system.sizes[0])


def from_folder(folder: Path, ending: str = ".png") -> First:
    """First frames from files that are named as the real videos are: video7010.png, v_YoYo_g08_c01.png. They are
    fitted to size with bars. Raises ValueError for one that is missing."""

    def first(request: Request) -> Frame:
        path = folder / (Path(request.name).stem + ending)
        if not path.is_file():
            raise ValueError(f"{path} is missing; wanted a first frame for each video, such as this one's")
        return fit(read_image(path), size=(request.real.shape[1], request.real.shape[2]))

    return first


def of_text(request: Request) -> None:
    """No first frame: the text alone."""
    return None


def run(
    protocol: Protocol,
    root: Path,
    pipeline: Pipeline,
    out: Path,
    *,
    first: First = of_text,
    networks: Mapping[str, Extractor] | None = None,
    sampling: Sampling | None = None,
    seed: int = 0,
    count: int | None = None,
    progress: Callable[[int], None] | None = None,
) -> list[Score]:
    """Make what a protocol asks for and measure it. Clips are kept in `out` as NUMBER.mkv and not made again, so that a
    run that was ended goes on. Raises ValueError for an `out` that has clips of another model, seed or way of sampling;
    that the first frames are the same is the caller's to see to."""
    given = networks or {}
    _claim(out, protocol, pipeline, sampling or Sampling(), seed)
    seen = _Seen(given)
    size = rate = None
    for request in requests(protocol, opened(protocol, root, pipeline), seed=seed, count=count):
        path = out / f"{request.number:06d}.mkv"
        if path.exists():
            made, _ = read_video(path)
        else:
            ask = pipeline.instruct(request.text, first(request))
            made = pipeline.render(ask, generators([request.number])[0], sampling)
            write_video(path, made, fps=pipeline.system.fps)
        size, rate = made.shape, pipeline.system.fps
        seen.add(request, made)
        if progress is not None:
            progress(request.number + 1)
    if size is None or len(seen.texts) < 2:
        raise ValueError(f"got {len(seen.texts)} requests; wanted 2 or more")
    setting = Setting(n=len(seen.texts), frames=size[0], fps=rate, size=(size[1], size[2]), codec="FFV1, lossless")
    return seen.scores(setting, np.random.default_rng(seed))


def _claim(out: Path, protocol: Protocol, pipeline: Pipeline, sampling: Sampling, seed: int) -> None:
    """Make `out` this run's, or see that it is."""
    how = {name: getattr(sampling, name) for name in ("steps", "guidance", "tau", "tau_steps", "late")}
    wanted = {"protocol": protocol.name, "model": pipeline.model_hash, "seed": seed, "sampling": how}
    path = out / "run.json"
    if not path.exists():
        out.mkdir(parents=True, exist_ok=True)
        with atomic_file(path) as part:
            part.write_text(json.dumps(wanted, indent=1) + "\n")
    found = json.loads(path.read_bytes())
    odd = [name for name, value in wanted.items() if found.get(name) != value]
    if odd:
        raise ValueError(f"{out} has clips of another {' and '.join(odd)}; give another folder, or empty this one")


class _Seen:
    """What is kept of each request: features, a few thousand numbers, and no pixels."""

    def __init__(self, networks: Mapping[str, Extractor]) -> None:
        self.networks = networks
        self.texts: list[str] = []
        self.videos: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])  # of real and made
        self.pictures: tuple[list[np.ndarray], list[np.ndarray]] = ([], [])
        self.classes: list[np.ndarray] = []
        self.video_classes: list[np.ndarray] = []
        self.said: tuple[list[float], list[float]] = ([], [])
        self.proxies = {name: proxy.trusted(f"{name}-proxy") for name in DISTANCES}

    def add(self, request: Request, made: Video) -> None:
        self.texts.append(request.text)
        if no_video_is(self.networks.get("c3d"), len(made)) is None:
            self.video_classes.append(extractors.video_classes(self.networks["c3d"].net, [made]))
        place = int(np.random.default_rng(request.number).integers(len(made)))  # the frame that FID sees
        for side, video in enumerate((request.real, made)):
            if "i3d" in self.networks:
                self.videos[side].append(extractors.video_features(self.networks["i3d"].net, [video]))
            elif None in self.proxies.values():
                self.videos[side].append(proxy.seen([video])[0])
            if "inception" in self.networks:
                frame = video[place : place + 1]
                features, classes = extractors.picture_features(self.networks["inception"].net, frame)
                self.pictures[side].append(features)
                self.classes += [classes] if side else []
            if "clip" in self.networks:
                net = self.networks["clip"].net
                text = extractors.clip_text(net, request.text)
                self.said[side].append(clipsim(extractors.clip_frames(net, video), text))

    def scores(self, setting: Setting, rng: np.random.Generator) -> list[Score]:
        """Every figure of the protocol. There is no floor for distances: no real videos are left for one."""
        found = []
        for name, distance in DISTANCES.items():
            if "i3d" in self.networks:
                found.append(distance_score(name, distance, self._at(setting, "i3d"), _both(self.videos), rng))
                continue
            found.append(not_computed(name, "it needs I3D's weights: --i3d FILE", setting))
            why = self.proxies[name]
            if why is None:
                at = replace(setting, extractor=proxy.digest(), resize=proxy.RESIZE)
                found.append(distance_score(f"{name}-proxy", distance, at, _both(self.videos), rng))
            else:
                found.append(not_computed(f"{name}-proxy", why, setting))
        if "inception" in self.networks:
            at = self._at(setting, "inception")
            found.append(distance_score("fid", DISTANCES["fvd"], at, _both(self.pictures), rng))
            value, _ = inception_score(np.concatenate(self.classes), splits=1)
            found.append(Score(name="is", value=value, setting=at))
        else:
            why = "it needs Inception's weights: --inception FILE"
            found += [not_computed(name, why, setting) for name in ("fid", "is")]
        if self.video_classes:
            value, _ = inception_score(np.concatenate(self.video_classes), splits=1)
            found.append(Score(name="video-is", value=value, setting=self._at(setting, "c3d")))
        else:
            assert setting.frames is not None
            why = no_video_is(self.networks.get("c3d"), setting.frames)
            assert why is not None
            found.append(not_computed("video-is", why, setting))
        if "clip" in self.networks:
            real, made = self.said
            found.append(mean_score("clipsim", made, real, self._at(setting, "clip"), rng))
        else:
            found.append(not_computed("clipsim", "it needs CLIP's weights: --clip DIR", setting))
        return found

    def _at(self, setting: Setting, network: str) -> Setting:
        return replace(setting, extractor=self.networks[network].sha256, resize=self.networks[network].resize)


def _both(parts: tuple[list[np.ndarray], list[np.ndarray]]) -> list[np.ndarray]:
    return [np.concatenate(part) for part in parts]
