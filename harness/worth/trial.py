"""Run chosen tests of the suite on many trees. Each run is a separate process, forked from one that has imported torch.

The parent only imports libraries, so that no run sees what another did, and none imports torch again.
"""

import os
import sys
from collections.abc import Sequence
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from types import TracebackType
from typing import Self

from harness import ROOT, HarnessError, world
from harness.lane import warm
from harness.lane.results import Result, Run, read_run

LIMIT = 300  # seconds that a run may take
ENVIRONMENT = {"CUDA_VISIBLE_DEVICES": "", "OMP_NUM_THREADS": "1"}


class Trials:
    """Runs of the suite. This is a context manager, and any number of threads may use it."""

    def __init__(self) -> None:
        closed = world.environment(**ENVIRONMENT)
        os.environ.clear()  # the forked processes inherit it
        os.environ.update(closed)
        self._context = get_context("forkserver")
        self._context.set_forkserver_preload([*warm.LIBRARIES])
        self._running: set[BaseProcess] = set()
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the remaining runs, because after Ctrl-C the threads wait for them."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.terminate()

    def run(self, tree: str, lane: str, tests: Sequence[str], *options: str) -> Run:
        """Run tests on a tree, in one process.

        Args:
            tree: as for `--tree`
            lane: a device
            tests: their ids
            options: further options for pytest

        Raises:
            HarnessError: pytest did not finish
        """
        with TemporaryDirectory() as folder:
            log, collected, said = (Path(folder) / name for name in ("log.jsonl", "collected.json", "said.txt"))
            command = [
                *world.SETTINGS,
                *tests,
                "--tree",
                tree,
                "--device",
                lane,
                "--numprocesses",
                "0",
                "--quiet",
                "--tb=no",
                "--no-summary",
            ]
            command += ["--report-log", str(log), "--collected", str(collected), *warm.IMPORTED_BEFORE, *options]
            process = self._context.Process(target=_pytest, args=(command, said))
            with self._lock:
                if self._closed:
                    raise HarnessError("interrupted")
                process.start()
                self._running.add(process)
            process.join(LIMIT)
            process.terminate()  # without a piece of the series a test may hang
            process.join()
            with self._lock:
                self._running.discard(process)
            run = read_run(log, collected)
            if not run.finished:
                words = said.read_text(encoding="utf-8").split("\n") if said.is_file() else []
                last = next((line for line in reversed(words) if line.strip()), "it printed nothing")
                raise HarnessError(f"pytest did not finish on {tree}, {lane}: {last}")
            return run

    def collect(self, tree: str, lane: str) -> list[str]:
        """List the ids of the suite's tests on a lane."""
        return sorted(self.run(tree, lane, ["tests"], "--collect-only").collected)


def _pytest(command: Sequence[str], said: Path) -> None:
    """Run pytest in this process, and exit."""
    import gc

    import pytest

    gc.freeze()  # otherwise pytest spends a second collecting the imported objects
    with said.open("w", encoding="utf-8") as output:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
    os.chdir(ROOT)
    sys.exit(pytest.main([*command]))


def red(run: Run, green: Run | None = None) -> tuple[str, str] | None:
    """Find a test that fails or gives different bits, and its message.

    Args:
        run: the run
        green: a run that recorded the digests to compare with, if any
    """
    for test, result in run.results.items():
        if result.outcome != "passed":
            return test.removeprefix("tests/"), says(result)
        before = green.results.get(test) if green else None
        if before and before.digest and before.digest != result.digest:
            return test.removeprefix("tests/"), "passes, with different bits"
    return None


def says(result: Result) -> str:
    """Return the message of a test that does not pass, in one line."""
    words = " ".join(result.message.split())
    words = f"{words[:117]}..." if len(words) > 120 else words
    return f"{result.type}: {words}" if words else f"{result.type}, without a message"
