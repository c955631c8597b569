"""The census, `tests/census.txt`: the number of tests and their results that a verdict must match.

A comparison of two runs does not show that a test has vanished. The census does: it has a line for each lane and test function,
and its diff shows what was added or removed. A lane on another stack has lines only where they differ from those of its device.
"""

import re
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness import ROOT, HarnessError
from harness.results import Run

FILE = ROOT / "tests" / "census.txt"
HEAD = """\
# Written by `python -m harness census`. For each lane and test function: tests, those that fail only on upstream, those that pass
# on both trees, and those of them that give the same bits.
"""
# How the problems begin that a new census solves.
OURS = "census: "
# The four numbers of a line, by test function.
type Counts = dict[str, tuple[int, ...]]


def count(upstream: Run, patched: Run) -> Counts:
    """Count the tests of a lane by function."""
    found: dict[str, list[int]] = {}
    for test in sorted(upstream.results.keys() | patched.results.keys()):
        before, after = upstream.results.get(test), patched.results.get(test)
        numbers = found.setdefault(test.removeprefix("tests/").partition("[")[0], [0, 0, 0, 0])
        numbers[0] += 1
        if before and after:
            numbers[1] += (before.outcome, after.outcome) == ("failed", "passed")
            numbers[2] += (before.outcome, after.outcome) == ("passed", "passed")
            numbers[3] += bool(before.digest and before.digest == after.digest)
    return {test: tuple(numbers) for test, numbers in found.items()}


def read(file: Path = FILE) -> dict[str, Counts]:
    """Read the census, by lane.

    Raises:
        HarnessError: a line is malformed
    """
    lanes: dict[str, Counts] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"(\S+)((?: \d+){4})  (\S.*)", line)
            if not match:
                raise HarnessError(f"{file.name} has the line {line!r}, which counts nothing: run `python -m harness census`")
            lanes.setdefault(match[1], {})[match[3]] = tuple(map(int, match[2].split()))
    return lanes


def expected(device: str, lane: str, file: Path = FILE) -> Counts:
    """Return the counts that a lane must have. Where it has no line of its own, the line of its device applies."""
    lanes = read(file)
    return {**lanes.get(device, {}), **lanes.get(lane, {})}


def totals(device: str, lane: str, file: Path = FILE) -> dict[str, int]:
    """Add up the counts of a lane: its tests by their two outcomes, and those with the same bits. Empty without a census."""
    if not (counts := list(expected(device, lane, file).values())):
        return {}
    sums = {kind: sum(n[column] for n in counts) for column, kind in enumerate(("fail→pass", "pass→pass", "bits"), 1)}
    return {kind: total for kind, total in sums.items() if total or kind == "bits"}


def differences(found: Counts, device: str, lane: str, file: Path = FILE) -> Iterator[str]:
    """List where a lane differs from the census.

    A device without a census has nothing to compare its results with. It must have as many tests as `sim`, which has those
    of every device but the CPU.
    """
    known, first = expected(device, lane, file), 4
    if not known:
        known, first = expected("sim", "sim", file), 1
    for test in sorted(known.keys() | found.keys()):
        was, now = (_words(counts.get(test, ())[:first]) for counts in (known, found))
        if was != now:
            yield f"{OURS}{test} counts {now}, but {file.name} says {was}: see `python -m harness census`"


def _words(counts: tuple[int, ...]) -> str:
    return " ".join(map(str, counts)) or "nothing"


def write(found: Mapping[str, tuple[str, Counts]], file: Path = FILE) -> None:
    """Replace the census of some lanes, given with their device. The device's own lane is written first."""
    lanes = read(file)
    for lane, (device, counts) in sorted(found.items(), key=lambda item: (item[0] != item[1][0], item[0])):
        base = lanes.get(device, {}) if lane != device else {}
        lanes[lane] = {test: n for test, n in counts.items() if base.get(test) != n}
    lines = (f"{lane} {_words(n)}  {test}" for lane, counts in sorted(lanes.items()) for test, n in sorted(counts.items()))
    file.write_text(HEAD + "".join(f"{line}\n" for line in lines), encoding="utf-8")
