"""Show where a run of the suite spends its time, and which tests are slowest."""

import argparse
import json
import time
from collections.abc import Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Column, Table

from harness import OUT, ROOT
from harness.lane import devices, warm
from harness.lane.progress import complain
from harness.lane.run import DEFAULT, environment, run_suite
from harness.suite.sampling import KINDS

TREES = ("upstream", "patched")
SLOWEST = 15
NOTE = (
    "Seconds, summed over all processes that run tests. Programs are started by a test; waiting is for another process or for "
    "a test to run. The last line is wall-clock time."
)


def run(lanes: tuple[str, ...] = (), *options: str) -> bool:
    """Run the suite on both trees of some lanes, and print tables. Default: cpu, and sim if there is a compiler.

    Returns:
        whether every run finished

    Raises:
        HarnessError: this host cannot compute on a device
    """
    if not lanes:
        lanes = tuple(lane for lane in DEFAULT if devices.usable(lane))
    # Another path, or a word after -k or -m, is the value of an option.
    chosen = [
        option
        for before, option in zip(("", *options), options, strict=False)
        if before not in ("-k", "-m") and _is_of_the_suite(option.partition("::")[0])
    ]
    how: dict[str, Any] = {"tests": chosen} if chosen else {}
    others = [option for option in options if option not in chosen]
    spent, clock, slow, finished = {}, {}, [], True
    for lane in lanes:
        devices.refuse(lane, devices.lacks(lane))
        with warm.python(lane, environment(lane)) as python:
            for tree in TREES:
                with TemporaryDirectory() as folder:
                    sampling = ("-p", "harness.suite.sampling", "--sampled", folder, "--since", str(time.time()))
                    print(f"{lane} {tree}", flush=True)
                    suite, seconds = run_suite(tree, lane, OUT / "profile" / lane, *sampling, *others, python=python, **how)
                    name = f"{lane} {tree}"
                    spent[name], clock[name] = _read(Path(folder)), seconds
                    finished &= suite.finished
                    complain(suite, OUT / "profile" / lane / f"{tree}.txt")
                slow += [(result.seconds, name, test.removeprefix("tests/")) for test, result in suite.results.items()]
    console = Console(highlight=False)
    console.print(_table(spent, clock), NOTE, "")
    slowest = Table("seconds", "on", Column("test", overflow="fold"), title="The slowest tests")
    for n, name, test in sorted(slow, reverse=True)[:SLOWEST]:
        slowest.add_row(f"{n:.1f}", name, escape(test))
    console.print(slowest)
    return finished


def _is_of_the_suite(name: str) -> bool:
    path = (ROOT / name).resolve()
    return path.exists() and path.is_relative_to(ROOT / "tests")


def _read(folder: Path) -> dict[str, float]:
    """Sum the time of a run's processes."""
    found = [json.loads(file.read_text()) for file in folder.glob("*.json")]
    return {kind: sum(seconds.get(kind, 0.0) for seconds in found) for kind in KINDS}


def _table(spent: Mapping[str, Mapping[str, float]], clock: Mapping[str, float]) -> Table:
    table = Table("seconds", *spent, title="Where the time goes")
    for column in table.columns[1:]:
        column.justify = "right"
    for kind in KINDS:
        table.add_row(kind, *(f"{seconds[kind]:.1f}" for seconds in spent.values()))
    table.add_section()
    table.add_row("all", *(f"{sum(seconds.values()):.1f}" for seconds in spent.values()))
    table.add_row("wall clock", *(f"{clock[name]:.1f}" for name in spent))
    return table


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `profile`."""
    parser.add_argument("--device", help="the lane (default: cpu, and sim if there is a compiler)")
    parser.add_argument("options", nargs="*", help="further options for pytest, after --")
    parser.set_defaults(run=lambda options: run((options.device,) if options.device else (), *options.options))
