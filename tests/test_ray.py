"""Clips and a server's workers on a Ray cluster of two nodes, which are killed as a machine is: kill -9, at work."""

import json
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
from command import Run, program
from serving import Server, bench
from sqlalchemy import select

from pixeldance import cluster
from pixeldance.serve.jobs import C
from pixeldance.serve.on_ray import NO_STORE, Post, RayCrew
from pixeldance.serve.places import VIDEO

SOON = {"health_check_initial_delay_ms": 0, "health_check_period_ms": 500, "health_check_failure_threshold": 3}
SMALL = {"num_cpus": 1, "object_store_memory": 80 * 2**20}
PROMPT = "a red circle moves right"


def called(process: psutil.Process) -> str:
    """The command line of a process; nothing of one that is just ending."""
    try:
        return " ".join(process.cmdline())
    except psutil.Error:
        return ""


class Cluster:
    """Nodes on this machine, of one core each; the second one can be lost and come again."""

    def __init__(self, nodes: int) -> None:
        from ray import cluster_utils

        own = {"include_dashboard": False, "no_monitor": True, "node_ip_address": "127.0.0.2", "_system_config": SOON}
        self.cluster = cluster_utils.Cluster(initialize_head=True, head_node_args=SMALL | own)
        self.address = str(self.cluster.address)
        if nodes > 1:
            self.come()

    def come(self) -> None:
        self.node = self.cluster.add_node(node_ip_address="127.0.0.3", **SMALL)

    def raylet(self) -> psutil.Process:
        """The process that is the second node, as far as others can see."""
        (found,) = self.node.all_processes["raylet"]
        return psutil.Process(found.process.pid)

    def lose(self) -> None:
        """Kill the second node, and wait for it: while nobody has, its actors find its process and go on."""
        raylet = self.raylet()
        raylet.kill()
        raylet.wait()

    def actors(self, name: str) -> list[psutil.Process]:
        """All actors of a class that are alive on the second node."""
        return [each for each in self.raylet().children() if f"ray::{name}" in called(each)]


@contextmanager
def cluster_of(nodes: int) -> Iterator[Cluster]:
    with pytest.MonkeyPatch.context() as patch:
        # No telemetry; and workers that get as much of this machine as the tests do.
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        patch.setenv("RAY_worker_niceness", "0")
        before = signal.getsignal(signal.SIGTERM)
        made = Cluster(nodes)
        patch.setenv("RAY_ADDRESS", made.address)
        yield made
        made.cluster.shutdown()
        signal.signal(signal.SIGTERM, before)  # Ray has set one of its own


@pytest.fixture(scope="module")
def two() -> Iterator[Cluster]:
    with cluster_of(2) as made:
        yield made


def until(so: Callable[[], Any], seconds: float = 300) -> Any:
    end = time.monotonic() + seconds
    while not (found := so()):
        assert time.monotonic() < end, "it never came to that"
        time.sleep(0.02)
    return found


def write_rows(count: int, folder: str, steps: int) -> Path:
    rows = [{"text": PROMPT, "out": f"{folder}/{i}.mkv", "steps": steps, "guidance": 1.0} for i in range(count)]
    rows[1] |= {"first": "a.png", "last": "b.png", "tau": 0.5, "seed": 99}
    Path(folder).mkdir()
    Path(f"{folder}.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return Path(f"{folder}.jsonl")


def bytes_of(folder: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in Path(folder).glob("*.mkv")}


def test_a_cluster_renders_and_holds_posts(here: Path, tiny_model: Path, run: Run) -> None:
    with cluster_of(1) as one:
        code, told, err = run("generate", "--jobs", write_rows(2, "far", 3), "--model", tiny_model, "--ray")
        assert (code, told.count("4 frames"), err) == (0, 2, "")
        with cluster.joined(one.address) as ray:
            assert cluster.elsewhere(ray) == []
            crew = RayCrew(ray=ray, store=here / "nowhere", model=tiny_model)
            away = crew.start("w", 60.0)
            with pytest.raises(subprocess.TimeoutExpired):
                away.wait(0.1)
            assert away.poll() is None
            away.terminate()
            assert away.wait(60) == NO_STORE
            away.kill()
    code, _, _ = run("generate", "--jobs", write_rows(2, "near", 3), "--model", tiny_model)
    assert code == 0
    assert bytes_of("far") == bytes_of("near")


@pytest.mark.slow
def test_rows_are_the_same_clips_here_and_on_a_cluster_that_loses_a_node(
    here: Path, tiny_model: Path, two: Cluster
) -> None:
    """Whose actor on the other node is killed first, and then the node itself, in the midst of a row each time."""
    far = program("generate", "--jobs", write_rows(6, "far", 40), "--model", tiny_model, "--ray", "--workers", 2)
    (actor,) = until(lambda: two.actors("Renderer"))
    until(lambda: bytes_of("far"))
    actor.kill()
    until(lambda: [each for each in two.actors("Renderer") if each.pid != actor.pid])
    two.lose()
    told, err = far.communicate(timeout=600)
    assert far.returncode == 0, err
    with program("generate", "--jobs", write_rows(6, "alone", 40), "--model", tiny_model) as alone:
        assert alone.communicate()[1] == ""
    assert bytes_of("far") == bytes_of("alone")
    made = [line.split(":")[0] for line in told.splitlines() if line.startswith("far/")]  # Ray tells of lost nodes too
    assert sorted(made) == [f"far/{i}.mkv" for i in range(6)]
    two.come()


@pytest.mark.slow
def test_a_server_s_jobs_outlive_its_workers_and_a_node(two: Cluster, tmp_path: Path) -> None:
    made = bench(tmp_path)
    server = Server.start(made.places.folder, tmp_path / "model", "--ray", two.address, "--workers", 2)

    def at_work(worker: psutil.Process) -> bool:
        name = called(worker).partition("--name ")[2].partition(" ")[0]
        with made.jobs.engine.connect() as connection:
            return bool(connection.scalar(select(C.done).where(C.worker == name, C.state == "running", C.done > 4)))

    def programs() -> list[psutil.Process]:
        posts = two.actors("Post")
        return [each for post in posts for each in post.children() if "pixeldance.serve.worker" in called(each)]

    try:
        for _ in range(10):
            asked = {"prompt": PROMPT, "seed": 3, "num_inference_steps": 300, "guidance_scale": 1.0}
            assert httpx.post(f"{server.url}/v1/videos", json=asked, timeout=60).status_code == 200
        (worker,) = until(programs)
        until(lambda: at_work(worker))
        worker.kill()
        (worker,) = until(lambda: [each for each in programs() if each.pid != worker.pid])
        until(lambda: at_work(worker))
        two.lose()
        until(lambda: not worker.is_running() or worker.status() == psutil.STATUS_ZOMBIE)
        until(lambda: made.jobs.count("completed") == 10)
        ends = made.jobs.page(limit=99)[0]
        # The worker that was killed lost its job; that of the lost node may have had the time to give its own back.
        assert sum(job.attempt - 1 for job in ends) in (1, 2)
        assert len({(made.places.result(job) / VIDEO).read_bytes() for job in ends}) == 1, "as the undisturbed ones"
    finally:
        code, _ = server.stop()
    assert code == 128 + signal.SIGTERM


def test_a_worker_that_fails_at_once_is_not_started_again_at_once(tmp_path: Path) -> None:
    post, ended = Post(), []
    thread = threading.Thread(target=lambda: ended.append(post.run(["--nonsense"], tmp_path, {})))
    thread.start()
    process = until(lambda: post.process)
    assert process.wait() == 2
    thread.join(0.5)
    assert ended == []
    post.end()
    thread.join()
    assert ended == [2]


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ConnectionError("no address"), "this machine is in no cluster"),
        (RuntimeError("Version mismatch:\n  Ray: 2.1"), "got --ray auto, .* take us in: Version mismatch: Ray: 2.1"),
    ],
)
def test_a_cluster_that_refuses_says_why(error: Exception, message: str, monkeypatch: pytest.MonkeyPatch) -> None:
    ray = pytest.importorskip("ray")

    def refuse(**_: object) -> None:
        raise error

    monkeypatch.setattr(ray, "init", refuse)
    with pytest.raises(ValueError, match=message), cluster.joined(cluster.HERE):
        pass


@pytest.mark.parametrize(
    ("address", "message"),
    [("nowhere", "wanted the HOST:PORT"), ("127.0.0.1:1", "no cluster answers there"), ("[::1]:70000", "HOST:PORT")],
)
def test_an_address_without_a_cluster_is_told_soon(address: str, message: str) -> None:
    with pytest.raises(ValueError, match=message), cluster.joined(address):
        pass
