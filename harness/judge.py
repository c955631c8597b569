"""Compare the suite's two runs.

pytest judges each run: on upstream the catalogue is strict xfail, on patched every test must pass. What is left is to compare
them: both finished and are green, they ran the same tests, every bug showed, and a test that passes on both gave the same bits.
"""

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from harness.catalogue import Bug, Catalogue
from harness.results import Result, Run

WORDS = {"passed": "pass", "failed": "fail", "skipped": "skip"}


@dataclass(frozen=True)
class Shown:
    """A bug, as a lane showed it.

    Attributes:
        tests: ids that failed on upstream for the bug's reason
        fixed: how many of them pass on patched
    """

    bug: Bug
    tests: tuple[str, ...]
    fixed: int


@dataclass(frozen=True)
class Verdict:
    """The comparison of two runs.

    Attributes:
        lane: such as "cpu"
        counts: number of tests by their two outcomes, such as "fail→pass"
        shown: the lane's bugs, in the catalogue's order
        problems: one sentence each; empty if the verdict holds
        same_bits: how many tests passed on both trees and recorded the same digest
    """

    lane: str
    counts: Mapping[str, int]
    shown: tuple[Shown, ...]
    problems: tuple[str, ...] = ()
    same_bits: int = 0

    @property
    def holds(self) -> bool:
        """Whether there are no problems."""
        return not self.problems


def judge(upstream: Run, patched: Run, catalogue: Catalogue, lane: str, stack: str | None = None) -> Verdict:
    """Compare the two runs of a lane. The stack matters for bugs that do not show on every stack."""
    both = _pairs(upstream, patched)
    passed = {test: pair for test, pair in both.items() if _words(*pair) == "pass→pass"}
    shown = []
    for bug in catalogue.on(lane, stack):
        tests = tuple(test for test, result in upstream.results.items() if result.bug == bug.id)
        shown.append(Shown(bug, tests, sum(_words(*both[test]) == "fail→pass" for test in tests)))
    problems = [*_red("upstream", upstream), *_red("patched", patched)]
    if upstream.finished and patched.finished:
        problems += [f"{test}: ran on one tree only" for test, pair in both.items() if None in pair]
        problems += [f"{each.bug.id}: no test shows this bug on upstream" for each in shown if not each.tests]
        lacking = [(each.bug.id, len(each.tests) - each.fixed) for each in shown]
        problems += [f"{bug}: not fixed on patched, {n} of its tests do not pass" for bug, n in lacking if n]
        problems += [] if shown else [f"the catalogue has no bug for the lane {lane}: nothing would be proved"]
    digests = {test: [result.digest for result in pair if result] for test, pair in passed.items()}
    problems += [f"{test}: passes on both trees, with different bits" for test, (a, b) in digests.items() if a != b]
    same = sum(bool(a) and a == b for a, b in digests.values())
    return Verdict(lane, outcomes(upstream, patched), tuple(shown), tuple(problems), same)


def outcomes(upstream: Run, patched: Run) -> dict[str, int]:
    """Count tests by their two outcomes, such as "fail→pass"."""
    return dict(Counter(_words(*pair) for pair in _pairs(upstream, patched).values()))


def _pairs(upstream: Run, patched: Run) -> dict[str, tuple[Result | None, Result | None]]:
    tests = sorted(upstream.results.keys() | patched.results.keys())
    return {test: (upstream.results.get(test), patched.results.get(test)) for test in tests}


def _words(*results: Result | None) -> str:
    return "→".join(WORDS.get(result.outcome, result.outcome) if result else "missing" for result in results)


def _red(name: str, run: Run) -> Iterator[str]:
    """Say why a run is not green."""
    if not run.finished:
        yield f"{name}: {'no test ran' if run.status == 5 else f'pytest did not finish: {run.last or "it printed nothing"}'}"
    for test, result in sorted(run.results.items()):
        if result.outcome == "failed" and not result.bug:
            kind = f"{result.type} from {result.place or 'the test itself'}: " if result.type else ""
            words = " ".join(result.message.split())
            yield f"{name}: {test}: {kind}{words if len(words) <= 160 else f'{words[:157]}...'}"
    if run.status == 1 and all(result.outcome == "passed" or result.bug for result in run.results.values()):
        yield f"{name}: pytest's exit status says that a test failed, and its log does not"
