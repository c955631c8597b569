"""Verdicts as Markdown: README's table of devices, and `out/verdict.md`, which CI shows as the summary of a job."""

import os
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from harness.catalogue import by_kind
from harness.report import abilities, picture, views
from harness.report.views import SAYS


def devices(lanes: Sequence[views.Lane], evidence: Sequence[Mapping[str, Any]] = ()) -> Iterator[str]:
    """Render the table of devices, line by line: the lanes that ran, and committed evidence from other hosts."""
    columns = (
        "device",
        "bugs fixed",
        "passes on both",
        "same bits",
        f"works on {lanes[0].version}",
        "works only with the patches",
    )
    yield f"| {' | '.join(columns)} |"
    yield "|---|---|---|---|---|---|"
    for lane in lanes:
        yield _row(f"`{lane.name}`", lane.record, *abilities.works(lane))
    for record in evidence:
        yield _row(f"`{record['lane']}`, {record['host']['device']}, on {record['date']}", record, "–", "–")


def _row(name: str, record: Mapping[str, Any], *works: str) -> str:
    bugs = [(shown if isinstance(shown := bug["shown"], int) else len(shown), bug["fixed"]) for bug in record["bugs"]]
    fixed = f"{sum(shown == fixed > 0 for shown, fixed in bugs)} of {len(bugs)}, in {sum(fixed for _, fixed in bugs)} tests"
    both = f"{record['counts'].get('pass→pass', 0)} tests"
    broken = "" if record["holds"] else ": **the verdict does not hold**"
    return f"| {' | '.join([name + broken, fixed, both, f'{record["same bits"]} tests', *works])} |"


def markdown(lanes: Sequence[views.Lane]) -> str:
    """Render the verdicts of some lanes as the summary of a CI job. The same results give the same bytes."""
    bugs, names = views.bugs(lanes), [lane.name for lane in lanes]
    version = lanes[0].version
    lines = [*devices(lanes), "", picture.draw(lanes)[1], ""]
    if problems := [f"- {lane.name}: {views.clip(problem)}" for lane in lanes for problem in lane.record["problems"]]:
        lines += ["Why a verdict does not hold:", "", *problems, ""]
    lines += [f"{version} has {by_kind(bug['kind'] for bug in bugs)}. Each is shown with its most frequent exception.", ""]
    lines += [
        f"| behaviour | {version} | what it gives | {' | '.join(names)} | patch |",
        f"|---|---|---|{'---|' * len(names)}---|",
    ]
    for bug in bugs:
        tallies = " | ".join(views.tally(bug["lanes"].get(name)) for name in names)
        patch = link(bug["patch"][:4], f"patches/{bug['patch']}")
        lines.append(
            f"| {titled(bug, link(bug['id'], 'tests/bugs.toml'))} | {SAYS[bug['kind']]} | {cell(bug['gives'])} | {tallies} | {patch} |"
        )
    if reasons := views.not_run(lanes):
        lines += ["", f"Not run: {'; '.join(f'{name} ({reason})' for name, reason in reasons.items())}."]
    return "\n".join(lines) + "\n"


def link(text: str, path: str) -> str:
    """Link to a file of this repository at the commit that CI runs. Elsewhere the address is unknown, so there is no link."""
    server, repository, commit = (os.environ.get(f"GITHUB_{name}") for name in ("SERVER_URL", "REPOSITORY", "SHA"))
    return f"[{text}]({server}/{repository}/blob/{commit}/{path})" if server and repository and commit else text


def titled(bug: Mapping[str, Any], name: str) -> str:
    """Name a bug with its title and the threads that report it."""
    return " ".join([f"{name}: {bug['title']}", *(f"[#{thread.rpartition('/')[2]}]({thread})" for thread in bug["threads"])])


def cell(gives: Sequence[str]) -> str:
    """Fit an exception into a cell of a table."""
    return f"`{views.clip(gives[0]).replace('|', r'\|').replace('`', "'")}`" if gives else "no test shows it"
