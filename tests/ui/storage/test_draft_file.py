"""The saved draft of the next film, while no engine can make it."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from streamlit.testing.v1 import AppTest

from engine.errors import EngineUnreachableError
from tests.pages.test_pages import Studio, setting
from tests.stand_ins.connection import CARD, World
from ui import app_state

Visiting = Callable[..., AppTest]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with World(tmp_path) as world:
        yield world


@pytest.fixture
def visiting(world: World, monkeypatch: pytest.MonkeyPatch) -> Visiting:
    """Return a function that starts the app anew, with an engine or without, and opens Create."""

    def visit(*, engine: bool) -> AppTest:
        failure = EngineUnreachableError("the engine did not start", remedy="read its log")
        world.failure = None if engine else failure
        studio = Studio(world)
        monkeypatch.setattr(app_state, "get_hub", lambda: studio.hub)
        return studio.visit("create")

    return visit


def test_words_written_before_the_engine_is_there_wait_for_it_with_its_settings(
    visiting: Visiting,
) -> None:
    visiting(engine=False).text_area[0].set_value("words worth keeping").run()
    at = visiting(engine=False)
    assert at.text_area[0].value == "words worth keeping"
    at = visiting(engine=True)
    assert at.text_area[0].value == "words worth keeping"
    steps = setting(at, "slider", "num_inference_steps").value
    assert steps == CARD.defaults.num_inference_steps


def test_settings_that_were_chosen_outlast_an_engine_that_is_away(visiting: Visiting) -> None:
    setting(visiting(engine=True), "slider", "num_inference_steps").set_value(99).run()
    at = visiting(engine=False)
    visiting(engine=True)  # which is there for all who are here
    assert setting(at.run(), "slider", "num_inference_steps").value == 99
