"""``python -m tests.fuzz``: the long form; it prints what was sent, answered and used."""

import argparse
import random
import time

from hypothesis import HealthCheck, Phase, settings
from hypothesis import seed as hypothesis_seed
from hypothesis.stateful import run_state_machine_as_test

from tests.fuzz import strangers
from tests.fuzz.machine import EngineMachine
from tests.fuzz.target import Target, a_target

ROUNDS = 10  # of each: runs of the machine, then strangers


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.fuzz", description=__doc__)
    parser.add_argument("--messages", type=int, default=100_000, help="at least (%(default)s)")
    parser.add_argument("--seed", type=int, default=random.getrandbits(32), help="to repeat a run")
    options = parser.parse_args()
    print(f"seed {options.seed}", flush=True)
    with a_target() as target:
        fuzz(target, options.messages, options.seed)


def fuzz(target: Target, messages: int, seed: int) -> None:
    """Send ``messages`` in rounds; three quarters by the machine, one quarter by strangers."""
    began, chance, first = time.monotonic(), random.Random(seed), 0
    for number in range(1, ROUNDS + 1):
        due = messages * number // ROUNDS
        while target.sent < due - messages // ROUNDS // 4:
            run_machine(target, examples=20, seed=chance.getrandbits(32))
        strangers.visit(target, max(1, -(-(due - target.sent) // strangers.FRAMES)), chance)
        first = first or target.memory
        print(
            f"{target.sent} messages, {time.monotonic() - began:.0f} s, "
            f"{target.memory / 2**20:.0f} MiB resident, {target.open_files} files open",
            flush=True,
        )
    print("sent:", dict(target.counts))
    print("answered:", dict(target.answers))
    print(f"resident memory after the last round: {target.memory / first:.2f} of the first's")


def run_machine(target: Target, *, examples: int, seed: int | None = None) -> None:
    """Run the machine against a target; without a seed always in the same way."""
    EngineMachine.target = target
    chosen = settings(
        max_examples=examples,
        stateful_step_count=50,
        deadline=None,
        database=None,
        derandomize=seed is None,
        phases=[Phase.generate],  # an engine remembers: shrinking would not repeat what was seen
        suppress_health_check=list(HealthCheck),
    )
    machine = EngineMachine if seed is None else hypothesis_seed(seed)(EngineMachine)
    run_state_machine_as_test(machine, settings=chosen)


if __name__ == "__main__":
    main()
