"""The settings panel draws each setting of the recipe, within the limits that the recipe states."""

from streamlit.testing.v1 import AppTest

from engine.film.recipe import SETTINGS
from ui.storage import draft


def _panel() -> None:
    import streamlit as st
    from msgspec import structs

    from engine.models import KNOWN
    from ui.create.settings_panel import settings_panel
    from ui.storage import draft

    card = structs.replace(KNOWN["stable-diffusion-1.5"].card)
    draft.begin(st.session_state, "large", card.defaults)
    draft.change(st.session_state, width=96, height=64)  # no size with a name
    draft.change(st.session_state, music="composed")
    draft.add_scene(st.session_state)
    draft.current(st.session_state).scenes[1].motion = "cut"
    settings_panel({"large": card})


def test_each_setting_has_a_widget_with_its_limits_and_its_help() -> None:
    at = AppTest.from_function(_panel).run()
    assert not at.exception
    kinds = (at.slider, at.number_input, at.selectbox, at.toggle, at.text_area, at.text_input)
    widgets = {one.key.split("-")[1]: one for kind in kinds for one in kind}
    for name in draft.SETTINGS:
        field, widget = SETTINGS[name], widgets[name]
        assert widget.label == field.title
        if name not in ("model", "negative_prompt"):  # their help also says what the model does
            assert widget.help == field.description
        if field.kind in (int, float):
            assert (widget.min, widget.max, widget.step) == (*field.bounds, field.step), name
        if field.kind is str and not field.names and name != "model":
            assert not widget.proto.max_chars, name  # Streamlit would drop what is too long
        if field.names:
            # Sizes also say how many pixels they have.
            options = [option.partition(" · ")[0] for option in widget.options]
            assert options == list(field.names.values())


def test_a_text_that_is_too_long_is_kept_and_refused() -> None:
    at = AppTest.from_function(_panel).run()
    at.text_area[0].set_value("fog " * 501).run()
    assert at.text_area[0].value == "fog " * 501
    assert "2,004 characters; 2,000 are possible" in at.warning[0].value
