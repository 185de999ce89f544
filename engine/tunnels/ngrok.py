"""A tunnel through ngrok; pyngrok downloads, starts and queries the agent.

The agent gets the token through its environment: arguments can be read by every user of the
machine, and files stay. ngrok repeats a wrong token in its errors, so the agent's messages are
neither logged nor shown; its codes are translated.
"""

import logging
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from engine.errors import TunnelError
from engine.wire import outages

TOKEN_VARIABLE = "NGROK_AUTHTOKEN"  # where the agent reads it
AGENT_SETTINGS = """\
version: "3"
agent:
  console_ui: false
  inspect_db_size: -1  # keeps no requests
  remote_management: false
  update_check: false
"""
START_TIMEOUT, ANSWER_TIMEOUT = 30, 15.0  # seconds that the agent may take
_environment = threading.Lock()


class Ngrok:
    """ngrok's agent with one endpoint.

    Args:
        folder: where the agent's settings go.
        token: the account's authtoken.
        domain: the account's own domain, such as ``you.ngrok-free.dev``; empty: ngrok chooses.
    """

    name = "ngrok"

    def __init__(self, folder: Path, token: str, domain: str = "") -> None:
        self._folder, self._token = folder, token
        self._domain = domain.strip().removeprefix("https://").strip("/")
        self._config: Any = None
        self._endpoint = ""
        logging.getLogger("pyngrok").setLevel(logging.CRITICAL + 1)

    def __repr__(self) -> str:
        return f"Ngrok(domain={self._domain!r}, token=…)"

    def open(self, port: int) -> str:
        """Start the agent and its endpoint; see ``Tunnel.open``."""
        if not self._token:
            raise _error(outages.of_ngrok(4018))
        try:
            from pyngrok import ngrok
            from pyngrok.exception import PyngrokError
        except ImportError as error:
            remedy = "pip install -r engine/requirements.txt"
            raise TunnelError(self.name, "pyngrok is not installed", remedy) from error

        self.close()
        where = {"url": f"https://{self._domain}"} if self._domain else {}
        try:
            with self._token_at_hand():
                self._config = self._settings()
                ngrok.install_ngrok(self._config)
                ngrok.get_ngrok_process(self._config)
            made = ngrok.connect(
                f"http://127.0.0.1:{port}", pyngrok_config=self._config, inspect=False, **where
            )
        except (PyngrokError, OSError) as error:
            self.close()
            raise _translated(error) from None  # its text may hold the token
        self._endpoint = f"{made.api_url}{made.uri}"
        return str(made.public_url)

    def alive(self) -> bool:
        """Return whether the agent runs and lists its endpoint."""
        if self._config is None:
            return False
        from pyngrok import ngrok, process
        from pyngrok.exception import PyngrokError

        with suppress(PyngrokError, OSError):
            running = process.is_process_running(self._config.ngrok_path)
            return running and bool(ngrok.api_request(self._endpoint, timeout=ANSWER_TIMEOUT))
        return False

    def close(self) -> None:
        """Stop the agent."""
        if self._config is not None:
            from pyngrok import ngrok

            ngrok.kill(self._config)
            self._config = None

    def _settings(self) -> Any:
        from pyngrok.conf import PyngrokConfig

        self._folder.mkdir(parents=True, exist_ok=True)
        file = self._folder / "ngrok.yml"
        file.write_text(AGENT_SETTINGS)
        config = PyngrokConfig(
            config_path=str(file), startup_timeout=START_TIMEOUT, request_timeout=ANSWER_TIMEOUT
        )
        config.auth_token = None  # pyngrok would write it into the agent's arguments
        return config

    @contextmanager
    def _token_at_hand(self) -> Iterator[None]:
        """Put the token into the environment for child processes, and remove it afterwards."""
        with _environment:
            os.environ[TOKEN_VARIABLE] = self._token
            try:
                yield
            finally:
                del os.environ[TOKEN_VARIABLE]


def _translated(error: Exception) -> TunnelError:
    """Return our error for one of pyngrok, without its text."""
    told = f"{error} {getattr(error, 'ngrok_error', '')} {getattr(error, 'body', '')}"
    if (code := outages.ngrok_code(told)) is not None:
        return _error(outages.of_ngrok(code))
    if type(error).__name__ == "PyngrokNgrokInstallError":
        return TunnelError(
            "ngrok", "its agent cannot be downloaded", "check this machine's network"
        )
    return TunnelError(
        "ngrok",
        f"its agent did not open the tunnel ({type(error).__name__})",
        "check this machine's network; status.ngrok.com says whether ngrok has trouble",
        passes=True,
    )


def _error(outage: outages.Outage) -> TunnelError:
    return TunnelError("ngrok", outage.problem, outage.remedy, passes=outage.passes)
