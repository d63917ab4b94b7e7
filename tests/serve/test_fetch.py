"""Fetching addresses: real servers on this machine, as what is fetched and as what must not be reached."""

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from ipaddress import IPv4Address, ip_address
from pathlib import Path
from typing import Any

import pytest
from anyio import CapacityLimiter
from serving import png
from starlette.testclient import TestClient
from tiny import TINY

from pixeldance.serve.app import create_app
from pixeldance.serve.fetch import MOST_REDIRECTS, Address, fetch, parse, public
from pixeldance.serve.guard import Rules
from pixeldance.serve.places import open_places
from pixeldance.serve.refused import Refused
from pixeldance.serve.requests import Model
from pixeldance.serve.state import Serving

HERE, INSIDE = "127.0.0.1", "127.0.0.2"  # the one stands for the public, the other for what lies inside a network


def open_one(address: Address) -> bool:
    """A rule for tests: HERE is what may be reached."""
    return address == IPv4Address(HERE)


class Answers(BaseHTTPRequestHandler):
    asked: list[tuple[str, str]]
    inside: str

    def do_GET(self) -> None:
        self.asked.append((self.path, self.headers["Host"]))
        act = {
            "/picture": lambda: self.send(png()),
            "/moved": lambda: self.move("/picture"),
            "/round": lambda: self.move("/round"),
            "/inside": lambda: self.move(f"{self.inside}/secret"),
            "/file": lambda: self.move("file:///etc/passwd"),
            "/large": lambda: self.send(b"x" * 5000),
            "/endless": self.drip,
            "/half": lambda: self.send(b"half", length=100),
            "/gone": lambda: self.send_error(404),
        }
        with_errors = act.get(self.path, lambda: self.send(b"secret"))
        try:
            with_errors()
        except OSError:
            return  # the line was cut, as it is to be

    def send(self, data: bytes, length: int | None = None) -> None:
        self.send_response(200)
        self.send_header("Content-Length", str(length or len(data)))
        self.end_headers()
        self.wfile.write(data)

    def move(self, place: str) -> None:
        self.send_response(302)
        self.send_header("Location", place)
        self.end_headers()

    def drip(self) -> None:
        self.send_response(200)
        self.flush_headers()
        while True:
            self.wfile.write(b"X-A: b\r\n")  # headers that never end
            self.wfile.flush()
            time.sleep(0.05)

    def log_message(self, *_: object) -> None:
        pass


@contextmanager
def serving(host: str, inside: str = "") -> Iterator[tuple[str, list[tuple[str, str]]]]:
    asked: list[tuple[str, str]] = []
    server = ThreadingHTTPServer((host, 0), type("Own", (Answers,), {"asked": asked, "inside": inside}))
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
    yield f"http://{host}:{server.server_port}", asked
    server.shutdown()
    server.server_close()


@pytest.fixture(scope="module")
def net() -> Iterator[tuple[str, list[Any], list[Any]]]:
    """The address of a server, what it was asked, and what the one inside was asked."""
    with serving(INSIDE) as (inside, secret), serving(HERE, inside) as (here, asked):
        yield here, asked, secret


def refused(act: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as error:
        act()
    return error.value


def test_a_picture_is_fetched_also_where_it_moved(net: Any) -> None:
    here, asked, _ = net
    assert fetch(f"{here}/picture", open_one) == fetch(f"{here}/moved", open_one) == png()
    assert asked[-1] == ("/picture", here.removeprefix("http://"))


def test_nothing_inside_is_reached(net: Any) -> None:
    here, _, secret = net
    for url in (f"{here}/inside", here.replace(HERE, INSIDE) + "/secret"):
        assert refused(lambda url=url: fetch(url, open_one)).code == "invalid_url"
    assert refused(lambda: fetch(f"{here}/picture")).code == "invalid_url", "by itself nothing on this machine is"
    assert refused(lambda: fetch(here.replace(HERE, "localhost"))).code == "invalid_url"
    assert secret == []


def test_a_redirect_leads_to_http_alone_and_not_for_ever(net: Any) -> None:
    here, asked, _ = net
    assert "wanted http://" in refused(lambda: fetch(f"{here}/file", open_one)).message
    del asked[:]
    assert "redirects" in refused(lambda: fetch(f"{here}/round", open_one)).message
    assert len(asked) == MOST_REDIRECTS + 1


def test_what_is_too_much_is_cut(net: Any) -> None:
    here = net[0]
    assert "4,999 bytes" in refused(lambda: fetch(f"{here}/large", open_one, most_bytes=4999)).message
    start = time.monotonic()
    assert "longer than 0.5 s" in refused(lambda: fetch(f"{here}/endless", open_one, most_seconds=0.5)).message
    assert time.monotonic() - start < 5
    assert refused(lambda: fetch(f"{here}/half", open_one, most_seconds=2)).code == "fetch_failed"
    assert "answered 404" in refused(lambda: fetch(f"{here}/gone", open_one)).message
    with socket.socket() as closed:  # bound, and nobody listens
        closed.bind((HERE, 0))
        url = f"http://{HERE}:{closed.getsockname()[1]}/"
        assert "ConnectionRefusedError" in refused(lambda: fetch(url, open_one)).message


def test_a_name_is_looked_up_once_and_that_address_is_called(net: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """DNS rebinding: a name that is somebody else a moment later."""
    here, _, secret = net
    port, looks = int(here.rpartition(":")[2]), []

    def look(host: str, *_: object, **__: object) -> list[Any]:
        looks.append(host)
        number = HERE if len(looks) == 1 else INSIDE
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, port))]

    monkeypatch.setattr(
        socket, "getaddrinfo", lambda host, *a, **k: look(host) if host == "a.example" else REAL(host, *a, **k)
    )
    assert fetch(f"http://a.example:{port}/picture", open_one) == png()
    assert looks == ["a.example"]
    assert refused(lambda: fetch(f"http://a.example:{port}/secret", open_one)).code == "invalid_url"
    assert secret == []


REAL = socket.getaddrinfo


def test_all_addresses_of_a_name_must_be_public(monkeypatch: pytest.MonkeyPatch) -> None:
    found = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, 80)) for number in ("93.184.215.14", "10.0.0.1")]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)
    assert refused(lambda: fetch("http://a.example/")).code == "invalid_url"


@pytest.mark.parametrize(
    "url",
    [
        "file:///etc/passwd",
        "ftp://a.example/",
        "gopher://a.example/",
        "//a.example/",
        "http://ok\\@evil.example/",
        "http://user@a.example/",
        "http://user:pass@a.example/",
        "http://a.example:99999/",
        "http://a.example:x/",
        "http://a b/",
        "http://a.example/\r\nX: y",
        "http://ä.example/",
        "http://[::1%25lo]/",
        "http://[::1/",
        "http://",
        "http://a_b/",
        "http://a.example/" + "x" * 2000,
    ],
    ids=lambda url: url[:30],
)
def test_what_can_be_read_in_two_ways_is_not_read(url: str) -> None:
    assert refused(lambda: parse(url)).code == "invalid_url"


@pytest.mark.parametrize(
    "number",
    [
        *(
            "127.0.0.1",
            "127.9.9.9",
            "10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "169.254.169.254",
            "100.64.0.1",
            "0.0.0.0",
        ),
        *("192.0.2.1", "198.18.0.1", "224.0.0.1", "240.0.0.1", "255.255.255.255", "::1", "::", "fe80::1", "fc00::1"),
        *(
            "::ffff:127.0.0.1",
            "::ffff:10.0.0.1",
            "64:ff9b::7f00:1",
            "2002:7f00:1::",
            "fec0::1",
            "ff02::1",
            "2001:db8::1",
        ),
    ],
)
def test_addresses_that_are_not_everybodys(number: str) -> None:
    assert not public(ip_address(number))


@pytest.mark.parametrize("host", ["0x7f.1", "2130706433", "0177.0.0.1", "[::ffff:127.0.0.1]", "127.1", "localhost."])
def test_loopback_in_disguise(net: Any, host: str) -> None:
    port = net[0].rpartition(":")[2]
    assert refused(lambda: fetch(f"http://{host}:{port}/picture")).status == 400


def test_both_dialects_take_addresses_where_they_are_fetched(net: Any, tmp_path: Path) -> None:
    here, _, secret = net
    places, jobs = open_places(tmp_path / "store", keep=3600.0)
    model = Model(id="tiny", folder=tmp_path, hash="m", system=TINY)
    parts = {"places": places, "jobs": jobs, "model": model, "limiter": CapacityLimiter(4)}
    app = create_app(Serving(fetch=partial(fetch, reachable=open_one), **parts), Rules())
    client = TestClient(app, base_url="http://localhost")
    asked = {"prompt": "a red circle", "last_frame": f"{here}/moved", "input_reference": f"{here}/picture"}
    made = client.post("/v1/videos", json=asked)
    kept = client.get(f"/v1/videos/{made.json()['id']}/request").json()
    assert kept["input_reference"] == kept["last_frame"] != None  # noqa: E711 (a chain)
    assert client.post("/v1/videos", json=asked | {"last_frame": f"{here}/inside"}).status_code == 400
    image = {"type": "image_url", "image_url": {"url": f"{here}/picture"}}
    content = [{"type": "text", "text": "a red circle"}, image]
    tasks = "/api/v3/contents/generations/tasks"
    assert client.post(tasks, json={"model": "tiny", "content": content}).status_code == 200
    image["image_url"] = {"url": f"{here}/inside"}
    told = client.post(tasks, json={"model": "tiny", "content": content}).json()["error"]
    assert (told["code"], secret) == ("InvalidUrl", [])


def test_public_addresses_are_public() -> None:
    assert all(public(ip_address(number)) for number in ("93.184.215.14", "2606:2800:21f:cb07:6820:80da:af6b:8b2c"))
