"""How costs grow: the time of the suite with cases and workers, and the memory of a chat with the length of its audio."""

import json
import math
import os
import re
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from functools import cache
from typing import Any

from harness import ROOT, HarnessError, trees, world
from harness.cost.facts import facts, sentence
from harness.cost.fit import fit
from harness.table import Table, publish

CASES, WORKERS = (200, 500, 1000, 2000, 5000), (1, 2, 4)
LENGTHS = (10, 30, 60, 163, 300, 944)


def run(cases: Sequence[int] = CASES, workers: Sequence[int] = WORKERS) -> list[str]:
    """Measure both, and write `out/benchmark-scaling.json` and `.md`.

    Args:
        cases: sizes of the suite
        workers: numbers of processes that share it

    Returns:
        the problems that were found

    Raises:
        HarnessError: an option makes no sense, or a tree cannot be built
    """
    if len(set(cases)) < 2 or min(cases) < 1 or min(workers) < 1:
        raise HarnessError("--cases takes two numbers or more and --workers one or more, all above 0")
    known = facts()
    chats = memory_of_chats()
    runs = [suite(n, w) for w in sorted(set(workers)) for n in sorted(set(cases))]
    wrong = [f"{r['cases']} cases with {r['workers']} workers: {r['failed']} did not pass" for r in runs if r["failed"]]
    first = suite_table(runs)
    first = Table(first.title, first.columns, first.rows, first.note + sentence(known))
    publish("benchmark-scaling", first, chat_table(chats), problems=wrong, suite=runs, chats=chats, **known)
    return wrong


def suite(cases: int, workers: int) -> dict[str, Any]:
    """Run so many cases of the suite on patched."""
    there = _collected()
    print(f"{cases} cases, {workers} workers", file=sys.stderr)
    options = ["-p", "harness.cost.scaling.cases", "--cases", str(cases), "--times", str(-(-cases // there))]
    start = time.monotonic()
    done = _pytest(*options, "--numprocesses", str(workers))
    seconds = time.monotonic() - start
    passed = int((re.search(r"(\d+) passed", done) or ["", "0"])[1])
    return {"cases": cases, "workers": workers, "seconds": seconds, "failed": cases - passed}


@cache
def _collected() -> int:
    """Count the tests of the suite."""
    found = re.search(r"(\d+)(?:/\d+)? tests? collected", _pytest("--collect-only"))
    if not found:
        raise HarnessError("pytest collected nothing: run `nox -s tests` to see why")
    return int(found[1])


def _pytest(*options: str) -> str:
    env = world.environment(CUDA_VISIBLE_DEVICES="")
    command = [sys.executable, "-m", "pytest", *world.SETTINGS, "tests", "--tree", "patched", "--tb=no", "-q", *options]
    return subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True).stdout


def line(runs: Sequence[Mapping[str, Any]]) -> tuple[float, float, float]:
    """Fit a line to runs with the same number of workers.

    Returns:
        seconds to start, seconds a case, and the largest relative error of the line
    """
    cases, seconds = [float(r["cases"]) for r in runs], [float(r["seconds"]) for r in runs]
    start, each = fit(cases, seconds, 1)
    return start, each, max(abs((start + each * n) / s - 1) for n, s in zip(cases, seconds, strict=True))


def suite_table(runs: Sequence[Mapping[str, Any]]) -> Table:
    """Draw seconds by cases and workers, and the line through each column."""
    workers, cases = (sorted({int(r[name]) for r in runs}) for name in ("workers", "cases"))
    by = {(r["workers"], r["cases"]): r["seconds"] for r in runs}
    rows = [[f"{n} cases", *(f"{by[w, n]:.0f} s" for w in workers)] for n in cases]
    lines = [line([r for r in runs if r["workers"] == w]) for w in workers]
    rows.append(["to start", *(f"{start:.0f} s" for start, _, _ in lines)])
    rows.append(["each case", *(f"{each * 1e3:.0f} ms" for _, each, _ in lines)])
    rows.append(["largest error of that line", *(f"{off:.0%}" for *_, off in lines)])
    note = (
        "The suite on patched and cpu. Fewer cases than it has are a sample, the same each time; for more, the suite is repeated. "
        f"This host has {os.cpu_count()} cores. Each worker imports torch and loads the checkpoint for itself. "
    )
    return Table("Time of the suite", ("", *(f"{w} workers" if w > 1 else "1 worker" for w in workers)), rows, note)


def memory_of_chats() -> list[dict[str, float]]:
    """Measure in a new process, because memory that was held before would count."""
    # Memory that is freed must leave the process, or the next length would reuse it and seem to need none.
    allocator = {f"MALLOC_{name}_THRESHOLD_": "65536" for name in ("MMAP", "TRIM")}
    path = str(trees.resolve("patched").path)
    env = world.environment(PYTHONPATH=path, CUDA_VISIBLE_DEVICES="", OMP_NUM_THREADS="1", **allocator)
    command = [sys.executable, "-W", "ignore", "-m", "harness.cost.scaling.chats", *map(str, LENGTHS)]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    if done.returncode:
        raise HarnessError(f"chats could not be measured: {(done.stderr.strip().splitlines() or ['no message'])[-1]}")
    found: list[dict[str, float]] = json.loads(done.stdout.splitlines()[-1])
    return found


def power(chats: Sequence[Mapping[str, float]], what: str) -> float:
    """Return by which power of the length something grows between the two longest: 1 is linear, 2 quadratic."""
    (a, b) = [chat for chat in chats if what in chat][-2:]
    return math.log(b[what] / a[what]) / math.log(b["seconds"] / a["seconds"])


def chat_table(chats: Sequence[Mapping[str, float]]) -> Table:
    """Draw memory by length."""
    names = {"chat B": "the chat", "features B": "`add_audio`, at most", "encoder B": "encoding, at most"}
    rows = [
        [f"{chat['seconds']:.0f} s", *(f"{chat[name] / 1e6:.3g} MB" if name in chat else "–" for name in names)]
        for chat in chats
    ]
    rows.append(["exponent of growth", *(f"{power(chats, name):.2f}" for name in names)])
    note = (
        "Audio at 16 kHz in one call, the tiny checkpoint. The chat holds its features, two bytes for each of 128 bands a hundred times "
        "a second, and flags. What `add_audio` needs while it computes is linear too. Encoding is not: each of the encoder's positions, "
        "12.5 a second, attends to every other, and the scores of each head are a square. Longer audio is not encoded here, for lack of "
        "memory; in pieces of 30 s it needs what 30 s need."
    )
    return Table("Memory of a chat", ("audio", *names.values()), rows, note)
