"""OpenAI's `extensions` and `edits`: a video, uploaded or of this server, goes on, or is made anew between its ends.

An edit has the text alone, as that API has it: the motion is made anew between the video's own ends. Ours besides:
edited ends in their places (input_reference, last_frame; or a colour through masks, or a picture pasted on both); seed,
tau, num_inference_steps, guidance_scale, lora.
"""

from abc import ABC, abstractmethod
from dataclasses import replace

from anyio.to_thread import run_sync
from fastapi import APIRouter, Request, Response
from pydantic import BaseModel, ConfigDict, Field

from pixeldance.serve import longer, openai
from pixeldance.serve.ends import Change, Paste, Recolour, place
from pixeldance.serve.jobs import Job
from pixeldance.serve.loras import asked as loras_in
from pixeldance.serve.openai import UNFINISHED, Address, Video, body, form, found
from pixeldance.serve.places import VIDEO
from pixeldance.serve.refused import invalid, unknown
from pixeldance.serve.requests import Asked, New, picture
from pixeldance.serve.state import KEY, Serving, errors, parsed
from pixeldance.serve.tasks import LoraAsked

Files = dict[str, bytes]
ENDS, MASKS, PASTED = ["input_reference", "last_frame"], ["mask", "last_mask", "colour"], ["paste", "at"]
PICTURES = (*ENDS, "mask", "last_mask", "paste")
XY = r"^[0-9]{1,6},[0-9]{1,6}$"


class Reference(BaseModel):
    """A finished video of this server."""

    model_config = ConfigDict(extra="forbid")
    id: str


class Again(BaseModel, ABC):
    """What both take."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)
    prompt: str
    video: Reference | None = Field(None, description="A finished video of this server; in a form, also a file.")
    model: str | None = None
    last_frame: Address | None = Field(None, description="The last frame as it is to be; in a form, also a file.")
    seed: int | None = Field(None, ge=0, lt=2**32)
    tau: float | None = Field(None, ge=0, le=1)
    num_inference_steps: int | None = Field(None, ge=1, le=1000)
    guidance_scale: float | None = Field(None, ge=0, le=100)
    lora: str | None = Field(None, max_length=500)
    group: str | None = Field(None, max_length=64)

    def asked(self, files: Files) -> Asked:
        """In the terms of all dialects. files: those that came with the form, and those of the fields' addresses."""
        return Asked(
            prompt=self.prompt,
            model=self.model,
            first=files.get("input_reference"),
            last=files.get("last_frame"),
            seed=self.seed,
            tau=self.tau,
            steps=self.num_inference_steps,
            guidance=self.guidance_scale,
            lora=self.lora,
            about=() if self.group is None else (("group", self.group),),
        )

    @abstractmethod
    def new(self, serving: Serving, files: Files, loras: tuple[LoraAsked, ...]) -> New:
        """The job; files["video"] is the video's. Raises Refused for what cannot be made."""


class Edit(Again):
    """What POST /v1/videos/edits takes. The ends are the video's own, or others in their places, or the own ones with a
    colour where masks are white, or with a picture pasted on."""

    input_reference: Address | None = Field(None, description="The first frame as it is to be; in a form, also a file.")
    mask: Address | None = Field(None, description="White where the first frame takes the colour; also a file.")
    last_mask: Address | None = Field(None, description="White where the last frame does; also a file.")
    colour: str | None = Field(None, description="That colour: a name, or #rrggbb.")
    paste: Address | None = Field(None, description="A PNG or WebP to put on both ends; also a file.")
    at: str | None = Field(None, pattern=XY, description="X,Y of its left upper corner on the first frame, in pixels.")
    last_at: str | None = Field(None, pattern=XY, description="The same on the last frame; without it, that of `at`.")

    def change(self, files: Files) -> Change | None:
        """What is to be changed in the video's own ends. Raises Refused for half a change, and for two."""
        fields = [*ENDS, *MASKS, *PASTED, "last_at"]
        given = [name for name in fields if name in files or getattr(self, name) is not None]
        if set(given) <= set(ENDS):
            return None
        if given == MASKS:
            return Recolour(masks=(files["mask"], files["last_mask"]), colour=str(self.colour))
        if given in (PASTED, [*PASTED, "last_at"]):
            first = place(str(self.at))
            return Paste(patch=files["paste"], places=(first, first if self.last_at is None else place(self.last_at)))
        raise invalid(
            f"got {', '.join(given)}; wanted one way of editing the ends: input_reference and last_frame, or one of "
            "them; mask, last_mask and colour; paste and at, and last_at where it is another place",
            given[0],
        )

    def new(self, serving: Serving, files: Files, loras: tuple[LoraAsked, ...]) -> New:
        """The job of the video made anew."""
        change = self.change(files)
        return longer.edit(serving.places, serving.model, self.asked(files), files["video"], loras, change)


class Extend(Again):
    """What POST /v1/videos/extensions takes. Where it goes on is the video's last frame."""

    seconds: float = Field(gt=0, le=3600, description="How much longer; whole frames.")

    def new(self, serving: Serving, files: Files, loras: tuple[LoraAsked, ...]) -> New:
        """The job of the video that goes on."""
        asked = replace(self.asked(files), seconds=self.seconds)
        return longer.extension(serving.places, serving.model, asked, files["video"], loras)


def routes(serving: Serving) -> APIRouter:
    """The routes; they must come before those with an id in the same place."""
    router = APIRouter(prefix="/v1/videos", tags=["OpenAI videos"])

    refusals = errors(404, 413, 415, 422, 429)

    @router.post("/extensions", responses=UNFINISHED | refusals, openapi_extra=form(Extend))
    async def extend(request: Request, response: Response, key: KEY = None) -> Video:
        """Ask for a video that goes on behind its end."""
        return await openai.told(serving, await _ask(serving, request, Extend, key), response)

    @router.post("/edits", responses=UNFINISHED | refusals, openapi_extra=form(Edit))
    async def edit(request: Request, response: Response, key: KEY = None) -> Video:
        """Ask for a video anew, between its own ends or edited ones."""
        return await openai.told(serving, await _ask(serving, request, Edit, key), response)

    return router


async def _ask(serving: Serving, request: Request, kind: type[Edit] | type[Extend], key: str | None) -> Job:
    pictures = [name for name in PICTURES if name in kind.model_fields]
    fields, files = await body(request, ("video", *pictures))
    if "video[id]" in fields:  # as the client's forms write {"id": ...}
        fields["video"] = {"id": fields.pop("video[id]")}
    told = parsed(kind, fields)
    await serving.room(key)

    def new() -> tuple[New, str]:
        addresses = {name: getattr(told, name) for name in pictures}
        sent = {name: picture(each, name, serving.fetch) for name, each in addresses.items() if each is not None}
        whole = {**files, **sent, "video": _video(serving, told, files)}
        settings = told.model_dump(exclude={"video", *pictures})
        hashes = {name: longer.digest(data) for name, data in sorted(whole.items())}
        made = told.new(serving, whole, loras_in(told.lora, list(serving.model.loras)))
        return made, longer.digest(repr((kind.__name__, settings, hashes)).encode())

    made, digest = await run_sync(new, limiter=serving.limiter)
    return await serving.store(made, digest, key)


def _video(serving: Serving, told: Again, files: Files) -> bytes:
    """The file of the video that a request means."""
    if ("video" in files) == (told.video is not None):
        raise invalid("give one video: a file, or the id of a finished one as video[id]", "video")
    if told.video is None:
        return files["video"]
    job = found(serving, told.video.id)
    if job.state != "completed":
        raise invalid("this video is not finished; wait for it", "video", "video_not_ready")
    path = serving.places.result(job) / VIDEO
    if not path.is_file():
        raise unknown("video")
    return path.read_bytes()
