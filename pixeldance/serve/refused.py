"""What is refused over HTTP, and how it is told: one shape in both dialects, with each one's way of writing codes."""

from typing import Any

from pixeldance.receipt import printable

ARK = "/api/v3/"
TYPES = {401: "authentication_error", 403: "permission_error", 404: "not_found_error", 429: "rate_limit_error"}


class Refused(Exception):
    """A request that is not served. code: in small letters with underscores; param: the field at fault, if it is one.

    wait: for how many seconds it is of no use to try again.
    """

    def __init__(self, status: int, code: str, message: str, param: str | None = None, wait: int | None = None) -> None:
        super().__init__(message)
        self.status, self.code, self.message, self.param, self.wait = status, code, message, param, wait

    def headers(self) -> dict[str, str]:
        """Those that belong to the refusal itself."""
        return {} if self.wait is None else {"Retry-After": str(self.wait)}

    def body(self, path: str) -> dict[str, Any]:
        """The JSON that a client of the dialect at `path` is sent."""
        kind = TYPES.get(self.status, "server_error" if self.status >= 500 else "invalid_request_error")
        code = dialect_code(self.code, path)
        param = None if self.param is None else printable(self.param)
        return {"error": {"message": printable(self.message), "type": kind, "param": param, "code": code}}


def dialect_code(code: str, path: str) -> str:
    """A code as the dialect at `path` writes it: invalid_value, or InvalidValue."""
    return "".join(word.capitalize() for word in code.split("_")) if path.startswith(ARK) else code


def invalid(message: str, param: str | None = None, code: str = "invalid_value") -> Refused:
    """A request that this server or its model cannot carry out as it stands."""
    return Refused(400, code, message, param)


def queue_full(most: int, wait: int) -> Refused:
    """A job when as many wait as may; `wait` seconds later there will be room."""
    return Refused(429, "queue_full", f"got a job when {most} are waiting; wait for one of them to start", wait=wait)


def unknown(what: str) -> Refused:
    """Something that is not here."""
    return Refused(404, "not_found", f"there is no such {what}; it may have been deleted, or kept long enough")
