"""The web application: both dialects, health, models, results by their names, and a page that documents it all."""

import threading
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractContextManager, asynccontextmanager, nullcontext
from functools import partial
from typing import Any

from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import FileResponse, HTMLResponse, JSONResponse, Response
from pydantic import BaseModel
from starlette.exceptions import HTTPException
from starlette.types import ASGIApp

from pixeldance import __version__
from pixeldance.serve import ark, beyond, film_api, longer_api, openai, studio
from pixeldance.serve.guard import Guard, Rules
from pixeldance.serve.outage import tried
from pixeldance.serve.page import STYLE_HASH, page
from pixeldance.serve.refused import Refused
from pixeldance.serve.state import Serving, errors, wrong

SWEEP = 60.0  # seconds between two looks for what has expired
CODES = {404: "not_found", 405: "method_not_allowed", 400: "invalid_request"}


class Health(BaseModel):
    """Whether the server is there, and how long its queue is."""

    status: str = "ok"
    version: str = __version__
    queued: int
    running: int


def create_app(
    serving: Serving, rules: Rules, beside: Callable[[], AbstractContextManager[Any]] = nullcontext
) -> ASGIApp:
    """The application. `beside` is entered while it runs: the workers' keeper."""

    @asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        over = threading.Event()
        sweeper = threading.Thread(target=sweep, args=(serving, over), daemon=True)
        with beside():
            sweeper.start()
            yield
            over.set()

    app = FastAPI(title="PixelDance", version=__version__, lifespan=lifespan, docs_url=None, redoc_url=None)
    app.include_router(openai.routes(serving))  # first, for routes are tried one by one, and polls are most calls
    app.include_router(longer_api.routes(serving))
    app.include_router(ark.routes(serving))
    app.include_router(beyond.routes(serving))
    app.include_router(film_api.routes(serving))
    app.include_router(studio.routes())

    @app.get("/health", tags=["Server"])
    async def health() -> Health:
        """Whether the server is there."""
        queued, running = [await serving.look(serving.jobs.count, state) for state in ("queued", "running")]
        return Health(queued=queued, running=running)

    @app.get("/files/{name}/{file}", tags=["Server"], responses=errors(404), response_class=FileResponse)
    async def file(name: str, file: str) -> Response:
        """A result, by the name that a task tells; while it is made, what can be seen of it so far."""
        return await serving.look(serving.named, name, file)

    @app.get("/docs", include_in_schema=False)
    def docs() -> HTMLResponse:
        """What this server can do, for people."""
        policy = f"default-src 'none'; style-src '{STYLE_HASH}'; frame-ancestors 'none'; base-uri 'none'"
        return HTMLResponse(page(app.openapi()), headers={"Content-Security-Policy": policy})

    @app.exception_handler(Refused)
    async def refused(request: Request, error: Refused) -> JSONResponse:
        return JSONResponse(error.body(request.url.path), error.status, error.headers())

    @app.exception_handler(RequestValidationError)
    async def mistyped(request: Request, error: RequestValidationError) -> JSONResponse:
        return JSONResponse(wrong(error.errors()).body(request.url.path), 400)

    @app.exception_handler(HTTPException)
    async def plain(request: Request, error: HTTPException) -> JSONResponse:
        told = Refused(error.status_code, CODES.get(error.status_code, "invalid_request"), str(error.detail))
        return JSONResponse(told.body(request.url.path), told.status, error.headers)

    @app.exception_handler(Exception)
    async def ours(request: Request, _: Exception) -> JSONResponse:
        told = Refused(500, "internal_error", "the server failed at this; its log says why")
        return JSONResponse(told.body(request.url.path), 500)

    return Guard(app, rules)


def sweep(serving: Serving, over: threading.Event) -> None:
    """Forget what expired, and remove files that belong to nothing, until it is over."""
    while True:
        if tried(serving.jobs.expire, over):
            tried(partial(serving.places.clear, serving.jobs), over)
        if over.wait(SWEEP):
            return
