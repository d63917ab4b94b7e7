"""A server under load: 200 clients that create, look and fetch for a minute, while workers make what they ask for.

    python benchmarks/serve_load.py [--clients 200] [--seconds 60] [--workers 1] [--as patient hammering]

It starts `pixeldance serve` with the shipped model on this machine, anew for each kind of clients, and speaks to that
alone. Patient clients, the measure, do as OpenAI's own does: a video is looked for at once and then after the pause
that the first answer named, a refusal is tried again when it says; they arrive within the first ten seconds. Hammering
ones come all at once and again after a second, whatever they are told: they measure how many calls pass at all.

Counted are errors (429 is none), the time of each call (the target is for all but create), how long after its end a
video is known to be there, and what the answering process takes: its memory, and its time on a core for each call. The
result goes to benchmarks/results/serve_load.json, with the load average of the machine and by how much the clients' own
process woke too late: with other work on the machine the times are upper bounds, and the time on a core says most.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import re
import signal
import ssl
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import httpx
import psutil

RESULT = Path(__file__).parent / "results" / "serve_load.json"
FIELDS = {"prompt": "a red star moves right on a plain beige background", "num_inference_steps": 1}


class Seen:
    """What the clients saw: the seconds of each kind of call, the statuses, what went wrong, and how many seconds after
    their end videos were known to be there. And the server's size, and by how much the clients wake too late."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.statuses: Counter[str] = Counter()
        self.errors: list[str] = []
        self.late: list[float] = []
        self.sizes: list[int] = []
        self.woken: list[float] = []

    async def call(self, client: httpx.AsyncClient, kind: str, method: str, path: str, **more: Any) -> httpx.Response:
        start = time.perf_counter()
        answer = await client.request(method, path, **more)
        self.seconds[kind].append(time.perf_counter() - start)
        self.statuses[f"{kind} {answer.status_code}"] += 1
        if answer.status_code not in (200, 429):
            self.errors.append(f"{kind} {answer.status_code}: {answer.text[:200]}")
        return answer


Pause = Callable[[httpx.Response], float]
"""How long a client waits after an answer, if it goes by that."""


def patient(answer: httpx.Response) -> float:
    """As the answer says, as OpenAI's client does; where it says nothing, a second."""
    if "openai-poll-after-ms" in answer.headers:
        return int(answer.headers["openai-poll-after-ms"]) / 1000
    return float(answer.headers.get("retry-after", 1))


def hammering(_: httpx.Response) -> float:
    """About a second, whatever is said."""
    return random.uniform(0.5, 1.5)


KINDS: dict[str, tuple[Pause, float]] = {"patient": (patient, 10.0), "hammering": (hammering, 0.0)}
"""How long each kind of client waits, and the seconds in which they arrive."""


async def person(seen: Seen, client: httpx.AsyncClient, end: float, number: int, pause: Pause, arrive: float) -> None:
    """One client: asks for a video, looks until it is there, fetches it, asks for the next one."""
    rng = random.Random(number)

    async def rest(seconds: float) -> bool:
        await asyncio.sleep(max(0.0, min(seconds, end - time.monotonic())))
        return time.monotonic() < end

    going = await rest(rng.uniform(0, arrive))
    while going:
        try:
            made = await seen.call(client, "create", "POST", "/v1/videos", json=FIELDS | {"seed": number})
            if made.status_code != 200:
                going = await rest(pause(made))
                continue
            path = f"/v1/videos/{made.json()['id']}"
            told = await seen.call(client, "retrieve", "GET", path)
            wait = pause(told)  # for all looks at this video: OpenAI's client goes by the first answer
            while told.json().get("status") in ("queued", "in_progress"):
                if not await rest(wait):
                    return
                told = await seen.call(client, "retrieve", "GET", path)
            if told.json().get("status") == "completed":
                seen.late.append(time.time() - told.json()["completed_at"] - 0.5)  # which is told in whole seconds
                await seen.call(client, "fetch", "GET", f"{path}/content")
            if rng.random() < 0.5:
                await seen.call(client, "list", "GET", "/v1/videos?limit=20")
        except httpx.HTTPError as error:
            seen.errors.append(f"{type(error).__name__}: {error}")
        going = await rest(rng.uniform(0.5, 1.5))


async def watch(seen: Seen, process: psutil.Process, end: float) -> None:
    """The size of the answering process, and by how much this one, which asks, wakes too late: ten times a second."""
    while (start := time.monotonic()) < end:
        seen.sizes.append(process.memory_info().rss)
        await asyncio.sleep(0.1)
        seen.woken.append(time.monotonic() - start - 0.1)


async def run(url: str, process: psutil.Process, kind: str, clients: int, seconds: float) -> Seen:
    """All clients of a kind at once, each with a connection of its own."""
    seen, plain = Seen(), ssl.create_default_context()  # made once: nothing is spoken but http
    async with AsyncExitStack() as stack:
        several = [httpx.AsyncClient(base_url=url, timeout=60, verify=plain) for _ in range(clients)]
        for client in several:
            await stack.enter_async_context(client)
        end = time.monotonic() + seconds
        people = (person(seen, client, end, number, *KINDS[kind]) for number, client in enumerate(several))
        await asyncio.gather(watch(seen, process, end), *people)
    return seen


def quantiles(values: list[float]) -> dict[str, float]:
    """The middle, what one in a hundred is beyond, and the most."""
    ordered = sorted(values)
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    found = {name: ordered[min(len(ordered) - 1, int(share * len(ordered)))] for name, share in at.items() if ordered}
    return {name: round(value, 1) for name, value in found.items()}


def warm(url: str) -> None:
    """Have a video made: the load is to come when the worker has started, which takes a core for seconds."""
    with httpx.Client(base_url=url, timeout=60) as client:
        video = client.post("/v1/videos", json=FIELDS).json()
        while video["status"] in ("queued", "in_progress"):
            time.sleep(0.5)
            video = client.get(f"/v1/videos/{video['id']}").json()
    if video["status"] != "completed":
        sys.exit(f"the first video failed: {video['error']}")


def measured(kind: str, clients: int, seconds: float, workers: int) -> dict[str, Any]:
    """What clients of a kind saw of a server that was started for them."""
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pixeldance", "serve", "--port", "0", "--store", folder]
        server = subprocess.Popen(
            [*command, "--workers", str(workers)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        try:
            assert server.stdout is not None
            found = re.search(r"http://[^\s]+:\d+", server.stdout.readline())
            assert found is not None, "the server did not start"
            warm(found[0])
            process = psutil.Process(server.pid)
            start, on_core, own = process.memory_info().rss, sum(process.cpu_times()[:2]), time.process_time()
            seen = asyncio.run(run(found[0], process, kind, clients, seconds))
            on_core, own = sum(process.cpu_times()[:2]) - on_core, time.process_time() - own
            queued = httpx.get(f"{found[0]}/health", timeout=60).json()
        finally:
            server.send_signal(signal.SIGTERM)
            complaints = server.communicate(timeout=60)[1]
    calls = sum(seen.statuses.values())
    took = {name: [1000 * each for each in times] for name, times in sorted(seen.seconds.items())}
    return {
        "calls": calls,
        "calls_a_second": round(calls / seconds, 1),
        "share_of_429": round(seen.statuses["create 429"] / calls, 3),
        "milliseconds_on_a_core_per_call": round(1000 * on_core / calls, 3),
        "milliseconds_on_a_core_per_call_of_the_clients": round(1000 * own / calls, 3),
        "share_of_a_core": round(on_core / seconds, 3),
        "statuses": dict(sorted(seen.statuses.items())),
        "errors_but_429": len(seen.errors),
        "first_errors": seen.errors[:5],
        "server_complained_of": complaints[:500],
        "milliseconds": {name: quantiles(times) for name, times in took.items()},
        "milliseconds_of_all_but_create": quantiles([each for name in took if name != "create" for each in took[name]]),
        "milliseconds_by_which_the_clients_woke_late": quantiles([1000 * each for each in seen.woken]),
        "seconds_until_a_video_is_known_to_be_there": quantiles(seen.late),
        "memory_mib": {"start": start >> 20, "most": max(seen.sizes) >> 20, "end": seen.sizes[-1] >> 20},
        "at_the_end": {name: queued[name] for name in ("queued", "running")},
        "load_average": {"before": before, "after": os.getloadavg()},
    }


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60, help="for each kind of clients")
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--as", dest="kinds", nargs="+", choices=list(KINDS), default=list(KINDS), help="the kinds")
    parser.add_argument("--json", type=Path, default=RESULT)
    given = parser.parse_args()
    kinds = {kind: measured(kind, given.clients, given.seconds, given.workers) for kind in given.kinds}
    result = {
        "command": " ".join(["python", "benchmarks/serve_load.py", *sys.argv[1:]]),
        "clients": given.clients,
        "seconds": given.seconds,
        "workers": given.workers,
        **kinds,
        "machine": {
            "python": platform.python_version(),
            "platform": platform.platform(),
            "cores": os.cpu_count(),
        },
    }
    print(json.dumps(result, indent=1))
    given.json.parent.mkdir(exist_ok=True)
    given.json.write_text(json.dumps(result, indent=1) + "\n")
    failed = any(found["errors_but_429"] or found["server_complained_of"] for found in kinds.values())
    sys.exit(1 if failed else 0)


if __name__ == "__main__":
    main()
