"""The studio: a page for people on the API that programs use. Its files are sent as they lie in the folder web/.

The page is plain HTML, CSS and JavaScript modules without a build step. It loads nothing from elsewhere, and its policy
forbids scripts and styles that stand in the page: what somebody writes as a prompt can never run.
"""

from pathlib import Path

from fastapi import APIRouter
from fastapi.responses import RedirectResponse, Response

from pixeldance.serve.refused import unknown

FOLDER = Path(__file__).parent / "web"
TYPES = {
    ".html": "text/html",
    ".css": "text/css",
    ".mjs": "text/javascript",
    ".svg": "image/svg+xml",
    ".png": "image/png",
}
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:; media-src 'self'; "
    "connect-src 'self'; form-action 'none'; base-uri 'none'; frame-ancestors 'none'"
)


def routes() -> APIRouter:
    """The routes. All files are read now, and no other is ever sent."""
    files = {path.name: path.read_bytes() for path in FOLDER.iterdir() if path.suffix in TYPES}
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    @router.get("/studio")
    def home() -> RedirectResponse:
        return RedirectResponse("/studio/")

    @router.get("/studio/")
    def page() -> Response:
        return file("index.html")

    @router.get("/studio/{name}")
    def file(name: str) -> Response:
        if name not in files:
            raise unknown("page")
        kind = TYPES[Path(name).suffix]
        return Response(files[name], media_type=kind, headers={"Content-Security-Policy": POLICY})

    return router
