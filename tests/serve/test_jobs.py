"""The job store: order, leases, keys, expiry, and what happens when many processes want the same."""

import os
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import create_engine, delete, text
from sqlalchemy.exc import OperationalError

from pixeldance.serve import identity
from pixeldance.serve.jobs import FRUITLESS, Job, Jobs, QueueFull, State, open_jobs
from pixeldance.serve.outage import tried
from pixeldance.serve.places import DATABASE, Places, open_places
from pixeldance.serve.table import metadata

ABOUT = {"prompt": "a red star"}


# The address of an empty PostgreSQL database, such as postgresql+psycopg://postgres@127.0.0.1:5432/postgres.
POSTGRES = os.environ.get("PIXELDANCE_TEST_POSTGRES")


@pytest.fixture(params=["sqlite", "postgresql"] if POSTGRES else ["sqlite"])
def where(request: pytest.FixtureRequest, tmp_path: Path) -> Path | str:
    if request.param == "sqlite":
        return tmp_path / "jobs.sqlite"
    assert POSTGRES is not None
    metadata.drop_all(create_engine(POSTGRES))
    return POSTGRES


@pytest.fixture
def jobs(where: Path | str) -> Iterator[Jobs]:
    jobs = open_jobs(where)
    yield jobs
    jobs.engine.dispose()


def add(jobs: Jobs, request: str = "{}", **more: Any) -> Job:
    return jobs.add(request, **{"model": "m", "about": ABOUT, "total": 8} | more)[0]


def claim(jobs: Jobs, worker: str = "w", **more: Any) -> Job:
    taken = jobs.claim(worker, "m", **more)
    assert taken is not None
    return taken[0]


def state(jobs: Jobs, job: Job) -> State:
    found = jobs.get(job.id)
    assert found is not None
    return found.state


def test_jobs_are_worked_off_in_the_order_they_came(jobs: Jobs) -> None:
    added = [add(jobs, request=f"{i}") for i in range(5)]
    taken = [jobs.claim("w", "m") for _ in added]
    assert [each and each[1] for each in taken] == ["0", "1", "2", "3", "4"]
    assert [each and each[0].id for each in taken] == [job.id for job in added]
    assert jobs.claim("w", "m") is None


def test_a_worker_is_given_the_jobs_of_its_own_model(jobs: Jobs) -> None:
    one, other = add(jobs, model="n"), add(jobs)
    assert claim(jobs).id == other.id
    assert jobs.claim("w", "m") is None
    taken = jobs.claim("w", "n")
    assert taken is not None
    assert taken[0].id == one.id


def test_a_job_is_what_was_added(jobs: Jobs) -> None:
    job = add(jobs, request="what")
    assert (job.state, job.done, job.total, job.attempt, job.about) == ("queued", 0, 8, 0, ABOUT)
    assert jobs.get(job.id) == jobs.named(job.name) == job
    assert jobs.request(job.id) == "what"
    assert (jobs.get("nobody"), jobs.named("nobody"), jobs.request("nobody")) == (None, None, None)
    assert len({add(jobs).id for _ in range(20)} | {add(jobs).name for _ in range(20)}) == 40
    assert len(job.name) == 32, "24 bytes of chance, in base64"


def test_a_commit_in_a_file_is_on_the_disk(tmp_path: Path) -> None:
    with open_jobs(tmp_path / "jobs.sqlite").engine.connect() as connection:
        settings = [connection.scalar(text(f"PRAGMA {name}")) for name in ("journal_mode", "synchronous")]
    assert settings == ["wal", 2], "2: FULL"


def test_a_held_job_is_nobody_else_s_until_its_lease_runs_out(jobs: Jobs) -> None:
    add(jobs)
    first = claim(jobs, lease=0.2)
    assert jobs.claim("other", "m") is None
    assert jobs.beat(first, 3, lease=0.2)
    time.sleep(0.25)
    second = claim(jobs, "other")
    assert (second.id, second.attempt, second.done) == (first.id, 2, 3)
    assert not jobs.beat(first, 4)
    assert not jobs.complete(first)
    assert not jobs.fail(first, "code", "message")
    assert not jobs.release(first)
    assert jobs.get(first.id) == second
    assert jobs.complete(second)


def test_a_job_ends_once(jobs: Jobs) -> None:
    add(jobs)
    job = claim(jobs)
    assert jobs.complete(job)
    assert not jobs.fail(job, "code", "message")
    assert not jobs.cancel(job.id)
    found = jobs.get(job.id)
    assert found is not None
    assert (found.state, found.done, found.error_code) == ("completed", 8, None)
    assert found.expires_at == pytest.approx(time.time() + jobs.keep, abs=5)
    assert jobs.claim("w", "m") is None


def test_a_failure_says_why(jobs: Jobs) -> None:
    add(jobs)
    assert jobs.fail(claim(jobs), "disk_full", "no room")
    (found,), _ = jobs.page(limit=9)
    assert (found.state, found.error_code, found.error_message) == ("failed", "disk_full", "no room")


def test_what_was_released_keeps_its_place(jobs: Jobs) -> None:
    one, two = add(jobs), add(jobs)
    assert jobs.release(claim(jobs))
    assert [claim(jobs).id, claim(jobs).id] == [one.id, two.id]


def test_the_jobs_of_a_worker_that_ended_are_free_at_once(jobs: Jobs) -> None:
    one, two = add(jobs), add(jobs)
    claim(jobs, "dead")
    claim(jobs, "alive")
    assert jobs.release_of("dead") == 1
    assert claim(jobs).id == one.id
    assert state(jobs, two) == "running"


def test_a_job_that_ends_its_workers_is_given_up(jobs: Jobs) -> None:
    job = add(jobs)
    for _ in range(FRUITLESS):
        claim(jobs, "w")
        jobs.release_of("w")
    assert jobs.claim("w", "m") is None
    found = jobs.get(job.id)
    assert found is not None
    assert (found.state, found.error_code) == ("failed", "worker_died")


def test_a_job_that_gets_on_is_never_given_up(jobs: Jobs) -> None:
    add(jobs)
    for done in range(3 * FRUITLESS):
        assert jobs.beat(claim(jobs, "w"), done, saved=True)
        jobs.release_of("w")
    assert claim(jobs).attempt == 3 * FRUITLESS + 1


def test_the_same_key_is_the_same_job(jobs: Jobs) -> None:
    one, new = jobs.add("{}", model="m", about=ABOUT, total=8, key="k", digest="d")
    again, newer = jobs.add("other", model="m", about={}, total=9, key="k", digest="e", most_queued=0)
    assert (new, newer) == (True, False)
    assert one == again
    assert add(jobs, key="other").id != one.id


def test_a_full_queue_takes_no_more(jobs: Jobs) -> None:
    add(jobs, most_queued=2)
    add(jobs, most_queued=2)
    with pytest.raises(QueueFull, match="2 are waiting"):
        add(jobs, most_queued=2)
    claim(jobs)
    add(jobs, most_queued=2)


def test_a_queue_s_limit_holds_when_many_come_at_once(jobs: Jobs, where: Path | str) -> None:
    """Two processes of eight threads each start together."""
    command = [sys.executable, "-c", OPEN + CROWD, str(where)]
    crowd = [subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) for _ in range(2)]
    for each in crowd:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    told = [each.communicate("go")[0].split() for each in crowd]
    assert [each.returncode for each in crowd] == [0, 0]
    assert max(int(most) for each in told for most in each) == jobs.count("queued") == 7


def test_cancelling_and_deleting_stop_what_runs(jobs: Jobs) -> None:
    one, two, three = add(jobs), add(jobs), add(jobs)
    first, second = claim(jobs), claim(jobs)
    assert jobs.cancel(one.id)
    assert jobs.delete(two.id)
    assert not jobs.delete(three.id, ("completed",))
    assert not jobs.cancel(three.id, ("running",))
    assert not jobs.beat(first)
    assert not jobs.beat(second)
    assert state(jobs, one) == "cancelled"
    assert jobs.get(two.id) is None
    assert jobs.ids() == {one.id, three.id}


def test_pages(jobs: Jobs) -> None:
    ids = [add(jobs).id for _ in range(5)]
    claim(jobs)

    def shown(**rules: Any) -> list[str]:
        return [job.id for job in jobs.page(**{"limit": 9} | rules)[0]]

    assert shown() == ids[::-1]
    assert shown(newest_first=False) == ids
    assert shown(limit=2, offset=2) == ids[2:0:-1]
    assert shown(limit=2, after=4) == ids[2:0:-1]
    assert shown(newest_first=False, after=4) == ids[4:]
    assert shown(states=["running", "failed"]) == ids[:1]
    assert shown(ids=[ids[3], "nobody"]) == [ids[3]]
    assert jobs.page(limit=1, states=["queued"])[1] == 4
    assert (jobs.count(), jobs.count("queued")) == (5, 4)


def test_what_ended_is_forgotten_in_time(jobs: Jobs) -> None:
    one, two, three = add(jobs), add(jobs), add(jobs)
    past, later = claim(jobs), claim(jobs)
    jobs.complete(later)
    assert jobs.expire() == 0
    replace(jobs, keep=-1.0).complete(past)
    assert jobs.expire() == 1
    assert jobs.ids() == {two.id, three.id} != {one.id}
    assert add(jobs).number == 4, "numbers are not given again"


OPEN = """
import sys
from pathlib import Path
from pixeldance.serve.jobs import open_jobs
jobs = open_jobs(sys.argv[1] if "://" in sys.argv[1] else Path(sys.argv[1]))
"""
CROWD = """
import os
import threading
from pixeldance.serve.jobs import QueueFull
def come():
    for _ in range(4):
        try:
            jobs.add("{}", model="m", about={}, total=1, most_queued=7)
        except QueueFull:
            pass
        os.write(1, b"%d\\n" % jobs.count("queued"))
print("ready", flush=True)
sys.stdin.read()
threads = [threading.Thread(target=come) for _ in range(8)]
for each in threads: each.start()
for each in threads: each.join()
"""
WORKER = """
long = {"lease": 600}  # on a busy machine a process may stand still for some seconds
while (taken := jobs.claim(sys.argv[2], "m", **long)) or jobs.count("queued"):
    if taken is None:
        continue
    print(taken[0].id, flush=True)
    assert jobs.beat(taken[0], 4, **long)
    assert jobs.complete(taken[0])
"""


def test_of_eight_processes_no_two_start_the_same_job(jobs: Jobs, where: Path | str) -> None:
    ids = [add(jobs).id for _ in range(200)]
    command = [sys.executable, "-c", OPEN + WORKER, str(where)]
    workers = [subprocess.Popen([*command, f"w{i}"], stdout=subprocess.PIPE, text=True) for i in range(8)]
    told = [worker.communicate()[0].split() for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * 8
    assert Counter(id for each in told for id in each) == Counter(ids)
    assert sum(map(bool, told)) > 1, "one process did it all"
    assert jobs.count("completed") == 200


def test_a_killed_process_takes_nothing_with_it(jobs: Jobs, where: Path | str) -> None:
    """One that adds jobs and says so is killed: what it said is there, in order, and the store opens as it was."""
    adds = OPEN + "while True: print(jobs.add('{}', model='m', about={}, total=1)[0].id, flush=True)"
    process = subprocess.Popen([sys.executable, "-c", adds, str(where)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    told = [process.stdout.readline().strip() for _ in range(20)]
    process.kill()
    told += process.stdout.read().split()
    process.wait()
    reopened = open_jobs(where)
    kept = [job.id for job in reopened.page(limit=10_000, newest_first=False)[0]]
    assert kept[: len(told)] == told
    assert len(kept) <= len(told) + 1


def test_a_store_of_an_earlier_version_is_opened_and_kept(tmp_path: Path) -> None:
    file = tmp_path / "jobs.sqlite"
    added = add(open_jobs(file))
    with create_engine(f"sqlite:///{file}").begin() as connection:
        for name in ("kind", "started_at", "started"):  # as it was before there were films
            connection.execute(text(f"ALTER TABLE jobs DROP COLUMN {name}"))
    assert open_jobs(file).get(added.id) == added


def test_the_time_left_is_what_the_steps_since_the_claim_took(jobs: Jobs) -> None:
    add(jobs)
    job = claim(jobs)
    assert job.seconds_left() is None
    jobs.beat(job, 2)
    jobs.release_of("w")
    time.sleep(0.05)
    job = claim(jobs)
    assert (job.started, job.seconds_left()) == (2, None), "the steps of an earlier claim tell nothing"
    jobs.beat(job, 4)
    now = jobs.get(job.id)
    assert now is not None
    assert now.started_at is not None
    assert now.seconds_left() == pytest.approx((now.updated_at - now.started_at) / 2 * 4)
    jobs.complete(job)
    ended = jobs.get(job.id)
    assert ended is not None
    assert ended.seconds_left() is None


def test_a_store_is_given_no_database_but_its_own(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def opened(name: str) -> tuple[Places, Jobs]:
        return open_places(tmp_path / name, keep=60.0)

    def without_ids(places: Places, jobs: Jobs) -> None:
        (places.folder / identity.FILE).unlink()
        with jobs.engine.begin() as connection:
            connection.execute(delete(identity.TABLE))

    old, jobs = opened("old")
    made = old.result(add(jobs))
    made.mkdir()
    without_ids(old, jobs)
    monkeypatch.setenv(DATABASE, f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    with pytest.raises(ValueError, match="of the id none; wanted its own"):
        opened("old")  # has results, of which the new database knows nothing
    monkeypatch.delenv(DATABASE)
    opened("old")  # of a version without ids, with a database in its own folder
    monkeypatch.setenv(DATABASE, f"sqlite:///{tmp_path / 'elsewhere.sqlite'}")
    with pytest.raises(ValueError, match="of the id none; wanted its own"):
        opened("old")
    new, jobs = opened("new")  # nothing anywhere
    opened("new")
    for other in ("old", "third"):
        with pytest.raises(ValueError, match="wanted its own") as told:
            opened(other)
        assert identity.FILE in str(told.value)
    new.result(add(jobs)).mkdir()
    without_ids(new, jobs)
    opened("new")  # of a version without ids: they have a job in common
    assert made.exists()


def test_a_database_that_is_away_is_asked_again(capsys: pytest.CaptureFixture[str]) -> None:
    answers = iter([OperationalError("SELECT secret", None, ConnectionError("it is starting up\nwait")), 1])

    def ask() -> object:
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer from answer.orig
        return answer

    over = threading.Event()
    over.set()
    assert [tried(ask, over), tried(ask, over)] == [False, True]
    assert capsys.readouterr().err == "the jobs' database does not answer, it is asked again: it is starting up\n"


def test_films_and_clips_are_listed_apart(jobs: Jobs) -> None:
    clip, film = add(jobs), add(jobs, kind="film")
    assert [job.id for job in jobs.page(limit=9, kind="film")[0]] == [film.id]
    assert [job.id for job in jobs.page(limit=9, kind="clip")[0]] == [clip.id]
    assert jobs.page(limit=9)[1] == 2
