"""The census, `tests/census.txt`: the number of tests and their results, which a verdict must match.

A comparison of two runs does not show that a test has vanished. The census does: for each lane it has a line for each test
function and for each glob of each bug, and a diff shows what was added or removed. `python -m harness census` rewrites it from
the last verdicts. A lane on another stack has lines only where they differ from those of its device.
"""

import re
from collections import Counter
from collections.abc import Iterator, Mapping
from pathlib import Path

from harness import ROOT, HarnessError
from harness.lane.results import Run
from harness.suite.catalogue import Catalogue, names

FILE = ROOT / "tests" / "census.txt"
HEAD = """\
# Written by `python -m harness census`. For each lane and test function: tests, fail→pass, pass→pass, the same bits on both
# trees. For each lane and glob of a bug in bugs.toml: the tests that it names.
"""
# How problems begin that a new census solves.
OURS = (f"{FILE.name} has no census of ", "census: ")
# The counts of a line, by test function, or by bug and glob.
type Counts = dict[str, tuple[int, ...]]


def count(upstream: Run, patched: Run, catalogue: Catalogue, device: str) -> Counts:
    """Count the tests of a lane."""
    tests: dict[str, Counter[str]] = {}
    for test in sorted(upstream.results.keys() | patched.results.keys()):
        before, after = upstream.results.get(test), patched.results.get(test)
        known = tests.setdefault(test.removeprefix("tests/").partition("[")[0], Counter())
        known["tests"] += 1
        if before and after:
            known[f"{before.outcome}→{after.outcome}"] += 1
            known["bits"] += bool(before.digest and before.digest == after.digest)
    found: Counts = {
        test: (n["tests"], n["failed→passed"], n["passed→passed"], n["bits"]) for test, n in sorted(tests.items())
    }
    for bug in catalogue.bugs:
        for glob in bug.tests if device in bug.lanes else ():
            found[f"{bug.id} {glob}"] = (sum(names(glob, test) for test in upstream.results),)
    return found


def read(file: Path = FILE) -> dict[str, Counts]:
    """Read the census, by lane.

    Raises:
        HarnessError: a line is malformed
    """
    lanes: dict[str, Counts] = {}
    for line in file.read_text(encoding="utf-8").splitlines() if file.is_file() else ():
        if line and not line.startswith("#"):
            match = re.fullmatch(r"(\S+)((?: +\d+)+)  (\S.*)", line)
            if not match:
                raise HarnessError(f"{file.name} has the line {line!r}, which counts nothing: run `python -m harness census`")
            lanes.setdefault(match[1], {})[match[3]] = tuple(map(int, match[2].split()))
    return lanes


def expected(lanes: Mapping[str, Counts], lane: str, device: str) -> Counts:
    """Return the counts that a lane must have. If it has no line of its own, the line of its device applies."""
    return {**lanes.get(device, {}), **lanes.get(lane, {})}


def totals(lane: str, device: str, file: Path = FILE) -> dict[str, int]:
    """Return how many tests of a lane fail only on upstream, and how many pass on both trees, according to the census."""
    counts = [n for n in expected(read(file), lane, device).values() if len(n) > 1]
    return {kind: total for kind, k in (("fail→pass", 1), ("pass→pass", 2)) if (total := sum(n[k] for n in counts))}


def same_bits(lane: str, device: str, file: Path = FILE) -> int:
    """Return how many tests of a lane give the same bits on both trees, according to the census."""
    return sum(n[3] for n in expected(read(file), lane, device).values() if len(n) > 1)


def differences(found: Counts, lane: str, device: str, file: Path = FILE) -> Iterator[str]:
    """List where a lane differs from the census."""
    known = expected(read(file), lane, device)
    if not known:
        yield f"{file.name} has no census of {lane}: if this is right, write it with `python -m harness census`"
        return
    for key in sorted(known.keys() | found.keys()):
        was, now = known.get(key, ()), found.get(key, ())
        if was != now:
            yield f"census: {key} counts {_words(now)}, but {file.name} says {_words(was)}: see `python -m harness census`"


def _words(counts: tuple[int, ...]) -> str:
    return " ".join(map(str, counts)) or "nothing"


def write(found: Mapping[str, tuple[str, Counts]], file: Path = FILE) -> None:
    """Replace the census of some lanes.

    Args:
        found: by lane, its device and its counts; the device's own lane is written first
        file: the census

    Raises:
        HarnessError: a glob of a bug names no test on any lane
    """
    lanes = read(file)
    for lane, (device, counts) in sorted(found.items(), key=lambda item: (item[0] != item[1][0], item[0])):
        base = lanes.get(device, {}) if lane != device else {}
        lanes[lane] = {key: n for key, n in counts.items() if base.get(key) != n}
    named = Counter[str]()
    for counts in lanes.values():
        named.update({key: n[0] for key, n in counts.items() if len(n) == 1})
    current = {key for _, counts in found.values() for key, n in counts.items() if len(n) == 1}
    if empty := sorted(key for key in current if not named[key]):
        raise HarnessError(f"bugs.toml: {empty[0]} names no test on any lane")
    lines = (
        f"{lane} {' '.join(map(str, n))}  {key}" for lane, counts in sorted(lanes.items()) for key, n in sorted(counts.items())
    )
    file.write_text(HEAD + "".join(f"{line}\n" for line in lines), encoding="utf-8")
