"""Files that describe films: recipes, lists of scenes, tables of films.

Each line that cannot be used is named. It knows formats of files; it knows no arguments.
``docs/command-line.md`` documents the formats.
"""

import csv
import json
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from engine.errors import InvalidParameterError
from engine.film.recipe import SETTINGS

MOST_BYTES = 2**24  # of a file that describes films
LINE = re.compile(r"(?:(?P<seconds>\d+(?:\.\d+)?)\s*s\s*:)?\s*(?P<prompt>.+)", re.DOTALL)
BETWEEN_SCENES = re.compile(r"\s*\|\|\s*")
PLACES = ("output", "camera", "seconds", "prompt")  # columns that are no settings


def read_text(field: str, path: Path) -> str:
    """Return the text of a file; ``-`` is the standard input.

    Raises:
        InvalidParameterError: it cannot be read, is too long or is not UTF-8.
    """
    try:
        if str(path) == "-":
            content = sys.stdin.buffer.read(MOST_BYTES + 1)
        else:
            with path.open("rb") as file:
                content = file.read(MOST_BYTES + 1)
        text = content.decode("utf-8-sig")
    except OSError as error:
        problem = f"{path} cannot be read: {error.strerror or error}"
        raise InvalidParameterError(field, problem, "give another file") from error
    except UnicodeDecodeError as error:
        raise InvalidParameterError(field, f"{path} is not UTF-8", "save it as UTF-8") from error
    if len(content) > MOST_BYTES:
        raise InvalidParameterError(field, f"{path} is longer than {MOST_BYTES >> 20} MiB")
    return text


def read_object(field: str, path: Path) -> dict[str, Any]:
    """Return the JSON object in a file.

    Raises:
        InvalidParameterError: it holds none.
    """
    try:
        found = json.loads(read_text(field, path))
    except (ValueError, RecursionError) as error:
        problem = f"{path} is not JSON: {error}"
        raise InvalidParameterError(field, problem, "correct it there") from error
    if not isinstance(found, dict):
        raise InvalidParameterError(field, f"{path} holds no JSON object", "put it in { }")
    return found


def read_scenes(path: Path) -> list[tuple[str, float | None]]:
    """Return the prompts of a file, each with its seconds; None where these are left open.

    A line is a scene; empty lines and those that begin with # are none.

    Raises:
        InvalidParameterError: there is none.
    """
    lines = [line.strip() for line in read_text("scenes", path).splitlines()]
    matches = [LINE.fullmatch(line) for line in lines if line and not line.startswith("#")]
    if not matches:
        raise InvalidParameterError("scenes", f"{path} has no scene", "write one a line")
    return [
        (match["prompt"], float(match["seconds"]) if match["seconds"] else None)
        for match in matches
        if match
    ]


def read_films(path: Path, names: Mapping[str, str]) -> list[dict[str, Any]]:
    """Return the films of a table: settings by field, and the columns of ``PLACES`` as texts.

    Args:
        path: a file of comma-separated values whose first line names the columns.
        names: the field of a setting by what a column may call it.

    Raises:
        InvalidParameterError: a column is unknown, or a value is not acceptable.
    """
    rows = csv.DictReader(read_text("films", path).splitlines(keepends=True))
    columns = [column.strip() for column in rows.fieldnames or ()]
    unknown = [column for column in columns if names.get(column, column) not in _columns()]
    if unknown or "prompt" not in columns:
        problem = f"has no column {unknown[0]!r}" if unknown else "needs a column prompt"
        remedy = f"columns are {', '.join(sorted(_columns()))}; or names of flags"
        raise InvalidParameterError("films", f"a table of films {problem}", remedy)
    found = []
    try:
        for row in rows:
            cells = {(key or "").strip(): (value or "") for key, value in row.items() if key}
            if any(text.strip() for text in cells.values()):
                place = f"{path}, line {rows.line_num}"
                found.append(_film(cells, names, place))
    except csv.Error as error:
        problem = f"{path}, line {rows.line_num}: {error}"
        raise InvalidParameterError("films", problem, "correct the line") from error
    if not found:
        raise InvalidParameterError("films", f"{path} has no film", "write one a line")
    return found


def _columns() -> set[str]:
    return ({*SETTINGS} | {*PLACES}) - {"format"}


def _film(cells: dict[str, str], names: Mapping[str, str], place: str) -> dict[str, Any]:
    film: dict[str, Any] = {}
    for column, text in cells.items():
        name = names.get(column, column)
        if not text.strip():
            continue
        if name not in SETTINGS or name == "model":
            film[name] = text.strip()
            continue
        try:
            film[name] = SETTINGS[name].parse(text)
        except msgspec.ValidationError as error:
            problem = f"{place}: {column} cannot be {text.strip()[:40]!r}"
            raise InvalidParameterError("films", problem, SETTINGS[name].remedy) from error
    if "prompt" not in film:
        raise InvalidParameterError("films", f"{place}: there is no prompt", "write one")
    film["prompt"] = [part for part in BETWEEN_SCENES.split(film["prompt"]) if part]
    return film
