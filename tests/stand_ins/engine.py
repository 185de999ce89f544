"""An engine with the stand-in worker, as a process of its own.

``python -m tests.stand_ins.engine DATA [--port PORT]`` prints its pairing link, logs to its
standard error, and ends when its standard input does.
"""

import argparse
import asyncio
import logging
import sys
from pathlib import Path

from engine import daemon
from engine.errors import VisionFluxError
from tests.conftest import MODELS, STAND_IN


def main() -> int:
    parser = argparse.ArgumentParser()
    parser.add_argument("data", type=Path)
    parser.add_argument("--port", type=int, default=0)
    given = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(name)s %(levelname)s %(message)s")
    options = daemon.Options(data=given.data, port=given.port, models=MODELS, worker=STAND_IN)
    try:
        asyncio.run(daemon.serve(options, until_input_ends=True))
    except VisionFluxError as error:
        print(f"{error.code}: {error}\n  {error.remedy}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
