"""Show the progress of a run in one line, and name its first unexpected result at once."""

import subprocess
import time
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Self

from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

from harness.lane.results import Reading, Result, Run

# Says what is unexpected about a test, given its id and its result; empty if nothing is.
type Surprising = Callable[[str, Result], str]

EVERY = 25  # per cent, between the lines if there is no terminal
LAST = 15  # lines of pytest's output to print if it did not finish
PAUSE = 0.2  # seconds between reads of the log


class Screen:
    """A live line in a terminal, or a few plain lines elsewhere."""

    def __init__(self, words: str, console: Console | None = None) -> None:
        self._console = console or Console(highlight=False, soft_wrap=True)
        columns = (
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("[green]{task.fields[expected]} as expected[/]"),
            TextColumn("[{task.fields[colour]}]{task.fields[unexpected]} unexpected[/]"),
            TimeRemainingColumn(elapsed_when_finished=True),
            TextColumn("{task.fields[left]}"),
        )
        self._bar = Progress(*columns, console=self._console, disable=not self._console.is_terminal, refresh_per_second=4)
        self._task = self._bar.add_task(words, total=None, expected=0, unexpected=0, colour="dim", left="left")
        self._words, self._start = words, time.monotonic()
        self._done = self._unexpected = self._said = 0

    def __enter__(self) -> Self:
        self._bar.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._bar.stop()

    def add(self, test: str, surprise: str) -> None:
        """Count a finished test, and name it if it is the first unexpected one."""
        self._done += 1
        self._unexpected += bool(surprise)
        if surprise and self._unexpected == 1:
            self._console.print(f"[red]✗ unexpected:[/] {escape(test.removeprefix('tests/'))}: {escape(surprise)}")

    def show(self, total: int, *, ended: bool = False) -> None:
        """Draw the counts, out of this total."""
        self._bar.update(
            self._task,
            total=total,
            completed=self._done,
            expected=self._done - self._unexpected,
            unexpected=self._unexpected,
            colour="bold red" if self._unexpected else "dim",
            left="" if ended else "left",
        )
        share = 100 * self._done // total
        if self._console.is_terminal or not (ended or self._said + EVERY <= share < 100):
            return
        self._said = share - share % EVERY
        counts = f"{self._done - self._unexpected} as expected, {self._unexpected} unexpected"
        self._console.print(f"{self._words}: {self._done} of {total}, {counts}, {time.monotonic() - self._start:.0f} s")


def watch(process: subprocess.Popen[bytes], log: Path, collected: Path, words: str, surprising: Surprising) -> Run:
    """Follow a run until its process ends.

    Args:
        process: pytest, which writes `log` and `collected`
        words: the name of the run
        surprising: what counts as unexpected
    """
    reading, total, running = Reading(log, collected), 0, True
    with Screen(words) as screen:
        while running:
            try:
                process.wait(PAUSE)
                running = False
            except subprocess.TimeoutExpired:
                pass
            for test in reading.more(ended=not running):
                screen.add(test, surprising(test, reading.results[test]))
            # The list of tests is certainly complete only once there is a result.
            if total := total or (len(reading.run.collected) if reading.results else 0):
                screen.show(total, ended=not running)
    return reading.run


def complain(run: Run, said: Path) -> None:
    """Print the end of pytest's output if the run did not finish."""
    if run.finished and run.results:
        return
    lines = [line for line in said.read_text(encoding="utf-8", errors="replace").splitlines() if line.strip()]
    # Python's report of a crash begins with its name and the innermost frame.
    crash = next((n for n, line in enumerate(lines) if line.startswith("Fatal Python error")), None)
    print(*(lines[-LAST:] if crash is None else lines[crash : crash + 3]), sep="\n", flush=True)
