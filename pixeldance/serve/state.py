"""What the routes of both dialects share: the store, the model, and how requests are read and answered."""

from dataclasses import dataclass
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Header
from fastapi.responses import FileResponse
from pydantic import BaseModel, ValidationError

from pixeldance.serve.jobs import Job, Jobs, State
from pixeldance.serve.places import TYPES, Places, remove
from pixeldance.serve.refused import Refused, invalid, unknown
from pixeldance.serve.requests import MOST_QUEUED, Asked, Model, submit

DECODING = 4  # requests whose pictures are decoded at once: each may take 200 MiB
KEY = Annotated[str | None, Header(alias="Idempotency-Key", description="The same key is the same job.")]
Fields = TypeVar("Fields", bound=BaseModel)


class Problem(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class Problems(BaseModel):
    """The body of an answer that is not what was asked for."""

    error: Problem


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A server's parts. limiter: bounds what is decoded at once, and so the memory."""

    places: Places
    jobs: Jobs
    model: Model
    limiter: CapacityLimiter
    most_queued: int = MOST_QUEUED

    async def submit(self, asked: Asked, key: str | None = None) -> Job:
        """`requests.submit`, beside the event loop."""
        work = (self.jobs, self.model, asked, key, self.most_queued)
        return await run_sync(submit, *work, limiter=self.limiter)

    def file(self, job: Job, name: str) -> FileResponse:
        """One of the files that a job made."""
        path = self.places.result(job) / name
        if not path.is_file():
            raise unknown("file")
        return FileResponse(path, media_type=TYPES[name], filename=name, content_disposition_type="inline")

    def forget(self, job: Job, states: tuple[State, ...]) -> bool:
        """Delete a job in one of these states, with its files; whether it was in one."""
        if not self.jobs.delete(job.id, states):
            return False
        remove(self.places.result(job))
        remove(self.places.point(job))
        return True


def errors(*more: int) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of what a route may answer besides what it is for."""
    return {status: {"model": Problems, "description": "Refused"} for status in (400, 401, 403, *more)}


def parsed(kind: type[Fields], fields: dict[str, Any]) -> Fields:
    """Fields as a record of this kind. Raises Refused (400) naming the first one that is wrong."""
    try:
        return kind.model_validate(fields)
    except ValidationError as error:
        raise wrong(error.errors()) from None


def wrong(found: Any) -> Refused:
    """The refusal of fields in which pydantic found these errors."""
    first = found[0]
    where = ".".join(str(part) for part in first["loc"] if part != "body")[:80]
    return invalid(f"{where}: {first['msg']}" if where else first["msg"], where or None)
