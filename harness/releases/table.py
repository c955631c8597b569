"""Merge the runs of all stacks into out/releases.json and out/releases.md."""

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from harness import OUT, HarnessError, world
from harness.package import wheels
from harness.releases import drift
from harness.table import Table, publish

SIGNS = "✗ fails for the catalogued reason, ✓ passes with the series, – does not show the bug, with what happens instead."
TITLE = "Every published release, as published and with the series"


def merge(out: Path = OUT) -> bool:
    """Write the table of all releases, and print it.

    Returns:
        whether each release is as harness/package/releases.toml says, and each published one is listed there

    Raises:
        HarnessError: a stack has not run, or ran with other files than these
    """
    runs = {stack: _read(out, stack) for stack in sorted({release.stack for release in wheels.RELEASES.values()})}
    records = {release.version: runs[release.stack][release.version] for release in wheels.RELEASES.values()}
    found = [problem for record in records.values() for problem in record["problems"]]
    note, unlisted = _published()
    rows = [
        [version, *(run[version]["fails"] or "imports" for run in runs.values()), *_row(record)]
        for version, record in records.items()
    ]
    columns = ("release", *(f"on {stack}" for stack in runs), "bugs it shows", "series", "sampled tests")
    publish(
        "releases",
        Table(TITLE, columns, rows, note + _same(records) + _not_run(records)),
        Table("By bug", ("bug", *records), list(_bugs(records)), SIGNS),
        out=out,
        problems=[*found, *unlisted],
        releases=[{"stack": release.stack, **records[release.version]} for release in wheels.RELEASES.values()],
    )
    return not (found or unlisted)


def _read(out: Path, stack: str) -> dict[str, Any]:
    """Read the run of a stack, by version."""
    file = out / f"releases-{stack}.json"
    again = f"run `nox -s releases`, or `python -m harness releases --stack {stack}` in that environment"
    if not file.is_file():
        raise HarnessError(f"the stack {stack} has not run: {again}")
    record = json.loads(file.read_text(encoding="utf-8"))
    if world.is_stale(record):
        raise HarnessError(f"the run of the stack {stack} is {world.STALE}: {again}")
    return {release["version"]: release for release in record["releases"]}


def _same(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Say which releases hold the same package."""
    groups: dict[str, list[str]] = {}
    for version, record in records.items():
        groups.setdefault(record["files"], []).append(version)
    return "".join(f" The package is the same, file by file, in {' and '.join(g)}." for g in groups.values() if len(g) > 1)


def _not_run(records: Mapping[str, Mapping[str, Any]]) -> str:
    """Say on which stacks bugs were not tried, and why."""
    found = (
        f" Not run on {wheels.RELEASES[version].stack}, {bug['words']}."
        for version, record in records.items()
        for bug in record.get("bugs", {}).values()
        if bug["state"] == "not run"
    )
    return "".join(dict.fromkeys(found))


def _published() -> tuple[str, list[str]]:
    """Compare harness/package/releases.toml with what pip finds: a note, and problems."""
    try:
        versions = drift.published("--pre")
    except HarnessError as error:
        return f"Not compared with what is published: {error}.", []
    missing = [version for version in versions if version not in wheels.RELEASES]
    return f"Published versions: {', '.join(reversed(versions))}.", [
        f"{version} is published, and harness/package/releases.toml does not list it" for version in missing
    ]


def _row(record: Mapping[str, Any]) -> list[str]:
    """Say how many bugs a release shows, whether the series applies, and how the sampled tests ended."""
    if record["fails"]:
        return ["not run"] * 3
    states = [bug["state"] for bug in record["bugs"].values()]
    had = [bug for bug in record["bugs"].values() if bug["state"] == "shows"]
    fixed = "not run with the series"
    if record["series"] != "conflicts":
        fixed = f"{sum(bug['fixed'] for bug in had)} pass with the series"
    not_run = states.count("not run")
    shown = f"{states.count('shows')} of {len(states)}" + (f", {not_run} not run" if not_run else "")
    return [shown, record["series words"], f"{sum(bug['shown'] for bug in had)} fail, {fixed}"]


def _bugs(records: Mapping[str, Mapping[str, Any]]) -> Iterator[list[str]]:
    """Yield a row for each bug: what each release shows of it."""
    for id in dict.fromkeys(id for record in reversed(list(records.values())) for id in record.get("bugs", {})):
        yield [id, *(_cell(record["bugs"][id]) if "bugs" in record else "not run" for record in records.values())]


def _cell(found: Mapping[str, Any]) -> str:
    match found["state"]:
        case "shows":
            after = "" if found["fixed"] is None else " → ✓" if found["fixed"] == found["tests"] else " → ✗"
            return f"{found['shown']} ✗{after}"
        case "does not show":
            return f"– {found['words']}"
    return "not run"
