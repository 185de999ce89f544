"""Connection: the engines, their status, and how to connect to another one."""

from urllib.parse import urlsplit

import streamlit as st

from engine.errors import ErrorReport, VisionFluxError
from engine.models.interpolators import display_name
from engine.wire.messages.responses import Hello, label
from ui import app_state
from ui.connect import colab_guide
from ui.engines.connections import EngineView
from ui.shell import theme
from ui.shell.text import plain, size
from ui.shell.undo import undo_bar
from ui.storage.traffic_meter import TUNNEL_BYTES_PER_MONTH, WARNING_SHARE


def page() -> None:
    """Draw the page."""
    theme.heading(
        "Connection",
        "An engine makes your films. One runs on this computer; "
        "a link connects you to a stronger one.",
    )
    _engines()
    _pairing()
    left, right = st.columns(2)
    with left, st.container(key="glass_traffic", border=True, height="stretch"):
        _traffic()
    with right, st.container(key="glass_mirror", border=True, height="stretch"):
        _mirroring()
    if forgotten := st.session_state.get("forgotten"):
        name = urlsplit(forgotten.pairing.url).netloc
        undo_bar(f"{name} was forgotten", _restore, _dismiss)


def _restore() -> None:
    app_state.get_hub().restore(st.session_state.pop("forgotten"))


def _dismiss() -> None:
    st.session_state.pop("forgotten", None)


@st.fragment(run_every=2)
def _engines() -> None:
    for engine in app_state.get_hub().engines():
        with st.container(key=f"glass_engine_{engine.key}", border=True):
            _engine(engine)


def _engine(engine: EngineView) -> None:
    with st.container(horizontal=True, vertical_alignment="center"):
        with st.container(width="stretch", gap="small"):
            st.subheader(plain(engine.name), anchor=False)
            st.markdown(_status(engine))
        with st.container(horizontal=True, horizontal_alignment="right", width="content"):
            _actions(engine)
    if engine.connected and engine.hello:
        _facts(engine, engine.hello)
    elif engine.state.error:
        theme.show_error(engine.state.error)


def _status(engine: EngineView) -> str:
    if engine.stopped:
        return ":gray[●] Stopped"
    if engine.starting:
        return ":orange[●] Starting the engine on this computer…"
    match engine.state.name:
        case "connected":
            return ":green[●] Connected" + (" · used for new films" if engine.chosen else "")
        case "connecting":
            return ":orange[●] Connecting…"
        case "waiting":
            return f":orange[●] Out of reach · next try in {engine.state.retry_in:.0f} s"
        case "refused":
            return ":red[●] Refused"
        case _:
            return "● Closed"


def _actions(engine: EngineView) -> None:
    hub = app_state.get_hub()
    if engine.stopped:
        if st.button("Start", key="start-local", type="primary"):
            hub.start_local()
            st.rerun()
    elif engine.stoppable and st.button(
        "Stop",
        key="stop-local",
        type="tertiary",
        help="Frees its memory. Its unfinished films wait until you start it again.",
    ):
        _stop()
    if not engine.chosen and st.button("Use this one", key=f"use-{engine.key}"):
        hub.choose(engine.key)
        st.rerun()
    if not engine.local and st.button("Forget", key=f"forget-{engine.key}", type="tertiary"):
        if forgotten := hub.forget(engine.key):
            st.session_state["forgotten"] = forgotten
        st.rerun()


def _stop() -> None:
    try:
        with st.spinner("Stopping…"):
            app_state.get_hub().stop_local()
    except VisionFluxError as error:
        st.toast(plain(f"{error}; {error.remedy}."))
    else:
        st.rerun()


def _facts(engine: EngineView, hello: Hello) -> None:
    device = min(hello.devices, key=lambda one: one.free_memory)
    memory = f"{size(device.free_memory)} free of {size(device.total_memory)}"
    several = bool(hello.others)
    facts = {
        "Devices" if several else "Device": (
            "warming up" if device.name == "starting" else label(hello.devices)
        ),
        "Memory of each, at least" if several else "Memory": (
            memory if device.total_memory else "unknown"
        ),
        "Answers in": _latency(engine),
        "Models": ", ".join(model.card.title for model in hello.models),
        "In-betweens": display_name(hello.interpolator) or "known after the first film",
        "Queue": _queue(hello.queue),
        "Version": f"{hello.version} · protocol {hello.protocol}",
    }
    if not engine.local:
        facts["Data this month"] = size(app_state.get_hub().meter.month().get(hello.engine, 0))
    with st.container(horizontal=True, key=f"facts_{engine.key}", gap="medium"):
        for name, value in facts.items():
            with st.container(width="content", gap=None):
                st.caption(name)
                st.markdown(plain(value))


def _queue(films: int) -> str:
    return "empty" if not films else "1 film" if films == 1 else f"{films} films"


def _latency(engine: EngineView) -> str:
    if engine.latency is None:
        return "…"
    return f"{engine.latency * 1000:.0f} ms" if engine.latency > 0.001 else "under 1 ms"


def _pairing() -> None:
    st.subheader("Use another engine", anchor=False)
    st.markdown(
        "Start an engine on a machine with a GPU, and paste the line that it prints. The line "
        "contains the key to that engine, so treat it like a password."
    )
    turn = st.session_state.setdefault("pairings", 0)  # a new field for each
    with (
        st.form("pairing", border=False, clear_on_submit=False),
        st.container(horizontal=True, vertical_alignment="bottom", gap="small"),
    ):
        link = st.text_input(
            "Pairing link",
            key=f"pairing-link-{turn}",
            type="password",
            placeholder="https://example.ngrok.app/#vf1.…",
            autocomplete="off",
        )
        wanted = st.form_submit_button("Pair", type="primary")
    if wanted:
        _pair(link)
    elif (paired := st.session_state.get("paired")) and paired == app_state.get_hub().chosen().key:
        name = plain(app_state.get_hub().chosen().name)
        st.success(f"Paired with {name}. New films are made there.", icon=":material/check:")
    colab_guide.colab_guide()


def _pair(link: str) -> None:
    if not link.strip():
        theme.show_error(ErrorReport("E_BAD_LINK", "the field is empty", "paste the engine's link"))
        return
    try:
        with st.spinner("Looking for the engine…"):
            engine = app_state.get_hub().pair(link)
    except VisionFluxError as error:
        theme.show_error(error.report())
    else:
        st.session_state["paired"] = engine.key
        st.session_state["pairings"] += 1
        st.rerun()


def _traffic() -> None:
    st.subheader("This month's traffic", anchor=False)
    _traffic_this_month()
    st.markdown(
        "All traffic with remote engines is counted. Previews become smaller and fewer to stay "
        "within the limit below, and stop while no page shows the film. Finished films are always "
        "downloaded completely."
    )
    _budget("Megabytes of previews for each film", "previews", 1, 1000, step=1)


@st.fragment(run_every=5)
def _traffic_this_month() -> None:
    whole = app_state.get_hub().meter.whole_month()
    if not whole:
        st.caption(
            f"Nothing yet this month. Free tunnels allow about {size(TUNNEL_BYTES_PER_MONTH)}."
        )
        return
    st.markdown(
        f"This month: {size(whole)} of about {size(TUNNEL_BYTES_PER_MONTH)} that free tunnels allow"
    )
    st.progress(min(1.0, whole / TUNNEL_BYTES_PER_MONTH))
    if whole >= WARNING_SHARE * TUNNEL_BYTES_PER_MONTH:
        st.caption(
            "The limit of a free tunnel is nearly reached. Smaller budgets make the rest last "
            "longer. If the tunnel closes, the engine still continues your films."
        )


def _mirroring() -> None:
    st.subheader("If an engine is lost", anchor=False)
    st.markdown(
        "While a remote engine makes a film, its finished keyframes and in-betweens are saved on "
        "this computer, up to the limit below. If that engine is lost, pair another one, open the "
        "film and press Continue. The saved pieces are removed when the film is finished."
    )
    _budget("Megabytes of each film to keep here", "mirror", 0, 5000, step=10)


def _budget(label: str, name: str, least: int, most: int, *, step: int) -> None:
    """Draw a number input for one of the preferences, and save its value."""
    preferences = app_state.get_hub().preferences
    before = getattr(preferences, name)
    chosen = st.number_input(label, least, most, before, step, key=name, width=260)
    if chosen != before:
        setattr(preferences, name, chosen)


theme.guarded(page)
