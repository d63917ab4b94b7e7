"""A real server and its workers, ended at any moment: nothing that was promised is lost, and nothing is made twice."""

import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import psutil
import pytest
from serving import Bench, Server, bench

from pixeldance.serve.jobs import Job
from pixeldance.serve.places import VIDEO

PROMPT = "a red circle moves right"
LONG = 60  # steps of a job that is ended on its way, for as many more of the still that it begins with


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("survival"))


@pytest.fixture(scope="module")
def undisturbed(made: Bench) -> bytes:
    """The file of the long job's video, made at one go."""
    job = made.finish(made.add(steps=LONG))
    return (made.places.result(job) / VIDEO).read_bytes()


@pytest.fixture
def start(made: Bench) -> Iterator[Callable[..., Server]]:
    servers: list[Server] = []

    def begin(*options: object, **environment: str) -> Server:
        folder = made.places.folder
        servers.append(Server.start(folder, folder.parent / "model", *options, **environment))
        return servers[-1]

    yield begin
    for server in servers:
        if server.process.poll() is None:
            server.stop(signal.SIGKILL)


def until(so: Callable[[], object], seconds: float = 300) -> None:
    end = time.monotonic() + seconds
    while not so():
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)


def ask(server: Server, steps: int) -> str:
    fields = {"prompt": PROMPT, "seed": 7, "num_inference_steps": steps, "guidance_scale": 1.0}
    made = httpx.post(f"{server.url}/v1/videos", json=fields)
    assert made.status_code == 200, made.text
    return str(made.json()["id"]).removeprefix("video_")


def job(made: Bench, id: str) -> Job:
    found = made.jobs.get(id)
    assert found is not None
    return found


def on_its_way(made: Bench, id: str) -> Callable[[], bool]:
    return lambda: job(made, id).done > 8


def test_a_killed_server_loses_nothing(made: Bench, undisturbed: bytes, start: Callable[..., Server]) -> None:
    server = start()
    long, *short = [ask(server, steps) for steps in (LONG, 1, 1, 1)]
    until(on_its_way(made, long))
    (worker,) = server.workers()
    server.stop(signal.SIGKILL)
    until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE, 20)
    left = job(made, long)
    assert (left.state, [job(made, id).state for id in short]) == ("queued", ["queued"] * 3)
    assert left.done > 8
    start()
    until(lambda: made.jobs.count("completed") == 5)
    ends = [job(made, id) for id in (long, *short)]
    assert [each.attempt for each in ends] == [2, 1, 1, 1]
    times = [each.ended_at or 0.0 for each in ends]
    assert times == sorted(times), "the order was lost"
    assert (made.places.result(left) / VIDEO).read_bytes() == undisturbed


def test_a_killed_worker_is_followed_by_another(made: Bench, undisturbed: bytes, start: Callable[..., Server]) -> None:
    server = start()
    id = ask(server, LONG)
    until(on_its_way(made, id))
    (worker,) = server.workers()
    worker.kill()
    until(lambda: job(made, id).state == "completed")
    assert job(made, id).attempt == 2
    assert (made.places.result(job(made, id)) / VIDEO).read_bytes() == undisturbed
    assert [each.pid for each in server.workers()] != [worker.pid]


def test_a_server_that_is_told_to_end_lets_its_work_wait(made: Bench, start: Callable[..., Server]) -> None:
    before = time.monotonic()
    server = start("--threads", 1, "--memory", 2)
    patience = max(20.0, time.monotonic() - before)  # on a busy machine, as long as to begin
    id = ask(server, 1000)
    until(on_its_way(made, id))
    (worker,) = server.workers()
    before = time.monotonic()
    assert server.stop() == (128 + signal.SIGTERM, "")
    assert time.monotonic() - before < patience
    assert not worker.is_running()
    assert (job(made, id).state, job(made, id).done > 8) == ("queued", True)
    made.jobs.delete(id)


def test_a_token_in_the_environment_is_asked_for(start: Callable[..., Server], made: Bench) -> None:
    server = start("--public-url", "http://videos.example", PIXELDANCE_TOKEN="0123456789abcdef")
    models = f"{server.url}/v1/models"
    assert httpx.get(models).status_code == 401
    key = {"Authorization": "Bearer 0123456789abcdef"}
    assert httpx.get(models, headers=key).json()["data"][0]["id"] == "model"
    assert httpx.get(models, headers=key | {"Host": "videos.example"}).status_code == 200
    assert httpx.get(models, headers=key | {"Host": "other.example"}).status_code == 403
    assert oct(os.stat(made.places.folder).st_mode)[-3:] == "700"


def test_a_port_in_use_is_told(made: Bench, start: Callable[..., Server], tmp_path: Path) -> None:
    port = start().url.rpartition(":")[2]
    with pytest.raises(AssertionError, match="Address already in use"):
        Server.start(tmp_path, made.places.folder.parent / "model", "--port", port)
