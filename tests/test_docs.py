"""The documents name what exists, and all of it."""

import re
from pathlib import Path

import pytest

from engine import errors
from engine.film import events, recipe
from engine.wire.messages import requests, responses
from engine.wire.messages.limits import Limits

ROOT = Path(__file__).parent.parent
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()


def tags(base: type) -> list[type]:
    return [found for found in base.__subclasses__() if found.__struct_config__.tag]  # type: ignore[attr-defined]


def rows(text: str, cell: str) -> str:
    """Return the table row that begins with ``cell``."""
    match = re.search(rf"^\| `{re.escape(cell)}` \|.*$", text, re.MULTILINE)
    assert match, f"docs/protocol.md has no row for {cell}"
    return match[0]


@pytest.mark.parametrize("event", tags(events.Event), ids=lambda event: event.__name__)
def test_every_event_and_each_of_its_fields_is_documented(event: type) -> None:
    row = rows(PROTOCOL, event.__struct_config__.tag)  # type: ignore[attr-defined]
    for field in event.__struct_fields__:  # type: ignore[attr-defined]
        assert f"`{field}`" in row


@pytest.mark.parametrize("message", tags(responses.Response), ids=lambda message: message.__name__)
def test_every_answer_and_each_of_its_fields_is_documented(message: type) -> None:
    row = rows(PROTOCOL, message.__struct_config__.tag)  # type: ignore[attr-defined]
    for field in message.__struct_fields__:  # type: ignore[attr-defined]
        assert f"`{field}`" in row or f"`{field}:" in row


@pytest.mark.parametrize("request_", tags(requests.Request), ids=lambda request: request.__name__)
def test_every_request_and_each_of_its_fields_is_documented(request_: type) -> None:
    row = rows(PROTOCOL, request_.__struct_config__.tag)  # type: ignore[attr-defined]
    for field in set(request_.__struct_fields__) - {"id"}:  # type: ignore[attr-defined]
        assert f"`{field}`" in row


def test_every_error_that_an_engine_sends_is_documented() -> None:
    groups = {"E_VISIONFLUX", "E_REQUEST", "E_ENGINE", "E_TRANSPORT"}
    local = {"E_BAD_LINK", "E_UNREACHABLE", "E_NOT_PAIRED", "E_CONNECTION_LOST"}
    local |= {"E_PORT", "E_TUNNEL"}
    for found in errors.tree():
        if found.code not in groups | local:
            rows(PROTOCOL, found.code)


def test_every_field_of_a_recipe_is_documented() -> None:
    for field in (*recipe.Recipe.__struct_fields__, *recipe.Scene.__struct_fields__):
        assert f'"{field}"' in PROTOCOL


def test_every_limit_is_documented() -> None:
    limits = PROTOCOL.partition("## Limits")[2]
    for field in Limits.__struct_fields__:
        assert f"`{field}`" in limits
