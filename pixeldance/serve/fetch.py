"""Pictures from addresses that clients name, where a server is told to fetch them (--fetch-urls).

A client must not reach through the server what it could not reach itself. So an address is read once, by one parser;
its name is looked up once, and every address that it has must be a public one; the connection goes to the very address
that was checked; and a redirect is a new address, which passes all of this again. Bytes and seconds are bounded.
"""

import http.client
import re
import socket
import ssl
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from urllib.parse import urljoin, urlsplit

from pixeldance.serve.refused import Refused, invalid

Address = IPv4Address | IPv6Address
MOST_BYTES = 20 * 2**20
MOST_SECONDS = 10.0
MOST_REDIRECTS = 3
MOST_AT_ONCE = 4
TRANSLATED = (IPv6Network("64:ff9b::/96"), IPv6Network("64:ff9b:1::/48"), IPv6Network("2002::/16"))
"""IPv6 addresses behind which lie IPv4 ones, private ones too."""
NAME = re.compile(r"[A-Za-z0-9](?:[A-Za-z0-9.-]{0,251}[A-Za-z0-9])?\.?")
SENT = {
    "Accept": "image/png, image/jpeg, image/webp",
    "Accept-Encoding": "identity",
    "User-Agent": "pixeldance",
    "Connection": "close",
}

_at_once = threading.BoundedSemaphore(MOST_AT_ONCE)


@dataclass(frozen=True, kw_only=True)
class Place:
    """An address, read. target: path and query."""

    scheme: str
    host: str
    port: int
    target: str
    url: str


def public(address: Address) -> bool:
    """Whether an address is one that anybody can reach: no private, shared, local or reserved one, in no disguise."""
    if isinstance(address, IPv6Address):
        if address.ipv4_mapped is not None:
            return public(address.ipv4_mapped)
        if any(address in each for each in TRANSLATED) or address.is_site_local:
            return False
    return address.is_global and not address.is_multicast


def fetch(
    url: str,
    reachable: Callable[[Address], bool] = public,
    *,
    most_bytes: int = MOST_BYTES,
    most_seconds: float = MOST_SECONDS,
) -> bytes:
    """What lies at an http or https address. Raises Refused for one that may not be reached, and for what takes more
    than `most_bytes`, `most_seconds` in all, or three redirects; 429 where too much is being fetched."""
    end = time.monotonic() + most_seconds
    if not _at_once.acquire(timeout=most_seconds / 2):
        raise Refused(429, "too_many_fetches", "too many pictures are being fetched; try again", wait=2)
    try:
        place = parse(url)
        for _ in range(MOST_REDIRECTS + 1):
            found = _get(place, resolve(place, reachable), most_bytes, end)
            if isinstance(found, bytes):
                return found
            place = parse(urljoin(place.url, found))
        raise invalid(
            f"got more than {MOST_REDIRECTS} redirects; give the address that they lead to", code="fetch_failed"
        )
    except (OSError, http.client.HTTPException, ValueError) as error:
        late = time.monotonic() >= end
        told = f"it took longer than {most_seconds:g} s" if late else type(error).__name__
        raise invalid(
            f"this address could not be fetched: {told}; send the picture itself", code="fetch_failed"
        ) from None
    finally:
        _at_once.release()


def parse(url: str) -> Place:
    """An address, read. Raises Refused for what is none, or can be read in two ways."""
    wanted = "wanted http://name/path or https://name/path, plain ASCII, without a user or a password"
    if not url.isascii() or not url.isprintable() or set(url) & set(' \\"<>^`{|}') or len(url) > 2000:
        raise invalid(f"got an address with signs that do not belong into one; {wanted}", code="invalid_url")
    try:
        parts = urlsplit(url)
        host, port = parts.hostname or "", parts.port
    except ValueError:
        raise invalid(f"got an address that cannot be read; {wanted}", code="invalid_url") from None
    literal = parts.netloc.startswith("[") and ":" in host and "%" not in host
    if parts.scheme not in ("http", "https") or "@" in parts.netloc or not (literal or NAME.fullmatch(host)):
        raise invalid(f"got {url[:80]!r}; {wanted}", code="invalid_url")
    target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    usual = {"http": 80, "https": 443}[parts.scheme]
    return Place(scheme=parts.scheme, host=host, port=usual if port is None else port, target=target, url=url)


def resolve(place: Place, reachable: Callable[[Address], bool]) -> str:
    """The address to connect to. Raises Refused unless all that the name has may be reached."""
    found = socket.getaddrinfo(place.host, place.port, type=socket.SOCK_STREAM)
    numbers = [str(each[4][0]) for each in found]
    if not numbers or not all(reachable(ip_address(number)) for number in numbers):
        raise invalid(
            "got an address inside a network, which this server does not reach for others", code="invalid_url"
        )
    return numbers[0]


def _get(place: Place, number: str, most_bytes: int, end: float) -> bytes | str:
    """What lies there, or where a redirect leads."""
    connection = http.client.HTTPConnection(number, place.port)
    with socket.create_connection((number, place.port), max(0.01, end - time.monotonic())) as plain:
        # Each wait has its limit, but a server may drip byte after byte: at the end the line is cut whatever happens.
        cut = threading.Timer(max(0.0, end - time.monotonic()), partial(_cut, plain))
        cut.daemon = True
        cut.start()
        try:
            connection.sock = plain
            if place.scheme == "https":
                connection.sock = ssl.create_default_context().wrap_socket(plain, server_hostname=place.host)
            host = f"[{place.host}]" if ":" in place.host else place.host
            usual = {"http": 80, "https": 443}[place.scheme] == place.port
            connection.request("GET", place.target, headers={"Host": host if usual else f"{host}:{place.port}", **SENT})
            answer = connection.getresponse()
            if answer.status in (301, 302, 303, 307, 308):
                return answer.headers["Location"] or ""
            if answer.status != 200 or answer.headers.get("Content-Encoding", "identity") != "identity":
                raise invalid(f"the server there answered {answer.status}; wanted a picture", code="fetch_failed")
            data = answer.read(most_bytes + 1)
            if len(data) > most_bytes:
                raise invalid(f"got more than {most_bytes:,} bytes; give a smaller picture", code="fetch_failed")
            if time.monotonic() >= end or (answer.length or 0) > 0:
                raise TimeoutError("cut off")
            return data
        finally:
            cut.cancel()
            connection.close()


def _cut(line: socket.socket) -> None:
    try:
        line.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # it is over
