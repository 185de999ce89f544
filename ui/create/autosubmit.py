"""Submits what was typed into a text field after a pause in typing.

Streamlit submits a text only when the field loses the focus, so a reload would lose a prompt that
is still being written. The script also focuses the first prompt if it is empty, after the click on
the button that opened the page. It knows the page's fields, not what they mean.
"""

from pathlib import Path

from ui.shell.component import component

_component = component(Path(__file__).with_name("autosubmit.js"))


def autosubmit(*, offers: bool) -> None:
    """Add the script to a page; it shows nothing.

    Args:
        offers: whether the page has a first prompt to focus.
    """
    _component(key="pen", data={"offers": offers})
