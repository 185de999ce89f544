"""The film behind every page but Home: the last one that was made, or one of the showcase.

It knows films; the pages do not know that it is there.
"""

from pathlib import Path

from ui import app_state
from ui.films.player import addresses
from ui.home import showcase
from ui.shell.component import component

_HTML = """
<div class="behind" aria-hidden="true"><canvas></canvas><div class="shade"></div></div>
<button class="motion" type="button" hidden>
  <svg viewBox="0 0 24 24" aria-hidden="true"><path d=""/></svg>
  <span class="label">Pause motion</span>
</button>
"""
_background = component(Path(__file__).with_name("background.js"), _HTML)


def background() -> None:
    """Play a film behind the page, with a button that stops all motion."""
    last = app_state.get_hub().library.films(limit=1)
    if last and last[0].recipe.format != "gif":  # which a video element does not play
        source, poster = addresses(last[0])
    else:
        source, poster = showcase.films()[0].film, showcase.films()[0].poster
    _background(key="background", data={"src": source, "poster": poster})
