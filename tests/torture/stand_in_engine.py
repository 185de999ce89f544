"""An engine whose worker only pretends to paint, in a process of its own."""

import argparse
import asyncio
from pathlib import Path

from engine import daemon
from tests.conftest import MODELS, STAND_IN


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("command")
    parser.add_argument("--data", type=Path)
    parser.add_argument("--port", type=int)
    given = parser.parse_args()
    options = daemon.Options(
        data=given.data / "engine", port=given.port, models=MODELS, worker=STAND_IN
    )
    asyncio.run(daemon.serve(options, until_input_ends=False))


if __name__ == "__main__":
    main()
