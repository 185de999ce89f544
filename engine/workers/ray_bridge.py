"""A worker process that represents one on another machine: it forwards the pipe to a Ray actor.

For the server it is a worker like any other, so a failure of Ray does not end the server. It ends
when its input ends or when the actor is lost; the server then starts another one, which waits for a
free share of the cluster. It knows neither films nor torch.
"""

import argparse
import hashlib
import logging
import os
import queue
import sys
import threading
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray
from ray.exceptions import RayError

from engine.workers import messages
from engine.workers.messages import Channel, ServerGoneError, claim_stdout
from engine.workers.ray_actor import Content, FileChunk, PreviewBytes, RayActor, inputs

log = logging.getLogger(__name__)


def main() -> None:
    """Carry out tasks until the input ends, or print the shares of the cluster."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--ray", required=True, metavar="ADDRESS")
    parser.add_argument("--device", metavar="SHARE", help="one of those printed without it")
    options, chosen = parser.parse_known_args()
    sink = claim_stdout()
    logging.basicConfig(
        level=os.environ.get("VISIONFLUX_LOG_LEVEL", "INFO"),
        format="%(asctime)s bridge %(levelname)s %(message)s",
    )
    _connect(options.ray)
    if options.device is None:
        sink.write(" ".join(shares(ray.nodes())).encode())
        return
    bridge = RayBridge(Channel(sys.stdin.buffer, sink), _actor(options.device, chosen))
    threading.Thread(target=bridge.listen, daemon=True).start()
    try:
        bridge.serve()
    except ServerGoneError:
        log.info("The server is gone; this process ends.")
    except (RayError, OSError):
        log.warning("The worker on the cluster is lost.", exc_info=True)
        _exit(1)


def shares(nodes: list[dict[str, Any]]) -> list[str]:
    """Return one share, ``GPUs:CPUs``, for each worker that a cluster has room for.

    There is one for each GPU, with its part of the CPUs. Without GPUs, a share has the CPUs of the
    smallest machine, and each machine has as many shares as it has CPUs for.

    Args:
        nodes: as ``ray.nodes`` returns them.
    """
    there = [node["Resources"] for node in nodes if node["Alive"]]
    machines = [(int(one.get("GPU", 0)), int(one.get("CPU", 0))) for one in there]
    if cards := [machine for machine in machines if machine[0]]:
        cpus = min(cpus // gpus for gpus, cpus in cards)
        return [f"1:{cpus}"] * sum(gpus for gpus, _ in cards)
    cores = [cpus for _, cpus in machines if cpus]
    least = min(cores, default=1)
    return [f"0:{least}"] * sum(cpus // least for cpus in cores)


class RayBridge:
    """Forwards the server's messages to the actor, and the actor's to the server."""

    def __init__(self, channel: Channel, actor: Any) -> None:
        self._channel, self._actor = channel, actor
        self._inbox: queue.SimpleQueue[messages.Work] = queue.SimpleQueue()

    def listen(self) -> None:
        """Receive the server's messages, in a thread of its own; exit when the server is gone.

        The main thread may be waiting for the cluster then; Ray ends the actor.
        """
        while (task := self._channel.receive()) is not None:
            match task:
                case messages.Stop(job=job):
                    self._actor.stop.remote(job)
                case messages.Credit(setting=setting):
                    self._actor.credit.remote(setting)
                case work:
                    self._inbox.put(work)
        _exit(0)

    def serve(self) -> None:
        """Report that the actor is ready, and carry out tasks; never return.

        Raises:
            ray.exceptions.RayError: the actor, its machine or its worker is lost.
        """
        self._channel.send(messages.Ready(device=ray.get(self._actor.ready.remote())))
        while True:
            self._carry_out(self._inbox.get())

    def _carry_out(self, work: messages.Work) -> None:
        files = [Content.of(Path(path).read_bytes()) for path in inputs(work)]
        targets = messages.targets(work)
        made = [hashlib.sha256() for _ in targets]
        for reference in self._actor.run.remote(work, files):
            match ray.get(reference):
                case FileChunk(file=number, data=data):
                    made[number].update(data)
                    with Path(targets[number]).open("ab") as target:
                        target.write(data)
                case PreviewBytes(body=body):
                    self._channel.forward(messages.PREVIEW_KIND, body)
                case messages.Made(files=reported) if not _whole(reported, made):
                    raise OSError("a file was damaged in the transfer between two machines")
                case answer:
                    self._channel.send(answer)


def _whole(files: Sequence[messages.File], made: Sequence[Any]) -> bool:
    """Return whether the files that arrived are those that the worker made."""
    return [file.sha256 for file in files] == [one.hexdigest() for one in made]


def _connect(address: str) -> None:
    """Join a cluster, and send this package to it; its machines need what the package imports."""
    ray.init(
        address,
        runtime_env={"py_modules": [str(Path(__file__).parents[1])], "excludes": ["__pycache__"]},
        logging_level=logging.ERROR,
        log_to_driver=False,
    )


def _exit(status: int) -> None:
    """Exit at once, even if other threads wait; Ray then ends the actor."""
    sys.stderr.flush()
    os._exit(status)


def _actor(share: str, chosen: list[str]) -> Any:
    gpus, cpus = map(int, share.split(":"))
    return ray.remote(RayActor).options(num_gpus=gpus, num_cpus=cpus).remote(chosen)


if __name__ == "__main__":
    main()
