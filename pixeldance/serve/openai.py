"""The dialect of OpenAI's videos API: jobs as video objects, fields as a form or as JSON.

Ours besides: last_frame, seed, tau, num_inference_steps, guidance_scale, fps, num_frames, width, height.
"""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from pixeldance.receipt import Request as Recorded
from pixeldance.serve.guard import MOST_BYTES
from pixeldance.serve.jobs import ENDED, Job
from pixeldance.serve.places import SPRITESHEET, THUMBNAIL, VIDEO
from pixeldance.serve.refused import Refused, invalid, unknown
from pixeldance.serve.requests import Asked, again, picture, size
from pixeldance.serve.state import KEY, Serving, errors, parsed

PREFIX = "video_"
STATES = {
    "queued": "queued",
    "running": "in_progress",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "failed",
}
VARIANTS = {"video": VIDEO, "thumbnail": THUMBNAIL, "spritesheet": SPRITESHEET}
Address = Annotated[str, Field(description="A data URL: data:image/png;base64,... (or jpeg, webp)")]


class ImageURL(BaseModel):
    """A picture in a field of its own."""

    model_config = ConfigDict(extra="forbid")
    image_url: Address


class Create(BaseModel):
    """What POST /v1/videos takes. What is left out is the model's own."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    prompt: str
    model: str | None = None
    seconds: float | None = None
    size: str | None = Field(None, description="WIDTHxHEIGHT in pixels")
    input_reference: Address | ImageURL | None = Field(None, description="The first frame; in a form, also a file.")
    last_frame: Address | None = Field(None, description="The last frame, or a drawing of it; in a form, also a file.")
    seed: int | None = Field(None, ge=0, lt=2**32)
    tau: float | None = Field(None, ge=0, le=1, description="For which part of the way the last frame is followed.")
    num_inference_steps: int | None = Field(None, ge=1, le=1000)
    guidance_scale: float | None = Field(None, ge=0, le=100)
    negative_prompt: str | None = Field(None, max_length=0, description="Only empty: the model has no such condition.")
    fps: float | None = Field(None, ge=0.1, le=240)
    num_frames: int | None = Field(None, ge=1, le=10**6)
    width: int | None = Field(None, ge=1, le=10**6)
    height: int | None = Field(None, ge=1, le=10**6)

    def asked(self, files: dict[str, bytes]) -> Asked:
        """In the terms of both dialects."""
        given = {**dict.fromkeys(("input_reference", "last_frame")), **files}
        for name in given:
            field = getattr(self, name)
            if field is not None:
                given[name] = picture(field.image_url if isinstance(field, ImageURL) else field, name)
        if (self.width is None) != (self.height is None) or (self.width is not None and self.size is not None):
            raise invalid("give width and height, both or none, or size in their place", "size")
        both = None if self.width is None or self.height is None else (self.width, self.height)
        return Asked(
            prompt=self.prompt,
            model=self.model,
            first=given["input_reference"],
            last=given["last_frame"],
            seconds=self.seconds,
            frames=self.num_frames,
            fps=self.fps,
            size=both if self.size is None else size(self.size),
            seed=self.seed,
            steps=self.num_inference_steps,
            guidance=self.guidance_scale,
            tau=self.tau,
        )


class Remix(BaseModel):
    """What POST /v1/videos/{id}/remix takes."""

    model_config = ConfigDict(extra="forbid")
    prompt: str


class Failure(BaseModel):
    """Why a video was not made."""

    code: str
    message: str


class Video(BaseModel):
    """A job as this dialect shows it."""

    id: str
    object: Literal["video"] = "video"
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int = Field(description="Steps done, in per cent.")
    created_at: int
    completed_at: int | None
    expires_at: int | None
    model: str
    prompt: str
    seconds: str
    size: str
    seed: int
    error: Failure | None
    remixed_from_video_id: str | None


class Videos(BaseModel):
    """A page of videos."""

    object: Literal["list"] = "list"
    data: list[Video]
    first_id: str | None
    last_id: str | None
    has_more: bool


class Deleted(BaseModel):
    """What is left of a deleted video."""

    id: str
    object: Literal["video.deleted"] = "video.deleted"
    deleted: Literal[True] = True


FIELDS = {name: field for name, field in Create.model_json_schema().items() if name != "$defs"}
FORM = {
    "requestBody": {
        "required": True,
        "content": {kind: {"schema": FIELDS} for kind in ("application/json", "multipart/form-data")},
    }
}


def routes(serving: Serving) -> APIRouter:
    """The routes of this dialect."""
    router = APIRouter(prefix="/v1", tags=["OpenAI videos"])

    @router.post("/videos", responses=errors(413, 415, 422, 429), openapi_extra=FORM)
    async def create(request: Request, key: KEY = None) -> Video:
        """Ask for a video."""
        fields, files = await body(request)
        asked = parsed(Create, fields).asked(files)
        return shown(await serving.submit(asked, key))

    @router.get("/videos", responses=errors(404))
    def videos(
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> Videos:
        """A page of videos; the next one is `after` the last of this."""
        start = None if after is None else found(serving, after).number
        jobs, total = serving.jobs.page(limit=limit, newest_first=order == "desc", after=start)
        data = [shown(job) for job in jobs]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return Videos(data=data, first_id=first, last_id=last, has_more=total > len(jobs))

    @router.get("/videos/{id}", responses=errors(404))
    def video(id: str) -> Video:
        """How far a video is."""
        return shown(found(serving, id))

    @router.get("/videos/{id}/content", responses=errors(404), response_class=FileResponse)
    def content(id: str, variant: Literal["video", "thumbnail", "spritesheet"] = "video") -> FileResponse:
        """The video, its first frame, or all its frames in one picture."""
        job = found(serving, id)
        if job.state != "completed":
            raise invalid(f"this video is {STATES[job.state]}; there is nothing to fetch", "id", "video_not_ready")
        return serving.file(job, VARIANTS[variant])

    @router.delete("/videos/{id}", responses=errors(404))
    def delete(id: str) -> Deleted:
        """Forget a video; one that is being made is stopped."""
        job = found(serving, id)
        serving.forget(job, ("queued", "running", *ENDED))
        return Deleted(id=PREFIX + job.id)

    @router.post("/videos/{id}/remix", responses=errors(404, 413, 422, 429))
    async def remix(id: str, asked: Remix, key: KEY = None) -> Video:
        """The same video with another text: the same pictures, seed and settings."""
        job = await run_in_threadpool(found, serving, id)
        request = await run_in_threadpool(serving.jobs.request, job.id)
        if request is None:
            raise unknown("video")
        new = again(Recorded.model_validate_json(request), asked.prompt, (("remixed_from", job.id),))
        return shown(await serving.submit(new, key))

    return router


def found(serving: Serving, id: str) -> Job:
    """The job of a video's id."""
    job = serving.jobs.get(id.removeprefix(PREFIX)) if id.startswith(PREFIX) else None
    if job is None:
        raise unknown("video")
    return job


def shown(job: Job) -> Video:
    """A job as this dialect shows it."""
    about, source = job.about, job.about.get("remixed_from")
    error = None if job.error_code is None else Failure(code=job.error_code, message=str(job.error_message))
    if job.state == "cancelled":
        error = Failure(code="cancelled", message="this was cancelled")
    return Video(
        id=PREFIX + job.id,
        status=STATES[job.state],  # type: ignore[arg-type]
        progress=100 * job.done // job.total,
        created_at=int(job.created_at),
        completed_at=int(job.ended_at) if job.state == "completed" and job.ended_at else None,
        expires_at=None if job.expires_at is None else int(job.expires_at),
        model=about["model"],
        prompt=about["prompt"],
        seconds=f"{about['frames'] / about['fps']:g}",
        size=f"{about['width']}x{about['height']}",
        seed=about["seed"],
        error=error,
        remixed_from_video_id=None if source is None else PREFIX + source,
    )


async def body(request: Request) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The fields of a request, and its files: from a form, as the client sends it, or from JSON."""
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if kind == "application/json":
        try:
            fields = json.loads(await request.body())
        except (ValueError, RecursionError):
            raise invalid("got a body that is not JSON", code="invalid_json") from None
        if not isinstance(fields, dict):
            raise invalid("got JSON that is no object", code="invalid_json")
        return fields, {}
    if kind not in ("multipart/form-data", "application/x-www-form-urlencoded"):
        raise Refused(415, "unsupported_media_type", "send multipart/form-data or application/json")
    fields, files = {}, {}
    async with request.form(max_files=8, max_fields=64, max_part_size=MOST_BYTES) as form:
        for name, value in form.multi_items():
            name = "input_reference" if name == "input_reference[image_url]" else name
            if name in fields or name in files:
                raise invalid("got this field twice", name[:80])
            if not isinstance(value, UploadFile):
                fields[name] = value
            elif name in ("input_reference", "last_frame"):
                files[name] = await value.read()
            else:
                raise invalid("got a file where none is taken", name[:80])
    return fields, files
