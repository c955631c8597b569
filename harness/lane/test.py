"""Run the suite on the patched tree, and the tests of the harness."""

import argparse
import os
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from tempfile import TemporaryFile

from harness import ROOT, world
from harness.lane import warm
from harness.lane.run import end, processors, spread_over


def run_tests(*options: str) -> bool:
    """Run the suite on the patched tree, and the tests of harness/. Options for pytest choose other tests.

    Together they write some ten thousand small files, so without options their files are in memory where a host allows it. With
    options they stay where pytest keeps them.

    Returns:
        whether all tests pass
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--device", default="cpu")
    with (
        warm.python(parser.parse_known_args(options)[0].device, world.environment()) as python,
        nullcontext() if options else _sim_tests(python) as sim,
    ):
        # A debugger needs a single process.
        spread = spread_over(0 if {"--pdb", "--trace"}.intersection(options) else processors(), python)
        # Without options the process that hands out the tests does not wait for the server.
        first = python if options else [sys.executable]
        command = [*first, "-m", "pytest", *warm.IMPORTED_BEFORE, *spread, "--tree", "patched", *options]
        files = {} if options else warm.temporary(python)
        passed = not subprocess.run(command, cwd=ROOT, env={**os.environ, **warm.shared(python), **files}).returncode
        return (not sim or sim()) and passed


@contextmanager
def _sim_tests(python: Sequence[str]) -> Iterator[Callable[[], bool]]:
    """Start the tests of sim separately, because once torch knows the stand-in accelerator, "auto" chooses it.

    Yields:
        a function that waits until they finish, prints their output, and returns whether all passed
    """
    with TemporaryFile() as said:
        command = [*python, "-m", "pytest", *warm.IMPORTED_BEFORE, *spread_over(0, python), "harness/lane/sim"]
        env = {**os.environ, **warm.temporary(python)}
        process = subprocess.Popen(command, cwd=ROOT, env=env, stdout=said, stderr=said)

        def passed() -> bool:
            status = process.wait()
            said.seek(0)
            print(said.read().decode(errors="replace"), end="", flush=True)
            return not status

        try:
            yield passed
        finally:
            end(process)


def command(parser: argparse.ArgumentParser) -> None:
    """`test`: run the suite on the patched tree, and the tests of the harness."""
    parser.add_argument("options", nargs="*", help="options for pytest, after --")
    parser.set_defaults(run=lambda options: run_tests(*options.options))
