"""Create: compose a film, watch it being made, play it and download it."""

import re
from collections.abc import Callable
from typing import Any

import streamlit as st

from engine.errors import ErrorReport, VisionFluxError
from engine.film.recipe import Recipe
from engine.models import Card
from engine.wire.messages.responses import Hello
from ui import app_state
from ui.create import animatic, model_panel, new_film
from ui.create.autosubmit import autosubmit
from ui.create.keyframe_review import keyframe_review
from ui.create.prompt_check import note_after_film
from ui.create.recipe_import import drop_zone
from ui.create.recovery import recovery, restart
from ui.create.settings_panel import settings_panel
from ui.create.stage import stage
from ui.create.storyboard import storyboard
from ui.create.submit import submit
from ui.create.variations import variations
from ui.engines.connections import EngineView
from ui.estimate.panel import Quote, details, quote_of, time_line
from ui.films.player import player
from ui.films.recipe_card import recipe_card
from ui.films.remix import remix, restore_saved
from ui.shell import theme
from ui.shell.text import plain, short, size
from ui.storage import draft, saved_draft
from ui.storage.job_views import JobView
from ui.storage.tables import Film
from ui.storage.traffic_meter import TUNNEL_BYTES_PER_MONTH, WARNING_SHARE

STATUS_INTERVAL = 1.5  # seconds between looks at an engine that starts or is away
READY_STATUS_INTERVAL = 6.0  # seconds between looks at one that is ready


def page() -> None:
    """Draw the page: a job if the address names one, else the storyboard."""
    job = st.query_params.get("job")
    if job:
        _job(job)
    else:
        _compose()


# A job


def _job(job: str) -> None:
    hub = app_state.get_hub()
    film, view = hub.library.get(job), hub.find(job)
    successor = view and view.successor
    if not film:
        successor = hub.library.successor(job) or st.session_state.get("replaced", {}).get(job)
    if successor:
        st.query_params["job"] = successor  # another job continues it, maybe on another engine
        st.rerun()
    if film and view:
        _film(film, view)
        return
    theme.heading("Create")
    if hub.library.is_discarded(job):
        st.info("This film was deleted, or another one has replaced it.")
        st.button("Restore it", key="restore-film", on_click=hub.library.restore, args=[job])
    else:
        theme.show_error(
            ErrorReport("E_UNKNOWN_JOB", "this film is not on this computer", "make a new one")
        )
    st.button("New film", type="primary", on_click=_new_film)


def _film(film: Film, view: JobView) -> None:
    """Draw a film in its current state."""
    theme.heading(plain(short(film.title)), small=True)
    if not view.settled:
        recovery(film.job)
        stage(view)
        _job_note()
    elif view.progress.status == "finished" and film.recipe.animatic:
        theme.apply_style("create/create.css")
        models = _models(app_state.get_hub().chosen().hello)
        card = models.get(film.recipe.model)
        keyframe_review(film, _submit, card.vocabulary if card else None)
        st.button("Back to the scenes", key="again", on_click=_remix, args=[film])
        _problem()
    elif view.progress.status == "finished":
        player(film)
        models = _models(app_state.get_hub().chosen().hello)
        note_after_film(film.recipe, models.get(film.recipe.model))
        _after_film(film)
    else:
        _ended(film, view)


def _job_note() -> None:
    """Draw a note that the user may leave the page, and the button for the next film."""
    with st.container(horizontal=True, vertical_alignment="center"):
        st.caption("You can leave this page; the film continues.", width="content")
        _new_film_button()


def _new_film_button() -> None:
    st.button("New film", key="new", icon=":material/add:", type="tertiary", on_click=_new_film)


def _after_film(film: Film) -> None:
    with st.container(horizontal=True):
        st.button("Remix", key="again", on_click=_remix, args=[film])
        _new_film_button()
    with st.expander("Recipe"):
        hub = app_state.get_hub()
        recipe_card(film, hub.pieces.of(film.job), hub.event_log.of_film(film.job))


def _ended(film: Film, view: JobView) -> None:
    if view.progress.error:
        theme.show_error(view.progress.error)
    else:
        st.info("You cancelled this film. Its finished pieces are kept and will be reused.")
    with st.container(horizontal=True, vertical_alignment="center", key="again_or_other"):
        restart(film.job)
        st.button("Remix", key="again", on_click=_remix, args=[film])
        _new_film_button()
    _problem()


def _remix(film: Film) -> None:
    remix(animatic.film_of(film.recipe), film.title)
    _close_job()


def _new_film() -> None:
    new_film.begin_new()
    _close_job()


def _close_job() -> None:
    st.session_state.pop("problem", None)
    for name in ("job", "lock", "scene"):
        st.query_params.pop(name, None)


# A new film


def _compose() -> None:
    theme.apply_style("create/create.css")
    engine = app_state.get_hub().chosen()
    restore_saved()
    card = model_panel.choose_model(engine.hello)
    with st.container(
        key="composing",
        horizontal=True,
        horizontal_alignment="distribute",
        vertical_alignment="bottom",
    ):
        _heading()
        _engine_status()
    autosubmit(offers=True)
    left, right = st.columns([13, 8], gap="medium")
    with left:
        storyboard(_problem_of, card)
        variations(engine)
        if card:
            model_panel.examples(card)
        _start_over()
    with right:
        settings_panel(_models(engine.hello))
        quote = quote_of(engine)
        with st.expander("Details"):
            details(quote)
            if card:
                model_panel.knowledge(card)
    _generate(engine, quote)
    draft.read_widgets(st.session_state)
    _save_draft()
    new_film.undo()


def _heading() -> None:
    line = "Describe a scene. Add more, and each melts into the next."
    if title := draft.current(st.session_state).remix_of:
        line = f"A remix of “{plain(short(title, 60))}”: change what you like."
    theme.heading("Create", line, small=True)


def _generate(engine: EngineView, quote: Quote | str) -> None:
    """Draw the bar that is always on the screen: how long it takes, and Generate."""
    with st.container(key="generate-bar", gap="xsmall"):
        _problem()
        with st.container(horizontal=True, vertical_alignment="center", key="generate-row"):
            time_line(quote)
            _keyframes_first_toggle()
            wanted = st.button(
                "Generate", key="generate", type="primary", disabled=not engine.connected
            )
    if wanted:
        st.session_state.pop("problem", None)
        draft.read_widgets(st.session_state)
        try:
            recipe = draft.recipe_of(st.session_state)
        except VisionFluxError as error:
            _show_problem(error)
        else:
            _save_draft()  # the user may reload the page while it waits
            _submit_film(recipe)


def _submit_film(recipe: Recipe) -> None:
    """Submit the film, or its animatic if the user wants to see the keyframes first."""
    if draft.current(st.session_state).keyframes_first and animatic.has_animatic(recipe):
        _submit(animatic.animatic(recipe), _after_submit)
    else:
        _submit(recipe, _after_submit)


def _after_submit(_job: str) -> None:
    """Prepare the storyboard for the next film."""
    draft.submitted(st.session_state)
    draft.dismiss_undo(st.session_state)
    _save_draft()


def _save_draft() -> None:
    app_state.get_hub().draft_file.write(saved_draft.to_save(st.session_state))


def _keyframes_first_toggle() -> None:
    state: Any = st.session_state
    recipe = saved_draft.to_save(state)
    fits = recipe is not None and animatic.has_animatic(recipe.recipe)
    st.toggle(
        "Show me the keyframes first",
        key=draft.KEYFRAMES_FIRST_KEY,
        value=draft.first(state, draft.KEYFRAMES_FIRST_KEY, draft.current(state).keyframes_first),
        disabled=not fits,
        help="The keyframes are painted first. You can approve them, paint some again or change "
        "their prompts before the frames between them are drawn. This is possible for films of up "
        f"to {animatic.MAX_KEYFRAMES} keyframes.",
    )


def _start_over() -> None:
    """Draw what replaces the storyboard: an empty one, or the recipe of a film's file."""
    if not draft.is_blank(st.session_state):
        st.button(
            "Start over",
            key="start-over",
            icon=":material/restart_alt:",
            on_click=new_film.begin_new,
        )
    drop_zone()


def _submit(recipe: Recipe, then: Callable[[str], None] = lambda _: None) -> None:
    """Submit a recipe and open its job, or show the error."""
    try:
        job = submit(recipe)
    except VisionFluxError as error:
        _show_problem(error)
    else:
        st.session_state.pop("problem", None)
        then(job)
        st.query_params["job"] = job
        st.rerun()


def _show_problem(error: VisionFluxError) -> None:
    report = error.report()
    st.session_state.update({"problem": report, "problem-cause": _cause(report)})
    st.rerun()


def _cause(report: ErrorReport) -> object:
    """Return what a problem is about; once that changes, the problem is no longer shown."""
    connected = app_state.get_hub().chosen().connected
    if "draft" not in st.session_state:
        return connected
    composing = draft.current(st.session_state)
    field = report.field or ""
    if field in draft.SETTINGS:
        return getattr(composing.settings, field)
    if match := re.match(r"scenes\[(\d+)\]", field):
        return [one.values for one in composing.scenes[int(match[1]) : int(match[1]) + 1]]
    return composing.settings, [one.values for one in composing.scenes], connected


def _current_problem() -> ErrorReport | None:
    """Return the problem to show; forget it if its cause is gone."""
    report: ErrorReport | None = st.session_state.get("problem")
    if report and _cause(report) != st.session_state.get("problem-cause"):
        st.session_state.pop("problem")
        return None
    return report


def _problem_of(field: str) -> None:
    """Show the problem here if it is about ``field``."""
    report = _current_problem()
    if report and _beside_a_scene(report) and (report.field or "").startswith(field):
        message = report.message.removeprefix(f"{report.field}: ")
        theme.show_error(ErrorReport(report.code, message, report.remedy))


def _problem() -> None:
    """Show a problem that no scene shows; it stays until its cause changes."""
    report = _current_problem()
    if report and not _beside_a_scene(report):
        theme.show_error(report)


def _beside_a_scene(report: ErrorReport) -> bool:
    return (report.field or "").startswith("scenes[")


def _engine_status() -> None:
    """Draw the engine's status, and look at it again: more often while it is about to change."""
    ready = _is_ready(app_state.get_hub().chosen())
    st.fragment(_status, run_every=READY_STATUS_INTERVAL if ready else STATUS_INTERVAL)()


def _is_ready(engine: EngineView) -> bool:
    return bool(engine.connected and engine.hello and engine.hello.device.name != "starting")


def _status() -> None:
    """Draw the engine's status; rerun the page when the engine connects, is ready, or goes."""
    engine = app_state.get_hub().chosen()
    state = engine.connected, _is_ready(engine)
    if state != st.session_state.setdefault("engine-state", state):
        st.session_state["engine-state"] = state
        st.rerun()
    if engine.stopped:
        st.caption(":gray[●] The engine on this computer is stopped.")
        if st.button("Start it", key="start-local"):
            app_state.get_hub().start_local()
            st.rerun(scope="fragment")
    elif engine.starting:
        st.caption(":orange[●] Starting the engine on this computer…")
    elif engine.hello is None and engine.state.error:
        theme.show_error(engine.state.error)
    elif not engine.connected:
        st.caption(f":orange[●] Connecting to {plain(engine.name)}… You can already write.")
    elif engine.hello:
        device = engine.hello.device.name
        doing = "warming up" if device == "starting" else plain(device)
        st.caption(f":green[●] {plain(engine.name)} · {doing}{_traffic_note(engine)}")


def _traffic_note(engine: EngineView) -> str:
    """Return this month's traffic, once it is near the limit of a free tunnel; else ""."""
    whole = app_state.get_hub().meter.whole_month()
    if engine.local or whole < WARNING_SHARE * TUNNEL_BYTES_PER_MONTH:
        return ""
    return plain(f" · {size(whole)} of about {size(TUNNEL_BYTES_PER_MONTH)} this month")


def _models(hello: Hello | None) -> dict[str, Card]:
    return {model.name: model.card for model in hello.models} if hello else {}


theme.guarded(page)
