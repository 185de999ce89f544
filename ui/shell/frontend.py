"""Serves Streamlit's front end, changed so that pages appear sooner.

In Streamlit's own front end, a page below the root finds its server only after a 404 and a wait,
the script of each kind of element is fetched when the first such element arrives, and the page is
white until the theme is known. The menu's entry of the open page does nothing, the menu stays open
on a phone, and Back leaves the page of a dialog. ``start.html``, ``dialogs.js`` and preload links
correct this. Streamlit also reads about ninety files per page from disk, in a thread and in parts,
and sends them as they are; here they are read and compressed once.

It knows the kinds of elements and the scripts of each page, not the pages.
"""

import asyncio
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from starlette.datastructures import Headers
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Receive, Scope, Send

from ui.shell import _compat, accounts, scripts
from ui.shell.compressed import Content

_TYPES = {".js": "text/javascript", ".css": "text/css", ".woff2": "font/woff2"}
_CACHE_FOR_A_YEAR = {"Cache-Control": "public, immutable, max-age=31536000"}  # names have hashes
_THEIR_FONT = re.compile(r"<link\s[^>]*SourceSans[^>]*>")  # preloaded, and used by no page of ours
_FONTS = ("manrope", "sora")
_DIALOGS = Path(__file__).with_name("dialogs.js")
_START = Path(__file__).with_name("start.html").read_text("utf-8")
_SHELF = ("Html", "BidiComponent", "Button")
_FORM = ("TextArea", "NumberInput", "Selectbox", "Checkbox", "Slider", "FileUploader")
_CODE = "StreamlitSyntaxHighlighter"
ELEMENTS = {
    "": (*_SHELF, "TextInput"),
    "home": (*_SHELF, "TextInput"),
    "create": (*_SHELF, *_FORM),
    "library": (*_SHELF, "TextInput", "Checkbox", "Selectbox"),
    "connection": (*_SHELF, "TextInput", "NumberInput", "DownloadButton", _CODE),
}
SCRIPTS: dict[str, tuple[str, ...]] = {
    "": ("home/backdrop.js", "home/reel.js", "create/first_film.js"),
    "home": ("home/backdrop.js", "home/reel.js", "create/first_film.js"),
    "create": (
        *("home/background.js", "create/autosubmit.js", "create/prompt_check.js"),
        *("create/stage.js", "films/player.js"),
    ),
    "library": (
        *("home/background.js", "create/autosubmit.js", "films/shelf.js"),
        *("films/player.js", "films/compare.js"),
    ),
    "connection": ("home/background.js",),
}  # of our components


class Files:
    """ASGI middleware that serves the files of the front end from memory."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app
        self._paths = {
            "/" + path.relative_to(_compat.FRONT_END).as_posix(): path
            for path in (_compat.FRONT_END / "static").glob("*/*")
            if path.suffix in _TYPES
        }
        self._contents: dict[str, Content] = {}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Send a file of the front end, or pass the call on."""
        path = scope.get("path", "")
        if path not in self._paths or scope.get("method") != "GET":
            await self._app(scope, receive, send)
            return
        if path not in self._contents:
            self._contents[path] = await asyncio.to_thread(_packed, self._paths[path])
        await self._contents[path].answer(Headers(scope=scope))(scope, receive, send)


def _packed(file: Path) -> Content:
    return Content(file.read_bytes(), _TYPES[file.suffix], _CACHE_FOR_A_YEAR)


def routes() -> list[BaseRoute]:
    """Return a route for the address of each page, and one for our scripts."""
    return [*(Route(f"/{name}", _answer) for name in ELEMENTS), *scripts.routes()]


async def _answer(request: Request) -> Response:
    name = request.url.path.strip("/")
    return _content(name, at_once=not accounts.configured()).answer(request.headers)


@cache
def _content(name: str, *, at_once: bool) -> Content:
    html = page(name, at_once=at_once).encode()
    return Content(html, "text/html", {"Cache-Control": "no-cache"})


@cache
def page(name: str, *, at_once: bool) -> str:
    """Return Streamlit's HTML page, changed to preload the scripts that a page of ours needs.

    Args:
        name: of the page; empty for the root.
        at_once: whether it opens its socket before the server's first response. That must be False
            with accounts, because the response sets a cookie that identifies the user.
    """
    html = _THEIR_FONT.sub("", _compat.PAGE_TEMPLATE.read_text("utf-8"))
    links = [
        f'<link rel="modulepreload" crossorigin href="./static/js/{script}">'
        for script in sorted(bundled_scripts(ELEMENTS[name], known=html))
    ]
    links += [
        f'<link rel="modulepreload" href=".{address}">'
        for address in scripts.with_imports(SCRIPTS[name])
    ]
    links.append(f'<script type="module" src=".{scripts.address(_DIALOGS)}"></script>')
    links += [
        f'<link rel="preload" as="font" type="font/woff2" crossorigin'
        f' href="./app/static/fonts/{font}.woff2">'
        for font in _FONTS
    ]
    start = _START.replace("AT_ONCE", str(at_once).lower())
    html = html.replace("<head>", f"<head>\n{start}", 1)
    return html.replace("</head>", "\n".join((*links, "</head>")), 1)


def bundled_scripts(kinds: Iterable[str], known: str) -> set[str]:
    """Return the names of the scripts that kinds of elements need, imported ones included.

    Args:
        kinds: Streamlit's names of the kinds.
        known: text that names scripts to leave out, since the page fetches them anyway.
    """
    found = set[str]()
    new = {script for kind in kinds for script in _compat.element_scripts(kind)}
    while new := {name for name in new if name not in known} - found:
        found |= new
        new = {imported for script in new for imported in _compat.imported_scripts(script)}
    return found
