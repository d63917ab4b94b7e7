"""A server under load: 200 clients that create, look and fetch for a minute, while workers make what they ask for.

    python benchmarks/serve_load.py [--clients 200] [--seconds 60] [--workers 1]

It starts `pixeldance serve` with the shipped model on this machine, and speaks to that alone. Counted are errors (429
is none: it says when to come again), the time of each call but those that make videos (create, retrieve, list, fetch),
and what the answering process takes: its memory, and its time on a core for each call. The result goes to
benchmarks/results/serve_load.json, with the load average of the machine before and after: with other work on the
machine its times are upper bounds, and the time on a core says most.
"""

import argparse
import asyncio
import json
import os
import platform
import random
import re
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

import httpx
import psutil

RESULT = Path(__file__).parent / "results" / "serve_load.json"
PROMPT = "a red star moves right on a plain beige background"


class Seen:
    """What the clients saw: the seconds of each kind of call, the statuses, and what went wrong."""

    def __init__(self) -> None:
        self.seconds: dict[str, list[float]] = defaultdict(list)
        self.statuses: Counter[str] = Counter()
        self.errors: list[str] = []

    async def call(self, client: httpx.AsyncClient, kind: str, method: str, path: str, **more: Any) -> httpx.Response:
        start = time.perf_counter()
        answer = await client.request(method, path, **more)
        self.seconds[kind].append(time.perf_counter() - start)
        self.statuses[f"{kind} {answer.status_code}"] += 1
        if answer.status_code not in (200, 429):
            self.errors.append(f"{kind} {answer.status_code}: {answer.text[:200]}")
        return answer


async def person(seen: Seen, client: httpx.AsyncClient, end: float, number: int) -> None:
    """One client: asks for a video, looks until it is there, fetches it, asks for the next one."""
    rng = random.Random(number)
    mine: list[str] = []
    while time.monotonic() < end:
        try:
            if not mine:
                fields = {"prompt": PROMPT, "num_inference_steps": 1, "seed": number}
                made = await seen.call(client, "create", "POST", "/v1/videos", json=fields)
                if made.status_code == 200:
                    mine.append(made.json()["id"])
            else:
                told = await seen.call(client, "retrieve", "GET", f"/v1/videos/{mine[0]}")
                if told.status_code == 200 and told.json()["status"] == "completed":
                    await seen.call(client, "fetch", "GET", f"/v1/videos/{mine.pop()}/content")
            if rng.random() < 0.1:
                await seen.call(client, "list", "GET", "/v1/videos?limit=20")
        except httpx.HTTPError as error:
            seen.errors.append(f"{type(error).__name__}: {error}")
        await asyncio.sleep(rng.uniform(0.5, 1.5))


async def memory(process: psutil.Process, end: float, sizes: list[int]) -> None:
    """The size of the answering process, twice a second."""
    while time.monotonic() < end:
        sizes.append(process.memory_info().rss)
        await asyncio.sleep(0.5)


async def run(url: str, process: psutil.Process, clients: int, seconds: float) -> tuple[Seen, list[int]]:
    """All clients at once."""
    seen, sizes = Seen(), list[int]()
    limits = httpx.Limits(max_connections=clients, max_keepalive_connections=clients)  # a connection for each
    async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as client:
        end = time.monotonic() + seconds
        people = (person(seen, client, end, number) for number in range(clients))
        await asyncio.gather(memory(process, end, sizes), *people)
    return seen, sizes


def quantiles(seconds: list[float]) -> dict[str, float]:
    """How long calls took, in milliseconds."""
    ordered = sorted(seconds)
    at = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {
        name: round(1000 * ordered[min(len(ordered) - 1, int(share * len(ordered)))], 1) for name, share in at.items()
    }


def main() -> None:
    """Measure, print, and write the result."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clients", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--workers", type=int, default=1)
    parser.add_argument("--json", type=Path, default=RESULT)
    given = parser.parse_args()
    before = os.getloadavg()
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "pixeldance", "serve", "--port", "0", "--store", folder]
        server = subprocess.Popen(
            [*command, "--workers", str(given.workers)], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )
        assert server.stdout is not None
        found = re.search(r"http://[^\s]+:\d+", server.stdout.readline())
        assert found is not None, "the server did not start"
        process = psutil.Process(server.pid)
        start, on_core = process.memory_info().rss, sum(process.cpu_times()[:2])
        seen, sizes = asyncio.run(run(found[0], process, given.clients, given.seconds))
        on_core = sum(process.cpu_times()[:2]) - on_core
        queued = httpx.get(f"{found[0]}/health", timeout=60).json()
        server.send_signal(signal.SIGTERM)
        complaints = server.communicate(timeout=60)[1]
    calls = sum(seen.statuses.values())
    looking = [each for kind, times in seen.seconds.items() if kind != "create" for each in times]
    result = {
        "command": " ".join(["python", "benchmarks/serve_load.py", *sys.argv[1:]]),
        "clients": given.clients,
        "seconds": given.seconds,
        "calls": calls,
        "milliseconds_on_a_core_per_call": round(1000 * on_core / calls, 3),
        "statuses": dict(sorted(seen.statuses.items())),
        "errors_but_429": len(seen.errors),
        "first_errors": seen.errors[:5],
        "server_complained_of": complaints[:500],
        "milliseconds": {kind: quantiles(times) for kind, times in sorted(seen.seconds.items())},
        "milliseconds_of_all_but_create": quantiles(looking),
        "memory_mib": {"start": start >> 20, "most": max(sizes) >> 20, "end": sizes[-1] >> 20},
        "at_the_end": {name: queued[name] for name in ("queued", "running")},
        "load_average": {"before": before, "after": os.getloadavg(), "cores": os.cpu_count()},
        "machine": {"python": platform.python_version(), "platform": platform.platform()},
    }
    print(json.dumps(result, indent=1))
    given.json.parent.mkdir(exist_ok=True)
    given.json.write_text(json.dumps(result, indent=1) + "\n")
    sys.exit(1 if seen.errors or complaints else 0)


if __name__ == "__main__":
    main()
