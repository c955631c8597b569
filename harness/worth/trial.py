"""Run chosen tests of the suite on many trees. Each run is a separate process, forked from one that has imported torch.

The parent only imports libraries, so that no run sees what another did, and none imports torch again.
"""

import subprocess
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from types import TracebackType
from typing import Self

from harness import HarnessError
from harness.lane import warm
from harness.lane.results import Result, Run
from harness.lane.run import environment, start_suite

LIMIT = 300  # seconds that a run may take


class Trials:
    """Runs of the suite. This is a context manager, and any number of threads may use it."""

    def __init__(self) -> None:
        self._server = warm.python("cpu", environment("cpu"))
        self._running: set[subprocess.Popen[bytes]] = set()
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> Self:
        self._python = self._server.__enter__()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the remaining runs, because after Ctrl-C the threads wait for them."""
        with self._lock:
            self._closed = True
            for process in self._running:
                process.kill()
        self._server.__exit__(kind, error, trace)

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
            with self._lock:
                if self._closed:
                    raise HarnessError("interrupted")
                started = start_suite(tree, lane, Path(folder), *options, python=self._python, tests=tests, workers=0)
                self._running.add(started.process)
            with suppress(subprocess.TimeoutExpired):  # without a piece of the series a test may hang
                started.process.wait(LIMIT)
            started.process.kill()
            run, _ = started.finish()
            with self._lock:
                self._running.discard(started.process)
            if not run.finished:
                words = started.said.read_text(encoding="utf-8").split("\n") if started.said else []
                last = next((line for line in reversed(words) if line.strip()), "it printed nothing")
                raise HarnessError(f"pytest did not finish on {tree}, {lane}: {last}")
            return run

    def collect(self, tree: str, lane: str) -> list[str]:
        """List the ids of the suite's tests on a lane."""
        return sorted(self.run(tree, lane, ["tests"], "--collect-only").collected)


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
