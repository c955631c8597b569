"""Rewrite the census from the verdicts of the lanes in `out/`."""

import argparse
from pathlib import Path

from harness import OUT, PATCHES, ROOT, HarnessError
from harness.census import FILE, OURS, count, write
from harness.report import views


def take(out: Path = OUT, patches: Path = PATCHES, file: Path = FILE) -> Path:
    """Write the census of the lanes in `out/` that have no other problem.

    Raises:
        HarnessError: there is no such lane, or a verdict does not hold for another reason
    """
    lanes, stale = views.read(out, patches)
    if not lanes:
        raise HarnessError("; ".join(["there is no verdict to count", *stale.values()]) + ": run `nox` first")
    for lane in lanes:
        if others := [problem for problem in lane.record["problems"] if not problem.startswith(OURS)]:
            raise HarnessError(f"the verdict on {lane.name} has another problem first: {others[0]}")
    write({lane.name: (lane.record["lane"], count(lane.runs["upstream"], lane.runs["patched"])) for lane in lanes}, file)
    return file


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `census`."""
    parser.set_defaults(run=lambda options: print(f"wrote {take().relative_to(ROOT)}: review its diff, and run `nox` again"))
