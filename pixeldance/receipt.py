"""The receipt of a clip: what it was made from, as JSON beside it, and the proof that it was: rendering it again.

A receipt is complete: given the model that it names by hash, it gives the frames that it names by hash.
"""

import base64
import binascii
import hashlib
import io
import platform
import sys
from dataclasses import dataclass, replace
from math import isclose, nan
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar

import torch
from PIL import Image
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from pixeldance import __version__
from pixeldance.diffusion.noise import generators
from pixeldance.generate import OnStep, Sampling
from pixeldance.image import Frame, read_image
from pixeldance.instruction import Instruction
from pixeldance.metrics.choose import RULE
from pixeldance.metrics.meter import meter
from pixeldance.pipeline import SHIPPED, Pipeline, check_seed, instruct
from pixeldance.system import Maker
from pixeldance.video import Video, frames_sha256, iterate_video

PNG = "data:image/png;base64,"
LOSSLESS = (".mkv", ".webp", "/")
SHOWN = 12  # digits of a hash in a message


class Record(BaseModel):
    """Nothing is converted, added or left out when a record is read."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)


class Picture(Record):
    """A given picture. png: as the model got it, upright, flat and fitted, as a data URL; path, sha256: its file."""

    png: str
    path: str
    sha256: str

    @classmethod
    def of(cls, pixels: Frame, path: str) -> "Picture":
        """The record of pixels that were made from the file at `path`."""
        return cls.of_bytes(pixels, Path(path).read_bytes(), path)

    @classmethod
    def of_bytes(cls, pixels: Frame, source: bytes, path: str) -> "Picture":
        """The record of pixels that were made from a file's bytes."""
        data = io.BytesIO()
        Image.fromarray(pixels).save(data, format="PNG")
        png = PNG + base64.b64encode(data.getbuffer()).decode()
        return cls(png=png, path=printable(path), sha256=hashlib.sha256(source).hexdigest())

    def pixels(self) -> Frame:
        """The pixels again. Raises ValueError where `png` is something else."""
        return read_image(self.file())

    def file(self) -> bytes:
        """The bytes of the PNG. Raises ValueError where `png` is something else."""
        try:
            return base64.b64decode(self.png.removeprefix(PNG).encode("ascii"), validate=True)
        except (binascii.Error, UnicodeEncodeError):
            raise ValueError(f"got a picture that begins {self.png[:40]!r}; wanted {PNG} and base64") from None


class Request(Record):
    """All that was asked for, with the model's own settings where none were given.

    fit, background: how the pictures were brought to size, and what shows where they were transparent.
    """

    prompt: str
    first: Picture | None
    last: Picture | None
    fit: str
    background: str
    frames: int
    width: int
    height: int
    fps: float
    steps: int
    guidance: float
    tau: float
    tau_steps: int | None
    seed: int

    def instruction(self, system: Maker) -> Instruction:
        """The request in a model's terms. Raises ValueError where the model cannot make it."""
        given = [None if picture is None else picture.pixels() for picture in (self.first, self.last)]
        height, width = self.height, self.width
        return instruct(system, self.prompt, *given, num_frames=self.frames, height=height, width=width, fps=self.fps)

    def sampling(self) -> Sampling:
        """How it is sampled. Raises ValueError for numbers out of range."""
        return Sampling(steps=self.steps, guidance=self.guidance, tau=self.tau, tau_steps=self.tau_steps)


class Lora(Record):
    """A LoRA on the model. sha256: `adapter.adapter_hash`. base: the hash of the model that it was trained on, None
    where its folder does not say; another one than the model's was allowed by whoever made the clip."""

    folder: str
    sha256: str
    base: str | None
    scale: float


class Model(Record):
    """folder: where the checkpoint lay, None for the one that ships. sha256: `checkpoint.model_hash`."""

    folder: str | None
    sha256: str
    loras: tuple[Lora, ...] = ()

    @classmethod
    def of(cls, pipeline: Pipeline) -> "Model":
        """The model of a pipeline; it must come from a checkpoint."""
        if pipeline.folder is None or pipeline.model_hash is None:
            raise ValueError("got a model made in memory, which has no hash; save it and load it (pixeldance.load)")
        loras = tuple(
            Lora(folder=printable(str(each.folder)), sha256=each.sha256, base=each.base, scale=each.scale)
            for each in pipeline.loras.values()
        )
        folder = None if pipeline.folder == SHIPPED else printable(str(pipeline.folder))
        return cls(folder=folder, sha256=pipeline.model_hash, loras=loras)


class Try(Record):
    """A clip that was made in the search for the one kept: its seed, and what the director's meter said of it."""

    seed: int
    meter: dict[str, float]


class Choice(Record):
    """Among what a clip was chosen, by `metrics.choose`'s rule. until: the condition that one was to meet, None where
    the best of all was asked for; met: whether the one that was kept did. tries: by seed, the one kept among them."""

    rule: str = RULE
    until: str | None
    met: bool | None
    tries: tuple[Try, ...]


class Written(Record):
    """What receipts of all kinds say of a clip. clip: the name of the file or folder beside the receipt.

    frames_sha256: of the raw RGB bytes before encoding. versions, threads: of the software, and how many threads torch
    computed with; other ones may round otherwise. seconds: what rendering took, without loading and encoding.
    """

    clip: str
    frames_sha256: str
    model: Model
    versions: dict[str, str]
    threads: Annotated[int, Field(ge=1, le=1024)]
    seconds: float

    def text(self) -> str:
        """The receipt as it is written."""
        return self.model_dump_json(indent=1) + "\n"


class Rendered(Written):
    """Of a clip that was made by one call of a pipeline."""

    unknown_words: tuple[str, ...]


def rendered(clip: str, video: Video, prompt: str, pipeline: Pipeline, seconds: float) -> dict[str, Any]:
    """The fields of `Rendered` for a video that this pipeline has just made; it must come from a checkpoint."""
    return {
        "clip": named(clip),
        "frames_sha256": frames_sha256(video),
        "model": Model.of(pipeline),
        "versions": versions(),
        "seconds": round(seconds, 3),
        "unknown_words": tuple(pipeline.unknown_words(prompt)),
        "threads": torch.get_num_threads(),
    }


class Receipt(Rendered):
    """meter: the director's meter's readings of these frames (`metrics.meter.READINGS`). choice: among what the clip
    was chosen, None where only this one was made."""

    receipt: Literal[1] = 1
    request: Request
    meter: dict[str, float] = {}
    choice: Choice | None = None

    @classmethod
    def of(
        cls,
        clip: str,
        video: Video,
        request: Request,
        pipeline: Pipeline,
        seconds: float,
        choice: Choice | None = None,
    ) -> "Receipt":
        """The receipt of a video that this pipeline has just made; it must come from a checkpoint."""
        common = rendered(clip, video, request.prompt, pipeline, seconds)
        return cls(**common, request=request, meter=readings(video, request), choice=choice)


Kind = TypeVar("Kind", bound=Record)


def read_receipt(path: Path) -> Receipt:
    """A receipt from its file. Raises ValueError for anything else."""
    return read_record(path, Receipt)


def read_record(path: Path, kind: type[Kind]) -> Kind:
    """A receipt of some kind from its file. Raises ValueError for anything else."""
    if not path.is_file():
        raise ValueError(f"got {path}, which is no file; wanted the .json that lies beside a clip")
    try:
        return kind.model_validate_json(path.read_bytes())
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(map(str, first["loc"])) or "as a whole"
        raise ValueError(f"{path} is not a receipt: {where}: {first['msg']}; give the .json beside a clip") from None


def render(pipeline: Pipeline, request: Request, on_step: OnStep | None = None) -> Video:
    """A request to pixels: the one way by which clips are made and verified."""
    rng = generators([check_seed(request.seed)])[0]
    return pipeline.render(request.instruction(pipeline.system), rng, request.sampling(), on_step)


def readings(video: Video, request: Request) -> dict[str, float]:
    """What the director's meter says of a video that was made for a request; nothing of a single frame."""
    first, last = (None if picture is None else picture.pixels() for picture in (request.first, request.last))
    return meter(video, first, last, request.fps) if len(video) > 1 else {}


def versions() -> dict[str, str]:
    """What may change how numbers are rounded: our own version, torch's, and the machine's."""
    return {
        "pixeldance": __version__,
        "torch": torch.__version__,
        "python": platform.python_version(),
        "platform": f"{sys.platform}-{platform.machine()}",
        "processor": torch.backends.cpu.get_cpu_capability(),
    }


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """Whether a clip is what its receipt says, and in words why, a line each. again: whether its frames were the same
    when they were made again, whatever the file beside the receipt is."""

    again: bool
    same: bool
    report: tuple[str, ...]


def verify(path: Path, pipeline: Pipeline, on_step: OnStep | None = None) -> Verdict:
    """Render the receipt at `path` again and compare the frames, and those of the clip beside it if it is lossless.

    Raises ValueError for what is no receipt, and for a request that this model cannot make.
    """
    receipt = read_receipt(path)
    made = render(pipeline, receipt.request, on_step)
    verdict = compared(path.parent, receipt, frames_sha256(made), pipeline)
    if verdict.again and (other := _other_readings(receipt, made)):
        note = f"the meter reads otherwise: {other}; the receipt was changed"
        return replace(verdict, same=False, report=(verdict.report[0], note, *verdict.report[1:]))
    return verdict


def compared(folder: Path, receipt: Written, got: str, pipeline: Pipeline) -> Verdict:
    """The verdict on a clip in `folder` whose frames, made again by `pipeline`, have the hash `got`."""
    wanted = receipt.frames_sha256
    report = [f"rendered again: {'the same' if got == wanted else 'other'} frames, sha256 {got}"]
    if got != wanted:
        causes = differences(receipt, pipeline) or ["the receipt was changed, or this processor rounds otherwise"]
        report.append(f"the receipt says sha256 {wanted}; likely because {' and '.join(causes)}")
    same, decoded = _clip(folder, receipt)
    return Verdict(again=got == wanted, same=got == wanted and same, report=(*report, decoded))


def differences(receipt: Written, pipeline: Pipeline) -> list[str]:
    """What is other here than where the clip was made."""
    found = []
    if pipeline.model_hash != receipt.model.sha256:
        here, there = str(pipeline.model_hash)[:SHOWN], receipt.model.sha256[:SHOWN]
        found.append(f"this is another model (hash {here}, then {there})")
    loras, loras_then = (
        [(each.sha256[:SHOWN], each.scale) for each in some] for some in (pipeline.loras.values(), receipt.model.loras)
    )
    if loras != loras_then:
        found.append(f"the LoRAs (hash, scale) are {loras} here and were {loras_then} then")
    now = versions()
    found += [
        f"{name} is {now.get(name)} here and was {then} then"
        for name, then in receipt.versions.items()
        if now.get(name) != then
    ]
    if torch.get_num_threads() != receipt.threads:
        found.append(f"torch computes with {torch.get_num_threads()} threads here and had {receipt.threads} then")
    return found


def named(clip: str) -> str:
    """The name of a clip's file, or of its folder with a / behind it."""
    return printable(Path(clip).name + ("/" if clip.endswith("/") else ""))


def printable(text: str) -> str:
    """The text with what is no Unicode (bytes in file names) escaped, so that it can be written as UTF-8."""
    return text.encode("utf-8", "backslashreplace").decode()


def _other_readings(receipt: Receipt, made: Video) -> str:
    """Which of a receipt's readings these frames do not have. Those of another version are not compared."""
    if not receipt.meter or receipt.versions.get("pixeldance") != __version__:
        return ""
    now = readings(made, receipt.request)
    unlike = [name for name, value in receipt.meter.items() if not isclose(now.get(name, nan), value, abs_tol=1e-3)]
    return ", ".join(sorted({*unlike, *(now.keys() - receipt.meter.keys())}))


def _clip(folder: Path, receipt: Written) -> tuple[bool, str]:
    """Whether nothing speaks against the clip beside a receipt, in truth and in words."""
    name = receipt.clip
    clip = folder / Path(name).name
    if not clip.exists():
        return True, f"{clip} is not here: not compared"
    if not name.lower().endswith(LOSSLESS):
        return True, f"{clip} is not lossless: not compared"
    try:
        same = frames_sha256(iterate_video(clip)[0]) == receipt.frames_sha256
    except ValueError as error:
        return False, str(error)
    return same, f"{clip} decodes to {'the same' if same else 'other'} frames{'' if same else ': it was changed'}"
