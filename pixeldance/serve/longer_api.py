"""OpenAI's `extensions` and `edits`: a video, uploaded or of this server, goes on, or is made anew between its ends.

An edit has the text alone, as that API has it: the motion is made anew between the video's own ends. Ours besides:
input_reference and last_frame, edited ends in their places; seed, tau, num_inference_steps, guidance_scale, lora.
"""

from collections.abc import Callable
from typing import Any

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request
from pydantic import BaseModel, ConfigDict, Field

from pixeldance.serve import longer, openai
from pixeldance.serve.loras import asked as loras_in
from pixeldance.serve.openai import Address, Video, body, form, found
from pixeldance.serve.places import VIDEO
from pixeldance.serve.refused import invalid, unknown
from pixeldance.serve.requests import Asked, Fetch, New, picture
from pixeldance.serve.state import KEY, Serving, errors, parsed


class Reference(BaseModel):
    """A finished video of this server."""

    model_config = ConfigDict(extra="forbid")
    id: str


class Edit(BaseModel):
    """What POST /v1/videos/edits takes."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    prompt: str
    video: Reference | None = Field(None, description="A finished video of this server; in a form, also a file.")
    model: str | None = None
    input_reference: Address | None = Field(None, description="The edited first frame; in a form, also a file.")
    last_frame: Address | None = Field(None, description="The edited last frame; in a form, also a file.")
    seed: int | None = Field(None, ge=0, lt=2**32)
    tau: float | None = Field(None, ge=0, le=1)
    num_inference_steps: int | None = Field(None, ge=1, le=1000)
    guidance_scale: float | None = Field(None, ge=0, le=100)
    lora: str | None = Field(None, max_length=500)
    group: str | None = Field(None, max_length=64)

    def asked(self, files: dict[str, bytes], fetch: Fetch | None = None) -> Asked:
        """In the terms of all dialects."""
        given = {name: files.get(name) for name in ("input_reference", "last_frame")}
        for name in given:
            address = getattr(self, name)
            if address is not None:
                given[name] = picture(address, name, fetch)
        return Asked(
            prompt=self.prompt,
            model=self.model,
            first=given["input_reference"],
            last=given["last_frame"],
            seed=self.seed,
            tau=self.tau,
            steps=self.num_inference_steps,
            guidance=self.guidance_scale,
            lora=self.lora,
            about=() if self.group is None else (("group", self.group),),
        )


class Extend(Edit):
    """What POST /v1/videos/extensions takes. input_reference is not among it: the video's last frame is where it goes
    on."""

    seconds: float = Field(gt=0, le=3600, description="How much longer; whole frames.")
    input_reference: None = None

    def asked(self, files: dict[str, bytes], fetch: Fetch | None = None) -> Asked:
        """In the terms of all dialects."""
        if "input_reference" in files:
            raise invalid("an extension starts on the video's last frame; leave input_reference out", "input_reference")
        both = super().asked(files, fetch)
        return Asked(**{**vars(both), "seconds": self.seconds})


Make = Callable[..., New]


def routes(serving: Serving) -> APIRouter:
    """The routes; they must come before those with an id in the same place."""
    router = APIRouter(prefix="/v1/videos", tags=["OpenAI videos"])

    @router.post("/extensions", responses=errors(404, 413, 415, 422, 429), openapi_extra=form(Extend))
    async def extend(request: Request, key: KEY = None) -> Video:
        """Ask for a video that goes on behind its end."""
        return await _ask(serving, request, Extend, longer.extension, key)

    @router.post("/edits", responses=errors(404, 413, 415, 422, 429), openapi_extra=form(Edit))
    async def edit(request: Request, key: KEY = None) -> Video:
        """Ask for a video anew, between its own ends or edited ones."""
        return await _ask(serving, request, Edit, longer.edit, key)

    return router


async def _ask(serving: Serving, request: Request, kind: type[Edit], make: Make, key: str | None) -> Video:
    fields, files = await body(request, ("video", "input_reference", "last_frame"))
    if "video[id]" in fields:  # as the client's forms write {"id": ...}
        fields["video"] = {"id": fields.pop("video[id]")}
    told = parsed(kind, fields)

    def new() -> tuple[New, str]:
        asked, data = told.asked(files, serving.fetch), _video(serving, told, files)
        loras = loras_in(asked.lora, list(serving.model.loras))
        whole = longer.digest(f"{kind.__name__} {asked.digest()} {longer.digest(data)}".encode())
        return make(serving.places, serving.model, asked, data, loras), whole

    made, digest = await run_sync(new, limiter=serving.limiter)
    return openai.shown(await serving.store(made, digest, key))


def _video(serving: Serving, told: Edit, files: dict[str, Any]) -> bytes:
    """The file of the video that a request means."""
    if ("video" in files) == (told.video is not None):
        raise invalid("give one video: a file, or the id of a finished one as video[id]", "video")
    if told.video is None:
        data: bytes = files["video"]
        return data
    job = found(serving, told.video.id)
    if job.state != "completed":
        raise invalid("this video is not finished; wait for it", "video", "video_not_ready")
    path = serving.places.result(job) / VIDEO
    if not path.is_file():
        raise unknown("video")
    return path.read_bytes()
