"""What a request passes before any of our code reads it: whose page it comes from, whether it may, how often, how big.

A server on this machine alone takes any key, but only by the machine's own names and never from another site's page: a
page elsewhere can make a browser call 127.0.0.1, also under a name of its own (DNS rebinding).
"""

import hmac
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import urlsplit

from starlette.datastructures import Headers, MutableHeaders
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from pixeldance.serve.refused import Refused

LOOPBACK = ("127.0.0.1", "localhost", "::1")
OPEN = ("/health", "/docs", "/openapi.json", "/files/", "/studio")
"""What needs no token: it says nothing of anybody's work, or lies under a name that nobody guesses."""
MOST_BYTES = 32 * 2**20
CLIENTS = 4096  # addresses whose rates are remembered
REQUEST_ID = "X-Client-Request-Id"
HEADERS = {
    b"x-content-type-options": b"nosniff",
    b"referrer-policy": b"no-referrer",
    b"cross-origin-resource-policy": b"same-origin",
    b"cache-control": b"no-store",
    b"x-frame-options": b"DENY",
    b"content-security-policy": b"default-src 'none'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'",
}


@dataclass(frozen=True, kw_only=True)
class Rules:
    """Who is served. hosts: the names by which this server may be called. token: None lets everybody in, and is for
    loopback alone. rate, burst: how many requests that change something one address may send in a second, and at once.
    """

    hosts: tuple[str, ...] = LOOPBACK
    token: str | None = None
    rate: float = 20.0
    burst: int = 200
    most_bytes: int = MOST_BYTES


@dataclass
class Buckets:
    """How many requests each address may still send: they fill at `rate` up to `burst`."""

    rate: float
    burst: int
    clock: Callable[[], float] = time.monotonic
    left: OrderedDict[str, tuple[float, float]] = field(default_factory=OrderedDict)

    def take(self, address: str) -> float:
        """0 if one more is allowed, otherwise in how many seconds it will be."""
        now = self.clock()
        tokens, then = self.left.pop(address, (float(self.burst), now))
        tokens = min(self.burst, tokens + (now - then) * self.rate)
        self.left[address] = (tokens - 1 if tokens >= 1 else tokens, now)
        if len(self.left) > CLIENTS:
            self.left.popitem(last=False)
        return 0.0 if tokens >= 1 else (1 - tokens) / self.rate


class Guard:
    """An ASGI application that passes on to another one what the rules allow, and gives all answers their headers."""

    def __init__(self, app: ASGIApp, rules: Rules) -> None:
        self.app, self.rules = app, rules
        self.buckets = Buckets(rate=rules.rate, burst=rules.burst)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers, bounded = Headers(scope=scope), Bounded(receive, self.rules.most_bytes)
        request_id = headers.get(REQUEST_ID, "")

        async def told(message: Message) -> None:
            if not bounded.over:  # else it is an answer to what was cut
                await dressed(message)

        async def dressed(message: Message) -> None:
            if message["type"] == "http.response.start":
                there = {name for name, _ in message["headers"]}
                message["headers"] = [*message["headers"], *(each for each in HEADERS.items() if each[0] not in there)]
                if 0 < len(request_id) <= 200 and request_id.isascii() and request_id.isprintable():
                    MutableHeaders(scope=message)[REQUEST_ID] = request_id
            await send(message)

        try:
            self._check(scope, headers)
            await self.app(scope, bounded, told)
            if bounded.over:
                raise _too_large(self.rules.most_bytes)
        except Refused as refused:
            response = JSONResponse(refused.body(scope["path"]), refused.status, refused.headers())
            await response(scope, receive, dressed)

    def _check(self, scope: Scope, headers: Headers) -> None:
        rules, path, write = self.rules, scope["path"], scope["method"] not in ("GET", "HEAD")
        host = headers.get("host", "")
        if _name(host) not in rules.hosts:
            raise Refused(403, "wrong_host", "this server is not called that; use the address it printed at its start")
        origin = headers.get("origin")
        if origin is not None and urlsplit(origin).netloc != host:
            raise Refused(
                403, "wrong_origin", "this comes from the page of another site, which may not use this server"
            )
        if headers.get("sec-fetch-site", "none") not in ("none", "same-origin") and write:
            raise Refused(
                403, "wrong_origin", "this comes from the page of another site, which may not use this server"
            )
        if rules.token is not None and path != "/" and not path.startswith(OPEN):
            scheme, _, given = headers.get("authorization", "").partition(" ")
            if scheme.lower() != "bearer" or not hmac.compare_digest(given.encode(), rules.token.encode()):
                raise Refused(401, "invalid_api_key", "the API key is missing or wrong; send Authorization: Bearer KEY")
        if write:
            wait = self.buckets.take((scope.get("client") or ("",))[0])
            if wait:
                raise Refused(429, "rate_limit_exceeded", "too many requests; slow down", wait=int(wait) + 1)
        length = headers.get("content-length", "0")
        if not length.isascii() or not length.isdigit() or int(length[:20]) > rules.most_bytes:
            raise _too_large(rules.most_bytes)


class Bounded:
    """The body of a request that does not say how long it is, cut where it gets too long. over: whether it was."""

    def __init__(self, receive: Receive, most: int) -> None:
        self.receive, self.most, self.left, self.over = receive, most, most, False

    async def __call__(self) -> Message:
        message = await self.receive()
        self.left -= len(message.get("body", b""))
        if self.left < 0:
            self.over = True
            raise _too_large(self.most)
        return message


def _too_large(most: int) -> Refused:
    return Refused(413, "request_too_large", f"a request has at most {most // 2**20} MiB; send smaller pictures")


@lru_cache(maxsize=64)
def _name(host: str) -> str:
    """The name in a Host header, without its port; nothing for what is no such header."""
    try:
        return urlsplit(f"//{host}").hostname or "" if not set(host) & set("/\\@?#") else ""
    except ValueError:
        return ""
