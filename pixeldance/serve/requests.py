"""From what a client asks, in either dialect, to the record of a job: everything is checked here, before it waits."""

import base64
import binascii
import hashlib
import re
import secrets
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

import numpy as np

from pixeldance.generate import Sampling
from pixeldance.instruction import FIRST, LAST
from pixeldance.pipeline import SEEDS, check_seed, instruct
from pixeldance.receipt import Picture, Request, printable
from pixeldance.serve.jobs import Job, Jobs, Kind, QueueFull
from pixeldance.serve.loras import asked as loras_in
from pixeldance.serve.loras import spelled
from pixeldance.serve.pace import line
from pixeldance.serve.refused import Refused, invalid, queue_full
from pixeldance.serve.tasks import AnyTask, ClipTask
from pixeldance.system import Maker

MOST_QUEUED = 120
FASTEST = 240.0
Fetch = Callable[[str], bytes]
"""Gives what lies at an address, or raises Refused."""
DATA_URL = re.compile(r"data:image/(?:png|jpeg|jpg|webp);base64,", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What both dialects come to; None takes the model's own. first, last: a picture's file. size: (width, height)."""

    prompt: str
    model: str | None = None
    first: bytes | None = None
    last: bytes | None = None
    seconds: float | None = None
    frames: int | None = None
    fps: float | None = None
    size: tuple[int, int] | None = None
    seed: int | None = None
    steps: int | None = None
    guidance: float | None = None
    tau: float | None = None
    lora: str | None = None
    about: tuple[tuple[str, Any], ...] = ()

    def digest(self) -> str:
        """Equal for equal requests: whether a repeated key repeats its request."""
        digest = hashlib.sha256()
        for each in fields(self):
            value = getattr(self, each.name)
            data = value if isinstance(value, bytes) else repr(value).encode()
            digest.update(f"{each.name} {type(value).__name__} {len(data)} ".encode())
            digest.update(data)
        return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Model:
    """The model that a server has: the name by which clients call it, its folder, its hash, and what it makes. loras:
    the folders of those that may be asked for, by name. words: the taus of the end-frame dial's words."""

    id: str
    folder: Path
    hash: str
    system: Maker
    loras: Mapping[str, Path] = field(default_factory=dict)
    words: Mapping[str, float] = field(default_factory=lambda: {"exact": 1.0})

    def named(self, model: str | None) -> None:
        """Raise Refused for the name of another model."""
        if model is not None and model != self.id:
            raise invalid(f"got the model {model[:80]!r}; this server has {self.id!r}", "model", "model_not_found")


def submit(jobs: Jobs, model: Model, asked: Asked, key: str | None = None, most_queued: int = MOST_QUEUED) -> Job:
    """The job of a request; of an earlier one if it came with the same idempotency key.

    Raises Refused for what the model cannot make (400, naming the nearest), for a key that belongs to another request
    (422), and where too many jobs wait (429).
    """
    loras = loras_in(asked.lora, list(model.loras))
    request = checked(model, asked)
    about = {
        "prompt": request.prompt,
        "model": model.id,
        "frames": request.frames,
        "fps": request.fps,
        "width": request.width,
        "height": request.height,
        "seed": request.seed,
        "tau": request.tau if request.last else None,
        **dict(asked.about),
    }
    new = New(task=ClipTask(request=request, loras=loras), about=about, total=steps_of(model.system, request))
    return store(jobs, model, new, asked.digest(), key, most_queued)


@dataclass(frozen=True, kw_only=True)
class New:
    """A job that is to be stored."""

    task: AnyTask
    about: dict[str, Any]
    total: int
    kind: Kind = "clip"


def store(jobs: Jobs, model: Model, new: New, digest: str, key: str | None, most_queued: int) -> Job:
    """The job, new or that of the same key. Raises Refused as `submit` does for keys and where too many jobs wait."""
    if key is not None and not (1 <= len(key) <= 255 and key.isprintable()):
        raise invalid("got an Idempotency-Key that is empty, too long or no text; wanted 1 to 255 characters")
    try:
        job, is_new = jobs.add(
            new.task.model_dump_json(),
            model=model.hash,
            about=new.about,
            total=new.total,
            kind=new.kind,
            key=key,
            digest=digest,
            most_queued=most_queued,
        )
    except QueueFull:
        raise queue_full(most_queued, line(jobs).full()) from None
    if not is_new and job.digest != digest:
        raise Refused(422, "idempotency_key_reused", "this Idempotency-Key came with another request; use a new one")
    return job


def checked(model: Model, asked: Asked) -> Request:
    """The whole request, with the model's own settings where none were given. Raises Refused as `submit` does."""
    system = model.system
    model.named(asked.model)
    if asked.prompt != printable(asked.prompt):
        raise invalid("got a prompt with half a character in it (a lone surrogate)", "prompt")
    fps = system.fps if asked.fps is None else asked.fps
    if not 0.1 <= fps <= FASTEST:
        raise invalid(f"got {fps} frames per second; wanted 0.1 to {FASTEST:g}", "fps")
    frames = _frames(system, asked, fps)
    width, height = asked.size or (None, None)
    try:
        instruction = instruct(
            system, asked.prompt, asked.first, asked.last, num_frames=frames, height=height, width=width, fps=fps
        )
        sampling = Sampling(steps=asked.steps, guidance=asked.guidance, tau=1.0 if asked.tau is None else asked.tau)
        seed = secrets.randbelow(SEEDS) if asked.seed is None else check_seed(asked.seed)
    except ValueError as error:
        raise invalid(str(error)) from None
    height, width = instruction.size or system.sizes[0]
    pictures = {
        index: None if data is None else Picture.of_bytes(np.asarray(instruction.frames[index]), data, "upload")
        for index, data in ((FIRST, asked.first), (LAST, asked.last))
    }
    return Request(
        prompt=asked.prompt,
        first=pictures[FIRST],
        last=pictures[LAST],
        fit="pad",
        background="white",
        frames=instruction.length,
        width=width,
        height=height,
        fps=fps,
        steps=system.steps if sampling.steps is None else sampling.steps,
        guidance=system.guidance if sampling.guidance is None else sampling.guidance,
        tau=sampling.tau,
        tau_steps=None,
        seed=seed,
    )


def steps_of(system: Maker, request: Request) -> int:
    """How many steps a request takes: as many again where the text makes the first frame."""
    still = request.first is None and request.frames > 1 and system.stills
    return request.steps * (2 if still else 1)


def size(text: str) -> tuple[int, int]:
    """(width, height) of WIDTHxHEIGHT."""
    match = re.fullmatch(r"([0-9]{1,6})x([0-9]{1,6})", text)
    if match is None:
        raise invalid(f"got the size {text[:40]!r}; wanted WIDTHxHEIGHT in pixels, such as 64x64", "size")
    return int(match[1]), int(match[2])


def picture(address: str, param: str, fetch: Fetch | None = None) -> bytes:
    """The file in a data URL, or at another address if there is a way to fetch; otherwise nothing is fetched on
    anybody's behalf."""
    if DATA_URL.match(address) is None:
        if not address.lower().startswith("data:"):
            if fetch is not None:
                return fetch(address)
            wanted = "send the picture itself, as a file or a data URL (data:image/png;base64,...)"
            raise invalid(f"this server fetches no URLs; {wanted}", param, "url_fetching_is_off")
        raise invalid(f"got {address[:40]!r}; wanted data:image/png;base64,... (or jpeg, webp)", param)
    try:
        return base64.b64decode(address.partition(",")[2].encode("ascii"), validate=True)
    except (binascii.Error, UnicodeEncodeError):
        raise invalid("got a data URL whose base64 is damaged", param) from None


def _frames(system: Maker, asked: Asked, fps: float) -> int | None:
    """The length in frames; a length in seconds is one in frames at the rate of the video."""
    if asked.seconds is None:
        return asked.frames
    if asked.frames is not None:
        raise invalid("got a length in seconds and one in frames; give one of them", "seconds")
    wanted = asked.seconds * fps
    near = min(system.frames, key=lambda possible: abs(possible - wanted))
    if abs(near - wanted) > 1e-3:
        possible = " or ".join(f"{length / fps:g}" for length in system.frames)
        raise invalid(
            f"got {asked.seconds:g} seconds; at {fps:g} frames per second this model makes {possible}: "
            f"try {near / fps:g} ({near} frames)",
            "seconds",
        )
    return near


def again(task: ClipTask, prompt: str, about: tuple[tuple[str, Any], ...] = ()) -> Asked:
    """What asks for the same video but for the prompt: the same pictures, seed, settings and LoRAs."""
    request = task.request
    first, last = (None if each is None else picture(each.png, "id") for each in (request.first, request.last))
    return Asked(
        prompt=prompt,
        first=first,
        last=last,
        frames=request.frames,
        fps=request.fps,
        size=(request.width, request.height),
        seed=request.seed,
        steps=request.steps,
        guidance=request.guidance,
        tau=request.tau,
        lora=spelled(task.loras),
        about=about,
    )
