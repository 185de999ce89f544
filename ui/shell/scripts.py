"""Serves the scripts of the app's components: modules that lie beside their feature.

They are read once and sent from memory. Their URLs contain a hash of all scripts, so that browsers
can cache them, relative imports lead to scripts of the same version, and no URL leads to another
file. They contain no user's data, so no ticket is needed. It knows no components.
"""

import hashlib
import posixpath
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path

from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response
from starlette.routing import BaseRoute, Route

from ui.shell.compressed import Content

_APP = Path(__file__).parents[1]
_PREFIX = "/api/scripts"
_IMPORT = re.compile(r'^import .* from "(\.{1,2}/[\w./-]+)";$', re.MULTILINE)
_HEADERS = {
    "Cache-Control": "public, immutable, max-age=31536000",
    "Cross-Origin-Resource-Policy": "same-origin",
}


def address(path: Path) -> str:
    """Return the address of a script, without scheme and host.

    Raises:
        FileNotFoundError: the app has no such script.
    """
    name = path.relative_to(_APP).as_posix()
    if name not in _contents():
        raise FileNotFoundError(path)
    return f"{_PREFIX}/{_version()}/{name}"


def with_imports(names: Iterable[str]) -> list[str]:
    """Return the addresses of scripts and of all that they import.

    Args:
        names: paths from the app's folder, such as ``create/stage.js``.
    """
    found = set[str]()
    new = set(names)
    while new:
        found |= new
        new = {imported for name in new for imported in imports(name)} - found
    return [address(_APP / name) for name in sorted(found)]


def imports(name: str) -> list[str]:
    """Return the paths, from the app's folder, of the scripts that one of them imports."""
    folder = posixpath.dirname(name)
    targets = _IMPORT.findall(_contents()[name].decode())
    return [posixpath.normpath(posixpath.join(folder, target)) for target in targets]


def routes() -> list[BaseRoute]:
    """Return the route that sends the scripts."""
    return [Route(f"{_PREFIX}/{{version}}/{{name:path}}", _send)]


async def _send(request: Request) -> Response:
    content = _sent().get(request.path_params["name"])
    if content is None or request.path_params["version"] != _version():
        return PlainTextResponse("there is no such script", 404)
    return content.answer(request.headers)


@cache
def _sent() -> dict[str, Content]:
    scripts = _contents().items()
    return {name: Content(text, "text/javascript", _HEADERS) for name, text in scripts}


@cache
def _contents() -> dict[str, bytes]:
    return {path.relative_to(_APP).as_posix(): path.read_bytes() for path in _APP.rglob("*.js")}


@cache
def _version() -> str:
    """Return a hash of the names and contents of all scripts."""
    digest = hashlib.sha256()
    for name, content in sorted(_contents().items()):
        digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()[:16]
