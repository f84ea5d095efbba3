"""`python -m tests.faults`: the proof by faults, in its long form unless arguments say otherwise."""

from __future__ import annotations

import argparse
import os
import sys
import time

if os.environ.get("PYTHONHASHSEED") != "0":
    # The order of sets decides about what comes first: a seed must mean the same every time.
    os.environ["PYTHONHASHSEED"] = "0"
    os.execv(sys.executable, [sys.executable, "-m", "tests.faults", *sys.argv[1:]])

from tests.faults.campaign import Effort, Tally, run_crossings, run_point, run_points, run_seeds
from tests.faults.crossing import PAIRS, run_crossing
from tests.faults.run import Verdict, run_seed

TRACE = 60
"""Steps that are shown of a failed run."""


def main() -> int:
    """Run what was asked for; the exit status is 1 where anything failed."""
    options = _parse()
    began = time.monotonic()
    if options.mutations is not None:
        from tests.faults.mutations import run_mutations

        return run_mutations(options.mutations)
    if options.seed is not None:
        return _show(run_seed(options.seed), f"--seed {options.seed}")
    if options.crossing is not None:
        print(PAIRS[options.crossing // 10_000])
        return _show(run_crossing(options.crossing), f"--crossing {options.crossing}")
    if options.point is not None:
        return _show(run_point(options.point), f"--point {options.point}")
    status = 0
    effort = Effort(options.jobs, options.seconds, options.failures)
    if options.seeds:
        print(f"== random faults, seeds {options.first} to {options.first + options.seeds - 1}")
        seeds = range(options.first, options.first + options.seeds)
        status |= _report(run_seeds(seeds, effort), "--seed")
    if options.stride:
        tally, calls = run_points(options.stride, 1 + options.first % options.stride, effort)
        print(f"== a kill before and after every call of a scenario: {2 * calls}, one in {options.stride}")
        status |= _report(tally, "--point")
    if options.crossings:
        pairs = range(len(PAIRS)) if options.pair is None else [options.pair]
        tally, count = run_crossings(options.crossings, options.first, effort, pairs)
        print(f"== executions that cross, {len(pairs)} pairs: {count}, one in {options.crossings}")
        status |= _report(tally, "--crossing")
    print(f"{time.monotonic() - began:.0f} s")
    return status


def _parse() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make faults", description=__doc__)
    parser.add_argument("--seeds", type=int, default=300, help="random runs (300)")
    parser.add_argument("--first", type=int, default=0, help="the first seed (0)")
    parser.add_argument("--seed", type=int, help="replay this one")
    parser.add_argument("--stride", type=int, default=1, help="kill at every so manieth call; 0: nowhere (1)")
    parser.add_argument("--point", type=int, help="replay the kill before this call, after it if negative")
    parser.add_argument("--crossings", type=int, default=1, help="every so manieth crossing; 0: none (1)")
    parser.add_argument("--pair", type=int, help="only the crossings of this pair, counted from 0")
    parser.add_argument("--crossing", type=int, help="replay this one")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="processes")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="begin nothing after so many")
    parser.add_argument("--failures", type=int, default=5, help="begin nothing after so many failed (5)")
    parser.add_argument(
        "--mutations",
        nargs="?",
        const="",
        help="break the service, in the ways with this word",
    )
    return parser.parse_args()


def _report(tally: Tally, replay: str) -> int:
    for line in tally.lines():
        print(line)
    for verdict in tally.failed[:1]:
        _show(verdict, f"{replay} {verdict.seed}")
    if tally.failed:
        print("failed:", *(f"{replay} {verdict.seed}" for verdict in tally.failed))
    return bool(tally.failed)


def _show(verdict: Verdict, replay: str) -> int:
    if not verdict.problems:
        print(f"all is right, {verdict.recovered} after the last fault")
        return 0
    users = {word for problem in verdict.problems for word in problem.split() if len(word) == 4}
    about = [step for step in verdict.trace if any(user in step for user in users) or "! " in step]
    print(f"replay it: make faults ARGS='{replay}'")
    print(*about[-TRACE:], sep="\n")
    print(*verdict.problems[:12], sep="\n")
    return 1


if __name__ == "__main__":
    sys.exit(main())
