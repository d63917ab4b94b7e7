"""Clips encoded beforehand: a codec's latents in shards, so that no codec need run while a model is trained.

FOLDER/encoding.json says what was encoded with what; FOLDER/00000.tar, 00001.tar, ... hold KEY.safetensors (latents in
float16) and KEY.json (text, fps, size, name); 00000.quarantine.jsonl lists what of these numbers could not be read.

Text encoders' tokens are not kept. What a training step drops it drops from the `Instruction`, as text: tokens beside
it in an `Example` would have to be dropped a second time; of several texts to a video one is drawn; and a frozen
encoder costs little beside the network that reads it (CLIP's 77 tokens against 16 latent frames).
"""

import fcntl
import hashlib
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from functools import partial
from itertools import islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load as load_tensors
from safetensors.torch import save as save_tensors

from pixeldance.atomic import atomic_file
from pixeldance.checkpoint import to_json
from pixeldance.codec import Codec, CodecConfig
from pixeldance.data.clip import Clip, Example
from pixeldance.data.encode import encode
from pixeldance.data.parallel import mapped
from pixeldance.data.shards import Members, Shards, about_of, write_shard
from pixeldance.data.source import Size, Source, Unreadable
from pixeldance.data.videos import Joined

VERSION = 1
ABOUT = "encoding.json"


@dataclass(frozen=True, kw_only=True)
class Encoding:
    """What a folder of latents holds: how many clips of `spec`, `frames` at `fps` in `sizes`, were to be encoded by the
    codec with the fingerprint `codec`, `shard_size` to a shard, their random starts drawn from `seed`."""

    spec: tuple[str, ...]
    clips: int
    frames: int
    fps: float
    sizes: tuple[tuple[int, int], ...]
    codec: str
    shard_size: int
    seed: int = 0
    version: int = VERSION


def fingerprint(config: CodecConfig, codec: Codec) -> str:
    """The SHA-256 of a codec: its settings, and its weights in the precision that checkpoints keep. How many frames it
    takes at once changes no latent and does not count."""
    digest = hashlib.sha256(
        json.dumps({k: v for k, v in to_json(config).items() if k != "frames_at_once"}, sort_keys=True).encode()
    )
    for name, weight in sorted(codec.state_dict().items()):
        digest.update(name.encode())
        digest.update(weight.detach().cpu().half().contiguous().numpy().tobytes())
    return digest.hexdigest()


def check_codec(source: Source, config: CodecConfig, codec: Codec) -> None:
    """Raise ValueError where `source` holds latents of another codec than a model's; clips in pixels fit any."""
    if isinstance(source, Joined):
        for each in source.sources:
            check_codec(each, config, codec)
    if isinstance(source, Latents) and source.encoding.codec != (wanted := fingerprint(config, codec)):
        raise ValueError(
            f"the latents in {source.folder} were made by another codec ({source.encoding.codec[:12]}) than this "
            f"model's ({wanted[:12]}), which cannot read them; encode again with this model: "
            f"pixeldance encode {' '.join(source.encoding.spec)} --model MODEL -o DIR"
        )


class Latents:
    """The source of the encoded clips in a folder."""

    def __init__(self, folder: Path, encoding: Encoding, shards: Shards) -> None:
        self.folder, self.encoding, self.shards = folder, encoding, shards

    @property
    def sizes(self) -> tuple[Size, ...]:
        return self.encoding.sizes

    @property
    def home(self) -> Path:
        return self.folder

    def seen(self, index: int) -> Size:
        """The size in pixels of what was encoded. Raises Unreadable."""
        _, members = self.shards.members(index, ("json",))
        try:
            height, width = about_of(members)["size"]
        except (KeyError, ValueError, TypeError) as error:
            raise Unreadable(f"damaged: not the latents of a clip ({error})") from error
        return height, width

    def stamp(self) -> str:
        return self.shards.stamp()

    @classmethod
    def opened(
        cls,
        folder: Path,
        *,
        frames: int | None = None,
        fps: float | None = None,
        sizes: tuple[tuple[int, int], ...] | None = None,
    ) -> "Latents":
        """Raises ValueError for no folder of latents, for one that is not finished, and for latents of clips of
        another length, rate or sizes, where these are given."""
        encoding = read_encoding(folder)
        if encoding is None:
            raise ValueError(f"{folder} holds no {ABOUT}; wanted a folder that `pixeldance encode` wrote")
        for name, got, wanted in (
            ("frames", encoding.frames, frames),
            ("fps", encoding.fps, fps),
            ("sizes", encoding.sizes, sizes),
        ):
            if wanted is not None and wanted != got:
                raise ValueError(f"the latents in {folder} have {name} {got}, not {wanted}; encode them again")
        paths = [shard_path(folder, number) for number in range(shard_count(encoding))]
        missing = [path.name for path in paths if not path.exists()]
        if missing:
            raise ValueError(
                f"{folder} lacks {len(missing)} of {len(paths)} shards, {missing[0]} first; the command that began it "
                f"goes on with it: pixeldance encode {' '.join(encoding.spec)} -o {folder}"
            )
        return cls(folder, encoding, Shards(paths))

    def __len__(self) -> int:
        return len(self.shards)

    def name(self, index: int) -> str:
        return self.shards.name(index)

    def read(self, index: int, rng: np.random.Generator) -> Example:
        """Latents number `index`, in float32; `rng` has nothing to draw."""
        ending, members = self.shards.members(index)
        about = about_of(members)
        try:
            tensors, (height, width) = load_tensors(members["media"]), about["size"]
            latents = tensors["latents"].float()
            focus = tensors["focus"].float() if "focus" in tensors else None
            return Example(text=about["text"], latents=latents, fps=about["fps"], size=(height, width), focus=focus)
        except (KeyError, ValueError, TypeError, SafetensorError) as error:
            raise Unreadable(f"damaged: not the latents of a clip ({ending or 'no medium'}: {error})") from error


# --- making them ---


def encode_source(
    source: Source,
    codec: Codec,
    folder: Path,
    encoding: Encoding,
    *,
    workers: int = 0,
    device: torch.device | str = "cpu",
    progress: Callable[[int], object] = lambda done: None,
) -> None:
    """Write the shards of `folder` that are not there yet; `codec` is on `device`, `workers` processes read ahead.

    A shard appears finished or not at all, so that this may end at any moment and be called again. `progress` is told
    of clips as they are done. Raises ValueError for a folder of other latents, and where another process is at work
    in it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with _alone(folder):
        found = read_encoding(folder)
        if found is None:
            with atomic_file(folder / ABOUT) as part:
                part.write_text(json.dumps(asdict(encoding), indent=1) + "\n")
        elif found != encoding:
            changed = [name for name, value in asdict(encoding).items() if value != asdict(found)[name]]
            raise ValueError(
                f"{folder} holds latents that were begun with other settings ({', '.join(changed)}); "
                "go on with the same ones, or choose another folder"
            )
        for leftover in folder.glob(".pixeldance-*.part"):  # of a process that was killed
            leftover.unlink()
        size = encoding.shard_size
        shares = {n: range(n * size, min((n + 1) * size, encoding.clips)) for n in range(shard_count(encoding))}
        missing = [number for number in shares if not shard_path(folder, number).exists()]
        progress(sum(len(share) for number, share in shares.items() if number not in set(missing)))
        indices = [index for number in missing for index in shares[number]]
        readings = mapped(partial(_read, source, encoding.seed), indices, workers)
        for number in missing:
            _write(source, codec, device, folder, number, islice(readings, len(shares[number])), progress)


def _read(source: Source, seed: int, index: int) -> tuple[int, Clip | Example | Unreadable]:
    try:
        return index, source.read(index, np.random.default_rng((seed, index)))
    except Unreadable as error:
        return index, error


def read_encoding(folder: Path) -> Encoding | None:
    """What a folder of latents says of itself; None where it says nothing."""
    file = folder / ABOUT
    if not file.is_file():
        return None
    try:
        data = json.loads(file.read_text())
        if data["version"] != VERSION:
            raise ValueError(f"{file}: got version {data['version']}, this pixeldance reads {VERSION}; encode again")
        sizes = tuple((height, width) for height, width in data["sizes"])
        return Encoding(**{**data, "spec": tuple(data["spec"]), "sizes": sizes})
    except (KeyError, TypeError, json.JSONDecodeError) as error:
        raise ValueError(f"{file}: damaged ({error}); wanted what `pixeldance encode` wrote") from None


def shard_count(encoding: Encoding) -> int:
    """How many shards the clips fill."""
    return -(-encoding.clips // encoding.shard_size)


def shard_path(folder: Path, number: int) -> Path:
    """Shard `number` of a folder."""
    return folder / f"{number:05d}.tar"


def quarantined(folder: Path) -> list[dict[str, Any]]:
    """What could not be read, of all shards written so far: {index, name, reason}."""
    lists = sorted(folder.glob("*.quarantine.jsonl"))
    return [json.loads(line) for path in lists for line in path.read_text().splitlines()]


def _write(
    source: Source,
    codec: Codec,
    device: torch.device | str,
    folder: Path,
    number: int,
    readings: Iterable[tuple[int, Clip | Example | Unreadable]],
    progress: Callable[[int], object],
) -> None:
    refused: list[Mapping[str, Any]] = []

    def samples() -> Iterator[tuple[str, Members]]:
        for index, read in readings:
            name = source.name(index)
            if isinstance(read, Unreadable):
                refused.append({"index": index, "name": name, "reason": str(read)})
            else:
                yield f"{index:09d}", _members(encode(codec, [read], device=device)[0], name)
            progress(1)
        # Before the shard that it belongs to: where there is a shard, its list is complete.
        with atomic_file(folder / f"{number:05d}.quarantine.jsonl", overwrite=True) as part:
            part.write_text("".join(json.dumps(each) + "\n" for each in refused))

    write_shard(shard_path(folder, number), samples())


def _members(example: Example, name: str) -> Members:
    about = {"text": example.text, "fps": example.fps, "size": example.size, "name": name}
    kept = {"latents": example.latents} | ({} if example.focus is None else {"focus": example.focus})
    tensors = {key: value.detach().cpu().half().contiguous() for key, value in kept.items()}
    return {".safetensors": save_tensors(tensors), ".json": json.dumps(about).encode()}


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Keep a second process out; the lock ends with the process that holds it, however that ends."""
    with open(folder / ".lock", "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise ValueError(f"another process is writing latents into {folder}; wait for it, or stop it") from None
        yield
