"""The dialect of OpenAI's videos API: jobs as video objects, fields as a form or as JSON.

Ours besides: last_frame, seed, tau, num_inference_steps, guidance_scale, fps, num_frames, width, height, lora, group.
"""

import json
from typing import Annotated, Any, Literal

from fastapi import APIRouter, Query, Request, Response
from fastapi.responses import FileResponse
from pydantic import BaseModel, ConfigDict, Field
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from pixeldance.serve.guard import MOST_BYTES
from pixeldance.serve.jobs import ENDED, Job
from pixeldance.serve.places import LAST_FRAME, RECEIPT, SPRITESHEET, THUMBNAIL, VIDEO
from pixeldance.serve.refused import Refused, invalid, unknown
from pixeldance.serve.requests import Asked, Fetch, again, picture, size
from pixeldance.serve.state import KEY, Serving, errors, look_again, parsed
from pixeldance.serve.tasks import ClipTask, read_task

PREFIX = "video_"
POLL_AFTER = "openai-poll-after-ms"
UNFINISHED = look_again(POLL_AFTER, "milliseconds")
STATES = {
    "queued": "queued",
    "running": "in_progress",
    "completed": "completed",
    "failed": "failed",
    "cancelled": "failed",
}
Variant = Literal["video", "thumbnail", "spritesheet", "last_frame", "receipt"]
VARIANTS: dict[Variant, str] = {
    "video": VIDEO,
    "thumbnail": THUMBNAIL,
    "spritesheet": SPRITESHEET,
    "last_frame": LAST_FRAME,
    "receipt": RECEIPT,
}
Address = Annotated[str, Field(description="A data URL (PNG, JPEG, WebP), or with --fetch-urls an address.")]


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
    lora: str | None = Field(None, max_length=500, description="NAME or NAME:SCALE of the server's, parted by commas.")
    group: str | None = Field(None, max_length=64, description="A word of yours, shown again with the video.")

    def asked(self, files: dict[str, bytes], fetch: Fetch | None = None) -> Asked:
        """In the terms of both dialects."""
        given = {**dict.fromkeys(("input_reference", "last_frame")), **files}
        for name in given:
            field = getattr(self, name)
            if field is not None:
                given[name] = picture(field.image_url if isinstance(field, ImageURL) else field, name, fetch)
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
            lora=self.lora,
            about=() if self.group is None else (("group", self.group),),
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
    frames: int
    seed: int
    error: Failure | None
    remixed_from_video_id: str | None
    files: str = Field(description="Where its files lie: video.mp4 and others, and preview.webp while it is made.")
    seconds_left: float | None = Field(description="How long it will still take, as far as that is known.")
    cancelled: bool
    tau: float | None
    group: str | None


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


def form(kind: type[BaseModel]) -> dict[str, Any]:
    """The OpenAPI entry of fields that come as a form or as JSON."""
    schema = kind.model_json_schema()
    parts = schema.pop("$defs", {})

    def whole(part: Any) -> Any:
        """With what is referred to in its place: a document has no such place of its own."""
        if isinstance(part, dict):
            if "$ref" in part:
                return whole(parts[part["$ref"].rpartition("/")[2]])
            return {name: whole(value) for name, value in part.items()}
        return [whole(each) for each in part] if isinstance(part, list) else part

    fields = whole(schema)
    kinds = ("application/json", "multipart/form-data")
    return {"requestBody": {"required": True, "content": {each: {"schema": fields} for each in kinds}}}


def routes(serving: Serving) -> APIRouter:
    """The routes of this dialect."""
    router = APIRouter(prefix="/v1", tags=["OpenAI videos"])

    @router.post("/videos", responses=UNFINISHED | errors(413, 415, 422, 429), openapi_extra=form(Create))
    async def create(request: Request, response: Response, key: KEY = None) -> Video:
        """Ask for a video."""
        fields, files = await body(request)
        await serving.room(key)
        asked = await run_in_threadpool(parsed(Create, fields).asked, files, serving.fetch)
        return await told(serving, await serving.submit(asked, key), response)

    @router.get("/videos", responses=errors(404))
    async def videos(
        after: str | None = None,
        limit: Annotated[int, Query(ge=1, le=100)] = 20,
        order: Literal["asc", "desc"] = "desc",
    ) -> Videos:
        """A page of videos; the next one is `after` the last of this."""

        def look() -> list[Job]:
            start = None if after is None else found(serving, after).number
            newest = order == "desc"
            return serving.jobs.page(kind="clip", limit=limit + 1, newest_first=newest, after=start, counted=False)[0]

        jobs = await serving.look(look)
        data = [shown(job) for job in jobs[:limit]]
        first, last = (data[0].id, data[-1].id) if data else (None, None)
        return Videos(data=data, first_id=first, last_id=last, has_more=len(jobs) > limit)

    @router.get("/videos/{id}", responses=UNFINISHED | errors(404))
    async def video(id: str, response: Response) -> Video:
        """How far a video is."""
        return await told(serving, await serving.look(found, serving, id), response)

    @router.get("/videos/{id}/content", responses=errors(404), response_class=FileResponse)
    async def content(id: str, variant: Variant = "video") -> FileResponse:
        """The video, its first frame, all its frames in one picture, its last frame, or its receipt."""
        job = await serving.look(found, serving, id)
        if job.state != "completed":
            raise invalid(f"this video is {STATES[job.state]}; there is nothing to fetch", "id", "video_not_ready")
        return serving.file(serving.places.result(job) / VARIANTS[variant])

    @router.delete("/videos/{id}", responses=errors(404))
    def delete(id: str) -> Deleted:
        """Forget a video; one that is being made is stopped."""
        job = found(serving, id)
        serving.forget(job, ("queued", "running", *ENDED))
        return Deleted(id=PREFIX + job.id)

    @router.post("/videos/{id}/remix", responses=UNFINISHED | errors(404, 413, 422, 429))
    async def remix(id: str, asked: Remix, response: Response, key: KEY = None) -> Video:
        """The same video with another text: the same pictures, seed and settings."""
        job = await run_in_threadpool(found, serving, id)
        request = await run_in_threadpool(serving.jobs.request, job.id)
        if request is None:
            raise unknown("video")
        task = read_task(request)
        if not isinstance(task, ClipTask):
            raise unknown("video")
        new = again(task, asked.prompt, (("remixed_from", job.id),))
        return await told(serving, await serving.submit(new, key), response)

    return router


def found(serving: Serving, id: str) -> Job:
    """The job of a video's id."""
    job = serving.jobs.get(id.removeprefix(PREFIX)) if id.startswith(PREFIX) else None
    if job is None or job.kind != "clip":
        raise unknown("video")
    return job


async def told(serving: Serving, job: Job, response: Response) -> Video:
    """A job as this dialect shows it; the header of an unfinished one says when to look again, as the client heeds."""
    if job.state not in ENDED:
        response.headers[POLL_AFTER] = str(round(1000 * (await serving.line()).pause(job)))
    return shown(job)


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
        frames=about["frames"],
        seed=about["seed"],
        error=error,
        remixed_from_video_id=None if source is None else PREFIX + source,
        files=f"/files/{job.name}/",
        seconds_left=job.seconds_left(),
        cancelled=job.state == "cancelled",
        tau=about.get("tau"),
        group=about.get("group"),
    )


async def body(
    request: Request, taken: tuple[str, ...] = ("input_reference", "last_frame")
) -> tuple[dict[str, Any], dict[str, bytes]]:
    """The fields of a request, and its files where they are `taken`: from a form, as the client sends it, or JSON."""
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
            elif name in taken:
                files[name] = await value.read()
            else:
                raise invalid("got a file where none is taken", name[:80])
    return fields, files
