"""The routes of the playground page."""

from __future__ import annotations

from importlib.resources import files

from fastapi import APIRouter, Response

HEADERS = {
    # Nothing from elsewhere, no inline script or style, in no frame of another page.
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'self'; "
    "frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    # The files change with the program, which has no version in their address.
    "Cache-Control": "no-cache",
}
_SCRIPT = "text/javascript; charset=utf-8"
_KINDS = {
    "index.html": "text/html; charset=utf-8",
    "page.css": "text/css; charset=utf-8",
    "page.js": _SCRIPT,
    "hits.js": _SCRIPT,
    "trace.js": _SCRIPT,
    "dom.js": _SCRIPT,
    "icon.svg": "image/svg+xml",
}
PAGE_PATHS = frozenset({"/", *(f"/page/{name}" for name in _KINDS)})
"""What a browser fetches before anybody can have given it a token: files that hold no data."""


def page_routes() -> APIRouter:
    """Make the routes; the files are read once, here."""
    folder = files(__package__)
    content = {name: (folder / name).read_bytes() for name in _KINDS}
    router = APIRouter(include_in_schema=False)

    @router.get("/")
    async def page() -> Response:
        """Return the page."""
        return _file("index.html")

    @router.get("/page/{name}")
    async def part(name: str) -> Response:
        """Return a file that the page is made of."""
        return _file(name) if name in content else Response(status_code=404)

    def _file(name: str) -> Response:
        return Response(content[name], media_type=_KINDS[name], headers=HEADERS)

    return router
