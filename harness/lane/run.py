"""Run the suite in separate processes, on one tree and one device or on several in turn."""

import os
import shlex
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness import ROOT, world
from harness.lane import warm
from harness.lane.progress import Surprising, complain, watch
from harness.lane.results import Run, read_run

DEFAULT = ("cpu", "sim")
SELECTED = {"xla": ("-m", "core")}
# This output is read only if pytest does not finish.
QUIET = ("--quiet", "--tb=no", "--no-summary")
PATIENCE = 3  # seconds


@dataclass(frozen=True)
class Started:
    """A run of the suite on one tree that has started.

    Attributes:
        process: pytest
        words: the name of the run
        log: the file that pytest-reportlog writes
        collected: the ids of its tests
        said: the file with its output; None if it shares this process's output
        begun: when it started, by the monotonic clock
    """

    process: subprocess.Popen[bytes]
    words: str
    log: Path
    collected: Path
    said: Path | None
    begun: float

    def finish(self, surprising: Surprising | None = None) -> tuple[Run, float]:
        """Wait for the run to end, and return it with its duration in seconds.

        Args:
            surprising: what counts as unexpected; if given, shows progress unless pytest does
        """
        if self.said and surprising:
            run = watch(self.process, self.log, self.collected, self.words, surprising)
            complain(run, self.said)
        else:
            self.process.wait()
            run = read_run(self.log, self.collected)
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
    """Start the suite on one tree, as one would from a shell.

    Args:
        tree: "upstream", "patched", or a folder that holds the package
        lane: a device
        folder: where to write its log, `<name of the tree>.jsonl`
        options: further options for pytest
        python: the command line of the Python that runs it; that of a server puts temporary files into the server's folder
        tests: files, folders or ids of tests
        workers: the number of worker processes; if None, as many as suit this host and the lane
        verbose: show pytest's own output; otherwise it goes to `<name>.txt`
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(tree).name
    log, collected, said = folder / f"{name}.jsonl", folder / f"{name}.collected.json", folder / f"{name}.txt"
    for stale in (log, collected, said):
        stale.unlink(missing_ok=True)
    command = [*python, "-m", "pytest", *world.SETTINGS, *tests, "--tree", tree, "--device", lane]
    command += ["--report-log", str(log), "--collected", str(collected), *warm.IMPORTED_BEFORE]
    command += [*SELECTED.get(lane, ()), *spread_over(_workers(lane) if workers is None else workers, python), *options]
    command += () if verbose else QUIET
    variables = {**environment(lane), **warm.temporary(python)}
    with nullcontext() if verbose else said.open("wb") as output:
        process = subprocess.Popen(command, cwd=ROOT, env=variables, stdout=output, stderr=output)
    return Started(process, f"{lane} {name}", log, collected, None if verbose else said, time.monotonic())


def run_suite(
    tree: str, lane: str, folder: Path, *options: str, surprising: Surprising | None = None, **how: Any
) -> tuple[Run, float]:
    """Run the suite on one tree: start it as `start_suite` does, and finish it as `Started.finish` does."""
    started = start_suite(tree, lane, folder, *options, **how)
    try:
        return started.finish(surprising)
    finally:
        end(started.process)


def at_once(lane: str) -> int:
    """Return how many runs a lane allows at once: a GPU has one memory, and a TPU serves one process at a time."""
    from harness.lane import devices  # imports torch, for which the tests need not wait

    bears_two = lane in warm.LANES and not (lane == "xla" and devices.describe(lane).startswith("TPU"))
    return 2 if bears_two and processors() > 1 else 1


class Turns:
    """A queue of runs, and a context manager that ends the remaining runs on exit.

    Two runs at once keep the processors busy to the end. A single run leaves them waiting for its last tests.
    """

    def __init__(self, runs: int, python: Sequence[str], *, verbose: bool = False) -> None:
        """Allow this many runs at once; `python` and `verbose` are those of `start_suite`."""
        self.runs = runs
        self._pool = ThreadPoolExecutor(runs)
        self._how: dict[str, Any] = {"python": python, "verbose": verbose}
        if runs > 1:
            # A run with one processor to itself needs no separate process to hand out tests.
            share = processors() // runs
            self._how["workers"] = share if share > 1 else 0
        self._started: list[Started] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        # Cancel the queue before any run ends, because the next one would start then.
        self._pool.shutdown(wait=False, cancel_futures=True)
        end(*(started.process for started in self._started))

    def add(self, tree: str, lane: str, folder: Path, *options: str) -> Future[Started]:
        """Queue a run of the suite on a tree. It starts as `start_suite` does, and then sets the future's result."""
        begun: Future[Started] = Future()

        def turn() -> None:
            try:
                started = start_suite(tree, lane, folder, *options, **self._how)
            except BaseException as error:
                begun.set_exception(error)
                return
            self._started.append(started)
            begun.set_result(started)
            started.process.wait()

        self._pool.submit(turn)
        return begun


def end(*processes: subprocess.Popen[bytes]) -> None:
    """Wait briefly for processes that got the same Ctrl-C as this one, then kill those that are left."""
    deadline = time.monotonic() + PATIENCE
    for process in processes:
        try:
            process.wait(max(0, deadline - time.monotonic()))
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def environment(lane: str) -> dict[str, str]:
    """Return the variables of a run. For cpu, sim and xla they hide GPUs, which would change what "auto" chooses."""
    return world.environment(**({"CUDA_VISIBLE_DEVICES": ""} if lane in (*DEFAULT, "xla") else {}))


def processors() -> int:
    """Count the processors that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _workers(lane: str) -> int:
    return 0 if lane == "xla" else processors()  # with XLA every process would compile every shape again


def spread_over(workers: int, python: Sequence[str]) -> list[str]:
    """Return xdist's options for this many worker processes, each started with the same Python command line.

    Each worker takes a share of the tests as they come, so that the tests of a file, which share fixtures, stay together.
    """
    each = f"popen//python={shlex.join(python)}"
    return ["--dist", "worksteal", "--tx", f"{workers}*{each}"] if workers else ["--numprocesses", "0"]
