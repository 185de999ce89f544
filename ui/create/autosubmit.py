"""What prompts, and the Library's search, lack: a hand that rests hands its words in.

Streamlit learns what was typed when a field is left, so a page that is loaded anew would lose a
prompt that is still being written. And where the button that led here took the focus away with
it, the first prompt has it if it is empty, so that one can write at once.
It knows the page's fields, not what they stand for.
"""

from ui.shell.component import component

_component = component("autosubmit")


def autosubmit(*, offers: bool) -> None:
    """Put it on a page; nothing of it is seen.

    Args:
        offers: whether the page has a first prompt that may want the focus.
    """
    _component(key="pen", data={"offers": offers})
