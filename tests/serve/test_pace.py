"""When those who wait are told to look again: by what is left, by who else waits, and in each dialect's own header."""

import time
from pathlib import Path

import pytest
from anyio import CapacityLimiter
from sqlalchemy import update
from starlette.testclient import TestClient
from tiny import TINY

from pixeldance.serve.app import create_app
from pixeldance.serve.guard import Rules
from pixeldance.serve.jobs import Job, Jobs, open_jobs
from pixeldance.serve.pace import AT_EASE, FIRST_TRY, GUESS, LAST_TRY, LATEST, SOONEST, line
from pixeldance.serve.places import open_places
from pixeldance.serve.requests import Model
from pixeldance.serve.state import Serving
from pixeldance.serve.table import TABLE, C

STEPS = 8


@pytest.fixture
def jobs(tmp_path: Path) -> Jobs:
    return open_jobs(tmp_path / "jobs.sqlite")


def add(jobs: Jobs, total: int = STEPS) -> Job:
    return jobs.add("{}", model="m", about={}, total=total)[0]


def run(jobs: Jobs, seconds: float, done: int) -> Job:
    """The next job, of which so many steps were done in so many seconds."""
    taken = jobs.claim("w", "m")
    assert taken is not None
    with jobs.engine.begin() as connection:
        now = time.time()
        values = {"started_at": now - seconds, "updated_at": now, "done": done}
        connection.execute(update(TABLE).where(C.id == taken[0].id).values(values))
    found = jobs.get(taken[0].id)
    assert found is not None
    return found


def test_a_pause_is_an_eighth_of_what_is_left(jobs: Jobs) -> None:
    first, second, third = (add(jobs) for _ in range(3))
    assert [line(jobs).pause(job) for job in (first, second, third)] == [GUESS / 8, 2 * GUESS / 8, 3 * GUESS / 8]
    half = run(jobs, 8.0, 4)  # two seconds a step
    now = line(jobs)
    assert now.pause(half) == pytest.approx(8 / 8)
    assert now.pause(second) == pytest.approx((4 + 8) * 2 / 8)
    assert now.pause(third) == pytest.approx((4 + 8 + 8) * 2 / 8)
    assert now.pause(add(jobs)) == pytest.approx((4 + 8 + 8 + 8) * 2 / 8), "who came since is behind them all"
    assert now.pause(add(jobs, 100)) == LATEST
    run(jobs, 8.0, 4)  # another worker: what is before is made twice as fast
    assert line(jobs).pause(third) == pytest.approx((8 / 2 + 8) * 2 / 8)


def test_what_was_made_tells_how_long_the_next_will_take(jobs: Jobs) -> None:
    add(jobs)
    assert jobs.complete(run(jobs, 16.0, 7))
    assert line(jobs).pause(add(jobs)) == pytest.approx(2 * STEPS / 8, abs=0.1)


def test_many_who_wait_ask_no_more_often_than_is_borne(jobs: Jobs) -> None:
    waiting = [add(jobs, 1) for _ in range(100)]
    first = run(jobs, 0.001, 1)
    now = line(jobs)
    assert {now.pause(job) for job in (first, *waiting[1:])} == {100 / AT_EASE}
    for job in waiting[10:]:
        jobs.delete(job.id)
    assert line(jobs).pause(first) == SOONEST


def test_a_full_queue_is_tried_again_when_a_quarter_of_it_was_made(jobs: Jobs) -> None:
    assert line(jobs).full() == FIRST_TRY
    for _ in range(5):
        add(jobs)
    run(jobs, 4.0, 4)  # a second a step: 36 are left
    assert line(jobs).full() == pytest.approx(9, abs=1)
    add(jobs, 1000)
    assert line(jobs).full() == LAST_TRY


def test_what_is_not_finished_says_when_to_look_again(tmp_path: Path) -> None:
    places, jobs = open_places(tmp_path / "store", keep=3600.0)
    model = Model(id="tiny", folder=tmp_path, hash="m", system=TINY)
    serving = Serving(places=places, jobs=jobs, model=model, limiter=CapacityLimiter(4))
    client = TestClient(create_app(serving, Rules()), base_url="http://127.0.0.1:8000")
    asked = {"prompt": "a red circle", "num_inference_steps": 10}
    first, _, third = (client.post("/v1/videos", json=asked) for _ in range(3))
    id = third.json()["id"].removeprefix("video_")
    run(jobs, 5.0, 10)
    running = client.get(f"/v1/videos/{first.json()['id']}").json()
    assert (running["status"], running["progress"]) == ("in_progress", 50), "steps done"
    assert running["seconds_left"] == pytest.approx(5)

    def told() -> tuple[str | None, str | None]:
        serving.lately.until = 0.0  # as a second later
        openai, ark = (
            client.get(f"{path}{id}") for path in ("/v1/videos/video_", "/api/v3/contents/generations/tasks/cgt-")
        )
        assert {openai.status_code, ark.status_code} == {200}
        return openai.headers.get("openai-poll-after-ms"), ark.headers.get("retry-after")

    assert first.headers["openai-poll-after-ms"] == "1000", "as long as nothing is known, what the client would do"
    assert told() == ("3125", "4"), "50 steps of half a second"
    remixed = client.post(f"/v1/videos/video_{id}/remix", json={"prompt": "a blue star"})
    assert int(remixed.headers["openai-poll-after-ms"]) > 3125
    assert client.post(f"/v1/videos/video_{id}/cancel").status_code == 200
    assert told() == (None, None)
