"""Run the lanes, and draw the page of what they found."""

import argparse
from pathlib import Path

from harness import ROOT
from harness.show.page import write
from harness.verdict.lane import run_every_lane, run_lane


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `verdict`."""
    parser.add_argument("--device", help="the lane (default: cpu, and sim where there is a compiler)")
    parser.add_argument(
        "--checkpoint", type=Path, help="folder of a real checkpoint, a lane of its own (default: the tiny one)"
    )
    parser.add_argument("--stack", help="name the stack that this environment is, and write out/<device>-<stack>/")
    parser.add_argument("--verbose", action="store_true", help="pytest's own output, in place of a line of progress")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> bool:
    extra = ["--checkpoint", str(options.checkpoint.expanduser().absolute())] if options.checkpoint else []
    if options.device or extra:
        holds = run_lane(options.device or "cpu", *extra, stack=options.stack, verbose=options.verbose).verdict.holds
    else:
        holds = run_every_lane(*extra, stack=options.stack, verbose=options.verbose)
    print(f"wrote {write().relative_to(ROOT)}")
    return holds
