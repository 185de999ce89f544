"""The page to sign in and the account menu, where accounts are set up.

It knows Streamlit's ``st.login``, not the identity provider.
"""

import streamlit as st

from ui.home import reel, showcase
from ui.shell import accounts
from ui.shell.text import plain
from ui.shell.theme import apply_style


def sign_in_page() -> None:
    """Draw the page that replaces every other one until the visitor has signed in."""
    apply_style("home/home.css")
    with st.container(key="hero", gap="medium"):
        reel.backdrop(showcase.films()[0])
        st.title("Your films are yours alone.", anchor=False)
        st.markdown("Sign in to see them, and to make new ones.")
        with st.container(horizontal=True):
            for name in accounts.providers() or [""]:
                label = f"Sign in with {plain(name.title())}" if name else "Sign in"
                if st.button(label, key=f"sign-in-{name}", type="primary"):
                    st.login(name or None)


def account_menu() -> None:
    """Draw the account's name in the header, with a menu."""
    apply_style("home/sign_in.css")
    with (
        st.container(key="account"),
        st.popover(plain(accounts.name()), icon=":material/person:", type="tertiary"),
    ):
        st.text(str(st.user.to_dict().get("email") or "Signed in"))
        st.button("Sign out", key="sign-out", on_click=st.logout)
