"""The catalogue of bugs, `tests/bugs.toml`: the tests that show each bug, and the reasons why they fail."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ROOT, HarnessError
from harness.lane.results import Result

CATALOGUE = ROOT / "tests" / "bugs.toml"
# The kinds of entries. Only the first is what a maintainer would call a bug.
KINDS = {"wrong": "bug", "refuses": "refusal", "lacks": "gap"}


@dataclass(frozen=True)
class Reason:
    """Why a test fails on upstream: an exception from the package, or a check of the test itself.

    Attributes:
        type: name of the exception's type
        message: a regular expression that its message matches
        at: functions of the package, as `file.py:function`; one of them is the package's innermost frame
        judged: what the test compared, if no function of the package raised the exception
    """

    type: str
    message: str
    at: tuple[str, ...] = ()
    judged: str = ""

    def explains(self, result: "Result") -> bool:
        """Say whether a test failed for this reason."""
        placed = result.place in self.at if result.place else bool(self.judged)
        return placed and result.type == self.type and re.search(self.message, result.message, re.DOTALL) is not None


def by_kind(kinds: Iterable[str]) -> str:
    """Count entries of the catalogue by their kind."""
    counts = Counter(kinds)
    return ", ".join(f"{n} {word}{'s' * (n != 1)}" for kind, word in KINDS.items() if (n := counts[kind]))


@dataclass(frozen=True)
class Bug:
    """One behaviour of the published release that the series changes.

    Attributes:
        id: its id, which is never reused
        title: what goes wrong, in prose
        threads: URLs where it was reported
        kind: a key of KINDS
        patch: file name of the patch that fixes it
        lanes: the lanes that it shows on
        not_on: stacks on which it does not show, even on those lanes
        reasons: why its tests fail on upstream; each fails for one of these
        tests: ids of the tests that show it, starting at the file name; * matches anything
    """

    id: str
    kind: str
    title: str
    patch: str
    lanes: tuple[str, ...]
    reasons: tuple[Reason, ...]
    tests: tuple[str, ...]
    threads: tuple[str, ...] = ()
    not_on: tuple[str, ...] = ()

    def shown_by(self, test: str) -> bool:
        """Say whether a test is one of those that show this bug."""
        return any(names(glob, test) for glob in self.tests)


def names(glob: str, test: str) -> bool:
    """Say whether a glob of the catalogue, in which * matches anything, names a test."""
    return re.fullmatch(re.escape(glob).replace(r"\*", ".*"), test.removeprefix("tests/")) is not None


@dataclass(frozen=True)
class Catalogue:
    """The known bugs, and the permitted reasons to skip a test."""

    bugs: tuple[Bug, ...]
    skips: tuple[str, ...] = ()

    def on(self, lane: str, stack: str | None = None) -> list[Bug]:
        """Return the bugs that show on a lane and, if one is given, on a stack."""
        return [bug for bug in self.bugs if lane in bug.lanes and stack not in bug.not_on]


def read_catalogue(path: Path) -> Catalogue:
    """Read the bug catalogue.

    Raises:
        HarnessError: an id occurs twice, or an entry cannot be checked because a field is missing or invalid
    """
    data = tomllib.loads(path.read_text(encoding="utf-8"))
    bugs = []
    for entry in data["bug"]:
        reasons = tuple(Reason(**{**reason, "at": tuple(reason.get("at", ()))}) for reason in entry.pop("reasons"))
        fields: dict[str, Any] = {k: tuple(v) if isinstance(v, list) else v for k, v in entry.items()}
        bugs.append(Bug(reasons=reasons, **fields))
    for id, n in Counter([*(bug.id for bug in bugs), *(entry["id"] for entry in data.get("retired", ()))]).items():
        if n > 1:
            raise HarnessError(f"{path.name} has the id {id} twice: ids are never reused")
    for bug in bugs:
        if not (bug.reasons and bug.tests and bug.lanes):
            raise HarnessError(f"{path.name}: {bug.id} needs reasons, tests and lanes")
        if any(bool(reason.at) == bool(reason.judged) for reason in bug.reasons):
            raise HarnessError(
                f"{path.name}: each reason of {bug.id} must say either where in the package it comes from (at) or what "
                "the test compared (judged)"
            )
        if bug.kind not in KINDS:
            raise HarnessError(f"{path.name}: {bug.id} is of kind {bug.kind!r}, expected one of {', '.join(KINDS)}")
    return Catalogue(tuple(bugs), tuple(data.get("skips", ())))


def shows(result: Result, bug: Bug) -> bool:
    """Say whether a test failed for a catalogued reason of a bug."""
    return result.outcome == "failed" and any(reason.explains(result) for reason in bug.reasons)
