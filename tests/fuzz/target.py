"""The engine under attack: a process whose log, memory and data folder are looked at."""

import hashlib
import json
import shutil
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from websockets.sync.client import ClientConnection, connect

from engine.wire import pairing
from engine.wire.messages import limits
from engine.wire.pairing import Pairing
from tests.processes import Process

PATIENCE = 60.0  # seconds that an answer may take on a busy machine
TABLES = ("meta", "job", "event", "object")


class Target:
    """One running engine, what it was sent, and what it said in its log."""

    def __init__(self, folder: Path) -> None:
        self.data, self.log = folder / "data", folder / "engine.log"
        self.counts: Counter[str] = Counter()
        self.answers: Counter[str] = Counter()
        self._seen = 0
        command = [sys.executable, "-m", "tests.stand_ins.engine", str(self.data)]
        self._process = Process(command, self.log, graceful=True)
        self.engine = Pairing.parse(self._process.line().removeprefix("Pairing link: "))
        self.address = self.engine.url.removeprefix("http://").split(":")

    @property
    def sent(self) -> int:
        """Messages sent so far, of every kind."""
        return self.counts.total()

    @property
    def memory(self) -> int:
        """Resident bytes of the server process."""
        return int(self._process.popen.memory_info().rss)

    @property
    def open_files(self) -> int:
        """File descriptors of the server process."""
        return int(self._process.popen.num_fds())

    def open(self, path: str) -> ClientConnection:
        """Open an admitted socket."""
        socket = connect(
            self.engine.websocket_url + path,
            additional_headers={"Authorization": pairing.authorization(self.engine.key, path)[0]},
            subprotocols=[limits.SUBPROTOCOL],  # type: ignore[list-item]
            compression=None,
            proxy=None,
            max_size=2**26,
            open_timeout=PATIENCE,
            ping_interval=None,
            close_timeout=0.5,  # what was not read may stand in the way of a polite end
        ).__enter__()  # closed by whoever asked for it
        if path == limits.CONTROL_PATH:
            assert '"hello"' in str(socket.recv(PATIENCE))
        return socket

    def check(self) -> None:
        """Fail if the engine died or had not expected something."""
        self._process.check()
        with self.log.open(encoding="utf-8", errors="replace") as log:
            log.seek(self._seen)
            news = log.read()
            self._seen = log.tell()
        assert "Traceback" not in news, news[-8000:]
        assert "E_INTERNAL" not in news, news[-8000:]

    def settle(self) -> None:
        """Wait until every job has ended, the ones too that a spoilt message started."""
        with self.open(limits.CONTROL_PATH) as socket:
            while True:
                socket.send('{"type":"jobs","id":1}')
                jobs = json.loads(socket.recv(PATIENCE))["jobs"]
                if not [job for job in jobs if job["status"] in ("queued", "running")]:
                    return
                time.sleep(0.05)

    def state(self) -> str:
        """Return a hash of all rows of the journal and of all files of the store."""
        digest = hashlib.sha256()
        with sqlite3.connect(f"file:{self.data / 'engine.db'}?mode=ro", uri=True) as journal:
            for table in TABLES:
                for row in journal.execute(f"SELECT * FROM {table} ORDER BY 1, 2"):
                    digest.update(repr(row).encode())
        journal.close()
        for folder in ("objects", "scratch"):
            for file in sorted((self.data / folder).rglob("*")):
                digest.update(str(file).encode())
                digest.update(file.read_bytes() if file.is_file() else b"")
        return digest.hexdigest()

    def kill(self) -> None:
        """End the engine at once; its folder stays for the finder."""
        print(f"what the engine said: {self.log}", file=sys.stderr)
        self._process.kill()

    def close(self) -> None:
        """End the engine."""
        self._process.end()
        assert self._process.wait() == 0, self._process.output


@contextmanager
def a_target() -> Iterator[Target]:
    """Run an engine in a folder that goes with it; it must end in good order, its log clean."""
    folder = Path(tempfile.mkdtemp(prefix="vf-fuzz-"))
    target = Target(folder)
    try:
        yield target
        target.check()
    except BaseException:
        target.kill()
        raise
    target.close()
    shutil.rmtree(folder)
