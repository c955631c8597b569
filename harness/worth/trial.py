"""Run chosen tests of the suite on many trees, each run in a process of its own."""

from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from threading import Lock
from types import TracebackType
from typing import Self

from harness import HarnessError
from harness.results import Result, Run
from harness.run import Started, start_suite

LIMIT = 300  # seconds that a run may take


class Trials:
    """Runs of the suite. This is a context manager, and any number of threads may use it."""

    def __init__(self) -> None:
        self._running: list[Started] = []
        self._lock = Lock()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        """Stop the remaining runs, because after Ctrl-C the threads wait for them."""
        with self._lock:
            self._closed = True
            for started in self._running:
                started.end()

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
            run = self._start(tree, lane, tests, Path(folder), options).finish(LIMIT)[0]
        if not run.finished:
            raise HarnessError(f"pytest did not finish on {tree}, {lane}: {run.last or 'it printed nothing'}")
        return run

    def collect(self, tree: str, lane: str) -> list[str]:
        """List the ids of the suite's tests on a lane."""
        with TemporaryDirectory() as folder:
            started = self._start(tree, lane, ["tests"], Path(folder), ("--collect-only",))
            started.finish(LIMIT)
            said = started.said.read_text(encoding="utf-8") if started.said else ""
        return sorted(line for line in said.splitlines() if line.startswith("tests/"))

    def _start(self, tree: str, lane: str, tests: Sequence[str], folder: Path, options: Sequence[str]) -> Started:
        with self._lock:
            if self._closed:
                raise HarnessError("interrupted")
            self._running = [started for started in self._running if started.process.is_alive()]
            started = start_suite(tree, lane, folder, *options, tests=tests)
            self._running.append(started)
            return started


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
