"""Run a lane: the suite on both trees, the verdict, and what it leaves in `out/<lane>/`."""

import json
import os
import platform
import subprocess
import sys
import time
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path

from packaging.version import Version
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from harness import OUT, ROOT, HarnessError, trees
from harness.verdict import Run, Shown, Verdict, judge, read_catalogue, read_run

CATALOGUE = ROOT / "tests" / "bugs.toml"
PACKAGES = ("torch", "torchaudio", "transformers", "safetensors", "numpy")


def run_suite(tree: str, lane: str, *options: str, out: Path = OUT) -> tuple[Run, float]:
    """Run the suite on one tree, as anybody would by hand.

    Args:
        tree: what `--tree` takes
        lane: a device
        options: further ones for pytest
        out: where `<lane>/<tree>.jsonl` goes

    Returns:
        the run, and how long it took in seconds
    """
    folder = out / lane
    folder.mkdir(parents=True, exist_ok=True)
    name = tree if tree in ("upstream", "patched") else "tree"
    log, collected = folder / f"{name}.jsonl", folder / f"{name}.collected.json"
    for stale in (log, collected):
        stale.unlink(missing_ok=True)
    # The lane says which device computes, so the cpu lane hides GPUs: they would change what "auto" finds.
    env = {
        **os.environ,
        "PYTHONDONTWRITEBYTECODE": "1",
        "HF_HUB_OFFLINE": "1",
        **({"CUDA_VISIBLE_DEVICES": ""} if lane == "cpu" else {}),
    }
    command = [sys.executable, "-m", "pytest", "tests", "--tree", tree, "--device", lane, "--numprocesses", "auto"]
    command += ["--quiet", "--tb=no", "--no-summary", "--report-log", str(log), "--collected", str(collected), *options]
    start = time.monotonic()
    subprocess.run(command, cwd=ROOT, env=env)
    return read_run(log, collected), time.monotonic() - start


def run_lane(lane: str, *options: str) -> Verdict:
    """Run the suite on both trees, print the verdict, and write it to `out/<lane>/`.

    Raises:
        HarnessError: the trees cannot be built, or are the same
    """
    upstream, patched = trees.resolve("upstream"), trees.resolve("patched")
    if upstream.digest == patched.digest:
        raise HarnessError("upstream and patched are the same tree: the series changes nothing")
    catalogue = read_catalogue(CATALOGUE)
    runs, seconds = {}, {}
    for tree in (upstream, patched):
        print(f"\n{tree.name}: liquid-audio {trees.RELEASE.version}, {tree.digest[:12]}", flush=True)
        runs[tree.name], seconds[tree.name] = run_suite(tree.name, lane, *options)

    verdict = judge(runs["upstream"], runs["patched"], catalogue, lane)
    folder = OUT / lane
    record = {
        "holds": verdict.holds,
        "lane": lane,
        "problems": verdict.problems,
        "counts": verdict.counts,
        "bugs": [
            {**asdict(s.bug), "shown": s.tests, "fixed": s.fixed, "example": _example(s, runs["upstream"])}
            for s in verdict.shown
        ],
        "release": {"version": trees.RELEASE.version, "sha256": trees.RELEASE.sha256},
        "trees": {"upstream": upstream.digest, "patched": patched.digest},
        "series": [patch.name for patch in trees.series()],
        "host": {"system": platform.system(), "machine": platform.machine(), "python": platform.python_version()},
        "packages": {name: str(Version(version(name))) for name in PACKAGES},
        "options": options,
        "seconds": {name: round(s, 1) for name, s in seconds.items()},
    }
    (folder / "verdict.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "verdict.md").write_text(markdown(verdict, runs["upstream"]), encoding="utf-8")
    _print(verdict, runs["upstream"], seconds)
    return verdict


def _example(shown: Shown, upstream: Run) -> str:
    """Give one real exception from before, in a line."""
    if not shown.tests:
        return "not shown"
    result = upstream.results[shown.tests[0]]
    message = " ".join(result.message.split())
    return f"{result.type}: {message[:100]}{'…' * (len(message) > 100)}" if message else f"{result.type}, without a message"


def markdown(verdict: Verdict, upstream: Run) -> str:
    """Render a verdict for README and job summaries; the same runs give the same bytes."""
    lines = [
        f"**The verdict {'holds' if verdict.holds else 'does not hold'}** on `{verdict.lane}`: {_counts(verdict)}.",
        "",
        "| bug | what 1.3.0 does | tests | upstream | patched |",
        "|---|---|--:|:-:|:-:|",
    ]
    for shown in verdict.shown:
        n, example = len(shown.tests), _example(shown, upstream).replace("|", r"\|").replace("`", "'")
        lines.append(
            f"| [{shown.bug.id}](tests/bugs.toml) {shown.bug.title} | `{example}` | {n} | ✗ | {'✓' if n and shown.fixed == n else '✗'} |"
        )
    lines += ["", *(f"- {problem}" for problem in verdict.problems)]
    return "\n".join(lines).rstrip() + "\n"


def _counts(verdict: Verdict) -> str:
    return ", ".join(f"{n} {kind}" for kind, n in sorted(verdict.counts.items())) or "no test"


def _print(verdict: Verdict, upstream: Run, seconds: dict[str, float]) -> None:
    console = Console(highlight=False)
    table = Table("bug", "what 1.3.0 does", "tests", "upstream", "patched")
    for shown in verdict.shown:
        n = len(shown.tests)
        fixed = "[green]✓" if n and shown.fixed == n else "[red]✗"
        table.add_row(
            f"{shown.bug.id}\n[dim]{shown.bug.title}", escape(_example(shown, upstream)), str(n), "[red]✗" if n else "?", fixed
        )
    console.print(table)
    for problem in verdict.problems[:40]:
        console.print(f"[red]•[/] {escape(problem)}", soft_wrap=True)
    if len(verdict.problems) > 40:
        console.print(f"  and {len(verdict.problems) - 40} more in out/{verdict.lane}/verdict.json")
    console.print(f"{_counts(verdict)}; " + ", ".join(f"{name} {s:.0f} s" for name, s in seconds.items()))
    console.print(
        f"[bold {'green' if verdict.holds else 'red'}]The verdict {'holds' if verdict.holds else 'does not hold'} on {verdict.lane}."
    )
