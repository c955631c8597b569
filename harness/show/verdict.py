"""Run the lanes, and write the page with their verdicts."""

import argparse
from pathlib import Path

from harness import ROOT
from harness.report.page import write
from harness.verdict.lane import run_lanes


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `verdict`."""
    parser.add_argument("--device", help="the lane (default: cpu, and sim if there is a compiler)")
    parser.add_argument(
        "--checkpoint", type=Path, help="folder of a real checkpoint, which makes a separate lane (default: the tiny one)"
    )
    parser.add_argument(
        "--stack", help="the stack that this environment must match; writes out/<device>-<stack>/ unless it is `pinned`"
    )
    parser.add_argument("--verbose", action="store_true", help="show pytest's own output instead of a progress line")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> bool:
    extra = ["--checkpoint", str(options.checkpoint.expanduser().absolute())] if options.checkpoint else []
    lanes = [options.device or "cpu"] if options.device or extra else []
    holds = run_lanes(lanes, *extra, stack=options.stack, verbose=options.verbose)
    print(f"wrote {write().relative_to(ROOT)}")
    return holds
