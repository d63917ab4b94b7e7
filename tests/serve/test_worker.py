"""Workers: the same bytes however often they are killed, failures that name themselves, and stopping at once."""

import os
import random
import resource
import signal
import subprocess
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from serving import STEPS, Bench, asked, bench
from sqlalchemy.exc import OperationalError

from pixeldance.receipt import read_receipt, render
from pixeldance.serve.jobs import Job, Jobs
from pixeldance.serve.keeper import OUT_OF_MEMORY, SECRET, Crew
from pixeldance.serve.places import RECEIPT, TYPES, VIDEO
from pixeldance.serve.points import read_point, save_point
from pixeldance.serve.tasks import ClipTask, read_task
from pixeldance.serve.worker import work
from pixeldance.video import frames_sha256, read_video


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    return bench(tmp_path_factory.mktemp("bench"))


@pytest.fixture
def calls(made: Bench) -> Iterator[list[object]]:
    """An entry for each time that the network is asked."""
    seen: list[object] = []
    hook = made.pipeline.parts.net.register_forward_pre_hook(lambda *_: seen.append(None))
    yield seen
    hook.remove()


def result(made: Bench, job: Job, name: str = VIDEO) -> bytes:
    return (made.places.result(job) / name).read_bytes()


def test_a_job_becomes_a_video_with_all_that_lies_beside_it(made: Bench) -> None:
    job = made.finish(made.add())
    assert (job.state, job.done, job.total, job.attempt) == ("completed", 2 * STEPS, 2 * STEPS, 1)
    assert {path.name for path in made.places.result(job).iterdir()} == set(TYPES)
    assert not made.places.point(job).exists()
    receipt = read_receipt(made.places.result(job) / RECEIPT)
    assert receipt.request == asked()
    assert receipt.frames_sha256 == frames_sha256(render(made.pipeline, asked()))
    frames, fps = read_video(made.places.result(job) / VIDEO)
    assert (frames.shape, fps) == ((4, 32, 32, 3), 8.0)


def test_a_request_of_an_earlier_version_is_still_made() -> None:
    assert read_task(asked().model_dump_json()) == ClipTask(request=asked())


def kill_and_go_on(made: Bench, points: int, calls: list[object]) -> None:
    """Kill a worker at so many random moments, each in a job of its own, and let another one go on."""
    start = time.perf_counter()
    whole = made.finish(made.add())
    took, wanted = time.perf_counter() - start, result(made, whole)
    moments = random.Random(0)
    ended: set[str] = set()
    for _ in range(points):
        job = made.add()
        child = made.fork()
        time.sleep(moments.uniform(0, 1.3 * took))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        made.jobs.release_of("w")
        killed = made.now(job)
        ended.add(f"{killed.state} {killed.done}")
        calls.clear()
        assert made.finish(job).state == "completed"
        assert result(made, job) == wanted
        # The steps since the last that was saved, and one that may have been under way.
        assert len(calls) <= job.total - killed.done + 2
    assert len(ended) > min(points, 10) // 3, f"all were killed in the same few places: {ended}"


def test_a_killed_job_goes_on_to_the_same_bytes(made: Bench, calls: list[object]) -> None:
    kill_and_go_on(made, 5, calls)


@pytest.mark.slow
def test_a_killed_job_goes_on_to_the_same_bytes_from_fifty_moments(made: Bench, calls: list[object]) -> None:
    kill_and_go_on(made, 50, calls)


def test_one_job_may_be_killed_again_and_again(made: Bench) -> None:
    wanted = result(made, made.finish(made.add()))
    job = made.add()
    for _ in range(3):
        done, child = made.now(job).done, made.fork()
        while made.now(job).done < min(done + 3, job.total):
            time.sleep(0.005)
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
        made.jobs.release_of("w")
    assert made.finish(job).attempt > 2
    assert result(made, job) == wanted


def test_a_worker_without_room_fails_the_job_and_leaves_nothing_half(made: Bench) -> None:
    job, small = made.add(width=256, height=256), made.add()
    child = made.fork(lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (2**20, 2**20)))
    try:
        wait_for(made, small)
        deadline = time.monotonic() + 30  # what a job leaves is cleared after it has ended
        while (left := half_made(made, job)) and time.monotonic() < deadline:
            time.sleep(0.01)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    failed = made.now(job)
    assert (failed.state, failed.error_code) == ("failed", "disk_full")
    assert "disk is full" in str(failed.error_message)
    assert made.now(small).state == "completed", "the next job passes"
    assert left == []


def half_made(made: Bench, job: Job) -> list[Path]:
    """Files that are not finished, and those of a job."""
    return [path for path in made.places.folder.rglob("*") if ".pixeldance" in path.name or job.id in path.name]


def test_a_job_that_takes_too_much_memory_fails_and_the_next_one_passes(made: Bench) -> None:
    job, small = made.add(width=2048, height=2048), made.add()

    def narrow() -> None:
        taken = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        resource.setrlimit(resource.RLIMIT_AS, (taken + 2**26, taken + 2**26))

    assert os.waitstatus_to_exitcode(os.waitpid(made.fork(narrow), 0)[1]) == OUT_OF_MEMORY
    failed = made.now(job)
    assert (failed.state, failed.error_code) == ("failed", "out_of_memory")
    child = made.fork(narrow)
    try:
        wait_for(made, small)
    finally:
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    assert made.now(small).state == "completed"


def wait_for(made: Bench, job: Job) -> None:
    for _ in range(6000):
        if made.now(job).ended_at is not None:
            return
        time.sleep(0.01)
    raise AssertionError(f"still {made.now(job)}")


def test_a_request_that_cannot_be_made_says_why(made: Bench) -> None:
    job = made.finish(made.add(width=48))
    assert (job.state, job.error_code) == ("failed", "cannot_generate")
    assert "got a size of 48x32" in str(job.error_message)


def test_an_error_of_our_own_tells_clients_nothing(made: Bench, capfd: pytest.CaptureFixture[str]) -> None:
    hook = made.pipeline.parts.net.register_forward_pre_hook(lambda *_: 1 / 0)
    job = made.finish(made.add())
    hook.remove()
    assert (job.error_code, job.error_message) == ("internal_error", "the server failed at this; its log says why")
    assert "ZeroDivisionError" in capfd.readouterr().err


def test_a_worker_is_not_told_the_token(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(SECRET, "0123456789abcdef")
    process = Crew(store=made.places.folder, model=made.places.folder.parent / "model").start("w", 60.0)
    assert isinstance(process, subprocess.Popen)
    told = psutil.Process(process.pid).environ()
    process.kill()
    process.wait()
    assert (SECRET in told, "PATH" in told) == (False, True)


def test_a_lost_database_ends_the_worker_and_not_the_job(made: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    wanted = result(made, made.finish(made.add()))
    job, beat, lost = made.add(), made.jobs.beat, threading.Event()

    def away(_: Jobs, *told: Any, **more: Any) -> bool:
        if made.now(job).done >= 4 and not lost.is_set():
            lost.set()
            raise OperationalError("UPDATE", None, ConnectionError("the server closed the connection"))
        return beat(*told, **more)

    monkeypatch.setattr(Jobs, "beat", away)
    with pytest.raises(OperationalError):
        work(made.worker(), threading.Event())
    left = made.now(job)
    assert (left.state, left.done) == ("running", 4)
    made.jobs.release_of("w")
    assert made.finish(job).state == "completed"
    assert result(made, job) == wanted


@pytest.mark.parametrize("stop", ["delete", "cancel"])
def test_what_is_stopped_stops_within_a_step(made: Bench, calls: list[object], stop: str) -> None:
    job = made.add(steps=200)
    seen: list[int] = []

    def stopped() -> bool:
        if not seen and len(calls) >= 3:
            getattr(made.jobs, stop)(job.id)
            seen.append(len(calls))
        return bool(seen) and len(calls) > seen[0] + 20

    ending = threading.Timer(3, lambda: None)
    ending.start()
    made.work(lambda: stopped() or (bool(seen) and not ending.is_alive()))
    assert len(calls) <= seen[0] + 2
    assert not made.places.point(job).exists()
    assert not made.places.result(job).exists()


def test_a_worker_that_is_told_to_end_saves_its_way(made: Bench, calls: list[object]) -> None:
    job = made.add(steps=20)
    made.work(lambda: len(calls) >= 5)
    left = made.now(job)
    assert left.state == "queued"
    assert 5 <= left.done <= 8
    request = made.jobs.request(job.id)
    assert request is not None
    point = read_point(made.places.point(job), request)
    assert point is not None
    assert point.done == left.done
    calls.clear()
    assert made.finish(job).state == "completed"
    assert len(calls) == job.total - left.done


def test_a_damaged_point_is_no_point(made: Bench, calls: list[object], tmp_path: Path) -> None:
    job = made.add(steps=20)
    made.work(lambda: len(calls) >= 5)
    request, path = made.jobs.request(job.id), made.places.point(job)
    assert request is not None
    data = path.read_bytes()
    point = read_point(path, request)
    assert point is not None
    save_point(tmp_path / "again", point, request)
    again = read_point(tmp_path / "again", request)
    assert again is not None
    assert str(again) == str(point)
    assert read_point(path, request + " ") is None
    assert read_point(tmp_path / "nowhere", request) is None
    for damaged in (b"", data[:100], data[:-1], data[:1000] + b"\xff" * 4000 + data[5000:]):
        path.write_bytes(damaged)
        assert read_point(path, request) is None
    made.jobs.delete(job.id)
