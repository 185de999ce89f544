"""Accounts: who owns the films that a page or a request may see.

If the operator has configured OpenID Connect, users sign in and each account owns its films;
otherwise all films have the same owner. Streamlit stores a signed cookie, which pages read through
``st.user`` and routes from the request.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

import streamlit as st
from starlette.requests import HTTPConnection
from streamlit.errors import StreamlitSecretNotFoundError

from ui.shell import _compat

EVERYBODY = ""  # the owner of all films of an app without accounts


def configured() -> bool:
    """Return whether users must sign in: whether the secrets have a section ``[auth]``."""
    return bool(_section())


def providers() -> list[str]:
    """Return the names of the providers; empty if there is one without a name."""
    return [name for name, value in _section().items() if isinstance(value, Mapping)]


def signed_in() -> bool:
    """Return whether the visitor of this page may see it."""
    return not configured() or bool(st.user.is_logged_in)


def current() -> str:
    """Return the owner of the films that the visitor of this page sees.

    Raises:
        PermissionError: there are accounts, and the visitor has not signed in.
    """
    owner = EVERYBODY if not configured() else identity(st.user.to_dict())
    if owner is None:
        raise PermissionError("nobody has signed in")
    return owner


def of_request(request: HTTPConnection) -> str | None:
    """Return the owner of the films that a request may see; None if nobody has signed in."""
    if not configured():
        return EVERYBODY
    cookie = _compat.user_cookie(request.cookies)
    return identity(json.loads(cookie)) if cookie else None


def identity(claims: Mapping[str, Any]) -> str | None:
    """Return the id of an account: a hash of the provider and its permanent id of the user."""
    if not claims.get("is_logged_in") or not claims.get("sub"):
        return None
    who = f"{claims.get('iss', '')}\n{claims['sub']}"
    return hashlib.sha256(who.encode()).hexdigest()[:32]


def name() -> str:
    """Return the visitor's name, for the account menu."""
    claims = st.user.to_dict()
    return str(claims.get("name") or claims.get("email") or "Your account")


def _section() -> Mapping[str, Any]:
    try:
        section: Mapping[str, Any] = st.secrets.get("auth", {})
    except StreamlitSecretNotFoundError:
        return {}
    return section
