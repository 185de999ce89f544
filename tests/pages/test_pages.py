import asyncio
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest
from streamlit.testing.v1 import AppTest

from engine.errors import (
    EngineUnreachableError,
    ErrorReport,
    InvalidParameterError,
    NotPairedError,
    ProtocolVersionError,
    TransportError,
)
from engine.film import events
from engine.film.recipe import Recipe, Scene
from engine.wire.messages.limits import VERSION
from engine.wire.pairing import Pairing
from tests.stand_ins.connection import CARD, FINISHED, PLANNED, World, png, until
from ui import app_state
from ui.create import recovery
from ui.engines import hub
from ui.engines.hub import Hub
from ui.home import background, showcase
from ui.shell.tickets import Tickets

APP = str(Path(__file__).parents[2] / "streamlit_app.py")
RECIPE = Recipe(
    scenes=(Scene(prompt="dawn <b>over</b> the *sea*", seconds=2.0), Scene(prompt="night")),
    seed=4711,
    negative_prompt="fog",
)


class Studio:
    """The app with a hand-made engine; ``visit`` opens a page as a new visitor."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.hub: Hub = world.start()
        self.tickets = Tickets()

    def visit(self, page: str, **params: str) -> AppTest:
        at = AppTest.from_file(APP, default_timeout=20)
        for name, value in params.items():
            at.query_params[name] = value
        at.switch_page(f"pages/{page}.py")
        at.run()
        assert not at.exception
        return at

    def finished(self, recipe: Recipe = RECIPE) -> str:
        job = self.hub.submit(recipe)
        self.world.made[0].say(job, PLANNED, FINISHED)
        until(lambda: (film := self.hub.library.get(job)) and film.status == "finished")
        until(lambda: (view := self.hub.find(job)) and view.settled)
        return job


@pytest.fixture
def studio(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Studio]:
    with World(tmp_path) as world:
        studio = Studio(world)
        monkeypatch.setattr(app_state, "get_hub", lambda: studio.hub)
        monkeypatch.setattr(app_state, "get_tickets", lambda: studio.tickets)
        monkeypatch.setattr(recovery, "SILENCE_TIMEOUT", 0.0)
        yield studio


def words(at: AppTest) -> str:
    kinds = (at.title, at.header, at.subheader, at.markdown, at.caption, at.warning, at.info)
    kinds = (*kinds, at.success)
    return "\n".join(element.value for kind in kinds for element in kind)


BACKGROUND = "visionflux_background"


def components(at: AppTest) -> list[str]:
    """Return the components of a page, without the film behind it."""
    names = [element.proto.component_name for element in at.get("bidi_component")]
    return [name for name in names if name != BACKGROUND]


def setting(at: AppTest, kind: str, name: str):
    """Return the widget of a setting, whose key ends in a number that grows."""
    return next(one for one in at.get(kind) if (one.key or "").startswith(f"draft-{name}-"))


def job_of(at: AppTest) -> str:
    """Return the address's job; AppTest gives a list for what a test set, text for the page's."""
    job = at.query_params["job"]
    return job if isinstance(job, str) else job[0]


def test_home_has_one_prompt_and_one_button(studio: Studio) -> None:
    at = studio.visit("home")
    assert at.title[0].value.replace("\u00a0", " ") == "Write a scene. Watch it become a film."
    assert [button.label for button in at.button] == ["Create a film"]
    at.button(key="start").click().run()
    assert at.text_area[0].label == "Scene 1"  # without a prompt: Create


def type_on_home(at: AppTest, prompt: str) -> AppTest:
    at.text_input(key="first-film-prompt").set_value(prompt)
    return at.button(key="start").click().run()


def test_a_sentence_on_home_makes_a_film_and_leaves_the_storyboard_alone(studio: Studio) -> None:
    studio.visit("create").text_area[0].set_value("words worth keeping").run()
    at = type_on_home(studio.visit("home"), " night over the sea ")
    recipe = studio.world.made[0].recipes[job_of(at)]
    assert [scene.prompt for scene in recipe.scenes] == ["night over the sea"]
    assert recipe.num_inference_steps == CARD.defaults.num_inference_steps
    assert studio.visit("create").text_area[0].value == "words worth keeping"


def test_a_film_from_home_waits_for_its_engine(studio: Studio) -> None:
    engine = studio.world.made[0]
    engine.drop()
    until(lambda: not studio.hub.chosen().connected)
    at = type_on_home(studio.visit("home"), "night over the sea")
    assert "Your film begins by itself." in words(at)
    assert not engine.recipes
    engine.come_back()
    until(lambda: studio.hub.chosen().connected)
    at.run()
    assert job_of(at) in engine.recipes


def test_a_prompt_on_home_that_is_refused_stays_and_says_why(studio: Studio) -> None:
    at = type_on_home(studio.visit("home"), "night\u0007")
    assert "control character" in words(at)
    assert at.text_input(key="first-film-prompt").value == "night\u0007"
    assert not studio.world.made[0].recipes


@pytest.mark.parametrize("page", ["home", "create", "library", "connection"])
def test_no_page_asks_for_pandas(
    page: str, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[str] = []

    class Watching:
        def find_spec(self, name: str, *_: object) -> None:
            if name == "pandas":
                asked.append(name)
                raise ImportError(name)

    monkeypatch.delitem(sys.modules, "pandas", raising=False)
    monkeypatch.setattr(sys, "meta_path", [Watching(), *sys.meta_path])
    job = studio.finished()
    studio.visit(page)
    if name := {"create": "job", "library": "film"}.get(page):
        studio.visit(page, **{name: job})
    assert asked == []


def test_the_film_behind_a_page_is_the_last_one_that_a_browser_can_play(
    studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    shown: list[dict[str, str]] = []
    monkeypatch.setattr(background, "_background", lambda *, key, data: shown.append(data))
    background.background()
    job = studio.finished()
    background.background()
    studio.finished(msgspec.structs.replace(RECIPE, format="gif"))
    background.background()
    sources = [data["src"].partition("?")[0] for data in shown]
    first = showcase.films()[0].film
    assert sources == [first, f"/api/films/{job}", first]


def test_home_shows_the_latest_films(studio: Studio) -> None:
    made = ["visionflux_backdrop", "visionflux_first_film", "visionflux_reel"]
    assert components(studio.visit("home")) == made
    studio.finished()
    assert components(studio.visit("home")) == [*made, "visionflux_reel"]


def test_create_starts_with_the_models_defaults_and_shows_what_it_knows(studio: Studio) -> None:
    at = studio.visit("create")
    assert setting(at, "slider", "num_inference_steps").value == CARD.defaults.num_inference_steps
    assert "Time of day" in words(at)
    assert r"A small \*model\*" in words(at)
    assert not at.button(key="generate").disabled


def test_an_example_fills_the_empty_scene(studio: Studio) -> None:
    at = studio.visit("create")
    at.button(key="example-0").click().run()
    assert at.text_area[0].value == "dawn over the sea"


@pytest.mark.parametrize("reloaded", [False, True])
def test_generate_again_after_a_time_limit_makes_one_film(
    reloaded: bool, studio: Studio, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(hub, "ANSWER_TIMEOUT_SECONDS", 0.5)
    engine, release = studio.world.made[0], threading.Event()

    async def slow() -> None:
        await asyncio.to_thread(release.wait, 20)

    engine.meanwhile = slow
    at = studio.visit("create")
    at.text_area[0].set_value("dawn").run()
    at.button(key="generate").click().run()
    assert "did not answer in time" in words(at)
    release.set()
    until(lambda: (films := studio.hub.library.unfinished()) and films[0].status == "running")
    at = studio.visit("create") if reloaded else at
    at.button(key="generate").click().run()
    assert engine.submitted == [job_of(at)]
    assert len(studio.hub.library.unfinished()) == 1


def test_generate_submits_the_settings_of_the_page(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("dawn over the sea")
    setting(at, "number_input", "fps").set_value(12)
    setting(at, "number_input", "seed").set_value(99)
    at.button(key="generate").click().run()
    assert not at.exception
    job = job_of(at)
    recipe = studio.world.made[0].recipes[job]
    assert (recipe.scenes[0].prompt, recipe.fps, recipe.seed) == ("dawn over the sea", 12, 99)
    assert components(at) == ["visionflux_stage"]


def test_an_engine_that_does_not_start_is_explained(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with World(tmp_path) as world:
        world.failure = EngineUnreachableError("the engine did not start", remedy="read its log")
        studio = Studio(world)
        monkeypatch.setattr(app_state, "get_hub", lambda: studio.hub)
        for page in ("create", "connection"):
            assert "Read its log" in words(studio.visit(page))
        at = studio.visit("create")
        at.text_area[0].set_value("one can write meanwhile").run()
        assert at.button(key="generate").disabled


def test_scenes_are_added_and_removed(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("dawn")
    at.button(key="add-scene").click().run()
    at.text_area[1].set_value("night")
    at.button(key="add-scene").click().run()
    scenes = [area for area in at.text_area if area.label.startswith("Scene")]
    assert [area.value for area in scenes] == ["dawn", "night", ""]
    removal = next(button for button in at.button if button.label == "Remove")
    removal.click().run()
    scenes = [area for area in at.text_area if area.label.startswith("Scene")]
    assert [area.value for area in scenes] == ["night", ""]


def test_the_error_of_an_empty_scene_is_shown_beside_it_until_it_is_written(
    studio: Studio,
) -> None:
    at = studio.visit("create")
    at.button(key="generate").click().run()
    assert "This scene is empty" in words(at)
    assert "job" not in at.query_params
    setting(at, "number_input", "seed").set_value(7).run()
    assert "This scene is empty" in words(at)
    at.text_area[0].set_value("dawn").run()
    assert "This scene is empty" not in words(at)


def prompts(at: AppTest) -> list[str]:
    return [area.value for area in at.text_area if area.label.startswith("Scene")]


def test_what_was_removed_from_the_storyboard_comes_back(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("dawn")
    at.button(key="add-scene").click().run()
    at.text_area[1].set_value("night").run()
    setting(at, "number_input", "fps").set_value(12).run()
    next(button for button in at.button if button.label == "Remove").click().run()
    assert "Scene 1 was removed" in words(at)
    at.button(key="restore").click().run()
    assert prompts(at) == ["dawn", "night"]
    at.button(key="start-over").click().run()
    assert prompts(at) == [""]
    at.button(key="restore").click().run()
    assert prompts(at) == ["dawn", "night"]
    assert setting(at, "number_input", "fps").value == 12
    at.button(key="example-0").click().run()
    assert prompts(at) == ["dawn", "dawn over the sea"]
    at.button(key="restore").click().run()
    assert prompts(at) == ["dawn", "night"]
    assert "undo" not in [button.label for button in at.button]


def test_a_new_film_is_empty_and_a_remix_is_called_one(studio: Studio) -> None:
    job = studio.finished()
    at = studio.visit("create", job=job)
    at.button(key="again").click().run()
    assert "A remix of “dawn" in words(at)
    assert prompts(at) == [scene.prompt for scene in RECIPE.scenes]
    at = studio.visit("create", job=job)
    at.button(key="new").click().run()
    assert prompts(at) == [""]
    assert "A remix" not in words(at)
    at.text_area[0].set_value("a city").run()
    at.switch_page("pages/home.py").run()
    at.button(key="start").click().run()
    assert prompts(at) == ["a city"]  # not submitted yet
    at.switch_page("pages/create.py").run()
    at.button(key="generate").click().run()
    at.switch_page("pages/home.py").run()
    at.button(key="start").click().run()
    assert prompts(at) == [""]


def test_a_refusal_of_the_engine_is_shown_calmly(studio: Studio) -> None:
    at = studio.visit("create")
    studio.world.made[0].refusal = InvalidParameterError("width", "it is too wide", "narrow it")
    at.text_area[0].set_value("dawn")
    at.button(key="generate").click().run()
    assert "Narrow it" in words(at)
    assert not at.exception


def test_the_composed_film_survives_another_page(studio: Studio) -> None:
    at = studio.visit("create")
    at.text_area[0].set_value("a prompt worth keeping")
    at.run()
    at.switch_page("pages/library.py").run()
    at.switch_page("pages/create.py").run()
    assert at.text_area[0].value == "a prompt worth keeping"


def test_a_size_of_the_list_sets_width_and_height(studio: Studio) -> None:
    at = studio.visit("create")
    setting(at, "selectbox", "size").set_value("Wide").run()
    at.text_area[0].set_value("dawn")
    at.button(key="generate").click().run()
    recipe = studio.world.made[0].recipes[job_of(at)]
    assert (recipe.width, recipe.height) == (344, 192)


def test_a_side_is_rounded_to_one_that_can_be_painted(studio: Studio) -> None:
    at = studio.visit("create")
    setting(at, "selectbox", "size").set_value("Custom").run()
    setting(at, "number_input", "width").set_value(515).run()
    assert setting(at, "number_input", "width").value == 512
    at.text_area[0].set_value("dawn")
    at.button(key="generate").click().run()
    assert studio.world.made[0].recipes[job_of(at)].width == 512


def test_the_address_of_a_running_job_shows_its_stage_to_anyone(studio: Studio) -> None:
    job = studio.hub.submit(RECIPE)
    assert components(studio.visit("create", job=job)) == ["visionflux_stage"]
    assert components(studio.visit("create", job=job)) == ["visionflux_stage"]


def test_a_finished_job_plays(studio: Studio) -> None:
    job = studio.finished()
    at = studio.visit("create", job=job)
    assert components(at) == ["visionflux_player"]


def test_a_failed_job_shows_the_reason_and_can_be_started_again(studio: Studio) -> None:
    job = studio.hub.submit(RECIPE)
    report = ErrorReport("E_DEVICE_MEMORY", "out of memory", "choose a smaller size")
    studio.world.made[0].say(job, events.Failed(error=report))
    until(lambda: (film := studio.hub.library.get(job)) and film.status == "failed")
    at = studio.visit("create", job=job)
    assert "Choose a smaller size" in words(at)
    at.button(key="retry").click().run()
    until(lambda: (view := studio.hub.find(job)) and view.successor)
    at.run()
    assert job_of(at) != job
    assert components(at) == ["visionflux_stage"]


def test_changing_a_film_fills_the_composer_with_its_recipe(studio: Studio) -> None:
    at = studio.visit("create", job=studio.finished())
    at.button(key="again").click().run()
    scenes = [area.value for area in at.text_area if area.label.startswith("Scene")]
    assert scenes == [scene.prompt for scene in RECIPE.scenes]
    assert setting(at, "number_input", "seed").value == 4711


FAR = Pairing("https://far.example", b"r" * 32)
OTHER = Pairing("https://other.example", b"o" * 32)


def lost(studio: Studio) -> str:
    """Begin a film on a distant engine, and lose that for good."""
    studio.hub.pair(FAR.link)
    job = studio.hub.submit(RECIPE)
    studio.world.made[-1].objects["k0"] = png()
    keyframe = events.PieceFinished(
        stage="keyframe", index=0, object="k0", sha256="", size=9, reused=False
    )
    studio.world.made[-1].say(job, PLANNED, keyframe)
    until(lambda: studio.hub.pieces.downloaded(job))
    studio.world.made[-1].drop()
    until(lambda: (view := studio.hub.find(job)) and not view.reachable)
    return job


def test_a_film_whose_engine_is_lost_continues_where_the_user_chooses(studio: Studio) -> None:
    job = lost(studio)
    at = studio.visit("create", job=job)
    assert "Saved on this computer: 1 keyframe" in words(at)
    assert "pair another one on the Connection page" in words(at)
    studio.hub.pair(OTHER.link)
    at = studio.visit("create", job=job)
    assert "the film can continue elsewhere. What is saved here is reused." in words(at)
    studio.hub.move(job)  # as the stage's button does
    new = until(lambda: (now := studio.hub.find(job)) and now.successor)
    at.run()
    assert job_of(at) == new
    assert studio.world.made[-1].recipes == {new: RECIPE}


def test_a_short_silence_is_no_loss(studio: Studio, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(recovery, "SILENCE_TIMEOUT", 60.0)
    assert "pair another one" not in words(studio.visit("create", job=lost(studio)))


def test_a_film_that_cannot_be_continued_shows_the_reason_and_a_remedy(studio: Studio) -> None:
    job = lost(studio)
    studio.hub.pair(OTHER.link)
    studio.world.made[-1].refusal = InvalidParameterError("width", "it is too wide", "narrow it")
    studio.hub.move(job)
    until(lambda: (view := studio.hub.find(job)) and view.move_error)
    at = studio.visit("create", job=job)
    assert "Narrow it" in words(at)


def test_the_budget_of_kept_parts_is_set_on_the_connection_page(studio: Studio) -> None:
    at = studio.visit("connection")
    assert at.number_input(key="mirror").value == 50
    at.number_input(key="mirror").set_value(120).run()
    assert studio.hub.preferences.mirror == 120


def test_the_budget_of_previews_is_set_on_the_connection_page(studio: Studio) -> None:
    at = studio.visit("connection")
    assert at.number_input(key="previews").value == 6
    at.number_input(key="previews").set_value(2).run()
    assert studio.hub.preferences.previews == 2
    studio.hub.pair(FAR.link)
    studio.hub.submit(RECIPE)
    until(lambda: studio.world.made[-1].watches)
    assert studio.world.made[-1].watches == [(0, False, 2_000_000)]  # nobody looks yet


def test_the_months_traffic_is_shown_and_its_limit_reported(studio: Studio) -> None:
    assert "Nothing yet" in words(studio.visit("connection"))
    studio.hub.pair(FAR.link)
    engine = studio.hub.chosen().hello.engine  # type: ignore[union-attr]
    studio.hub.meter.add(engine, 200_000_000, 14_000_000)
    shown = words(studio.visit("connection"))
    assert "214 MB of about 1 GB that free tunnels allow" in shown
    assert "nearly" not in shown
    studio.hub.meter.add(engine, 700_000_000, 0)
    shown = words(studio.visit("connection"))
    assert "nearly reached" in shown
    assert "Data this month" in shown  # on the engine's card
    assert "914 MB" in words(studio.visit("create")).replace("\\", "")


def test_an_unknown_job_shows_an_error(studio: Studio) -> None:
    assert "not on this computer" in words(studio.visit("create", job="nothing"))


def test_connection_shows_device_latency_model_and_version(studio: Studio) -> None:
    shown = words(studio.visit("connection"))
    for word in ("Connected", "Two cores", "Landscapes", f"protocol {VERSION}", "empty"):
        assert word in shown.replace("\\", "")


def test_connection_refuses_a_bad_link_in_plain_words(studio: Studio) -> None:
    at = studio.visit("connection")
    at.text_input[0].set_value("http://far.example/#vf1.abc")
    at.button[-1].click().run()
    assert "without encryption" in words(at).replace("\\", "")


@pytest.mark.parametrize(
    ("error", "remedy"),
    [
        (NotPairedError("the engine refused the key in this link"), "newest pairing link"),
        (ProtocolVersionError("this engine speaks version 2"), "same version of VisionFlux"),
        (EngineUnreachableError("no engine answers there"), "tunnel is up"),
    ],
)
def test_connection_shows_a_remedy_when_pairing_fails(
    studio: Studio, error: TransportError, remedy: str
) -> None:
    studio.world.refusals[FAR.url] = error
    at = studio.visit("connection")
    at.text_input[0].set_value(FAR.link)
    at.button[-1].click().run()
    shown = words(at).replace("\\", "")
    assert remedy in shown
    assert studio.hub.chosen().local


def test_connection_pairs_and_uses_another_engine(studio: Studio) -> None:
    at = studio.visit("connection")
    at.text_input[0].set_value(FAR.link)
    at.button[-1].click().run()
    assert "far.example" in words(at).replace("\\", "")
    assert not studio.hub.chosen().local
    assert "r" * 8 not in words(at)
    assert r"Paired with far\.example" in words(at)
    assert at.text_input[0].value == ""
    next(button for button in at.button if button.label == "Forget").click().run()
    assert studio.hub.chosen().local
    at.button(key="restore").click().run()
    assert studio.hub.chosen().name == "far.example"


def test_a_defect_shows_an_error_and_logs_a_traceback(
    studio: Studio, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    def broken(*_: object, **__: object) -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr(studio.hub.library, "films", broken)
    shown = words(studio.visit("library"))
    assert "defect in VisionFlux" in shown
    assert "secret detail" not in shown
    assert "secret detail" in caplog.text
