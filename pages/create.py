"""Create: compose a film, watch it being made, see it and take it with you."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from engine.errors import ErrorReport, VisionFluxError
from engine.film.recipe import Recipe
from engine.models import Card
from engine.wire.messages.responses import Hello
from ui import app_state as resources
from ui.create import animatic
from ui.create import model_panel as composer
from ui.create.autosubmit import autosubmit
from ui.create.keyframe_review import keyframe_review
from ui.create.recipe_import import drop_zone
from ui.create.recovery import rescue, restart
from ui.create.settings_panel import dials
from ui.create.stage import stage
from ui.create.storyboard import storyboard
from ui.create.submit import submit
from ui.engines.connections import EngineView
from ui.estimate.panel import quote
from ui.films.player import player
from ui.films.recipe_card import recipe_card
from ui.shell import theme as look
from ui.shell.text import plain, short, size
from ui.storage import draft
from ui.storage.job_views import JobView
from ui.storage.tables import Film
from ui.storage.traffic_meter import ALLOWED, NEAR

STYLE = Path(look.__file__).parents[1] / "create" / "create.css"


def page() -> None:
    """Draw the page: a job if the address names one, else the composer."""
    job = st.query_params.get("job")
    if job:
        _job(job)
    else:
        _compose()


# A job


def _job(job: str) -> None:
    hub = resources.get_hub()
    film, view = hub.library.get(job), hub.find(job)
    successor = (view and view.successor) or (None if film else hub.library.successor(job))
    if successor:
        st.query_params["job"] = successor  # it goes on under this id, maybe on another engine
        st.rerun()
    if film and view:
        _film(film, view)
        return
    look.heading("Create")
    look.show_error(
        ErrorReport("E_UNKNOWN_JOB", "this film is not on this computer", "make a new one")
    )
    st.button("New film", type="primary", on_click=_leave)


def _film(film: Film, view: JobView) -> None:
    """Draw a film as far as it has come."""
    look.heading(plain(short(film.title)), small=True)
    if not view.settled:
        rescue(film.job)
        stage(view)
        _meanwhile()
    elif view.progress.status == "finished" and film.recipe.animatic:
        st.html(STYLE)
        keyframe_review(film, _submit)
        st.button("Back to the scenes", key="again", on_click=_remix, args=[film.recipe])
        _problem()
    elif view.progress.status == "finished":
        player(film)
        _after_film(film)
    else:
        _ended(film, view)


def _meanwhile() -> None:
    """Say that a film in the making keeps nobody, and let the next one be begun."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("It goes on without you: you may leave this page.", width="content")
        _new_film()


def _new_film() -> None:
    st.button("New film", key="new", icon=":material/add:", type="tertiary", on_click=_leave)


def _after_film(film: Film) -> None:
    with st.container(horizontal=True):
        st.button("Change and make again", key="again", on_click=_remix, args=[film.recipe])
        _new_film()
    with st.expander("Recipe"):
        hub = resources.get_hub()
        recipe_card(film, hub.pieces.of(film.job), hub.record.of_film(film.job))


def _ended(film: Film, view: JobView) -> None:
    if view.progress.error:
        look.show_error(view.progress.error)
    else:
        st.info("You cancelled this film. What was finished is kept and will be reused.")
    with st.container(horizontal=True, vertical_alignment="center", key="again_or_other"):
        restart(film.job)
        st.button("Change and make again", key="again", on_click=_remix, args=[film.recipe])
        _new_film()
    _problem()


def _remix(recipe: Recipe) -> None:
    draft.load(st.session_state, animatic.film_of(recipe))
    _leave()


def _leave() -> None:
    st.session_state.pop("problem", None)
    for name in ("job", "lock"):
        st.query_params.pop(name, None)


# A new film


def _compose() -> None:
    st.html(STYLE)
    look.heading("Create", "Describe a scene. Add more, and one melts into the next.")
    hub = resources.get_hub()
    engine = hub.chosen()
    _engine_line()
    if kept := hub.desk.read():
        draft.restore(st.session_state, kept)
    card = composer.choose_model(engine.hello)
    autosubmit(offers=True)
    storyboard(_problem_of)
    left, right = st.columns([7, 5], gap="medium")
    with left:
        _generate(engine)
        if card:
            composer.examples(card)
        _start_over(card)
    with right:
        dials(_models(engine.hello))
        if card:
            composer.knowledge(card)
    draft.read_widgets(st.session_state)
    hub.desk.write(draft.to_save(st.session_state))


def _generate(engine: EngineView) -> None:
    with st.container(key="glass_quote", border=True, gap="small"):
        quote(engine)
        _gate_switch()
        wanted = st.button(
            "Generate",
            key="generate",
            type="primary",
            width="stretch",
            disabled=not engine.connected,
        )
        _problem()
    if wanted:
        st.session_state.pop("problem", None)
        draft.read_widgets(st.session_state)
        try:
            recipe = draft.recipe_of(st.session_state)
        except VisionFluxError as error:
            _refuse(error)
        else:
            _hand_in(recipe)


def _hand_in(recipe: Recipe) -> None:
    """Have the film made, or its keyframes first if the user wants that."""
    if draft.current(st.session_state).gate and animatic.possible(recipe):
        _submit(animatic.animatic(recipe), _composed)
    else:
        _submit(recipe, _composed)


def _composed() -> None:
    """Have the storyboard ready for the film after this one."""
    draft.submitted(st.session_state)
    resources.get_hub().desk.write(draft.to_save(st.session_state))


def _gate_switch() -> None:
    state: Any = st.session_state
    recipe = draft.to_save(state)
    fits = recipe is not None and animatic.possible(recipe.recipe)
    st.toggle(
        "Show me the keyframes first",
        key=draft.GATE_KEY,
        value=draft.first(state, draft.GATE_KEY, draft.current(state).gate),
        disabled=not fits,
        help="The keyframes are painted and shown. Approve them, re-roll some or change their "
        "words, before anything is drawn between them. Films of more than "
        f"{animatic.MOST} keyframes are too long for that.",
    )


def _start_over(card: Card | None) -> None:
    """Offer an empty storyboard, or that of a film that was saved as a file."""
    state: Any = st.session_state
    if card and not draft.is_blank(state):
        st.button(
            "Start over",
            key="start-over",
            icon=":material/restart_alt:",
            on_click=draft.start_over,
            args=[state, draft.current(state).settings.model, card.defaults],
        )
    drop_zone()


def _submit(recipe: Recipe, then: Callable[[], None] = lambda: None) -> None:
    """Submit a recipe and show its job, or the error."""
    try:
        job = submit(recipe)
    except VisionFluxError as error:
        _refuse(error)
    else:
        st.session_state.pop("problem", None)
        then()
        st.query_params["job"] = job
        st.rerun()


def _refuse(error: VisionFluxError) -> None:
    st.session_state["problem"] = error.report()
    st.rerun()


def _problem_of(field: str) -> None:
    """Show the problem here if ``field`` is to blame."""
    report: ErrorReport | None = st.session_state.get("problem")
    if report and _beside_a_scene(report) and (report.field or "").startswith(field):
        message = report.message.removeprefix(f"{report.field}: ")
        look.show_error(ErrorReport(report.code, message, report.remedy))


def _problem() -> None:
    """Show a problem that no scene has shown; it stays until something is handed in again."""
    report: ErrorReport | None = st.session_state.get("problem")
    if report and not _beside_a_scene(report):
        look.show_error(report)


def _beside_a_scene(report: ErrorReport) -> bool:
    return (report.field or "").startswith("scenes[")


@st.fragment(run_every=1.5)
def _engine_line() -> None:
    """Say calmly how the engine is; redraw the page once that changes what can be done."""
    engine = resources.get_hub().chosen()
    if engine.connected != st.session_state.setdefault("engine-connected", engine.connected):
        st.session_state["engine-connected"] = engine.connected
        st.rerun()
    if engine.resting:
        st.caption(":gray[●] The engine on this computer is stopped.")
        if st.button("Start it", key="start-local"):
            resources.get_hub().wake_local()
            st.rerun(scope="fragment")
    elif engine.starting:
        st.caption(":orange[●] Starting the engine on this computer…")
    elif engine.hello is None and engine.state.error:
        look.show_error(engine.state.error)
    elif not engine.connected:
        st.caption(f":orange[●] Connecting to {plain(engine.name)}… You can write meanwhile.")
    elif engine.hello:
        device = engine.hello.device.name
        doing = "warming up" if device == "starting" else plain(device)
        st.caption(f":green[●] {plain(engine.name)} · {doing}{_month(engine)}")


def _month(engine: EngineView) -> str:
    """Say what this month has cost, once that comes near what a free tunnel allows."""
    whole = resources.get_hub().meter.whole_month()
    if engine.local or whole < NEAR * ALLOWED:
        return ""
    return plain(f" · {size(whole)} of about {size(ALLOWED)} this month")


def _models(hello: Hello | None) -> dict[str, Card]:
    return {model.name: model.card for model in hello.models} if hello else {}


look.guarded(page)
