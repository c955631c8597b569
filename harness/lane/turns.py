"""Runs of the suite in turns: two beside each other, each on its share of the processors, so that none of these waits at the end."""

from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from harness.lane import devices, warm
from harness.lane.run import Started, end, processors, start_suite


def at_once(lane: str) -> int:
    """Say how many runs a lane bears beside each other: a GPU has one memory, and a TPU serves one process at a time."""
    bears_two = lane in warm.LANES and not (lane == "xla" and devices.describe(lane).startswith("TPU"))
    return 2 if bears_two and processors() > 1 else 1


class Turns:
    """A queue of runs, to be used as a context: what still runs when it is left is ended."""

    def __init__(self, runs: int, python: Sequence[str], *, verbose: bool = False) -> None:
        """Prepare for so many runs at once, by what stands for Python on a command line; `verbose` as for `start_suite`."""
        self._pool = ThreadPoolExecutor(runs)
        self._how: dict[str, Any] = {"python": python, "verbose": verbose}
        if runs > 1:
            # A process that has a processor to itself needs none that hands out tests.
            share = processors() // runs
            self._how["workers"] = share if share > 1 else 0
        self._started: list[Started] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._pool.shutdown(wait=False, cancel_futures=True)
        for started in self._started:
            end(started.process)

    def add(self, tree: str, lane: str, folder: Path, *options: str) -> Future[Started]:
        """Start the suite on a tree when its turn comes, as `start_suite` does; the result is there from then on."""
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
