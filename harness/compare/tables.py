"""What the recognizers heard, as two tables: short recordings, and files that get longer."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

from harness.compare.hearing.engines import ALL, CUT, WHOLE
from harness.compare.run import Run
from harness.compare.score import pairs, score
from harness.table import Table

Normalise = Callable[[str], str]
COLUMNS = ("recognizer", "how", "device", "WER", "CER", "RTF", "s per clip", "CPU s per s", "load", "warm-up", "peak memory")
# How far the word error rate of a file cut at pauses may rise above that of the shortest file, whose few words weigh more.
DRIFT = 0.02


def clips(runs: Sequence[Run], known: Callable[[str], bool], normalise: Normalise) -> Iterator[list[str]]:
    """Yield rows for the recordings. The tiny checkpoint has one more, for the recordings whose words it knows.

    Args:
        runs: the runs of the recognizers
        known: whether the tiny checkpoint knows all words of a text
        normalise: brings texts into the form in which they are compared
    """
    for run in runs:
        engine, heard = run.engine, run.heard("clip")
        head = [engine.name, engine.how, run.device]
        if run.not_run or not heard:
            yield [*head, f"not run: {run.not_run or run.failed}", *["–"] * (len(COLUMNS) - 4)]
            continue
        loaded = next(line for line in run.lines if line["event"] == "loaded")
        times = [f"{loaded['load']:.1f} s", f"{loaded['warm_up']:.1f} s", memory(heard[-1])]
        yield [*head, *_row(heard, normalise), *times]
        if engine.family == "tiny":
            some = [line for line in heard if known(line["spoken"])]
            yield [
                engine.name,
                f"{engine.how}; the {len(some)} clips whose words it knows",
                *head[2:],
                *_row(some, normalise),
                *times,
            ]


def _row(heard: Sequence[Mapping[str, Any]], normalise: Normalise) -> list[str]:
    """Give the error rates and the speed over several recordings."""
    found, audio = score(pairs(heard), normalise), sum(line["audio"] for line in heard)
    seconds, cpu = (sum(line[name] for line in heard) for name in ("seconds", "cpu"))
    speed = [f"{seconds / audio:.3f}", f"{seconds / len(heard):.2f} s", f"{cpu / audio:.3f}"]
    return [f"{found.wer:.1%}", f"{found.cer:.1%}", *speed]


def memory(line: Mapping[str, Any]) -> str:
    """Give the peak memory up to a line: that of the process, and that of the device."""
    on_device = f" + {line['on_device'] / 1e9:.1f} GB of the device" if line["on_device"] else ""
    return f"{line['peak'] / 1e9:.1f} GB{on_device}"


def lengths(runs: Sequence[Run], normalise: Normalise) -> Iterator[list[str]]:
    """Yield a row for each recognizer that was given joined files, with a cell for each file."""
    for run in runs:
        if not run.engine.seconds:
            continue
        head = [run.engine.name, run.engine.how, run.device]
        if run.not_run:
            yield [*head, f"not run: {run.not_run}", *["–"] * (len(ALL) - 1)]
            continue
        heard = {line["id"]: line for line in run.heard("joined")}
        yield [*head, *(_cell(run, heard.get(f"{seconds} s"), normalise) for seconds in ALL)]


def _cell(run: Run, line: Mapping[str, Any] | None, normalise: Normalise) -> str:
    if line is None:
        return f"not heard: {run.failed}"
    found = score(pairs([line]), normalise)
    return f"{found.wer:.1%}, RTF {line['seconds'] / line['audio']:.3f}, {memory(line)}"


def problems(runs: Sequence[Run], normalise: Normalise) -> Iterator[str]:
    """Find problems: a recognizer that failed, or errors that grow with the length of files that are cut at pauses.

    If a whole file in one turn runs out of memory, that is a result, not a problem.
    """
    for run in runs:
        name = f"{run.engine.name}, {run.engine.how}, on {run.device}"
        if run.failed and not (run.engine.how == WHOLE and run.heard("joined")):
            yield f"{name}: {run.failed}"
        rates = [score(pairs([line]), normalise).wer for line in run.heard("joined")]
        if run.engine.how == CUT and rates and max(rates) > rates[0] + DRIFT:
            yield f"{name}: its word error rate grows with the length of the file, from {rates[0]:.1%} to {max(rates):.1%}"


def draw(
    runs: Sequence[Run], known: Callable[[str], bool], normalise: Normalise, notes: tuple[str, str]
) -> tuple[Table, Table]:
    """Make both tables, each with its note."""
    first = Table("Recognizers on human speech", COLUMNS, list(clips(runs, known, normalise)), notes[0])
    columns = ("recognizer", "how", "device", *(f"{seconds} s" for seconds in ALL))
    return first, Table("A file in one turn, and cut at its pauses", columns, list(lengths(runs, normalise)), notes[1])
