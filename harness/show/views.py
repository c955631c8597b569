"""The results of the lanes in `out/`, arranged for the page and the picture."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import HarnessError, evidence, stacks, world
from harness.judge import outcomes
from harness.report import FORM, HEARD, SHAPES, SIGNS
from harness.results import Result, Run, placeless, read_run

LINE = 130


@dataclass(frozen=True)
class Lane:
    """A lane with a verdict.

    Attributes:
        name: the name of its folder, such as "cpu" or "cpu-floor"
        record: its verdict.json
        runs: the suite's runs on "upstream" and "patched"
    """

    name: str
    record: Mapping[str, Any]
    runs: Mapping[str, Run]

    @property
    def command(self) -> str:
        """The command that runs it again."""
        device, options = self.record["lane"], self.record.get("options", [])
        if self.record["stack"] == stacks.OWN:
            return " ".join(["python -m harness verdict --device", device, *options])
        session = "" if device in ("cpu", "sim") else f" -s {device}"
        if self.record["stack"] not in (None, "pinned", device):
            session = f' -s "suite({self.record["stack"]})"'
        return " ".join([f"python3 -m nox{session}", *(["--", *options] if options else [])])


def read(out: Path, patches: Path) -> tuple[list[Lane], dict[str, str]]:
    """Read the lanes with a verdict on a series, and say why each other folder does not count."""
    lanes, stale = [], {}
    for file in sorted(out.glob("*/verdict.json")):
        name = file.parent.name
        try:
            record = evidence.read_record(file)
        except HarnessError:
            stale[name] = f"out/{name} has no verdict that this version can read"
            continue
        if world.is_stale(record, patches):
            stale[name] = f"out/{name} is {world.STALE}"
            continue
        if (own := evidence.lane_of(record)) != name:
            stale[name] = f"out/{name} contains the record of another lane, {own}"
            continue
        runs = {tree: read_run(file.parent / f"{tree}.jsonl") for tree in ("upstream", "patched")}
        if _is_of(record, runs):
            lanes.append(Lane(name, record, runs))
        else:
            stale[name] = f"the logs in out/{name} are not from the run of its verdict"
    # The two lanes that every host has come first.
    return sorted(lanes, key=lambda lane: (lane.record["lane"] not in ("cpu", "sim"), lane.name)), stale


def main(lanes: Sequence[Lane]) -> list[Lane]:
    """Choose one lane for each device: the first of its stacks, as `read` orders them."""
    first = {lane.record["lane"]: lane for lane in reversed(lanes)}
    return [lane for lane in lanes if lane is first[lane.record["lane"]]]


def _is_of(record: Mapping[str, Any], runs: Mapping[str, Run]) -> bool:
    """Say whether a verdict matches these runs: the counts agree, and every test that it says failed did fail."""
    ran = all(run.results for run in runs.values())
    counts = outcomes(runs["upstream"], runs["patched"]) if ran else {}
    shown = [test for bug in record["bugs"] for test in bug["shown"]]
    failed = {test for test, result in runs["upstream"].results.items() if result.outcome == "failed"}
    return counts == record["counts"] and failed.issuperset(shown)


def blocks(lane: Lane) -> Iterator[dict[str, Any]]:
    """Lay out the results for audio: a block for each container, a row for each dtype, a cell for each shape."""
    tests: dict[tuple[str, str], dict[str, list[re.Match[str]]]] = {}
    for test in sorted(lane.runs["patched"].results.keys() | lane.runs["upstream"].results.keys()):
        if match := FORM.search(test):
            container, dtype = match["form"].split("-")
            tests.setdefault((container, dtype), {}).setdefault(match["shape"], []).append(match)
    for container in sorted({container for container, _ in tests}):
        dtypes = sorted((dtype for c, dtype in tests if c == container), key=by_size)
        rows = [
            {"dtype": d, "cells": [_cell(lane, (container, d, s), tests[container, d].get(s, [])) for s in SHAPES]}
            for d in dtypes
        ]
        yield {"container": container, "rows": rows}


def by_size(dtype: str) -> tuple[str, int, str]:
    """Order dtypes by their kind, then by their size."""
    return dtype.strip("0123456789"), len(dtype), dtype


def _cell(lane: Lane, form: tuple[str, str, str], matches: Sequence[re.Match[str]]) -> dict[str, Any]:
    container, dtype, shape = form
    sides = {tree: _side(run, matches) for tree, run in lane.runs.items()}
    return {"id": slug(f"{lane.name}-{container}-{dtype}-{shape}"), "form": f"{container} {dtype}", "shape": shape, **sides}


def _side(run: Run, matches: Sequence[re.Match[str]]) -> dict[str, Any]:
    """Sum up a cell's tests on one tree, with equal results grouped. Its kind is that of its tests if they agree."""
    groups: dict[tuple[str, ...], dict[str, Any]] = {}
    outcomes = Counter[str]()
    for match in matches:
        result = run.results.get(match.string, Result("missing"))
        outcomes[result.heard] += 1
        same = (result.outcome, result.type, result.message, result.where, str(result.transcript))
        group = groups.setdefault(same, {"result": result, "dtypes": {}, "clips": {}})
        group["dtypes"].setdefault(match["clip"], []).append(match["dtype"])
    for group in groups.values():
        for clip, dtypes in group["dtypes"].items():
            group["clips"].setdefault(tuple(dtypes), []).append(clip)
    kind = next(iter(outcomes), "none") if len(outcomes) < 2 and outcomes.keys() <= SIGNS.keys() else "mixed"
    words = (
        ", ".join(f"{n} of {outcomes.total()} {HEARD.get(heard, heard)}" for heard, n in sorted(outcomes.items())) or "no test"
    )
    return {"kind": kind, "words": words, "groups": list(groups.values())}


def bugs(lanes: Sequence[Lane]) -> list[dict[str, Any]]:
    """Collect each bug from all lanes: its tests and their exceptions, with the most frequent one in a line."""
    bugs: dict[str, dict[str, Any]] = {}
    for lane in lanes:
        results = lane.runs["upstream"].results
        for bug in lane.record["bugs"]:
            known = bugs.setdefault(bug["id"], {**bug, "lanes": {}, "exceptions": Counter(), "functions": Counter()})
            known["lanes"][lane.name] = {"shown": len(bug["shown"]), "fixed": bug["fixed"]}
            for test in bug["shown"]:
                known["exceptions"][(results[test].type, placeless(results[test].message), results[test].where)] += 1
                known["functions"][test.partition("[")[0].removeprefix("tests/")] += 1
    for bug in bugs.values():
        bug["gives"] = [gives(bug)] if bug["exceptions"] else []
    return sorted(bugs.values(), key=lambda bug: str(bug["patch"]))


def gives(bug: Mapping[str, Any]) -> str:
    """Say in a line what a bug gives: its most frequent exception if any was raised, else what most of its tests compared.

    If nothing fails on the release, what the tests compared comes first.
    """
    found: Mapping[tuple[str, str, str], int] = bug["exceptions"]
    silent = bug["title"].startswith("Wrong without an error")
    raised = {key: n for key, n in found.items() if not _by_a_test(*key)}
    key, _ = max(((found if silent else raised) or found).items(), key=lambda item: (item[1], item[0]))
    kind, message, where = key[0], " ".join(key[1].split()), key[2]
    # A test may judge the exception itself: only of a bug without an error is it certain that nothing was raised.
    words = f"no exception, {message}" if silent and _by_a_test(*key) else f"{kind}: {message}"
    if not message:
        words = f"{kind} without a message, {where}"
    return words if len(words) <= LINE else f"{words[:LINE].rstrip()}…"


def _by_a_test(kind: str, _: str, where: str) -> bool:
    """Say whether a test itself judged, so that nothing it tests raised."""
    return kind == "Failed" or (kind == "AssertionError" and where.startswith(("test_", "_comparison.py")))


def runs(lanes: Sequence[Lane]) -> dict[str, Any]:
    """Make the table of where each lane ran, with which packages, and how to run it again."""
    rows = []
    for lane in lanes:
        host, packages, seconds = (lane.record[name] for name in ("host", "packages", "seconds"))
        rows.append(
            [
                lane.name,
                f"{host['device']}, {host['system']} {host['machine']}, Python {host['python']}",
                ", ".join(f"{name} {version}" for name, version in packages.items()),
                f"{lane.record['date']}, {sum(seconds.values()):.0f} s",
                f"`{lane.command}`",
            ]
        )
    return {"columns": ["lane", "host", "packages", "ran", "command"], "rows": rows}


def not_run(lanes: Sequence[Lane]) -> dict[str, str]:
    """Collect the devices that no lane ran on, each with the most informative reason."""
    ran = {lane.record["lane"] for lane in lanes}
    reasons: dict[str, str] = {}
    for lane in lanes:
        for name, reason in lane.record.get("not run", {}).items():
            if name not in ran and reasons.get(name, "not asked for") == "not asked for":
                reasons[name] = reason
    return reasons


def slug(text: str) -> str:
    return re.sub(r"[^\w-]+", "-", text)
