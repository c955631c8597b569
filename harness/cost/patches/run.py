"""What the patches cost where 1.3.0 works, from processes of both trees that take turns, with upstream twice as control."""

import json
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from statistics import median
from types import TracebackType
from typing import Any, Self

from rich.progress import track

from harness import ROOT, HarnessError, world
from harness import trees
from harness.cost.facts import facts, sentence
from harness.cost.patches.ratios import CONFIDENCE, FEWEST, MOST, Interval, goal, interval, paired
from harness.table import Table, publish

ROUNDS = 10
# The last is the first once more: if its ratio differs from 1, that is chance or the machine.
TREES = {"upstream": "upstream", "patched": "patched", "control": "upstream"}
MEASURED = dict[str, dict[str, list[list[float]]]]


@dataclass(frozen=True)
class Work:
    """Something to measure.

    Attributes:
        what: the order to a worker
        title: its row in the table
        calls: calls in one turn of a worker, whose median counts
        turns: turns of each worker, in each round of processes
        unit: unit of the figures, "s" or "B"
    """

    what: str
    title: str
    calls: int = 1
    turns: int = 1
    unit: str = "s"


# The order matters: a peak is that of everything before it, and a model is loaded before it generates.
WORKS = (
    Work("import", "`import liquid_audio`, in a new process"),
    Work("processor", "processor, `from_pretrained`", 1, 6),
    Work("model", "model, `from_pretrained`", 1, 4),
    Work("peak loaded", "peak memory, both loaded", unit="B"),
    Work("audio 1", "`add_audio`, 1 s", 30, 20),
    Work("audio 10", "`add_audio`, 10 s", 8, 10),
    Work("audio 60", "`add_audio`, 60 s", 2, 8),
    Work("sequential", "`generate_sequential`, a clip of a few words", 2, 8),
    Work("interleaved", "`generate_interleaved`, 16 steps", 2, 8),
    Work("decode", "`decode`, 2 s of codes", 2, 8),
    Work("peak used", "peak memory, so far", unit="B"),
    Work("audio 944", "`add_audio`, 944 s", 1, 2),
    Work("peak long", "peak memory, with 944 s", unit="B"),
)


class Worker:
    """A process that imports one tree and answers orders."""

    def __init__(self, tree: trees.Tree) -> None:
        env = world.environment(PYTHONPATH=str(tree.path), CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1", PYTHONHASHSEED="0")
        command = [sys.executable, "-W", "ignore", "-m", "harness.cost.patches.worker"]
        # A file, because a full pipe that nobody reads would block the worker.
        self._complaints = tempfile.TemporaryFile("w+", encoding="utf-8")  # noqa: SIM115, closed with the process
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._complaints, text=True
        )
        self.imported = self._answer("import")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None) -> None:
        self._close()

    def _close(self) -> None:
        self._process.kill()
        with suppress(BrokenPipeError):
            self._process.communicate()
        self._complaints.close()

    def ask(self, what: str, calls: int) -> list[float]:
        """Have the worker make some calls, and return what each took."""
        assert self._process.stdin
        # If the worker died, its missing answer says so.
        with suppress(BrokenPipeError):
            print(json.dumps({"what": what, "calls": calls}), file=self._process.stdin, flush=True)
        return self._answer(what)

    def _answer(self, what: str) -> list[float]:
        assert self._process.stdout
        line = self._process.stdout.readline()
        if not line:
            self._process.wait()
            self._complaints.seek(0)
            last = (self._complaints.read().strip().splitlines() or ["no message"])[-1]
            self._close()
            raise HarnessError(f"a worker died at {what!r}: {last}")
        return [float(value) for value in json.loads(line)]


def measure(works: Sequence[Work], rounds: int) -> MEASURED:
    """Start three processes a round, and let them take turns.

    Args:
        works: what to measure
        rounds: how often to start processes

    Returns:
        what each turn of each round took, by `Work.what` and by a key of `TREES`

    Raises:
        HarnessError: a tree cannot be built, or a process died
    """
    found: MEASURED = {work.what: {name: [] for name in TREES} for work in works}
    built = {name: trees.resolve(tree) for name, tree in TREES.items()}
    # The first start of a tree compiles its files, and its first load completes the checkpoint.
    for tree in {tree.path: tree for tree in built.values()}.values():
        with Worker(tree) as worker:
            worker.ask("processor", 1)
    for n in track(range(rounds), "rounds of three processes", transient=True):
        with ExitStack() as stack:
            workers = {name: stack.enter_context(Worker(built[name])) for name in _order(n)}
            for work in works:
                turns: dict[str, list[float]] = {name: [] for name in TREES}
                for turn in range(work.turns):
                    for name in _order(n + turn):
                        turns[name].append(median(_ask(workers[name], work)))
                for name, values in turns.items():
                    found[work.what][name].append(values)
    return found


def _ask(worker: Worker, work: Work) -> list[float]:
    name, _, argument = work.what.partition(" ")
    return (
        worker.imported
        if name == "import"
        else worker.ask(name if name == "peak" else f"{name} {argument}".strip(), work.calls)
    )


def _order(n: int) -> Iterator[str]:
    """Yield the keys of `TREES`, beginning with another one for each `n`."""
    names = list(TREES)
    yield from names[n % len(names) :] + names[: n % len(names)]


def figure(value: float, unit: str) -> str:
    """Write seconds or bytes in the unit that leaves few digits."""
    if unit == "B":
        return f"{value / 1e6:.0f} MB"
    for factor, name in ((1, "s"), (1e-3, "ms")):
        if abs(value) >= factor:
            return f"{value / factor:.3g} {name}"
    return f"{value / 1e-6:.0f} µs"


def summarise(measured: MEASURED, works: Sequence[Work]) -> list[dict[str, Any]]:
    """Turn the measurements of each work into intervals of its ratios and of its difference."""
    found = []
    for work in works:
        times = measured[work.what]
        ratio, control = (interval(paired(times[name], times["upstream"])) for name in ("patched", "control"))
        pairs = zip(times["patched"], times["upstream"], strict=True)
        more = interval([median(a - b for a, b in zip(after, before, strict=True)) for after, before in pairs])
        base = median(median(turns) for turns in times["upstream"])
        found.append({"work": work, "base": base, "more": more, "ratio": ratio, "control": control, "goal": goal(ratio)})
    return found


def table(found: Sequence[Mapping[str, Any]], rounds: int) -> Table:
    """Draw what the patches cost."""
    rows = []
    for entry in found:
        work, more = entry["work"], entry["more"]
        difference = f"{figure(more.middle, work.unit)} ({figure(more.low, work.unit)} to {figure(more.high, work.unit)})"
        row = (work.title, figure(entry["base"], work.unit), difference, str(entry["ratio"]), str(entry["control"]))
        rows.append([*row, entry["goal"]])
    away = [sum(not entry[name].low <= 1 <= entry[name].high for entry in found) for name in ("ratio", "control")]
    note = (
        f"Processor time on one thread, with the tiny checkpoint and audio at 16 kHz in the form that 1.3.0 takes. {rounds} rounds "
        f"of three processes that take turns: upstream, patched, and upstream once more as control. Medians, with "
        f"{CONFIDENCE:.0%} intervals bootstrapped over the rounds. {findings(found)}By chance, one interval in "
        f"{1 / (1 - CONFIDENCE):.0f} misses 1.00: here {away[0]} of {len(found)} do, and {away[1]} of the control's. "
        "`decode` fails in 1.3.0 without CUDA; for its row, the detokenizer's `.cuda()` does nothing in both trees. "
    )
    columns = ("what", "upstream", "patched minus upstream", "patched / upstream", "control / upstream", "goal")
    return Table("What the patches cost", columns, rows, note)


def findings(found: Sequence[Mapping[str, Any]]) -> str:
    """Say which meet the goal, and which do not. Missing it is not a problem of the measurement, and may be chance."""
    met = [entry for entry in found if entry["goal"] == "met"]
    words = f"{len(met)} of {len(found)} meet the goal, an interval that contains 1.00 and ends at {MOST:.2f} at most. "
    if certain := [e for e in found if e["ratio"].low > MOST]:
        words += f"More than {MOST:.2f}, beyond chance: {', '.join(e['work'].title for e in certain)}. "
    return words


def require_rounds(rounds: int) -> None:
    """Raise if the rounds would not give an interval, before anything is measured.

    Raises:
        HarnessError: there are too few
    """
    if rounds < FEWEST:
        raise HarnessError(f"--rounds {rounds}: an interval of {CONFIDENCE:.0%} needs {FEWEST} or more")


def run(rounds: int, forms: tuple[Table, Sequence[Mapping[str, Any]]] | None = None) -> None:
    """Measure both trees, and write `out/benchmark.json` and `out/benchmark.md`.

    Args:
        rounds: how often to start three processes
        forms: a further table, and its figures

    Raises:
        HarnessError: there are too few rounds, or something cannot be measured
    """
    require_rounds(rounds)
    known = facts()
    measured = measure(WORKS, rounds)
    found = summarise(measured, WORKS)
    drawn = table(found, rounds)
    drawn = Table(drawn.title, drawn.columns, drawn.rows, drawn.note + sentence(known))
    figures = [{**entry, "work": entry["work"].what, **_plain(entry)} for entry in found]
    others = [forms[0]] if forms else []
    publish("benchmark", drawn, *others, problems=(), figures=figures, measured=measured, forms=forms and forms[1], **known)


def _plain(entry: Mapping[str, Any]) -> dict[str, list[float]]:
    """Turn intervals into what JSON can hold."""
    found = {name: value for name, value in entry.items() if isinstance(value, Interval)}
    return {name: [value.middle, value.low, value.high] for name, value in found.items()}
