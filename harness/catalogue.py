"""The catalogue of bugs, `tests/bugs.toml`: the tests that show each bug, and the reasons why they fail."""

import re
import tomllib
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ROOT, HarnessError

CATALOGUE = ROOT / "tests" / "bugs.toml"
# Messages that no reason expects.
OTHERS = ("\N{SNOWMAN}", "an ordinary error, of quite another kind: 7", "[Errno 2] No such file or directory: 'x'")
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

    def explains(self, type: str, message: str, place: str) -> bool:
        """Say whether an exception, and the function of the package that it came through, is this reason."""
        placed = place in self.at if place else bool(self.judged)
        return placed and type == self.type and re.search(self.message, message, re.DOTALL) is not None

    def __str__(self) -> str:
        return f"{self.type} {self.message!r} from {' or '.join(self.at) or f'the test itself, which compares {self.judged}'}"


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
        absent: devices and stacks on which it does not show, the field `except`; "accelerator" is every device but the CPU
        reasons: why its tests fail on upstream; each fails for one of these
        tests: ids of the tests that show it, starting at the file name; * matches anything
    """

    id: str
    kind: str
    title: str
    patch: str
    reasons: tuple[Reason, ...]
    tests: tuple[str, ...]
    threads: tuple[str, ...] = ()
    absent: tuple[str, ...] = ()

    def explains(self, type: str, message: str, place: str) -> bool:
        """Say whether an exception is one of this bug's reasons. For the arguments see `Reason.explains`."""
        return any(reason.explains(type, message, place) for reason in self.reasons)

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

    def on(self, device: str, stack: str | None = None) -> list[Bug]:
        """Return the bugs that show on a device and, if one is given, on a stack."""
        here = {device, stack, "accelerator" if device != "cpu" else None}
        return [bug for bug in self.bugs if here.isdisjoint(bug.absent)]


def _bug(entry: Mapping[str, Any]) -> Bug:
    reasons = tuple(Reason(**{**reason, "at": tuple(reason.get("at", ()))}) for reason in entry["reasons"])
    for reason in reasons:
        re.compile(reason.message)
    fields: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in entry.items()}
    absent = fields.pop("except", ())  # a keyword of Python
    return Bug(**{**fields, "absent": absent, "reasons": reasons})


def read_catalogue(path: Path) -> Catalogue:
    """Read the bug catalogue.

    Raises:
        HarnessError: an id occurs twice, or an entry cannot be checked because a field is missing or invalid
    """
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
        bugs = [_bug(entry) for entry in data["bug"]]
        retired = [entry["id"] for entry in data.get("retired", ())]
    except (KeyError, TypeError, ValueError, re.error) as error:
        raise HarnessError(f"{path.name} cannot be read: {error}") from None
    for id, n in Counter([*(bug.id for bug in bugs), *retired]).items():
        if n > 1:
            raise HarnessError(f"{path.name} has the id {id} twice: ids are never reused")
    for bug in bugs:
        if not (bug.reasons and bug.tests):
            raise HarnessError(f"{path.name}: {bug.id} needs reasons and tests")
        if any(bool(reason.at) == bool(reason.judged) for reason in bug.reasons):
            raise HarnessError(
                f"{path.name}: each reason of {bug.id} must say either where in the package it comes from (at) or what "
                "the test compared (judged)"
            )
        if wide := [r.message for r in bug.reasons if any(re.search(r.message, other, re.DOTALL) for other in OTHERS)]:
            raise HarnessError(f"{path.name}: a reason of {bug.id} matches other messages, too: {wide[0]!r}")
        if bug.kind not in KINDS:
            raise HarnessError(f"{path.name}: {bug.id} is of kind {bug.kind!r}, expected one of {', '.join(KINDS)}")
    return Catalogue(tuple(bugs), tuple(data.get("skips", ())))
