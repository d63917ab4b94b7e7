"""What the routes of both dialects share: the store, the model, and how requests are read and answered."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any, TypeVar

from anyio import CapacityLimiter
from anyio.to_thread import run_sync
from fastapi import Header
from fastapi.responses import FileResponse, Response
from pydantic import BaseModel, ValidationError
from starlette.datastructures import Headers
from starlette.types import Receive, Scope, Send

from pixeldance.serve.jobs import Job, Jobs, State
from pixeldance.serve.pace import Lately, Line, line
from pixeldance.serve.places import Places, media_type, remove
from pixeldance.serve.refused import Refused, invalid, queue_full, unknown
from pixeldance.serve.requests import MOST_QUEUED, Asked, Fetch, Model, New, store, submit

AT_ONCE = 2**17  # bytes: as many as this may be in memory for each connection
DECODING = 4  # requests whose pictures are decoded at once: each may take 200 MiB
KEY = Annotated[str | None, Header(alias="Idempotency-Key", description="The same key is the same job.")]
Fields = TypeVar("Fields", bound=BaseModel)
Seen = TypeVar("Seen")


class Problem(BaseModel):
    """What went wrong."""

    message: str
    type: str
    param: str | None
    code: str


class Problems(BaseModel):
    """The body of an answer that is not what was asked for."""

    error: Problem


class Sent(FileResponse):
    """A file. A small one that is wanted whole is read at once: handing it to threads and back takes longer."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with it."""
        if int(self.headers["content-length"]) > AT_ONCE or "range" in Headers(scope=scope):
            await super().__call__(scope, receive, send)
        else:
            data = Path(self.path).read_bytes()
            await Response(data, headers=self.headers | {"content-length": str(len(data))})(scope, receive, send)


@dataclass(frozen=True, kw_only=True)
class Serving:
    """A server's parts. limiter: bounds what is decoded at once, and so the memory. fetch: None where addresses are not
    fetched. lately: the queue, as it was last looked at."""

    places: Places
    jobs: Jobs
    model: Model
    limiter: CapacityLimiter
    most_queued: int = MOST_QUEUED
    fetch: Fetch | None = None
    lately: Lately = field(default_factory=Lately)

    async def look(self, what: Callable[..., Seen], *arguments: Any) -> Seen:
        """What a call reads in the store. Of a file that takes less than handing it to a thread and back, which under
        load costs most of a poll; a database elsewhere is asked beside the event loop."""
        if self.jobs.engine.dialect.name == "sqlite":
            return what(*arguments)
        return await run_sync(what, *arguments)

    async def line(self) -> Line:
        """The queue, as it was a moment ago: asked for with most polls, it is not looked at for each."""
        return await self.lately.now(lambda: self.look(line, self.jobs))

    async def room(self, key: str | None) -> None:
        """Raise Refused where too many jobs wait, before anything is decoded; what a key repeats is not refused."""
        if key is None and await self.look(self.jobs.count, "queued") >= self.most_queued:
            raise queue_full(self.most_queued, (await self.line()).full())

    async def submit(self, asked: Asked, key: str | None = None) -> Job:
        """`requests.submit`, beside the event loop."""
        work = (self.jobs, self.model, asked, key, self.most_queued)
        return await run_sync(submit, *work, limiter=self.limiter)

    async def store(self, new: New, digest: str, key: str | None = None) -> Job:
        """`requests.store`, beside the event loop."""
        work = (self.jobs, self.model, new, digest, key, self.most_queued)
        return await run_sync(store, *work, limiter=self.limiter)

    def file(self, path: Path) -> FileResponse:
        """One of the files that a job made."""
        kind = media_type(path.name)
        if kind is None or not path.is_file():
            raise unknown("file")
        found = path.stat()
        return Sent(path, stat_result=found, media_type=kind, filename=path.name, content_disposition_type="inline")

    def named(self, name: str, file: str) -> Response:
        """A file of the job whose results have this name; of one under way, what can be seen of it so far."""
        job, kind = self.jobs.named(name), media_type(file)
        if job is None or kind is None:
            raise unknown("file")
        if job.state == "completed":
            return self.file(self.places.result(job) / file)
        try:  # at one go: the next preview may take its place while it is sent
            return Response((self.places.preview(job) / file).read_bytes(), media_type=kind)
        except OSError:
            raise unknown("file") from None

    def forget(self, job: Job, states: tuple[State, ...]) -> bool:
        """Delete a job in one of these states, with its files; whether it was in one."""
        if not self.jobs.delete(job.id, states):
            return False
        remove(self.places.result(job))
        remove(self.places.point(job))
        remove(self.places.preview(job))
        return True


def look_again(header: str, unit: str) -> dict[int | str, dict[str, Any]]:
    """The OpenAPI entry of an answer with a header that says when to look again."""
    what = f"Of what is not finished: in how many {unit} to look again."
    return {200: {"headers": {header: {"description": what, "schema": {"type": "integer"}}}}}


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
