"""Streamlit's front end, on its way to the browser: its page is told early what it finds out late.

By itself it learns from a page below the root by a 404 and a wait where its server is, asks for the
script of each kind of element when the first one comes, and is white until it knows our colours.
Its menu leads nowhere from the page that is open, and stays open on a phone. ``start.html`` mends
these. And Streamlit reads each of its files in a thread, piece by piece, whenever it is asked for:
ninety times a page.
It knows Streamlit's folder and the kinds of elements that our pages have, not what is on them.
"""

import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

import streamlit
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ui.shell import accounts

_STATIC = Path(streamlit.__file__).with_name("static")
_TYPES = {".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2"}
_FOR_EVER = {"Cache-Control": "public, immutable, max-age=31536000"}  # names tell the content
_IMPORT = re.compile(r'(?:from|import)\s*"\./([\w.-]+\.js)"')
_FONTS = ("manrope", "sora")
_START = Path(__file__).with_name("start.html").read_text("utf-8")
_SHELF = ("Html", "BidiComponent", "Button")
_FORM = ("TextArea", "NumberInput", "Selectbox", "Checkbox", "Slider", "FileUploader")
_CODE = "StreamlitSyntaxHighlighter"
ELEMENTS = {
    "": _SHELF,
    "home": _SHELF,
    "create": (*_SHELF, *_FORM),
    "library": (*_SHELF, "TextInput", "Checkbox", "Selectbox"),
    "connection": ("Html", "Button", "TextInput", "NumberInput", "DownloadButton", _CODE),
}


class Files:
    """ASGI middleware: what the front end consists of is read once and answered from memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._paths = {
            "/" + path.relative_to(_STATIC).as_posix(): path
            for path in (_STATIC / "static").glob("*/*")
            if path.suffix in _TYPES
        }
        self._answers: dict[str, Response] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, or pass the call on."""
        path = scope.get("path", "")
        if path not in self._paths or scope.get("method") != "GET":
            await self._app(scope, receive, send)
            return
        if path not in self._answers:
            self._answers[path] = _file(self._paths[path])
        await self._answers[path](scope, receive, send)


def _file(path: Path) -> Response:
    return Response(path.read_bytes(), headers=_FOR_EVER, media_type=_TYPES[path.suffix])


def routes() -> list[BaseRoute]:
    """Return a route for the address of each page."""
    return [Route(f"/{name}", _answer) for name in ELEMENTS]


async def _answer(request: Request) -> HTMLResponse:
    html = page(request.url.path.strip("/"), at_once=not accounts.configured())
    return HTMLResponse(html, headers={"Cache-Control": "no-cache"})


@cache
def page(name: str, *, at_once: bool) -> str:
    """Return Streamlit's page, with what the elements of one of ours need fetched beforehand.

    ``at_once``: whether it opens its socket before the server has answered otherwise. That answer
    brings a cookie without which Streamlit does not believe who has signed in.
    """
    html = (_STATIC / "index.html").read_text("utf-8")
    links = [
        f'<link rel="modulepreload" crossorigin href="./static/js/{script}">'
        for script in sorted(scripts(ELEMENTS[name], known=html))
    ]
    links += [
        f'<link rel="preload" as="font" type="font/woff2" crossorigin'
        f' href="./app/static/fonts/{font}.woff2">'
        for font in _FONTS
    ]
    start = _START.replace("AT_ONCE", str(at_once).lower())
    html = html.replace("<head>", f"<head>\n{start}", 1)
    return html.replace("</head>", "\n".join((*links, "</head>")), 1)


def scripts(kinds: Iterable[str], known: str) -> set[str]:
    """Return the names of the scripts of kinds of elements, and of all that they import.

    Args:
        kinds: as Streamlit calls them.
        known: names those that are fetched anyway.
    """
    folder, found = _STATIC / "static" / "js", set[str]()
    new = {path.name for kind in kinds for path in folder.glob(f"{kind}.*.js")}
    while new := {name for name in new if name not in known} - found:
        found |= new
        texts = [(folder / name).read_text("utf-8") for name in new]
        new = {name for text in texts for name in _IMPORT.findall(text)}
    return found
