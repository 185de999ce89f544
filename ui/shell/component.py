"""Components of our own: a script, the style that lies beside it, and markup."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from ui.shell import scripts

# Streamlit makes a module of this text alone, in which relative imports do not work. So it imports
# the module at an address and forwards the calls. If data changes while the module is loaded, only
# the last call has an effect: Streamlit ends the earlier ones at once, which must not close what
# the last one has opened.
_LOADER = """
const newest = new WeakMap();

export default async function (component) {
  const { parentElement } = component;
  const call = {};
  newest.set(parentElement, call);
  const module = await import(new URL("ADDRESS", window.__streamlit.BACKEND_BASE_URL));
  if (newest.get(parentElement) !== call) return;
  const end = module.default(component);
  return () => newest.get(parentElement) === call && end?.();
}
"""


def component(script: Path, html: str | None = None) -> Callable[..., Any]:
    """Return a component that runs a script and has the style of the same name, if there is one.

    Args:
        script: a module of the app's, whose default export is called as Streamlit documents it.
        html: its markup.
    """
    style = script.with_suffix(".css")
    return st.components.v2.component(
        f"visionflux_{script.stem}",
        html=html,
        css=style.read_text("utf-8") if style.exists() else None,
        js=_LOADER.replace("ADDRESS", scripts.address(script).removeprefix("/")),
    )
