"""The command line: ``python -m engine serve | render | interpolate | upscale | fetch | doctor``.

It reads arguments and prints; the work is done elsewhere.
"""

import argparse
import asyncio
import io
import logging
import os
import re
import signal
import sys
from pathlib import Path
from typing import Any, NoReturn

from engine import __version__, daemon, local, tunnels
from engine.cli import doctor, fetch, interpolate, render, upscale
from engine.cli.output import refused
from engine.errors import RequestError, TransportError, VisionFluxError
from engine.film.graph import BATCHES
from engine.models import KNOWN, catalogue, interpolators, upscalers
from engine.storage.object_store import STORE_BYTES
from engine.tunnels.ngrok import TOKEN_VARIABLE

EXIT_USAGE, EXIT_ENGINE, EXIT_NETWORK, EXIT_INTERRUPTED = 2, 1, 3, 130
EXITS = (
    f"exit status: 0 done; {EXIT_ENGINE} the work failed, or a file or folder cannot be used; "
    f"{EXIT_USAGE} an argument is not acceptable; {EXIT_NETWORK} the engine cannot be reached; "
    f"{EXIT_INTERRUPTED} interrupted"
)
DASHED = re.compile(r"unrecognized arguments|are required: PROMPT|expected one argument")


class Parser(argparse.ArgumentParser):
    """A parser whose help ends with the exit statuses, and that explains prompts after a dash."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(epilog=EXITS, **settings)

    def error(self, message: str) -> NoReturn:
        """Print what is wrong and end."""
        dashed = [word for word in sys.argv[1:] if re.match(r"--?[^-]", word)]
        if "render" in sys.argv and dashed and DASHED.search(message):
            message += f'\na prompt that begins with - stands behind --: render -- "{dashed[-1]}"'
        super().error(message)


def main() -> int:
    """Run one command and return its exit status."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):  # else a name that it cannot print is an error
            stream.reconfigure(errors="backslashreplace")
    options = _parser().parse_args()
    level = "DEBUG" if options.verbose else options.log_level
    os.environ["VISIONFLUX_LOG_LEVEL"] = level  # for the worker
    logging.basicConfig(level=level, format="%(asctime)s %(name)s %(levelname)s %(message)s")
    logging.getLogger("websockets").setLevel(logging.WARNING)  # its debug log would hold proofs
    signal.signal(signal.SIGTERM, _interrupt)
    try:
        status: int = options.run(options)
        sys.stdout.flush()
        return status
    except VisionFluxError as error:
        return _complain(error)
    except BrokenPipeError:  # whoever read the output has read enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return EXIT_ENGINE
    except OSError as error:
        logging.getLogger(__name__).debug("The system refused something.", exc_info=True)
        return _complain(refused(error))
    except KeyboardInterrupt:
        return EXIT_INTERRUPTED


def _parser() -> argparse.ArgumentParser:
    parser = Parser(prog="python -m engine", description="The VisionFlux engine.")
    parser.add_argument("--version", action="version", version=f"VisionFlux {__version__}")
    parser.add_argument("--verbose", action="store_true", help="log every detail")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands.add_parser("serve", help="run an engine and print its pairing link"))
    _add_render(commands.add_parser("render", help="make a film from prompts"))
    interpolate.add_arguments(
        commands.add_parser("interpolate", help="put frames between those of a film or of pictures")
    )
    fetch.add_arguments(commands.add_parser("fetch", help="download the network for in-betweens"))
    upscale.add_arguments(
        commands.add_parser("upscale", help="enlarge a film, or pictures, 2, 3 or 4 times")
    )
    _add_doctor(commands.add_parser("doctor", help="say what this machine can do"))
    return parser


def _add_serve(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (%(default)s)")
    parser.add_argument(
        "--port", type=int, default=0, help="port; 0 takes a free one (%(default)s)"
    )
    _add_place(parser)
    _add_models(parser)
    _add_batch(parser)
    parser.add_argument(
        "--ray",
        default="",
        metavar="ADDRESS",
        help="have the devices of a Ray cluster do the work; this machine must be one of its nodes",
    )
    parser.add_argument(
        "--room",
        type=float,
        default=STORE_BYTES / 1e9,
        metavar="GB",
        help="what finished pieces and films may take on the disk (%(default).3g)",
    )
    parser.add_argument(
        "--tunnel",
        choices=tunnels.NAMES,
        default=tunnels.NO_TUNNEL,
        help="give the engine an https address; ngrok wants its token in "
        f"{TOKEN_VARIABLE} (%(default)s)",
    )
    parser.add_argument(
        "--domain", default="", help="your own domain at ngrok, which stays the same"
    )
    parser.add_argument(
        "--until-input-ends",
        action="store_true",
        help="stop when the standard input is closed, as the app wants it",
    )
    parser.set_defaults(run=_serve, log_level="INFO")


def _add_place(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--data", type=local.absolute, help="folder where films and jobs are kept")
    parser.add_argument(
        "--device",
        default="auto",
        help="auto, cpu, cuda, cuda:1, mps, several with commas between, or all (%(default)s)",
    )


def _add_models(parser: argparse.ArgumentParser) -> None:
    _add_networks(parser)
    parser.add_argument(
        "--model",
        action="append",
        default=[],
        metavar="MODEL",
        help=f"offer one more model: {', '.join(KNOWN)}, a folder in diffusers layout, a "
        ".safetensors checkpoint or a hub id; +LORA:WEIGHT behind it adds a LoRA; repeatable",
    )


def _add_networks(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--rife", default=interpolators.AUTO, help=interpolators.HELP)
    parser.add_argument("--upscaler", default=upscalers.DEFAULT, help=upscalers.HELP)


def _add_batch(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--batch",
        type=int,
        choices=BATCHES,
        default=1,
        help="keyframes that are painted at once where they do not depend on one another; quicker "
        "where memory allows, and other pictures in their last bits (%(default)s)",
    )


def _add_render(parser: argparse.ArgumentParser) -> None:
    render.add_arguments(parser)
    _add_place(parser)
    _add_batch(parser)
    _add_networks(parser)
    parser.set_defaults(run=render.run, log_level="CRITICAL")


def _add_doctor(parser: argparse.ArgumentParser) -> None:
    _add_place(parser)
    _add_models(parser)
    parser.set_defaults(
        run=lambda options: doctor.run(
            _engine_folder(options), options.model, interpolators.check_choice(options.rife)
        ),
        log_level="ERROR",
    )


def _serve(options: argparse.Namespace) -> int:
    token = os.environ.pop(TOKEN_VARIABLE, "")  # our children need not know it
    data = _engine_folder(options)
    running = daemon.Options(
        data=data,
        host=options.host,
        port=options.port,
        device=options.device,
        ray=options.ray,
        room=int(options.room * 1e9),
        rife=interpolators.check_choice(options.rife),
        upscaler=upscalers.check_choice(options.upscaler),
        batch=options.batch,
        models=catalogue(options.model),
        tunnel=tunnels.choose(options.tunnel, data, token=token, domain=options.domain),
    )
    asyncio.run(daemon.serve(running, until_input_ends=options.until_input_ends))
    return 0


def _engine_folder(options: argparse.Namespace) -> Path:
    folder: Path = options.data or local.data_folder()
    return folder / "engine"


def _interrupt(*_: object) -> None:
    raise KeyboardInterrupt


def _complain(error: VisionFluxError) -> int:
    remedy = f"\n  {error.remedy}" if error.remedy else ""
    print(f"{error.code}: {error}{remedy}", file=sys.stderr)
    match error:
        case RequestError():
            return EXIT_USAGE
        case TransportError():
            return EXIT_NETWORK
    return EXIT_ENGINE


if __name__ == "__main__":
    sys.exit(main())
