"""The server: ``python -m tests.stand_ins.fork_server ADDRESS`` ends with its standard input.

For each worker there is a keeper: it waits until the worker ends and reports how, or kills it once
the process that asked for it is gone.
"""

import contextlib
import gc
import json
import os
import select
import signal
import socket
import sys
from typing import Any

CHUNK = 65536  # bytes


def main() -> None:
    """Serve; returns as well in each worker that has ended."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind("\0" + sys.argv[1])
    listener.listen(16)
    print("listening", flush=True)
    if os.fork():
        os._exit(0)  # so that the server is nobody's child
    while True:
        ready, _, _ = select.select([listener, sys.stdin], [], [])
        with contextlib.suppress(ChildProcessError):
            while os.waitpid(-1, os.WNOHANG)[0]:
                pass
        if sys.stdin in ready:
            return
        connection, _ = listener.accept()
        from engine.render import worker  # takes its seconds only where a worker is needed

        assert len(os.listdir("/proc/self/task")) == 1, "an import starts threads; forks lack them"
        gc.freeze()
        if os.fork() == 0:
            listener.close()
            keep(connection)
            worker.main()
            return
        connection.close()


def keep(connection: socket.socket) -> None:
    """Fork a worker; return in it only."""
    request, streams = receive(connection)
    pid = os.fork()
    if pid == 0:
        connection.close()
        become(request, streams)
        return
    for stream in streams:
        os.close(stream)
    ready, _, _ = select.select([connection, os.pidfd_open(pid)], [], [])
    if connection in ready:
        os.kill(pid, signal.SIGKILL)
    status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
    with contextlib.suppress(OSError):
        connection.sendall(f"{status}\n".encode())
    os._exit(0)


def receive(connection: socket.socket) -> tuple[dict[str, Any], list[int]]:
    """Return the request, one line of JSON, and the standard streams that come with it."""
    line, streams, _, _ = socket.recv_fds(connection, CHUNK, 3)
    while not line.endswith(b"\n"):
        line += connection.recv(CHUNK) or b"\n"
    return json.loads(line), streams


def become(request: dict[str, Any], streams: list[int]) -> None:
    """Take the place of the process that asked."""
    for place, stream in enumerate(streams):
        os.dup2(stream, place)
        os.close(stream)
    os.chdir(request["folder"])
    os.environ.clear()
    os.environ.update(request["environment"])
    sys.argv[1:] = request["arguments"]


if __name__ == "__main__":
    main()
