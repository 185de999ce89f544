"""What the browser tests share: Chromium, the app on a free port, its engine, pages of it."""

import contextlib
import shutil
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, Request, expect, sync_playwright

from engine.local import DIRECT
from engine.models import OFFLINE, catalogue
from tests.processes import ROOT, Process

DEFAULTS = catalogue()[OFFLINE].card.defaults
WIDTH, HEIGHT = DEFAULTS.width, DEFAULTS.height  # of a film that nobody gave another size
PATIENCE = 180_000  # milliseconds that anything on a page may take while other tests run
# The shell draws no window around the page, and takes half of the processor time.
NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--mute-audio"]
PHONE = {"width": 390, "height": 844, "has_touch": True, "is_mobile": True}
SCREENSHOTS = ROOT / "screenshots"  # ignored by git; to be looked at
expect.set_options(timeout=PATIENCE)
SETTLED = '[data-testid="stApp"][data-test-script-state="notRunning"]'


@dataclass
class Server:
    """The app, served by ``streamlit run`` as a user would start it."""

    address: str
    data: Path
    process: Process


@dataclass
class Visitor:
    """A browser window on the app, and what went wrong in it."""

    page: Page
    address: str
    foreign: list[str] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def open(self, path: str = "/") -> Page:
        """Open a page of the app and wait until it has been drawn."""
        self.page.goto(self.address + path)
        self.page.wait_for_selector(SETTLED)
        return self.page


def shoot(page: Page, name: str) -> None:
    """Keep a picture of what the window shows."""
    page.screenshot(path=SCREENSHOTS / f"{name}.png")


@contextmanager
def serving(data: Path, log: Path, secrets: Callable[[str], str] | None = None) -> Iterator[Server]:
    """Run the app on a free port.

    Args:
        data: its data folder.
        log: a file for its log.
        secrets: returns the content of its secrets, given its address.
    """
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    command = [sys.executable, "-m", "streamlit", "run", "--server.port", str(port)]
    command += ["--server.fileWatcherType", "none"]
    if secrets:
        data.mkdir(parents=True, exist_ok=True)
        (data / "secrets.toml").write_text(secrets(f"http://127.0.0.1:{port}"))
        command += ["--secrets.files", str(data / "secrets.toml")]
    address = f"http://127.0.0.1:{port}"
    with Process(command, log, VISIONFLUX_DATA=str(data)) as process:
        process.until(lambda: _answers(address))
        yield Server(address, data, process)


def _answers(address: str) -> bool:
    with contextlib.suppress(OSError), DIRECT.open(f"{address}/_stcore/health", timeout=2) as page:
        return bool(page.status == 200)
    return False


@pytest.fixture(scope="package", autouse=True)
def forked_workers(forking: dict[str, str]) -> Iterator[None]:
    """Let the workers of all engines be forked: a page does not show how one was started."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in forking.items():
            patch.setenv(name, value)
        yield


@pytest.fixture(scope="package")
def server(browser: Browser, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    # The browser comes first, so that nothing is started where it is missing.
    folder = tmp_path_factory.mktemp("studio")
    with serving(folder / "data", folder / "app.log") as server:
        yield server


@pytest.fixture(scope="package")  # Playwright keeps a loop running; others need theirs
def browser() -> Iterator[Browser]:
    chromium = next(filter(None, map(shutil.which, NAMES)), None)
    if chromium is None:
        pytest.skip("Chromium is missing: apt-get install chromium-headless-shell")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=chromium, args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def visit(browser: Browser, server: Server) -> Iterator[Callable[..., Visitor]]:
    """Return a function that opens another window, by default on the session's app."""
    contexts = []

    def visit(width: int = 1440, height: int = 900, at: Server = server, **options: Any) -> Visitor:
        # Films that move behind a page take most of a core; tests about motion ask for it.
        options = {"reduced_motion": "reduce", **options}
        context = browser.new_context(viewport={"width": width, "height": height}, **options)
        contexts.append(context)
        context.set_default_timeout(PATIENCE)
        visitor = Visitor(context.new_page(), at.address)

        def note(request: Request) -> None:
            if not request.url.startswith((at.address, "data:", "blob:")):
                visitor.foreign.append(request.url)

        visitor.page.on("request", note)
        visitor.page.on("pageerror", lambda error: visitor.errors.append(str(error)))
        return visitor

    yield visit
    for context in contexts:
        context.close()
