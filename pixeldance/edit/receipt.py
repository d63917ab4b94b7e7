"""The receipt of an edit: the video by the hash of its frames, the edited ends themselves, and all that was set."""

import json
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
from jaxtyping import UInt8
from pydantic import Field

from pixeldance.edit.walk import Video, edited, plan_edit
from pixeldance.film.calls import Call, Given, Plan
from pixeldance.generate import OnStep
from pixeldance.image import fit
from pixeldance.metrics.meter import meter
from pixeldance.pipeline import Pipeline, check_prompt, check_seed
from pixeldance.receipt import Model, Picture, Record, Rendered, Verdict, compared, read_record, rendered
from pixeldance.system import Maker
from pixeldance.video import frames_sha256, read_video


class Source(Record):
    """The edited video. path: where it lay. frames_sha256: of its frames, as they were before fitting."""

    path: str
    frames_sha256: str
    frames: Annotated[int, Field(ge=2)]


class EditRequest(Record):
    """All that was asked for, with the model's own settings where none were given.

    first, last: the edited ends, fitted; their paths are those of files, or say how they were made. strength,
    source_text: of the start from the video's noise, None for one from noise alone. The others are those of
    `receipt.Request`.
    """

    prompt: str
    source: Source
    first: Picture
    last: Picture
    fit: str
    background: str
    width: int
    height: int
    fps: float
    steps: int
    guidance: float
    tau: float
    seed: int
    strength: Annotated[float, Field(ge=0, le=1)] | None
    source_text: str

    def plan(self, system: Maker, model: Model) -> Plan:
        """Its clips. Raises ValueError where the model cannot make them."""
        check_prompt(system, self.prompt)
        settings = Call(
            text=self.prompt,
            length=system.frames[0],
            size=system.size(self.height, self.width),
            fps=self.fps,
            steps=self.steps,
            guidance=self.guidance,
            tau=self.tau,
            seed=check_seed(self.seed),
            first=Given(pixels=self.first.pixels(), path=self.first.path),
            last=Given(pixels=self.last.pixels(), path=self.last.path),
        )
        return plan_edit(system, model, settings, self.source.frames)


class EditReceipt(Rendered):
    """report: the figures of `edit.report`, or why there are none. meter: what the director's meter says of the whole
    video, with the edited ends for what was asked."""

    edit: Literal[1] = 1
    request: EditRequest
    report: dict[str, float | str]
    meter: dict[str, float] = Field(default_factory=dict)

    @classmethod
    def of(
        cls,
        clip: str,
        video: Video,
        request: EditRequest,
        pipeline: Pipeline,
        seconds: float,
        report: dict[str, float | str],
    ) -> "EditReceipt":
        """The receipt of an edit that this pipeline has just made."""
        read = meter(video, request.first.pixels(), request.last.pixels(), request.fps)
        common = rendered(clip, video, request.prompt, pipeline, seconds)
        return cls(**common, request=request, report=report, meter=read)


def is_edit(path: Path) -> bool:
    """Whether a file is the receipt of an edit, of any version."""
    try:
        return "edit" in json.loads(path.read_bytes())
    except (OSError, ValueError, TypeError):
        return False


def read_edit(path: Path) -> EditReceipt:
    """The receipt of an edit from its file. Raises ValueError for anything else."""
    return read_record(path, EditReceipt)


def render_edit(pipeline: Pipeline, request: EditRequest, source: Video | None, on_step: OnStep | None = None) -> Video:
    """An edit to pixels: the one way by which edits are made and verified. source: fitted; only a strength needs it."""
    plan = request.plan(pipeline.system, Model.of(pipeline))
    pieces = edited(pipeline, plan, source, strength=request.strength, source_text=request.source_text, on_step=on_step)
    return np.concatenate(list(pieces))


def fitted(video: UInt8[np.ndarray, "f y x 3"], request: EditRequest) -> Video:
    """A video at the size at which it is edited."""
    return np.stack([fit(frame, size=(request.height, request.width), rule=request.fit) for frame in video])


def verify_edit(path: Path, pipeline: Pipeline, on_step: OnStep | None = None) -> Verdict:
    """Make the edit at `path` again and compare the frames, and those of the clip beside it if it is lossless.

    Raises ValueError for what is no receipt of an edit, for a request that this model cannot make, and for an edit that
    starts from its video's noise where that video is not to be had or is another one now.
    """
    receipt = read_edit(path)
    source = None if receipt.request.strength is None else _source(path.parent, receipt.request)
    made = render_edit(pipeline, receipt.request, source, on_step)
    return compared(path.parent, receipt, frames_sha256(made), pipeline)


def _source(folder: Path, request: EditRequest) -> Video:
    """The video that was edited, from where it lay or from beside the receipt."""
    known = request.source
    places = [place for place in (Path(known.path), folder / Path(known.path).name) if place.exists()]
    if not places:
        raise ValueError(f"this edit starts from the video {known.path}, which is not here; put it beside the receipt")
    video, _ = read_video(places[0])
    if frames_sha256(video) != known.frames_sha256:
        raise ValueError(
            f"this edit starts from {known.path}, and {places[0]} is another video now; put the old one back"
        )
    return fitted(video, request)
