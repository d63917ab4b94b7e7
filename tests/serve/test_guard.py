"""Who gets in, how much they may send, and what they can reach: without workers, in this process."""

import io
import os
import re
import struct
import threading
import time
import zlib
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from anyio import CapacityLimiter
from command import Run
from PIL import Image
from serving import png
from starlette.testclient import TestClient
from tiny import TINY

from pixeldance.serve.app import create_app, sweep
from pixeldance.serve.guard import CLIENTS, MOST_BYTES, Buckets, Rules
from pixeldance.serve.places import VIDEO, open_places
from pixeldance.serve.requests import Model
from pixeldance.serve.state import AT_ONCE, Serving

FREE = Rules(rate=1e6, burst=10**6)
PROMPT = {"prompt": "a red circle"}
Start = Callable[..., TestClient]


@pytest.fixture
def serving(tmp_path: Path) -> Serving:
    places, jobs = open_places(tmp_path / "store", keep=3600.0)
    model = Model(id="tiny", folder=tmp_path, hash="m", system=TINY)
    return Serving(places=places, jobs=jobs, model=model, limiter=CapacityLimiter(4))


@pytest.fixture
def start(serving: Serving) -> Start:
    return lambda **rules: TestClient(
        create_app(serving, replace(FREE, **rules)), base_url="http://127.0.0.1:8000", raise_server_exceptions=False
    )


@pytest.fixture
def client(start: Start) -> TestClient:
    return start()


@pytest.mark.parametrize("host", ["127.0.0.1", "127.0.0.1:8000", "localhost:1", "LOCALHOST", "[::1]:8000"])
def test_the_server_answers_to_its_own_names(client: TestClient, host: str) -> None:
    assert client.get("/v1/models", headers={"Host": host}).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.com", "127.0.0.1.evil.com", "evil.com:8000", "evil@127.0.0.1", "127.0.0.1@evil", "", "[", "a b"]
)
def test_the_server_answers_to_no_other_name(client: TestClient, host: str) -> None:
    answer = client.get("/v1/models", headers={"Host": host})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_host")


@pytest.mark.parametrize(
    "origin", ["http://evil.com", "null", "http://127.0.0.1:9999", "http://127.0.0.1:8000.evil.com", "https://", ""]
)
def test_pages_of_other_sites_cannot_use_it(client: TestClient, origin: str) -> None:
    answer = client.post("/v1/videos", json=PROMPT, headers={"Origin": origin})
    assert (answer.status_code, answer.json()["error"]["code"]) == (403, "wrong_origin")
    assert "access-control-allow-origin" not in answer.headers


def test_forms_of_other_sites_cannot_use_it(client: TestClient) -> None:
    answer = client.post("/v1/videos", data=PROMPT, headers={"Sec-Fetch-Site": "cross-site"})
    assert answer.status_code == 403
    assert client.get("/docs", headers={"Sec-Fetch-Site": "cross-site"}).status_code == 200, "a link may lead here"


def test_our_own_pages_can(client: TestClient) -> None:
    own = {"Origin": "http://127.0.0.1:8000", "Sec-Fetch-Site": "same-origin"}
    assert client.post("/v1/videos", json=PROMPT, headers=own).status_code == 200


def test_a_token_is_asked_for_where_one_is_set(start: Start) -> None:
    client = start(token="0123456789abcdef")
    for wrong in (
        {},
        {"Authorization": "Bearer x"},
        {"Authorization": "0123456789abcdef"},
        {"Authorization": "Bearer é"},
    ):
        answer = client.get("/v1/models", headers={name: value.encode() for name, value in wrong.items()})
        assert (answer.status_code, answer.json()["error"]["type"]) == (401, "authentication_error")
    assert client.get("/v1/models", headers={"Authorization": "Bearer 0123456789abcdef"}).status_code == 200
    assert client.get("/health").status_code == client.get("/docs").status_code == 200
    assert client.get("/files/guess/video.mp4").status_code == 404


def test_too_many_requests_are_told_when_to_come_again(start: Start) -> None:
    client = start(rate=0.5, burst=2)
    assert [client.post("/v1/videos", json=PROMPT).status_code for _ in range(3)] == [200, 200, 429]
    answer = client.post("/v1/videos", json=PROMPT)
    assert 1 <= int(answer.headers["retry-after"]) <= 3
    assert answer.json()["error"]["type"] == "rate_limit_error"
    assert client.get("/v1/videos").status_code == 200, "looking is free"


def test_a_bucket_fills_again_and_their_number_is_bounded() -> None:
    now = [0.0]
    buckets = Buckets(rate=2.0, burst=3, clock=lambda: now[0])
    assert [buckets.take("a") for _ in range(4)] == [0, 0, 0, 0.5]
    assert buckets.take("b") == 0
    now[0] = 0.5
    assert [buckets.take("a"), buckets.take("a")] == [0, 0.5]
    for index in range(2 * CLIENTS):
        buckets.take(str(index))
    assert len(buckets.left) == CLIENTS


def test_a_full_queue_says_so(serving: Serving) -> None:
    client = TestClient(create_app(replace(serving, most_queued=1), FREE), base_url="http://localhost")
    assert client.post("/v1/videos", json=PROMPT).status_code == 200
    answer = client.post("/v1/videos", json=PROMPT)
    assert (answer.status_code, answer.headers["retry-after"]) == (429, "5")


def test_large_bodies_are_cut(start: Start) -> None:
    client = start(most_bytes=1000)

    def drip() -> Iterator[bytes]:
        for _ in range(100):
            yield b" " * 100

    for body in (b" " * 1001, drip()):
        answer = client.post("/v1/videos", content=body, headers={"Content-Type": "application/json"})
        assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")
    for length in ("-1", "1e3", "9" * 30):
        assert client.post("/v1/videos", content=b"", headers={"Content-Length": length}).status_code == 413
    answer = client.post("/api/v3/contents/generations/tasks", content=drip())
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "RequestTooLarge")
    assert MOST_BYTES > 10**7


@pytest.mark.parametrize("path", ["/health", "/docs", "/nowhere", "/v1/videos/video_x", "/files/a/b", "/openapi.json"])
def test_every_answer_has_its_headers(client: TestClient, path: str) -> None:
    headers = client.get(path, headers={"X-Client-Request-Id": "abc-1"}).headers
    assert headers["x-content-type-options"] == "nosniff"
    assert "default-src 'none'" in headers["content-security-policy"]
    assert "script-src" not in headers["content-security-policy"]
    assert headers["x-client-request-id"] == "abc-1"
    assert "server" not in headers


def test_what_would_break_a_header_is_not_echoed(client: TestClient) -> None:
    for bad in (b"a\x01b", "é".encode(), b"x" * 300):
        answer = client.get("/health", headers={"X-Client-Request-Id": bad})
        assert (answer.status_code, "x-client-request-id" in answer.headers) == (200, False)


def test_the_page_loads_nothing_from_elsewhere(client: TestClient) -> None:
    page = client.get("/docs").text
    assert page.count("http") == 0
    assert "<script" not in page
    assert "src=" not in page
    assert all(path in page for path in client.get("/openapi.json").json()["paths"])


ODD = [
    "..",
    "../../jobs.sqlite",
    "..%2f..%2fjobs.sqlite",
    "%2e%2e",
    "%00",
    "/etc/passwd",
    "video_..",
    "video_%00",
    "a" * 5000,
]


@pytest.mark.parametrize("odd", ODD, ids=lambda odd: odd[:20])
def test_no_name_leads_out_of_the_store(client: TestClient, serving: Serving, odd: str) -> None:
    for path in ("/v1/videos/{}", "/v1/videos/{}/content", "/files/{}/video.mp4", "/files/x/{}"):
        assert client.get(path.format(odd)).status_code in (404, 405), path
    assert client.get(f"/api/v3/contents/generations/tasks/{odd}").status_code in (200, 404)
    job = serving.jobs.get(client.post("/v1/videos", json=PROMPT).json()["id"].removeprefix("video_"))
    assert job is not None
    assert client.get(f"/files/{job.name}/video.mp4").status_code == 404, "it is not made yet"
    held = serving.jobs.claim("w", "m")
    assert held is not None
    serving.jobs.complete(held[0])
    serving.places.result(job).mkdir()
    (serving.places.result(job) / VIDEO).write_bytes(b"made")
    assert client.get(f"/files/{job.name}/video.mp4").content == b"made"
    assert client.get(f"/files/{job.name}/{odd}").status_code == 404


@pytest.mark.parametrize("size", [9, AT_ONCE + 1])
def test_files_are_sent_whole_or_in_part(client: TestClient, serving: Serving, size: int) -> None:
    job, _ = serving.jobs.add("", model="m", about={}, total=1)
    claimed = serving.jobs.claim("w", "m")
    assert claimed is not None
    assert serving.jobs.complete(claimed[0])
    data = os.urandom(size)
    serving.places.result(job).mkdir()
    (serving.places.result(job) / VIDEO).write_bytes(data)
    whole = client.get(f"/files/{job.name}/{VIDEO}")
    assert (whole.status_code, whole.content) == (200, data)
    told = [whole.headers[name] for name in ("content-length", "content-type", "content-disposition", "accept-ranges")]
    assert told == [str(size), "video/mp4", 'inline; filename="video.mp4"', "bytes"]
    part = client.get(f"/files/{job.name}/{VIDEO}", headers={"Range": "bytes=2-5"})
    assert (part.status_code, part.content) == (206, data[2:6])
    assert all(part.headers[name] == whole.headers[name] for name in ("etag", "last-modified", "cache-control"))


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def bomb(side: int) -> bytes:
    """A PNG of a few hundred bytes that says it is `side` x `side`."""
    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + chunk(b"IDAT", zlib.compress(b"")) + chunk(b"IEND", b"")


def animation() -> bytes:
    data = io.BytesIO()
    frames = [Image.new("RGB", (8, 8), colour) for colour in ("red", "blue")]
    frames[0].save(data, "WEBP", save_all=True, append_images=frames[1:])
    return data.getvalue()


@pytest.mark.parametrize(
    ("file", "message"),
    [
        (bomb(30_000), "pixels"),
        (bomb(12_000), "pixels"),
        (png()[:100], "cannot read"),
        (b"", "an empty file"),
        (b"GIF89a" + bytes(100), "got a GIF"),
        (b"%!PS-Adobe", "got an EPS file"),
        (animation(), "animated"),
    ],
    ids=["bomb", "smaller bomb", "cut", "empty", "gif", "eps", "animation"],
)
def test_pictures_that_are_none_are_refused(client: TestClient, serving: Serving, file: bytes, message: str) -> None:
    answer = client.post("/v1/videos", data=PROMPT, files={"input_reference": ("../../a.png", file, "image/png")})
    assert answer.status_code == 400
    assert message in answer.json()["error"]["message"]
    assert serving.jobs.count() == 0


@pytest.mark.parametrize(
    ("body", "kind", "status"),
    [
        (b"{", "application/json", 400),
        (b"[]", "application/json", 400),
        (b"\xff", "application/json", 400),
        (b"[" * 100_000, "application/json", 400),
        (b'{"prompt": NaN}', "application/json", 400),
        (b'{"prompt": "a", "tau": NaN}', "application/json", 400),
        (b'{"prompt": "a\\ud800"}', "application/json", 400),
        (b'{"prompt": "a", "\\ud800": 1}', "application/json", 400),
        (b"prompt", "text/plain", 415),
        (b"", "", 415),
        (b"x", "multipart/form-data", 400),
        (b"x", "multipart/form-data; boundary=y", 400),
        (b"prompt=a&prompt=b", "application/x-www-form-urlencoded", 400),
    ],
)
def test_bodies_that_are_none_are_refused(client: TestClient, body: bytes, kind: str, status: int) -> None:
    answer = client.post("/v1/videos", content=body, headers={"Content-Type": kind})
    assert answer.status_code == status
    assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_the_studio_runs_no_script_but_its_own(client: TestClient) -> None:
    page = client.get("/")
    assert (page.url.path, page.headers["content-type"]) == ("/studio/", "text/html; charset=utf-8")
    policy = page.headers["content-security-policy"]
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "default-src 'none'" in policy
    named = re.findall(r'(?:src|href)="([^"#]+)"', page.text)
    assert len(named) >= 4
    assert all(client.get(f"/studio/{name}").status_code == 200 for name in named)
    assert not re.search(r"<script(?![^>]*src=)|<style|\son[a-z]+=|style=", page.text)
    assert client.get("/studio/..%2fapp.py").status_code == 404


def test_what_can_be_seen_of_a_job_under_way_has_its_name(client: TestClient, serving: Serving) -> None:
    video = client.post("/v1/videos", json=PROMPT).json()
    held = serving.jobs.claim("w", "m")
    assert held is not None
    assert client.get(f"{video['files']}preview.webp").status_code == 404, "there is none yet"
    folder = serving.places.preview(held[0])
    folder.mkdir()
    (folder / "preview.webp").write_bytes(b"so far")
    answer = client.get(f"{video['files']}preview.webp")
    assert (answer.content, answer.headers["content-type"]) == (b"so far", "image/webp")
    told = client.post(f"/v1/videos/{video['id']}/cancel").json()
    assert (told["status"], told["cancelled"]) == ("failed", True)
    asked = client.get(f"/v1/videos/{video['id']}/request").json()
    assert asked["prompt"] == PROMPT["prompt"]
    again = {name: value for name, value in asked.items() if value is not None}
    assert client.post("/v1/videos", json=again).status_code == 200


def test_words_come_back_as_words(client: TestClient) -> None:
    evil = "a red circle <script>alert(1)</script> \u202e"
    made = client.post("/v1/videos", json={"prompt": evil})
    assert made.json()["prompt"] == evil
    assert made.headers["content-type"] == "application/json"


def test_files_are_taken_where_files_belong(client: TestClient) -> None:
    answer = client.post("/v1/videos", data=PROMPT, files={"model": ("a", b"b", "image/png")})
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "model")


def test_what_expired_is_removed_with_its_files(serving: Serving) -> None:
    client = TestClient(create_app(serving, FREE), base_url="http://localhost")
    for _ in range(2):
        client.post("/v1/videos", json=PROMPT)
    short = replace(serving.jobs, keep=-1.0)
    gone, kept = (serving.jobs.claim("w", "m") for _ in range(2))
    assert gone is not None
    assert kept is not None
    assert short.complete(gone[0])
    assert serving.jobs.complete(kept[0])
    for job, _ in (gone, kept):
        serving.places.result(job).mkdir()
        (serving.places.result(job) / VIDEO).write_bytes(b"made")
        serving.places.point(job).write_bytes(b"on the way")
    long_ago = time.time() - 3600
    for path in (*serving.places.folder.glob("results/*"), *serving.places.folder.glob("points/*")):
        os.utime(path, (long_ago, long_ago))
    unused, used = serving.places.shots() / "unused", serving.places.source("used.mp4")
    unused.mkdir()
    used.write_bytes(b"a video")
    long_unused = time.time() - 2 * serving.jobs.keep
    os.utime(unused, (long_unused, long_unused))
    fresh = serving.places.folder / "results" / ".pixeldance-new.part"
    fresh.mkdir()
    over = threading.Event()
    over.set()
    sweep(serving, over)
    assert serving.jobs.ids() == {kept[0].id}
    assert not serving.places.result(gone[0]).exists()
    assert not serving.places.point(gone[0]).exists()
    assert (serving.places.result(kept[0]) / VIDEO).exists()
    assert (unused.exists(), used.exists()) == (False, True)
    assert fresh.exists(), "it may be somebody's who is about to finish it"


@pytest.mark.parametrize("token", [None, "", "short"])
def test_no_server_for_others_without_a_token(run: Run, monkeypatch: pytest.MonkeyPatch, token: str | None) -> None:
    if token is not None:
        monkeypatch.setenv("PIXELDANCE_TOKEN", token)
    for host in ("0.0.0.0", "::", "192.168.1.2", "example.com"):
        code, _, errors = run("serve", "--host", host)
        assert (code, "PIXELDANCE_TOKEN" in errors) == (2, True)


def test_a_server_for_others_knows_what_it_is_called(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PIXELDANCE_TOKEN", "0123456789abcdef")
    code, _, errors = run("serve", "--host", "0.0.0.0")
    assert (code, "--public-url" in errors) == (2, True)
    code, _, errors = run("serve", "--public-url", "example.com")
    assert (code, "wanted http://NAME" in errors) == (2, True)
