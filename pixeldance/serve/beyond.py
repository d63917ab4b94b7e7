"""What our API has beyond the two dialects: cancelling, what was asked for, what the meter says, what a model makes."""

import json
from typing import Any

from fastapi import APIRouter
from pydantic import BaseModel, Field

from pixeldance.metrics.meter import READINGS
from pixeldance.serve import openai
from pixeldance.serve.loras import spelled
from pixeldance.serve.openai import Video
from pixeldance.serve.places import RECEIPT
from pixeldance.serve.refused import invalid, unknown
from pixeldance.serve.state import Serving, errors
from pixeldance.serve.tasks import ClipTask, read_task


class Size(BaseModel):
    """In pixels."""

    width: int
    height: int


class Listed(BaseModel):
    """A model, and what it makes; the first of frames and sizes are its usual ones."""

    id: str
    object: str = "model"
    created: int = 0
    owned_by: str = "pixeldance"
    frames: list[int]
    sizes: list[Size]
    fps: float
    steps: int
    guidance_scale: float
    end: dict[str, float] = Field(description="The words of the end-frame dial, and the tau of each for this model.")
    loras: list[str]


class Models(BaseModel):
    """The models of this server: one."""

    object: str = "list"
    data: list[Listed]


class Asked(BaseModel):
    """What a video was asked for with, complete: with it, the same video can be asked for again."""

    prompt: str
    input_reference: str | None
    last_frame: str | None
    num_frames: int
    width: int
    height: int
    fps: float
    num_inference_steps: int
    guidance_scale: float
    tau: float
    seed: int
    lora: str | None


class Shown(BaseModel):
    """A reading of the director's meter."""

    name: str
    says: str
    unit: str
    value: float
    limit: str
    fault: bool


class Metered(BaseModel):
    """All readings that a video has, and the words that the model does not know."""

    readings: list[Shown]
    unknown_words: list[str]


def routes(serving: Serving) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1", tags=["Beyond"])

    @router.get("/models", responses=errors())
    def models() -> Models:
        """The models that may be asked for, in either dialect, and what they make."""
        return Models(data=[_listed(serving)])

    @router.post("/videos/{id}/cancel", responses=errors(404, 429))
    def cancel(id: str) -> Video:
        """Stop a video; it is kept in the list, with what was asked for."""
        job = openai.found(serving, id)
        serving.jobs.cancel(job.id)
        return openai.shown(openai.found(serving, id))

    @router.get("/videos/{id}/request", responses=errors(404))
    def request(id: str) -> Asked:
        """What a video was asked for with, complete; the pictures as the model got them."""
        job = openai.found(serving, id)
        text = serving.jobs.request(job.id)
        task = None if text is None else read_task(text)
        if not isinstance(task, ClipTask):
            raise unknown("video")
        return _asked(task)

    @router.get("/videos/{id}/meter", responses=errors(404))
    def meter(id: str) -> Metered:
        """What the director's meter says of a finished video."""
        job = openai.found(serving, id)
        if job.state != "completed":
            raise invalid("this video is not finished; there is nothing to read", "id", "video_not_ready")
        path = serving.places.result(job) / RECEIPT
        if not path.is_file():
            raise unknown("video")
        found = json.loads(path.read_bytes())  # that of a longer video has no readings
        return Metered(readings=readings(found.get("meter", {})), unknown_words=found.get("unknown_words", []))

    return router


def readings(meter: dict[str, float]) -> list[Shown]:
    """The readings of a receipt, with what they mean; those of another version that mean nothing here are left out."""
    known: list[dict[str, Any]] = [
        {
            "name": name,
            "says": reading.says,
            "unit": reading.unit,
            "value": meter[name],
            "limit": reading.limit(),
            "fault": reading.fault(meter[name]),
        }
        for name, reading in READINGS.items()
        if name in meter
    ]
    return [Shown(**each) for each in known]


def _asked(task: ClipTask) -> Asked:
    asked = task.request
    return Asked(
        prompt=asked.prompt,
        input_reference=None if asked.first is None else asked.first.png,
        last_frame=None if asked.last is None else asked.last.png,
        num_frames=asked.frames,
        width=asked.width,
        height=asked.height,
        fps=asked.fps,
        num_inference_steps=asked.steps,
        guidance_scale=asked.guidance,
        tau=asked.tau,
        seed=asked.seed,
        lora=spelled(task.loras),
    )


def _listed(serving: Serving) -> Listed:
    model, system = serving.model, serving.model.system
    return Listed(
        id=model.id,
        frames=list(system.frames),
        sizes=[Size(width=width, height=height) for height, width in system.sizes],
        fps=system.fps,
        steps=system.steps,
        guidance_scale=system.guidance,
        end=dict(model.words),
        loras=list(model.loras),
    )
