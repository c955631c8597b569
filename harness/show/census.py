"""Rewrite the census from the verdicts of the lanes in `out/`."""

import argparse
from pathlib import Path

from harness import OUT, PATCHES, ROOT, HarnessError
from harness.report import views
from harness.suite.catalogue import CATALOGUE, read_catalogue
from harness.verdict.census import FILE, OURS, count, write


def take(out: Path = OUT, patches: Path = PATCHES, file: Path = FILE) -> Path:
    """Write the census of the lanes in `out/` that have no other problem.

    Raises:
        HarnessError: there is no such lane, or a verdict does not hold for another reason
    """

    lanes, stale = views.read(out, patches)
    found = {}
    for lane in lanes:
        others = [problem for problem in lane.record["problems"] if not problem.startswith(OURS)]
        if others:
            raise HarnessError(f"the verdict on {lane.name} has another problem first: {others[0]}")
        device = lane.record["lane"]
        found[lane.name] = (device, count(lane.runs["upstream"], lane.runs["patched"], read_catalogue(CATALOGUE), device))
    if not found:
        raise HarnessError("; ".join(["there is no verdict to count", *stale.values()]) + ": run `nox` first")
    write(found, file)
    return file


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `census`."""
    parser.set_defaults(run=lambda options: print(f"wrote {take().relative_to(ROOT)}: review its diff, and run `nox` again"))
