"""Whose films somebody sees; the whole way through a provider stands in tests/browser."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import streamlit as st
from starlette.requests import HTTPConnection
from streamlit.web.server.server_util import get_cookie_secret
from streamlit.web.server.starlette.starlette_app_utils import create_signed_value

from engine.errors import EngineUnreachableError
from engine.wire.pairing import Pairing
from ui import app_state
from ui.shell import accounts
from ui.storage.pairings import Pairings

ADA = {"iss": "https://id.example", "sub": "1", "is_logged_in": True, "name": "Ada"}
FAR = Pairing("https://far.example", b"r" * 32)
BEN = {**ADA, "sub": "2"}


@pytest.fixture
def on(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(accounts, "_section", lambda: {"client_id": "x", "cookie_secret": "s"})


def request(claims: dict[str, Any] | None = None, cookie: str = "") -> HTTPConnection:
    if claims:
        value = json.dumps(claims)
        signed = create_signed_value(get_cookie_secret(), "_streamlit_user", value)
        cookie = f"_streamlit_user={signed.decode()}"
    headers = [(b"cookie", cookie.encode("latin-1"))] if cookie else []
    return HTTPConnection({"type": "http", "headers": headers})


def test_without_accounts_all_is_everybodys() -> None:
    assert not accounts.configured()
    assert accounts.signed_in()
    assert accounts.current() == accounts.of_request(request()) == accounts.EVERYBODY


def test_an_account_is_the_provider_and_its_name_for_the_user() -> None:
    assert accounts.identity(ADA) == accounts.identity({**ADA, "name": "Ada Lovelace"})
    others = [BEN, {**ADA, "iss": "https://other.example"}]
    assert len({accounts.identity(claims) for claims in (ADA, *others)}) == 3
    assert accounts.identity({**ADA, "is_logged_in": False}) is None
    assert accounts.identity({**ADA, "sub": ""}) is None


@pytest.mark.usefixtures("on")
def test_a_request_belongs_to_whose_cookie_it_carries() -> None:
    assert accounts.of_request(request(ADA)) == accounts.identity(ADA)
    assert accounts.of_request(request(BEN)) == accounts.identity(BEN)


@pytest.mark.usefixtures("on")
@pytest.mark.parametrize("cookie", ["", "_streamlit_user=forged", "other=1"])
def test_strangers_have_nothing(cookie: str) -> None:
    assert accounts.of_request(request(cookie=cookie)) is None
    assert app_state.hub_of(request(cookie=cookie)) is None


def no_engine(_folder: Path) -> Pairing:
    raise EngineUnreachableError("no engine is needed here")


@pytest.fixture
def hubs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[app_state.Hubs]:
    monkeypatch.setenv("VISIONFLUX_DATA", str(tmp_path))
    monkeypatch.setattr(app_state, "ensure_local_engine", no_engine)
    hubs = app_state.Hubs()
    yield hubs
    hubs.close()


def test_each_account_has_its_own_films_links_and_preferences(
    hubs: app_state.Hubs, tmp_path: Path
) -> None:
    ada, ben = hubs.of("a" * 32), hubs.of("b" * 32)
    assert hubs.of("a" * 32) is ada
    assert (ada.library.owner, ben.library.owner) == ("a" * 32, "b" * 32)
    ada.preferences.mirror = 7
    assert (ben.preferences.mirror, hubs.of("").preferences.mirror) == (50, 50)
    Pairings(tmp_path / "accounts" / ("a" * 32) / "links.json").save(FAR)
    assert Pairings(tmp_path / "accounts" / ("b" * 32) / "links.json").pairings() == {}
    again = app_state.Hubs()
    assert [view.key for view in again.of("a" * 32).engines()] == ["local", FAR.url]
    assert [view.key for view in again.of("b" * 32).engines()] == ["local"]
    again.close()
    ada.meter.add("engine", 1, 2)
    assert (ada.meter.whole_month(), ben.meter.whole_month()) == (3, 0)
    assert (tmp_path / "accounts" / ("a" * 32) / "preferences.json").exists()


def test_providers_are_named_where_there_are_several(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        st, "secrets", {"auth": {"google": {"client_id": "x"}, "cookie_secret": "s"}}
    )
    assert accounts.providers() == ["google"]
    assert accounts.configured()
