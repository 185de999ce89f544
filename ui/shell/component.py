"""Components of our own: a script, the style that lies beside it, and markup."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import streamlit as st

from ui.shell import scripts

# Streamlit makes a module of this text alone, from which no relative import leads anywhere; so it
# only fetches the module that lies at an address and hands its calls on. Where data has changed
# while the module was fetched, the last call alone counts: Streamlit ends the earlier ones at once,
# and their ends must not close what the last one has opened.
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
