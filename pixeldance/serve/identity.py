"""Which database is a store's own: the folder has an id in a file and the database in a row, one and the same.

The files of jobs that a database does not know are removed, so another store's database would cost all results; and two
stores with one database would take each other's jobs.
"""

import secrets
from contextlib import suppress
from pathlib import Path

from sqlalchemy import Column, Integer, String, Table, insert, select
from sqlalchemy.exc import IntegrityError

from pixeldance.atomic import atomic_file
from pixeldance.serve.jobs import Jobs
from pixeldance.serve.table import metadata

FILE = "store-id"
# Among the jobs' tables, so that `open_jobs` makes it with them.
TABLE = Table(
    "store",
    metadata,
    Column("number", Integer, primary_key=True, autoincrement=False),
    Column("id", String(32), nullable=False),
)
NUMBER = 1  # of the one row


def tie(folder: Path, jobs: Jobs, *, own: bool, held: set[str]) -> None:
    """See that a database is a folder's, and give both one id where they are new. own: it is a file in the folder.
    held: the ids of the jobs that have files in the folder.

    A store from before there were ids gets one where the database is its own or both have a job in common, whose id
    nobody else can have. Raises ValueError for another store's database, and where that cannot be ruled out.
    """
    here, there = _here(folder), _there(jobs)
    if here is None or there is None:
        known = jobs.ids()
        new = there is None and not held and not known
        if new or (own and here is None) or not known.isdisjoint(held):
            here, there = _given(folder, jobs, here or there or secrets.token_hex(16))
    if here is None or here != there:
        raise ValueError(
            f"got a store {folder} of the id {here or 'none'} and a database of the id {there or 'none'}; "
            "wanted its own, as another one costs it its results; let PIXELDANCE_DATABASE name this store's, or give "
            "an empty database and an empty folder. If they do belong together, put the same 32 hexadecimal digits "
            f"into {folder / FILE} and into the database (INSERT INTO {TABLE.name} VALUES ({NUMBER}, 'DIGITS'))"
        )


def _here(folder: Path) -> str | None:
    file = folder / FILE
    return file.read_text(encoding="ascii").strip() if file.exists() else None


def _there(jobs: Jobs) -> str | None:
    with jobs.engine.connect() as connection:
        return connection.scalar(select(TABLE.c.id))


def _given(folder: Path, jobs: Jobs, id: str) -> tuple[str | None, str | None]:
    """The ids of both, with this one for whoever has none."""
    if _here(folder) is None:
        with atomic_file(folder / FILE) as part:
            part.write_text(id + "\n", encoding="ascii")
    # Another store may take the database at the same moment: it keeps the id of whoever came first.
    with suppress(IntegrityError), jobs.engine.begin() as connection:
        connection.execute(insert(TABLE).values(number=NUMBER, id=id))
    return _here(folder), _there(jobs)
