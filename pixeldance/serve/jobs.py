"""The jobs of a server, in a database: what was asked, how far it is, and who is at it.

A worker holds a job by a lease that it keeps renewing. Where it stops, killed or hung, the lease runs out and another
worker takes the job on. Each claim counts `attempt` up, and a worker writes only while the count is its own: whoever
lost a job cannot change it any more, and deleting or cancelling it is how it is stopped.

The statements are SQLAlchemy Core and run on SQLite and PostgreSQL; each is atomic by itself. Times are seconds since
1970 by the clock of whoever writes; the clocks of several hosts must agree to well under a lease.
"""

import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import Any, Literal

from sqlalchemy import (
    Engine,
    Select,
    and_,
    bindparam,
    create_engine,
    delete,
    event,
    func,
    insert,
    inspect,
    literal,
    or_,
    select,
    text,
    update,
)
from sqlalchemy.exc import IntegrityError, SQLAlchemyError
from sqlalchemy.schema import CreateColumn

from pixeldance.serve.table import TABLE, C, metadata

Kind = Literal["clip", "film"]
State = Literal["queued", "running", "completed", "failed", "cancelled"]
ENDED: tuple[State, ...] = ("completed", "failed", "cancelled")
LEASE = 10.0
"""Seconds for which a worker holds a job that it does not renew."""
FRUITLESS = 3
"""So many claims without a step saved, and a job is held to be what kills its workers."""
ADDING = 0x50444A51
"""The number of PostgreSQL's advisory lock under which jobs are added to a queue with a limit."""


@dataclass(frozen=True, kw_only=True)
class Job:
    """A row without its request, which holds pictures and only a worker needs.

    number: the order of arrival, and of work. id: 32 hexadecimal digits. name: unguessable, for the address of what
    was made. about: what clients are told of the request. done, total: in steps. attempt: how often it was claimed.
    """

    number: int
    id: str
    name: str
    state: State
    about: dict[str, Any]
    digest: str
    total: int
    done: int
    attempt: int
    created_at: float
    updated_at: float
    ended_at: float | None
    expires_at: float | None
    error_code: str | None
    error_message: str | None
    kind: Kind
    started_at: float | None
    started: int

    def seconds_left(self) -> float | None:
        """How long it will still take, from what the steps since its last claim took; None where that is unknown."""
        made = self.done - self.started
        if self.state != "running" or self.started_at is None or made < 1:
            return None
        return (self.updated_at - self.started_at) / made * (self.total - self.done)


NAMES = [field.name for field in fields(Job)]
SHOWN = [C[name] for name in NAMES]
ALL = select(func.count()).select_from(TABLE)
OF_STATE = ALL.where(C.state == bindparam("state"))


class QueueFull(Exception):
    """As many jobs wait as may."""


@dataclass(frozen=True, kw_only=True)
class Jobs:
    """The store. keep: for how many seconds after its end a job is remembered, and what it made kept."""

    engine: Engine
    keep: float = 24 * 3600.0

    def add(
        self,
        request: str,
        *,
        model: str,
        about: dict[str, Any],
        total: int,
        kind: Kind = "clip",
        key: str | None = None,
        digest: str = "",
        most_queued: int | None = None,
    ) -> tuple[Job, bool]:
        """A new job at the end of the queue, and True; or the one that was added under this `key`, and False.

        model: the hash of the one that is to make it; only its workers are given the job.
        Raises QueueFull where `most_queued` wait already.
        """
        known = self._of_key(key)
        if known is not None:
            return known, False
        now = time.time()
        values = {
            "id": secrets.token_hex(16),
            "name": secrets.token_urlsafe(24),
            "state": "queued",
            "kind": kind,
            "model": model,
            "request": request,
            "about": about,
            "key": key,
            "digest": digest,
            "total": total,
            "created_at": now,
            "updated_at": now,
        }
        row = select(*(literal(value, C[name].type) for name, value in values.items()))
        if most_queued is not None:  # counted by the statement that adds: nobody comes in between
            waiting = ALL.where(C.state == "queued")
            row = row.where(waiting.scalar_subquery() < most_queued)
        try:
            with self.engine.begin() as connection:
                if most_queued is not None and self.engine.dialect.name == "postgresql":
                    # Many write there at once, and none sees what the others have not committed: one adds at a time.
                    connection.execute(select(func.pg_advisory_xact_lock(ADDING)))
                new = connection.execute(insert(TABLE).from_select([*values], row).returning(*SHOWN)).one_or_none()
        except IntegrityError:  # the same key, from another request at the same moment
            known = self._of_key(key)
            if known is None:
                raise
            return known, False
        if new is not None:
            return _job(new), True
        known = self._of_key(key)  # that other request may have had the last place
        if known is None:
            raise QueueFull(f"got a job when {most_queued} are waiting; wait for one of them to start")
        return known, False

    def get(self, id: str) -> Job | None:
        """The job with this id."""
        return self._one("id", id)

    def named(self, name: str) -> Job | None:
        """The job whose results have this name."""
        return self._one("name", name)

    def request(self, id: str) -> str | None:
        """What was asked, as it was added."""
        with self.engine.connect() as connection:
            return connection.scalar(select(C.request).where(C.id == id))

    def count(self, state: State | None = None) -> int:
        """How many jobs are in a state, or in all."""
        with self.engine.connect() as connection:
            if state is None:
                return connection.scalar(ALL) or 0
            return connection.scalar(OF_STATE, {"state": state}) or 0

    def page(
        self,
        *,
        limit: int,
        offset: int = 0,
        newest_first: bool = True,
        after: int | None = None,
        states: Sequence[State] = (),
        ids: Sequence[str] = (),
        kind: Kind | None = None,
        counted: bool = True,
    ) -> tuple[list[Job], int]:
        """Some jobs in order of arrival, and how many there are in all (not `counted`: how many these are); `after` is
        the number of the one before."""
        rules = {"after": after, "states": states or None, "ids": ids or None, "kind": kind}
        given = {name: value for name, value in rules.items() if value is not None}
        found, all_found = _paged(tuple(given), newest_first)
        with self.engine.connect() as connection:
            jobs = [_job(row) for row in connection.execute(found, {**given, "limit": limit, "offset": offset})]
            return jobs, (connection.scalar(all_found, given) or 0) if counted else len(jobs)

    # What workers do.

    def claim(self, worker: str, model: str, lease: float = LEASE) -> tuple[Job, str] | None:
        """The oldest of a model's jobs that wait or whose lease ran out, now held by `worker`, and its request; None
        without one.

        Jobs that ended their workers `FRUITLESS` times without getting on are given up here.
        """
        now = time.time()
        lost = and_(C.model == model, C.state == "running", C.lease_until < now)
        free = or_(and_(C.model == model, C.state == "queued"), lost)
        oldest = select(C.number).where(free).order_by(C.number).limit(1)
        with self.engine.connect() as connection:  # looking does not keep others from writing
            if connection.scalar(oldest) is None:
                return None
        given_up = self._end("failed") | {
            "error_code": "worker_died",
            "error_message": f"the worker ended {FRUITLESS} times without getting on with this; ask for less",
        }
        with self.engine.begin() as connection:
            connection.execute(update(TABLE).where(lost, C.fruitless >= FRUITLESS).values(given_up))
            # SQLite has one writer at a time; PostgreSQL skips rows that others are taking, and looks at `free` again.
            taken = connection.execute(
                update(TABLE)
                .where(C.number == oldest.with_for_update(skip_locked=True).scalar_subquery(), free)
                .values(
                    state="running",
                    worker=worker,
                    lease_until=now + lease,
                    updated_at=now,
                    started_at=now,
                    started=C.done,
                    attempt=C.attempt + 1,
                    fruitless=C.fruitless + 1,
                )
                .returning(*SHOWN, C.request)
            ).one_or_none()
        return None if taken is None else (_job(taken), taken.request)

    def beat(self, job: Job, done: int | None = None, *, saved: bool = False, lease: float = LEASE) -> bool:
        """Hold on to a job and tell how far it is; False if it is no longer this worker's. saved: the way so far is
        on the disk, and need not be gone again."""
        now = time.time()
        values: dict[str, Any] = {"lease_until": now + lease, "updated_at": now}
        values |= {} if done is None else {"done": done}
        return self._held(job, values | ({"fruitless": 0} if saved else {}))

    def complete(self, job: Job) -> bool:
        """It is made; False if it was no longer this worker's."""
        return self._held(job, self._end("completed") | {"done": job.total})

    def fail(self, job: Job, code: str, message: str) -> bool:
        """It cannot be made; False if it was no longer this worker's."""
        return self._held(job, self._end("failed") | {"error_code": code, "error_message": message})

    def release(self, job: Job) -> bool:
        """Back to its place in the queue, for whoever comes next; nothing speaks against the job."""
        return self._held(job, _waiting() | {"fruitless": 0})

    def release_of(self, worker: str) -> int:
        """Back to the queue what a worker held that is known to have ended; how many jobs these were."""
        with self.engine.begin() as connection:
            # A lease of the past: so that the claim counts, and a job that ends its workers is given up.
            ours = and_(C.worker == worker, C.state == "running")
            return connection.execute(update(TABLE).where(ours).values(lease_until=0.0)).rowcount

    # What clients do.

    def cancel(self, id: str, states: Sequence[State] = ("queued", "running")) -> bool:
        """Stop it, if it is in one of these states; whether it was."""
        with self.engine.begin() as connection:
            values = self._end("cancelled")
            return connection.execute(update(TABLE).where(C.id == id, C.state.in_(states)).values(values)).rowcount > 0

    def delete(self, id: str, states: Sequence[State] = ("queued", "running", *ENDED)) -> bool:
        """Forget it, if it is in one of these states; whether it was. What runs is stopped by that."""
        with self.engine.begin() as connection:
            return connection.execute(delete(TABLE).where(C.id == id, C.state.in_(states))).rowcount > 0

    def expire(self) -> int:
        """Forget what ended longer ago than `keep`; how many these were. Their files are the caller's to remove."""
        with self.engine.begin() as connection:
            return connection.execute(delete(TABLE).where(C.expires_at < time.time())).rowcount

    def ids(self) -> set[str]:
        """All ids that are remembered."""
        with self.engine.connect() as connection:
            return set(connection.scalars(select(C.id)))

    def _of_key(self, key: str | None) -> Job | None:
        return None if key is None else self._one("key", key)

    def _one(self, column: str, value: str) -> Job | None:
        with self.engine.connect() as connection:
            row = connection.execute(_selected(column), {"value": value}).one_or_none()
        return None if row is None else _job(row)

    def _held(self, job: Job, values: dict[str, Any]) -> bool:
        ours = and_(C.id == job.id, C.attempt == job.attempt, C.state == "running")
        with self.engine.begin() as connection:
            return connection.execute(update(TABLE).where(ours).values(values)).rowcount > 0

    def _end(self, state: State) -> dict[str, Any]:
        now = time.time()
        return {"state": state, "ended_at": now, "updated_at": now, "expires_at": now + self.keep, "worker": None}


def open_jobs(where: Path | str, keep: float = Jobs.keep) -> Jobs:
    """The store in a file, which is made where there is none, or at a database's address (postgresql+psycopg://...).

    A commit is on the disk when it returns, so that neither kill -9 nor a power cut takes a job that was promised.
    Raises ValueError for an address at which there is no such database.
    """
    if isinstance(where, str):
        engine = _database(where)
    else:
        engine = create_engine(f"sqlite:///{where}", connect_args={"timeout": 60})
        event.listen(engine, "connect", _durable)
    metadata.create_all(engine)
    _grow(engine)
    return Jobs(engine=engine, keep=keep)


def _database(address: str) -> Engine:
    try:
        engine = create_engine(address, pool_pre_ping=True)
        engine.connect().close()
    except ModuleNotFoundError as error:
        wanted = "postgresql+psycopg://USER@HOST/NAME, and pip install 'pixeldance[postgres]'"
        raise ValueError(f"got a database whose driver {error.name} is not installed; wanted {wanted}") from None
    except SQLAlchemyError as error:  # whose text may hold the password, where the address cannot be read
        said = str(error.__cause__ or type(error).__name__).strip()
        raise ValueError(f"cannot open the jobs' database: {said}; check its address") from None
    return engine


def _grow(engine: Engine) -> None:
    """Give a store of an earlier version the columns that it does not have."""
    there = {column["name"] for column in inspect(engine).get_columns(TABLE.name)}
    for column in TABLE.columns:
        if column.name not in there:
            with engine.begin() as connection:
                connection.execute(text(f"ALTER TABLE {TABLE.name} ADD COLUMN {CreateColumn(column)}"))


def _durable(connection: Any, _: object) -> None:
    for setting in ("journal_mode=WAL", "synchronous=FULL"):
        connection.execute(f"PRAGMA {setting}").close()


@cache  # building a statement takes longer than asking it
def _selected(column: str) -> Select[Any]:
    """The jobs that have a `value` in this column."""
    return select(*SHOWN).where(C[column] == bindparam("value"))


@cache
def _paged(rules: tuple[str, ...], newest_first: bool) -> tuple[Select[Any], Select[int]]:
    """A page of the jobs that these rules are for, and how many there are in all."""
    known = {
        "after": C.number < bindparam("after") if newest_first else C.number > bindparam("after"),
        "states": C.state.in_(bindparam("states", expanding=True)),
        "ids": C.id.in_(bindparam("ids", expanding=True)),
        "kind": C.kind == bindparam("kind"),
    }
    rule = and_(True, *(known[name] for name in rules))
    found = select(*SHOWN).where(rule).order_by(C.number.desc() if newest_first else C.number)
    return found.limit(bindparam("limit")).offset(bindparam("offset")), ALL.where(rule)


def _waiting() -> dict[str, Any]:
    return {"state": "queued", "worker": None, "lease_until": None, "updated_at": time.time()}


def _job(row: Any) -> Job:
    return Job(**dict(zip(NAMES, row, strict=False)))  # a claimed row has its request behind
