"""Films over HTTP: a story in, its plan before anything is made, and a film of which every shot can be changed."""

import hashlib
from typing import Any, Literal

from anyio.to_thread import run_sync
from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from pixeldance.film.calls import Plan
from pixeldance.film.receipt import model_of
from pixeldance.film.render import missing
from pixeldance.film.store import Store
from pixeldance.film.story import Story
from pixeldance.receipt import Model as Recorded
from pixeldance.serve.films import check_size, planned, steps_of
from pixeldance.serve.jobs import ENDED, Job
from pixeldance.serve.loras import asked as loras_in
from pixeldance.serve.loras import spelled
from pixeldance.serve.openai import STATES, Failure
from pixeldance.serve.places import shot_file
from pixeldance.serve.refused import invalid, unknown
from pixeldance.serve.requests import New
from pixeldance.serve.state import KEY, Serving, errors
from pixeldance.serve.tasks import FilmTask, LoraAsked, read_task

PREFIX = "film_"


class Create(BaseModel):
    """What POST /v1/films takes. story: as in docs/films.md; its pictures are named there and sent here."""

    model_config = ConfigDict(extra="forbid")
    story: Story
    pictures: dict[str, str] = Field({}, description="Data URLs by the names that the story's first and last use.")
    model: str | None = None
    lora: str | None = Field(None, max_length=500, description="NAME or NAME:SCALE of the server's, parted by commas.")


class Shot(BaseModel):
    """A shot of a plan or a film. start: its first frame in the film."""

    start: int
    frames: int
    clips: int
    to_make: int = Field(description="How many of its clips were not there when this was planned.")


class Planned(BaseModel):
    """What a film will take. seconds: as far as the time that such clips take is known."""

    shots: list[Shot]
    frames: int
    fps: float
    width: int
    height: int
    clips: int
    to_make: int
    seconds: float | None


class Film(BaseModel):
    """A film. ready: the numbers, from 1, of the shots of which shot-N.webp lies among its files."""

    id: str
    object: Literal["film"] = "film"
    status: Literal["queued", "in_progress", "completed", "failed"]
    progress: int
    seconds_left: float | None
    created_at: int
    completed_at: int | None
    expires_at: int | None
    model: str
    shots: list[Shot]
    ready: list[int]
    frames: int
    fps: float
    width: int
    height: int
    error: Failure | None
    cancelled: bool
    files: str


class Films(BaseModel):
    """A page of films, the newest first."""

    object: Literal["list"] = "list"
    data: list[Film]
    has_more: bool


class Told(BaseModel):
    """The story of a film, as it was asked for."""

    story: dict[str, Any]
    pictures: dict[str, str]
    lora: str | None


class Deleted(BaseModel):
    """What is left of a deleted film. Its clips stay, for other films that show them, until they were long unused."""

    id: str
    deleted: Literal[True] = True


def routes(serving: Serving) -> APIRouter:
    """The routes."""
    router = APIRouter(prefix="/v1/films", tags=["Films"])

    @router.post("/plan", responses=errors(413, 429))
    async def plan(film: Create) -> Planned:
        """What a film would take, and which of its clips are there; nothing is made."""
        made, shots, _ = await run_sync(_plan, serving, film, limiter=serving.limiter)
        return await run_sync(_told, serving, made, shots, limiter=serving.limiter)

    @router.post("", responses=errors(413, 422, 429))
    async def create(film: Create, key: KEY = None) -> Film:
        """Ask for a film. Clips that are there, also of other films and of earlier versions, are not made again."""
        plan, shots, loras = await run_sync(_plan, serving, film, limiter=serving.limiter)
        about = {
            "model": serving.model.id,
            "frames": plan.frames(),
            "fps": plan.fps,
            "width": plan.size[1],
            "height": plan.size[0],
            "shots": [shot.model_dump() for shot in shots],
        }
        task = FilmTask(story=film.story, pictures=film.pictures, loras=loras)
        digest = hashlib.sha256(task.model_dump_json().encode()).hexdigest()
        new = New(task=task, about=about, total=steps_of(plan), kind="film")
        return shown(serving, await serving.store(new, digest, key))

    @router.get("", responses=errors())
    def films(limit: int = Query(20, ge=1, le=100)) -> Films:
        """The newest films."""
        jobs, total = serving.jobs.page(kind="film", limit=limit)
        return Films(data=[shown(serving, job) for job in jobs], has_more=total > len(jobs))

    @router.get("/{id}", responses=errors(404))
    def film(id: str) -> Film:
        """How far a film is."""
        return shown(serving, found(serving, id))

    @router.get("/{id}/story", responses=errors(404))
    def story(id: str) -> Told:
        """What a film was asked for with: change a shot, and ask again."""
        text = serving.jobs.request(found(serving, id).id)
        task = None if text is None else read_task(text)
        if not isinstance(task, FilmTask):
            raise unknown("film")
        said = task.story.model_dump(exclude_defaults=True)
        return Told(story=said, pictures=task.pictures, lora=spelled(task.loras))

    @router.post("/{id}/cancel", responses=errors(404, 429))
    def cancel(id: str) -> Film:
        """Stop a film; the clips that are there stay."""
        job = found(serving, id)
        serving.jobs.cancel(job.id)
        return shown(serving, found(serving, id))

    @router.delete("/{id}", responses=errors(404, 429))
    def delete(id: str) -> Deleted:
        """Forget a film; one that is being made is stopped."""
        job = found(serving, id)
        serving.forget(job, ("queued", "running", *ENDED))
        return Deleted(id=id)

    return router


def found(serving: Serving, id: str) -> Job:
    """The job of a film's id."""
    job = serving.jobs.get(id.removeprefix(PREFIX)) if id.startswith(PREFIX) else None
    if job is None or job.kind != "film":
        raise unknown("film")
    return job


def shown(serving: Serving, job: Job) -> Film:
    """A film's job as clients see it."""
    about = job.about
    folder = (serving.places.result if job.state == "completed" else serving.places.preview)(job)
    error = None if job.error_code is None else Failure(code=job.error_code, message=str(job.error_message))
    numbers = range(1, len(about["shots"]) + 1)
    return Film(
        id=PREFIX + job.id,
        status=STATES[job.state],  # type: ignore[arg-type]
        progress=100 * job.done // job.total,
        seconds_left=job.seconds_left(),
        created_at=int(job.created_at),
        completed_at=int(job.ended_at) if job.state == "completed" and job.ended_at else None,
        expires_at=None if job.expires_at is None else int(job.expires_at),
        ready=[number for number in numbers if (folder / shot_file(number)).is_file()],
        error=error,
        cancelled=job.state == "cancelled",
        files=f"/files/{job.name}/",
        **about,
    )


def _plan(serving: Serving, film: Create) -> tuple[Plan, list[Shot], tuple[LoraAsked, ...]]:
    """The plan of what was asked, its shots, and its LoRAs. Raises Refused for what cannot be made."""
    model = serving.model
    model.named(film.model)
    loras = loras_in(film.lora, list(model.loras))
    check_size(film.story, film.pictures, model.system)
    try:
        recorded = Recorded(folder=None, sha256=model.hash)
        if loras:
            worn = model_of(model.folder, [(str(model.loras[each.name]), each.scale) for each in loras])
            recorded = recorded.model_copy(update={"loras": worn.loras})
        plan = planned(film.story, film.pictures, model.system, recorded)
    except ValueError as error:
        raise invalid(str(error).removeprefix("the story: "), "story") from None
    wanted = set(missing(plan, _store(serving)))
    shots, start = [], 0
    for number in range(len(film.story.shots)):
        mine = [name for name, shot in plan.shot_of.items() if shot == number]
        frames = plan.frames(number)
        shots.append(Shot(start=start, frames=frames, clips=len(mine), to_make=len(wanted.intersection(mine))))
        start += frames
    return plan, shots, loras


def _told(serving: Serving, plan: Plan, shots: list[Shot]) -> Planned:
    """The plan for people, with the time that such clips took before."""
    names = missing(plan, _store(serving))
    took = _store(serving).seconds([plan.calls[name] for name in names], plan.model)
    known = [each for each in took if each is not None]
    return Planned(
        shots=shots,
        frames=plan.frames(),
        fps=plan.fps,
        width=plan.size[1],
        height=plan.size[0],
        clips=len(plan.calls),
        to_make=len(names),
        seconds=round(sum(known), 1) if len(known) == len(took) else None,
    )


def _store(serving: Serving) -> Store:
    return Store(folder=serving.places.shots())
