"""Repeat a verdict in shuffled orders and with random numbers of workers: each must equal the first."""

import argparse
import os
import random
import time
from collections.abc import Iterator, Mapping
from functools import partial

from harness import OUT, HarnessError
from harness.lane import devices, warm
from harness.lane.results import Run, placeless
from harness.lane.run import environment, run_suite
from harness.table import Table, publish
from harness.verdict.catalogue import CATALOGUE, read_catalogue
from harness.verdict.judge import judge, surprise

TREES = ("upstream", "patched")


def differences(first: Mapping[str, Run], other: Mapping[str, Run]) -> Iterator[str]:
    """Find how the runs on each tree differ: in tests, outcomes, exceptions with their messages, or digests."""
    for tree, before in first.items():
        after = other[tree]
        for test in sorted(before.collected ^ after.collected):
            yield f"{tree}: {test} was collected in only one of them"
        for test in sorted(before.results.keys() & after.results.keys()):
            for what in ("outcome", "type", "message", "digest"):
                was, now = (placeless(getattr(run.results[test], what)) for run in (before, after))
                if was != now:
                    yield f"{tree}: {test}: its {what} was {was!r}, then {now!r}"


def run(lane: str, times: int, seed: int | None) -> bool:
    """Repeat the verdict of a lane, and write `out/repeat.json` and `out/repeat.md`.

    Args:
        lane: a device
        times: how often
        seed: the seed of the orders and numbers of workers; random if None

    Returns:
        whether every verdict holds and equals the first

    Raises:
        HarnessError: this host cannot compute on the device, or there is nothing to compare
    """
    if times < 2:
        raise HarnessError(f"--times {times}: this repeats nothing, pass 2 or more")
    devices.refuse(lane, devices.lacks(lane))
    catalogue = read_catalogue(CATALOGUE)
    seed = random.SystemRandom().randrange(2**32) if seed is None else seed
    print(f"seed {seed}: `--seed {seed}` repeats these orders and numbers of workers", flush=True)
    draw = random.Random(seed)
    rows, problems, good, start = [], [], 0, time.monotonic()
    first: dict[str, Run] = {}
    for n in range(1, times + 1):
        runs, chosen = {}, []
        # Each verdict has its own server, because the order of sets differs between processes.
        with warm.python(lane, environment(lane)) as python:
            for tree in TREES:
                order, workers = draw.randrange(2**32), draw.randint(1, 2 * (os.cpu_count() or 1))
                print(f"\n{n} of {times}: {tree}, order {order}, workers {workers}", flush=True)
                bugs = catalogue.on(lane) if tree == "upstream" else ()
                runs[tree], _ = run_suite(
                    tree,
                    lane,
                    OUT / "repeat",
                    *("--shuffle", str(order)),
                    python=python,
                    workers=workers,
                    surprising=partial(surprise, bugs=bugs, catalogue=catalogue),
                )
                chosen += [str(order), str(workers)]
        verdict = judge(runs["upstream"], runs["patched"], catalogue, lane)
        first = first or runs
        other = list(differences(first, runs))
        problems += [f"{n} of {times}: {problem}" for problem in (*verdict.problems[:1], *other[:1])]
        good += verdict.holds and not other
        counts = ", ".join(f"{number} {kind}" for kind, number in sorted(verdict.counts.items()))
        same = "–" if n == 1 else "identical" if not other else f"{len(other)} differences"
        rows.append([str(n), *chosen, counts, str(verdict.same_bits), "holds" if verdict.holds else "does not hold", same])
    note = f"{good} of {times} hold and are identical, by the outcome of each test, the type and message of its exception "
    note += f"and the digest of its output. Seed {seed}, lane {lane}."
    columns = (
        "verdict",
        "order on upstream",
        "workers",
        "order on patched",
        "workers",
        "tests",
        "bit for bit",
        "result",
        "compared to the first",
    )
    seconds = round(time.monotonic() - start)
    publish("repeat", Table("The verdict, repeated", columns, rows, note), problems=problems, seed=seed, seconds=seconds)
    return not problems


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `repeat`."""
    parser.add_argument("--times", type=int, default=10, help="how often (default: 10)")
    parser.add_argument("--seed", type=int, help="seed of the orders and numbers of workers (default: random, and printed)")
    parser.add_argument("--device", default="cpu", help="the lane (default: cpu)")
    parser.set_defaults(run=lambda options: run(options.device, options.times, options.seed))
