"""The live view of one job: a canvas that gets its pictures through ``ui.routes.live``.

Python runs once when it appears and once when the job has ended, never per frame.
"""

from pathlib import Path
from typing import Any

import streamlit as st

from ui import app_state
from ui.shell.component import component
from ui.storage.job_views import JobView

_HTML = """
<div class="stage" data-status="queued">
  <div class="screen">
    <canvas class="glow" width="32" height="32" aria-hidden="true"></canvas>
    <canvas class="picture" role="img" aria-label="The newest preview of your film"></canvas>
    <p class="piece" aria-hidden="true"></p>
  </div>
  <div class="line">
    <p class="headline">Connecting…</p>
    <span class="percent"></span>
    <span class="eta"></span>
    <button class="move" type="button" hidden></button>
    <button class="watch" type="button" hidden>Play what is finished</button>
    <button class="pause" type="button" hidden>Pause</button>
    <button class="cancel" type="button">Cancel</button>
  </div>
  <div class="bar" role="progressbar" aria-label="Film" aria-valuemin="0" aria-valuemax="100">
    <div class="fill"></div>
  </div>
  <ol class="timeline" aria-label="Phases"></ol>
  <div class="strip" aria-hidden="true"></div>
  <p class="calm" role="status"></p>
  <p class="spoken" role="status"></p>
</div>
"""
_component = component(Path(__file__).with_name("stage.js"), _HTML)


def stage(view: JobView) -> None:
    """Show a running job live; rerun the page once when it has ended."""
    tickets, job = app_state.get_tickets(), view.job
    result: Any = _component(
        key=f"stage-{job}",
        data={
            "job": job,
            "path": f"/api/jobs/{job}/stream",
            "ticket": tickets.issue(f"job:{job}"),
            "pictures": f"/api/pictures/{job}",
            "partialFilm": f"/api/jobs/{job}/partial_film",
            "filmTicket": tickets.issue(f"film:{job}"),
            "width": view.recipe.width,
            "height": view.recipe.height,
        },
        on_finished_change=lambda: None,
        on_stale_change=lambda: None,
    )
    if result.finished:
        st.rerun()
