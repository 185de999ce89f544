"""Every interpreter imports this at its start: one that is to be a worker has it forked instead."""

import os
import sys

if "WORKER_FORK_SERVER" in os.environ and sys.orig_argv[1:3] == ["-m", "engine.render.worker"]:
    import json
    import signal
    import socket

    signal.signal(signal.SIGINT, signal.SIG_DFL)  # no traceback
    request = {
        "arguments": sys.orig_argv[3:],
        "folder": os.getcwd(),
        "environment": dict(os.environ),
    }
    with socket.socket(socket.AF_UNIX) as server:
        server.connect("\0" + os.environ["WORKER_FORK_SERVER"])
        line = json.dumps(request).encode() + b"\n"
        sent = socket.send_fds(server, [line], [0, 1, 2])
        server.sendall(line[sent:])
        for stream in (0, 1):
            os.close(stream)  # the worker's end of them is the only one
        status = int(server.recv(16) or 1)
    if status < 0:
        os.kill(os.getpid(), -status)
    os._exit(status)
