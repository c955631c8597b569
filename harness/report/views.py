"""The results of the lanes in `out/`, arranged for everything that shows them."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from harness import ROOT, HarnessError, evidence, stacks, world
from harness.judge import outcomes
from harness.report.terminal import in_a_line
from harness.results import Result, Run, placeless, read_run

LONGEST = 130
# The shapes of audio in the suite's ids, in the usual notation.
SHAPES = {"1d": "(n,)", "1xn": "(1, n)", "nx1": "(n, 1)", "2xn": "(2, n)", "nx2": "(n, 2)", "nx8": "(n, 8)"}
# What the release does, by the kind of bug, in a cell.
SAYS = {"wrong": "does wrong", "refuses": "refuses", "lacks": "lacks"}
# The id of a test that transcribes a clip in some form of audio.
FORM = re.compile(
    r"test_audio_format_transcribes_correctly\[[^-]+-(?P<form>[^-]+-[^-]+)-(?P<shape>[^-]+)-(?P<dtype>[^-]+)-(?P<clip>.+)\]"
)
# What happens to a form of audio, by what its tests heard, with the worst first. Wrong results without an error are the worst.
KINDS = {"features": "silent", "wrong": "silent", "refused": "refused", "right": "right"}
WORST_FIRST = ("silent", "refused", "missing", "right", "none")
# What a verdict may not have run on, in words.
WANTED = {"cuda": "a CUDA GPU", "mps": "Apple silicon", "xla": "torch_xla", "tpu": "a TPU", "real": "the real LFM2.5 weights"}


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
    def version(self) -> str:
        """The version of the published package."""
        return str(self.record["release"]["version"])

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


def _is_of(record: Mapping[str, Any], runs: Mapping[str, Run]) -> bool:
    """Say whether a verdict matches these runs: the counts agree, what it says failed did fail, and it holds only if nothing else did."""
    ran = all(run.results for run in runs.values())
    counts = outcomes(runs["upstream"], runs["patched"]) if ran else {}
    shown = [test for bug in record["bugs"] for test in bug["shown"]]
    failed = {test for test, result in runs["upstream"].results.items() if result.outcome == "failed"}
    green = not record["problems"] and counts.keys() <= {"fail→pass", "pass→pass"}
    return counts == record["counts"] and failed.issuperset(shown) and record["holds"] <= green


def main(lanes: Sequence[Lane]) -> list[Lane]:
    """Choose the lanes on the main stack with the tiny checkpoint; any others if there is none."""
    return [lane for lane in lanes if lane.name == lane.record["lane"]] or list(lanes)


def blocks(lane: Lane) -> Iterator[dict[str, Any]]:
    """Lay out the results for audio: a block for each container, a row for each dtype, a cell for each shape."""
    tests: dict[tuple[str, str], dict[str, list[str]]] = {}
    for test in sorted(lane.runs["patched"].results.keys() | lane.runs["upstream"].results.keys()):
        if match := FORM.search(test):
            container, dtype = match["form"].split("-")
            tests.setdefault((container, dtype), {}).setdefault(match["shape"], []).append(test)
    for container in sorted({container for container, _ in tests}):
        dtypes = sorted(
            (d for c, d in tests if c == container), key=lambda dtype: (dtype.strip("0123456789"), len(dtype), dtype)
        )
        found = {dtype: tests[container, dtype] for dtype in dtypes}
        rows = [
            {"dtype": dtype, "cells": [_cell(lane, shape, of.get(shape, [])) for shape in SHAPES]}
            for dtype, of in found.items()
        ]
        yield {"container": container, "rows": rows}


def _cell(lane: Lane, shape: str, tests: Sequence[str]) -> dict[str, Any]:
    """Sum up the tests of one form of audio on each tree: the worst kind, and words with their numbers."""
    cell: dict[str, Any] = {"shape": shape}
    for tree, run in lane.runs.items():
        results = [run.results.get(test, Result("missing")) for test in tests]
        kinds = {KINDS.get(result.heard, "missing") for result in results} or {"none"}
        said = Counter(_heard(result) for result in results)
        words = [f"{n} of {len(tests)} {word}" if len(said) > 1 else word for word, n in sorted(said.items())]
        cell[tree] = {"kind": worst(kinds), "words": "; ".join(words) or "no test"}
    return cell


def worst(kinds: set[str]) -> str:
    """Return the worst of some kinds of results."""
    return next(kind for kind in WORST_FIRST if kind in kinds)


def _heard(result: Result) -> str:
    """Say in words how a test understood audio."""
    match result.heard:
        case "features":
            return "right words from wrong features"
        case "wrong":
            return f"wrong words, “{result.transcript}”"
        case "refused":
            return f"refused, {clip(in_a_line(result.type, placeless(result.message)))}"
    return result.heard


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
    return words if len(words) <= LONGEST else f"{words[:LONGEST].rstrip()}…"


def _by_a_test(kind: str, _: str, where: str) -> bool:
    """Say whether a test itself judged, so that nothing it tests raised."""
    return kind == "Failed" or (kind == "AssertionError" and where.startswith(("test_", "_comparison.py")))


def clip(message: str) -> str:
    """Shorten a message, and remove this host's folders and characters that cannot be shown."""
    text = "".join(c for c in message.replace(f"{ROOT}/", "") if c.isprintable() or c == "\n")
    return text if len(text) <= 600 else f"{text[:600].rstrip()}…"


def tally(shown: Mapping[str, int] | None) -> str:
    """State how many tests show a bug on a device, and whether all of them pass with the patches."""
    if not shown:
        return "–"
    return f"{shown['shown']} {'✗' if shown['shown'] else '?'} → {'✓' if shown['fixed'] == shown['shown'] > 0 else '✗'}"


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


def kept(patches: Path, folder: Path = evidence.FOLDER) -> list[Mapping[str, Any]]:
    """List the committed evidence that holds, was made from the current files, and agrees with the census."""
    records = sorted(map(evidence.read_record, folder.glob("*.json")), key=lambda record: str(record["date"]))
    return [r for r in records if r["holds"] and not world.is_stale(r, patches) and evidence.is_counted(r)]


def untested(records: Sequence[Mapping[str, Any]]) -> str:
    """Say in a sentence what none of these verdicts ran on; empty if they ran on everything."""
    ran = {"real" if "--checkpoint" in record.get("options", ()) else record["lane"] for record in records}
    ran |= {"tpu" for record in records if record["lane"] == "xla" and record["host"]["device"].startswith("TPU")}
    missing = [words for name, words in WANTED.items() if name not in ran]
    return f"This version has not run yet on: {', '.join(missing)}." if missing else ""
