"""The fuzzer's short form, always the same; ``python -m tests.fuzz`` is the long one."""

import random

from tests.fuzz import strangers
from tests.fuzz.__main__ import run_machine
from tests.fuzz.target import a_target

MEMORY = 256 * 2**20  # bytes; the server alone needs about 45 MiB


def test_the_engine_follows_the_protocol_whatever_it_is_sent() -> None:
    with a_target() as target:
        run_machine(target, examples=20)
        strangers.visit(target, 40, random.Random(4))
        assert target.sent > 2_000
        assert target.memory < MEMORY
