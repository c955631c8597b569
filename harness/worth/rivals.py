"""Run the suite on the other fixes in circulation, and check that it rejects each for its stated reason.

`tests/rivals/` has them as patches for the release, and `rivals.toml` says what to expect of each.
"""

import argparse
import time
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from harness import ROOT, HarnessError, devices, trees
from harness.catalogue import Bug, Reason, names
from harness.results import Result, Run
from harness.table import Table, publish
from harness.worth.sample import WORKERS, Suite, each, prepare
from harness.worth.trial import Trials, says

FOLDER = ROOT / "tests" / "rivals"


@dataclass(frozen=True)
class Shown:
    """A failure that rejects a rival: a test, named as in the catalogue, that fails on a lane for a reason."""

    lane: str
    test: str
    reason: Reason


@dataclass(frozen=True)
class Rival:
    """Another fix.

    Attributes:
        patch: the name of its file
        title: what it does, in prose
        rejected: why it is rejected, in prose
        fixes: ids of the bugs that it fixes, by lane
        shown: the failures that reject it
    """

    patch: str
    title: str
    rejected: str
    fixes: Mapping[str, Sequence[str]]
    shown: tuple[Shown, ...]


def _shown(lane: str, test: str, type: str, message: str, at: Sequence[str] = (), judged: str = "") -> Shown:
    return Shown(lane, test, Reason(type, message, tuple(at), judged))


def read_rivals(folder: Path = FOLDER) -> list[Rival]:
    """Read what is expected of each rival.

    Raises:
        HarnessError: a patch has no description, or a description does not say what rejects its patch
    """
    entries = tomllib.loads((folder / "rivals.toml").read_text(encoding="utf-8"))["rival"]
    rivals = [Rival(**{**entry, "shown": tuple(_shown(**shown) for shown in entry["shown"])}) for entry in entries]
    described, found = sorted(rival.patch for rival in rivals), sorted(file.name for file in folder.glob("*.patch"))
    if described != found:
        raise HarnessError(f"{folder.name}/rivals.toml describes {', '.join(described)}, but there are {', '.join(found)}")
    for rival in rivals:
        if not (rival.rejected and rival.shown):
            raise HarnessError(f"{rival.patch}: rivals.toml gives no reason why the suite rejects it")
    return rivals


def passing(run: Run, suite: Suite, bug: Bug) -> tuple[int, int]:
    """Count the tests of a bug that pass, and all its tests."""
    outcomes = [run.results[test].outcome for test in suite.sample if bug.shown_by(test)]
    return outcomes.count("passed"), len(outcomes)


def fixed(run: Run, suite: Suite) -> list[str]:
    """List the bugs whose tests all pass."""
    return [bug.id for bug in suite.bugs for good, n in [passing(run, suite, bug)] if good == n > 0]


def broken(upstream: Run, rival: Run) -> Iterator[str]:
    """Find the tests that pass on upstream, and fail or give different bits on a rival."""
    for test, before in upstream.results.items():
        after = rival.results[test]
        if before.outcome == "passed" and (after.outcome, after.digest) != (before.outcome, before.digest):
            yield f"{test.removeprefix('tests/')} ({says(after) if after.outcome != 'passed' else 'different bits'})"


def failures(rival: Rival, runs: Mapping[str, Run]) -> Iterator[tuple[Shown, str]]:
    """Find a test for each failure that must reject a rival, with its message; empty if no test fails in this way."""
    for shown in rival.shown:
        results = runs[shown.lane].results.items()
        found = (
            f"{test.removeprefix('tests/')}: {says(r)}" for test, r in results if names(shown.test, test) and failed(r, shown)
        )
        yield shown, next(found, "")


def failed(result: Result, shown: Shown) -> bool:
    """Say whether a test fails as expected."""
    return result.outcome == "failed" and shown.reason.explains(result.type, result.message, result.place)


def problems(rival: Rival, upstream: Mapping[str, Run], runs: Mapping[str, Run], suites: Sequence[Suite]) -> Iterator[str]:
    """Say where a rival differs from what is expected."""
    for suite in suites:
        found, expected = fixed(runs[suite.lane], suite), list(rival.fixes.get(suite.lane, ()))
        if sorted(found) != sorted(expected):
            yield f"{rival.patch}: fixes {', '.join(found) or 'no bug'} on {suite.lane}, not {', '.join(expected) or 'none'}"
    for shown, test in failures(rival, runs):
        if not test:
            yield f"{rival.patch}: {shown.test} does not fail on {shown.lane} with {shown.reason.type}: {shown.reason.message}"
    for suite in suites:
        if len(fixed(runs[suite.lane], suite)) == len(suite.bugs) and not any(broken(upstream[suite.lane], runs[suite.lane])):
            yield f"{rival.patch}: on {suite.lane} the suite does not reject it"


def verdicts(rivals: Sequence[Rival], runs: Mapping[str, Mapping[str, Run]], suites: Sequence[Suite]) -> Table:
    """Make the table of what each rival fixes and breaks."""
    rows = []
    for rival in rivals:
        mine = runs[rival.patch]
        fixes = [f"{suite.lane}: {', '.join(fixed(mine[suite.lane], suite)) or 'none'}" for suite in suites]
        breaks = [f"{s.lane}: {test}" for s in suites for test in broken(runs["upstream"][s.lane], mine[s.lane])]
        proof = [f"{shown.lane}: {test}" for shown, test in failures(rival, mine)]
        rows.append([rival.title, "; ".join(fixes), "; ".join(breaks) or "nothing", rival.rejected, "; ".join(proof)])
    note = "A bug is fixed if every test of the sample that shows it passes. A fix breaks a test that passes on upstream, but "
    note += "fails or gives different bits with it. Nothing ran on CUDA, which upstream's defaults are for: what breaks there "
    note += "is unknown."
    columns = ("fix", "fixes", "breaks", "rejected because", "shown by")
    return Table("Rivals: the other fixes in circulation", columns, rows, note)


def matrix(columns: Mapping[str, str], runs: Mapping[str, Mapping[str, Run]], suites: Sequence[Suite]) -> Table:
    """Make the table of how many tests of each bug pass with each fix.

    Args:
        columns: titles, by key of `runs`
        runs: the runs, by fix and then by lane
        suites: the suite of each lane
    """
    rows = []
    for suite in suites:
        for bug in suite.bugs:
            counts = [passing(runs[fix][suite.lane], suite, bug) for fix in columns]
            if counts[0][1]:  # otherwise only the CPU runs them
                rows.append([bug.id, suite.lane, *(f"{'✓' if good == n else '✗'} {good}/{n}" for good, n in counts)])
    note = "How many of the sampled tests that show a bug pass."
    return Table("Rivals: what each fixes", ("bug", "lane", *columns.values()), rows, note)


def run() -> bool:
    """Try every rival, and write `out/rivals.json` and `out/rivals.md`.

    Returns:
        whether each fixes what is expected, and is rejected for its stated reason

    Raises:
        HarnessError: this host lacks the stand-in accelerator, a rival does not apply, or a run did not finish
    """
    start = time.monotonic()
    devices.refuse("sim", devices.lacks("sim"))
    rivals = read_rivals()
    paths = {"upstream": "upstream"}
    paths |= {r.patch: str(trees.build(r.patch.removesuffix(".patch"), [FOLDER / r.patch]).path) for r in rivals}
    with ThreadPoolExecutor(WORKERS) as pool, Trials() as trials:
        suites, green = prepare(trials, pool)
        tasks = [(fix, suite) for fix in paths for suite in suites]
        done = each(pool, lambda task: trials.run(paths[task[0]], task[1].lane, task[1].sample), tasks, "trying the rivals")
    runs = {"patched": green, **{fix: dict[str, Run]() for fix in paths}}
    for (fix, suite_), found in zip(tasks, done, strict=True):
        runs[fix][suite_.lane] = found
    wrong = [problem for rival in rivals for problem in problems(rival, runs["upstream"], runs[rival.patch], suites)]
    columns = {"upstream": "1.3.0", **{rival.patch: rival.title for rival in rivals}, "patched": "this series"}
    seconds = round(time.monotonic() - start)
    publish("rivals", verdicts(rivals, runs, suites), matrix(columns, runs, suites), problems=wrong, seconds=seconds)
    print(
        f"{len(rivals)} rivals, {'each rejected for its stated reason' if not wrong else f'{len(wrong)} problems'}; {seconds} s"
    )
    return not wrong


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `rivals`."""
    parser.set_defaults(run=lambda options: run())
