"""Run the suite on one tree and one device, in processes of its own."""

import argparse
import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ROOT, world
from harness.lane import devices, warm
from harness.lane.progress import Surprising, complain, watch
from harness.lane.results import Run, read_run

DEFAULT = ("cpu", "sim")
SELECTED = {"xla": ("-m", "core")}
# The output goes to a file that is read only if pytest does not finish.
QUIET = ("--quiet", "--tb=no", "--no-summary")
PATIENCE = 3  # seconds


@dataclass(frozen=True)
class Started:
    """A run of the suite on one tree that was started.

    Attributes:
        process: pytest
        words: what the run is called
        log: what it did, by pytest-reportlog
        collected: the ids of its tests
        said: file of its output, None if it goes where this process's output goes
        begun: when it started, by the monotonic clock
    """

    process: subprocess.Popen[bytes]
    words: str
    log: Path
    collected: Path
    said: Path | None
    begun: float

    def finish(self, surprising: Surprising | None = None) -> tuple[Run, float]:
        """Wait for its end, and return the run and its duration in seconds.

        Args:
            surprising: says what is unexpected, for the line of progress; pytest's output is shown if None
        """
        try:
            if self.said and surprising:
                run = watch(self.process, self.log, self.collected, self.words, surprising)
                complain(run, self.said)
            else:
                self.process.wait()
                run = read_run(self.log, self.collected)
        finally:
            _end(self.process)
        return run, time.monotonic() - self.begun


def start_suite(
    tree: str,
    lane: str,
    folder: Path,
    *options: str,
    python: Sequence[str] = (sys.executable,),
    tests: Sequence[str] = ("tests",),
    workers: int | None = None,
    verbose: bool = False,
) -> Started:
    """Start the suite on one tree, with the command that one would type.

    Args:
        tree: "upstream", "patched", or a folder that holds the package
        lane: a device
        folder: where its log goes, as `<name of the tree>.jsonl`
        options: further ones for pytest
        python: what runs it, on a command line
        tests: files, folders or ids of tests
        workers: processes; as many as fit this host and the lane if None
        verbose: let pytest speak for itself; its output goes to `<name>.txt` otherwise
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(tree).name
    log, collected, said = folder / f"{name}.jsonl", folder / f"{name}.collected.json", folder / f"{name}.txt"
    for stale in (log, collected, said):
        stale.unlink(missing_ok=True)
    command = [*python, "-m", "pytest", *world.SETTINGS, *tests, "--tree", tree, "--device", lane]
    command += ["--report-log", str(log), "--collected", str(collected), *warm.IMPORTED_BEFORE]
    command += [*SELECTED.get(lane, ()), *_spread(_workers(lane) if workers is None else workers, python), *options]
    with nullcontext() if verbose else said.open("wb") as output:
        quiet = () if verbose else QUIET
        process = subprocess.Popen([*command, *quiet], cwd=ROOT, env=environment(lane), stdout=output, stderr=output)
    return Started(process, f"{lane} {name}", log, collected, None if verbose else said, time.monotonic())


def run_suite(
    tree: str, lane: str, folder: Path, *options: str, surprising: Surprising | None = None, **how: Any
) -> tuple[Run, float]:
    """Run the suite on one tree: start it as `start_suite` does, and finish it as `Started.finish` does."""
    return start_suite(tree, lane, folder, *options, **how).finish(surprising)


def run_tests(*options: str) -> bool:
    """Run the suite on the patched tree, and the tests of harness/. Options for pytest choose other tests.

    Returns:
        whether all pass
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--device", default="cpu")
    with warm.python(parser.parse_known_args(options)[0].device, os.environ) as python:
        # A debugger needs a single process.
        workers = 0 if {"--pdb", "--trace"}.intersection(options) else _workers("cpu")
        command = [*python, "-m", "pytest", *warm.IMPORTED_BEFORE, *_spread(workers, python)]
        # The tests of the stand-in accelerator run apart: once torch knows it, "auto" chooses it.
        runs = [["--tree", "patched", *options], *([] if options else [["harness/lane/sim"]])]
        return not any([subprocess.run([*command, *arguments], cwd=ROOT).returncode for arguments in runs])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait a little for a process that got the same Ctrl-C as this one, then kill it."""
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def environment(lane: str) -> dict[str, str]:
    """Return the variables of a run. Lanes that need no GPU hide them all, because "auto" would choose one."""
    return world.environment(**({"CUDA_VISIBLE_DEVICES": ""} if lane in (*DEFAULT, "xla") else {}))


def _workers(lane: str) -> int:
    # With XLA each process compiles every shape for itself, and a TPU serves one process at a time.
    return 0 if lane == "xla" else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def at_once(lane: str) -> bool:
    """Say whether both trees run at the same time: if each run is one process and needs no TPU, which serves one at a time."""
    return lane == "xla" and not devices.describe(lane).startswith("TPU")


def _spread(workers: int, python: Sequence[str]) -> list[str]:
    """Return the options that let xdist start so many processes, each with this command line as its Python."""
    return ["--dist", "load", "--tx", f"{workers}*popen//python={shlex.join(python)}"] if workers else ["--numprocesses", "0"]


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `test`."""
    parser.add_argument("options", nargs="*", help="what pytest gets, after --")
    parser.set_defaults(run=lambda options: run_tests(*options.options))
