"""The dialect of Ark's content generation tasks, under which ByteDance serves such models: jobs as tasks, all in JSON.

Options may also stand in the text: `a red star --dur 2 --seed 3`. Ours besides: tau, num_inference_steps,
guidance_scale.
"""

import math
import re
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from pydantic import BaseModel, ConfigDict, Field, model_validator
from starlette.concurrency import run_in_threadpool

from pixeldance.serve.jobs import ENDED, Job, State
from pixeldance.serve.places import LAST_FRAME, VIDEO
from pixeldance.serve.refused import dialect_code, invalid, unknown
from pixeldance.serve.requests import Asked, Fetch, Model, picture
from pixeldance.serve.state import KEY, Serving, errors, look_again, parsed

PREFIX = "cgt-"
PATH = "/api/v3/contents/generations/tasks"
Status = Literal["queued", "running", "succeeded", "failed", "cancelled"]
STATUSES: dict[State, Status] = {
    "queued": "queued",
    "running": "running",
    "completed": "succeeded",
    "failed": "failed",
    "cancelled": "cancelled",
}
FLAGS = {
    "ratio": "ratio",
    "rt": "ratio",
    "resolution": "resolution",
    "rs": "resolution",
    "duration": "duration",
    "dur": "duration",
    "frames": "frames",
    "framespersecond": "framespersecond",
    "fps": "framespersecond",
    "seed": "seed",
    "watermark": "watermark",
    "wm": "watermark",
    "camerafixed": "camera_fixed",
    "cf": "camera_fixed",
}


class ImageURL(BaseModel):
    """Where a picture is."""

    url: str = Field(description="A data URL (PNG, JPEG, WebP), or with --fetch-urls an address.")


class Text(BaseModel):
    """What the video shows."""

    type: Literal["text"]
    text: str


class Image(BaseModel):
    """A given frame; without a role it is the first."""

    type: Literal["image_url"]
    image_url: ImageURL
    role: Literal["first_frame", "last_frame"] | None = None


class Create(BaseModel):
    """What POST takes. null is as if it were left out, and is the model's own."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    model: str
    content: list[Annotated[Text | Image, Field(discriminator="type")]] = Field(min_length=1, max_length=8)
    seed: int | None = Field(None, ge=-1, lt=2**32, description="-1: any.")
    resolution: str | None = Field(None, description="The shorter side, such as 64p.")
    ratio: str | None = Field(None, description="width:height, or adaptive.")
    duration: float | None = Field(None, description="Seconds.")
    frames: int | None = Field(None, ge=1, le=10**6)
    framespersecond: float | None = Field(None, ge=0.1, le=240)
    return_last_frame: bool | None = None
    watermark: Literal[False] | None = None
    camera_fixed: Literal[False] | None = None
    generate_audio: Literal[False] | None = None
    draft: Literal[False] | None = None
    service_tier: Literal["default"] | None = None
    tau: float | None = Field(None, ge=0, le=1)
    num_inference_steps: int | None = Field(None, ge=1, le=1000)
    guidance_scale: float | None = Field(None, ge=0, le=100)

    @model_validator(mode="before")
    @classmethod
    def _set(cls, fields: Any) -> Any:
        return {name: value for name, value in fields.items() if value is not None} if type(fields) is dict else fields


class Made(BaseModel):
    """Where the results are."""

    video_url: str
    last_frame_url: str | None = None


class Failure(BaseModel):
    """Why a task failed."""

    code: str
    message: str


class Usage(BaseModel):
    """width x height x frames / 1024, as Ark counts."""

    completion_tokens: int
    total_tokens: int


class Created(BaseModel):
    """A new task."""

    id: str


class Task(BaseModel):
    """A job as this dialect shows it."""

    id: str
    model: str
    status: Status
    error: Failure | None
    content: Made | None
    usage: Usage | None
    created_at: int
    updated_at: int
    seed: int
    resolution: str
    ratio: str
    duration: float
    frames: int
    framespersecond: float
    progress: float = Field(description="Steps done, 0 to 1.")


class Tasks(BaseModel):
    """A page of tasks, and how many there are."""

    total: int
    items: list[Task]


def routes(serving: Serving) -> APIRouter:
    """The routes of this dialect."""
    router = APIRouter(prefix=PATH, tags=["Ark tasks"])

    @router.post("", responses=errors(413, 422, 429))
    async def create(task: Create, key: KEY = None) -> Created:
        """Ask for a video."""
        await serving.room(key)
        told = await run_in_threadpool(asked, task, serving.model, serving.fetch)
        return Created(id=PREFIX + (await serving.submit(told, key)).id)

    @router.get("", responses=errors())
    def tasks(
        request: Request,
        page_num: Annotated[int, Query(ge=1, le=10**6)] = 1,
        page_size: Annotated[int, Query(ge=1, le=500)] = 10,
        status: Annotated[Status | None, Query(alias="filter.status")] = None,
        task_ids: Annotated[list[str], Query(alias="filter.task_ids")] = [],  # noqa: B006 (FastAPI copies it)
        model: Annotated[str | None, Query(alias="filter.model")] = None,
    ) -> Tasks:
        """A page of tasks, the newest first."""
        if model is not None and model != serving.model.id:
            return Tasks(total=0, items=[])
        states = [state for state, name in STATUSES.items() if name == status]
        ids = [id.removeprefix(PREFIX) for id in task_ids]
        start = (page_num - 1) * page_size
        jobs, total = serving.jobs.page(kind="clip", states=states, ids=ids, limit=page_size, offset=start)
        return Tasks(total=total, items=[shown(job, request) for job in jobs])

    @router.get("/{id}", responses=look_again("Retry-After", "seconds") | errors(404))
    async def task(id: str, request: Request, response: Response) -> Task:
        """How far a task is, and where its results are."""
        job = await serving.look(found, serving, id)
        if job.state not in ENDED:
            response.headers["Retry-After"] = str(math.ceil((await serving.line()).pause(job)))
        return shown(job, request)

    @router.delete("/{id}", responses=errors(404))
    def delete(id: str) -> dict[str, Any]:
        """Cancel a task that waits; forget one that has ended."""
        job = found(serving, id)
        if not (serving.jobs.cancel(job.id, ("queued",)) or serving.forget(job, ENDED)):
            raise invalid("this task is running; it can be deleted when it has ended", "id", "invalid_action")
        return {}

    return router


def asked(task: Create, model: Model, fetch: Fetch | None = None) -> Asked:
    """In the terms of both dialects."""
    text = " ".join(item.text for item in task.content if isinstance(item, Text))
    prompt, flags = split(text)
    for name in flags:
        if getattr(task, name) is not None:
            raise invalid(f"got {name} in the text and beside it; give it once", name)
    task = parsed(Create, task.model_dump(exclude_none=True) | flags)
    images: dict[str, bytes] = {}
    for item in task.content:
        if isinstance(item, Image):
            role = item.role or "first_frame"
            if role in images:
                raise invalid(f"got two images for the {role}", "content")
            images[role] = picture(item.image_url.url, "content", fetch)
    if "last_frame" in images and "first_frame" not in images:
        raise invalid("got a last_frame without a first_frame; give both", "content")
    return Asked(
        prompt=prompt,
        model=task.model,
        first=images.get("first_frame"),
        last=images.get("last_frame"),
        seconds=task.duration,
        frames=task.frames,
        fps=task.framespersecond,
        size=_size(task, model),
        seed=None if task.seed == -1 else task.seed,
        steps=task.num_inference_steps,
        guidance=task.guidance_scale,
        tau=task.tau,
        about=(("return_last_frame", bool(task.return_last_frame)),),
    )


def split(text: str) -> tuple[str, dict[str, str]]:
    """The prompt, and the options that stand in it as --name value. Raises Refused for others."""
    flags: dict[str, str] = {}
    for match in re.finditer(r"(?<!\S)--(\S+)(?:\s+(?!--)(\S+))?", text):
        name, value = FLAGS.get(match[1].lower()), match[2]
        if name is None or value is None or name in flags:
            raise invalid(f"got {match[0][:40]!r} in the text; wanted once each, and a value: --{' --'.join(FLAGS)}")
        flags[name] = value
    return re.sub(r"(?<!\S)--\S+(?:\s+(?!--)\S+)?", "", text).strip(), flags


def _size(task: Create, model: Model) -> tuple[int, int] | None:
    """(width, height) of a resolution and a ratio; None where neither is asked for."""
    ratio = None if task.ratio == "adaptive" else task.ratio
    if ratio is None and task.resolution is None:
        return None
    sizes = [(width, height) for height, width in model.system.sizes]
    for each in sizes:
        if task.resolution in (None, _resolution(*each)) and ratio in (None, _ratio(*each)):
            return each
    possible = " or ".join(f"{_resolution(*each)} at {_ratio(*each)}" for each in sizes)
    got = f"resolution {task.resolution} and ratio {task.ratio}"[:80]
    param = "ratio" if task.resolution is None else "resolution"
    nearest = f"{_resolution(*sizes[0])} at {_ratio(*sizes[0])}"
    raise invalid(f"got {got}; this model makes {possible}: try {nearest}", param)


def found(serving: Serving, id: str) -> Job:
    """The job of a task's id."""
    job = serving.jobs.get(id.removeprefix(PREFIX)) if id.startswith(PREFIX) else None
    if job is None or job.kind != "clip":
        raise unknown("task")
    return job


def shown(job: Job, request: Request) -> Task:
    """A job as this dialect shows it; addresses of results are those by which the client called us."""
    about, content, error = job.about, None, None
    width, height, frames = about["width"], about["height"], about["frames"]
    if job.state == "completed":
        video, last = (str(request.url_for("file", name=job.name, file=file)) for file in (VIDEO, LAST_FRAME))
        content = Made(video_url=video, last_frame_url=last if about.get("return_last_frame") else None)
    if job.error_code is not None:
        error = Failure(code=dialect_code(job.error_code, PATH), message=str(job.error_message))
    tokens = width * height * frames // 1024
    return Task(
        id=PREFIX + job.id,
        model=about["model"],
        status=STATUSES[job.state],
        error=error,
        content=content,
        usage=Usage(completion_tokens=tokens, total_tokens=tokens) if content else None,
        created_at=int(job.created_at),
        updated_at=int(job.updated_at),
        seed=about["seed"],
        resolution=_resolution(width, height),
        ratio=_ratio(width, height),
        duration=frames / about["fps"],
        frames=frames,
        framespersecond=about["fps"],
        progress=job.done / job.total,
    )


def _resolution(width: int, height: int) -> str:
    return f"{min(width, height)}p"


def _ratio(width: int, height: int) -> str:
    common = math.gcd(width, height)
    return f"{width // common}:{height // common}"
