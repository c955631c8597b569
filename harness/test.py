"""Run the suite on the patched tree, and the tests of the harness."""

import argparse
import os
import subprocess
import sys

from harness import ROOT
from harness.run import processors


def run_tests(*options: str) -> bool:
    """Run the suite on the patched tree, and the tests of harness/. Options for pytest choose other tests.

    Returns:
        whether all tests pass
    """
    # A debugger needs a single process.
    workers = 0 if {"--pdb", "--trace"}.intersection(options) else processors()
    command = [sys.executable, "-m", "pytest", "--dist", "worksteal", "--numprocesses", str(workers)]
    # The tests of sim have a process of their own: once torch knows the stand-in accelerator, "auto" chooses it.
    sim = None if options else subprocess.Popen([*command[:3], "--quiet", "harness/tests/test_sim.py"], cwd=ROOT)
    try:
        left_out = [] if options else ["--ignore", "harness/tests/test_sim.py"]
        passed = not subprocess.run([*command, "--tree", "patched", *left_out, *options], cwd=ROOT, env=os.environ).returncode
        return not (sim and sim.wait()) and passed
    finally:
        if sim:
            sim.kill()


def command(parser: argparse.ArgumentParser) -> None:
    """`test`: run the suite on the patched tree, and the tests of the harness."""
    parser.add_argument("options", nargs="*", help="options for pytest, after --")
    parser.set_defaults(run=lambda options: run_tests(*options.options))
