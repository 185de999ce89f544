"""The meaning of the error pages and codes of tunnel vendors.

Pure. Codes: ngrok.com/docs/errors; Cloudflare's 1xxx errors and its own HTTP statuses.
"""

import re
from typing import NamedTuple


class Outage(NamedTuple):
    """What happened, what to do next, and whether it may pass by itself."""

    problem: str
    remedy: str = ""
    passes: bool = False


_TOKEN = "copy it again from dashboard.ngrok.com/get-started/your-authtoken"
_MONTH = "use another tunnel (--tunnel cloudflared wants no account), or wait for the next month"
_NGROK = {
    105: Outage(
        "ngrok does not accept this as an authtoken", f"{_TOKEN}; an API key is something else"
    ),
    107: Outage("ngrok does not know this authtoken; it was reset or revoked", _TOKEN),
    108: Outage(
        "this ngrok account has reached its limit of agents",
        "stop the others: dashboard.ngrok.com/agents lists them",
        passes=True,
    ),
    120: Outage("ngrok's agent is too old for ngrok", "remove it; it is fetched anew at the start"),
    121: Outage("ngrok's agent is too old for ngrok", "remove it; it is fetched anew at the start"),
    300: Outage("this ngrok authtoken was revoked", _TOKEN),
    320: Outage(
        "this domain belongs to another ngrok account",
        "take the domain that dashboard.ngrok.com/domains shows, or leave it empty",
    ),
    334: Outage(
        "another agent holds this ngrok address",
        "stop the other engine, or end its agent at dashboard.ngrok.com/endpoints",
        passes=True,
    ),
    720: Outage("this ngrok account has used up its traffic of the month", _MONTH),
    727: Outage("this ngrok account has used up its requests of the month", _MONTH),
    734: Outage(
        "too many requests in a minute for this ngrok account", "wait a minute", passes=True
    ),
    3200: Outage(
        "no engine is connected to this ngrok address at the moment",
        "start the engine again, and paste the newest link that it prints",
        passes=True,
    ),
    4018: Outage(
        "ngrok wants an account and its authtoken",
        "sign up at ngrok.com, which is free, and set NGROK_AUTHTOKEN",
    ),
    4027: Outage("this ngrok account has used up its traffic of the month", _MONTH),
    8012: Outage(
        "ngrok's agent runs, but the engine behind it does not answer",
        "look at the engine's log, and start it again",
        passes=True,
    ),
}
_CLOUDFLARE = {
    429: Outage(
        "too many requests at once for a quick tunnel of Cloudflare", "wait a minute", passes=True
    ),
    502: Outage(
        "the tunnel is there, but the engine behind it does not answer",
        "look at the engine's log, and start it again",
        passes=True,
    ),
    524: Outage("the engine took too long to answer Cloudflare", passes=True),
    530: Outage(
        "this quick tunnel of Cloudflare is gone",
        "every new tunnel has a new address: paste the newest link that the engine prints",
        passes=True,
    ),
}


def ngrok_code(text: str) -> int | None:
    """Return the number of the first ``ERR_NGROK_…`` in a text."""
    found = re.search(r"ERR_NGROK_(\d+)", text)
    return int(found[1]) if found else None


def of_ngrok(code: int) -> Outage:
    """Return the meaning of an ngrok code; for an unknown one, ngrok's page about it."""
    page = f"see ngrok.com/docs/errors/err_ngrok_{code}"
    known = _NGROK.get(code, Outage(f"ngrok refused (ERR_NGROK_{code})", page, passes=True))
    return known._replace(problem=f"{known.problem} (ERR_NGROK_{code})")


def of_answer(status: int, code: str, cloudflare: bool) -> Outage | None:
    """Return the meaning of an answer by a tunnel or proxy before an engine, if it is known.

    Args:
        status: HTTP status.
        code: the header ``ngrok-error-code``, or empty.
        cloudflare: whether Cloudflare answered or passed the answer on.
    """
    number = ngrok_code(code)
    if number is not None:
        return of_ngrok(number)
    return _CLOUDFLARE.get(status) if cloudflare else None
