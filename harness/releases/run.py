"""Run a sample of each bug's tests on every published release, with and without the series.

A run covers the releases of the stack that it runs on, and checks whether the others can be imported there.
`harness.releases.table` merges the runs of all stacks.
"""

import argparse
import json
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

from harness import OUT, ROOT, HarnessError, world
from harness.lane import devices
from harness.lane.results import Run
from harness.lane.run import QUIET, run_suite
from harness.lane.stacks import require_stack
from harness.package import trees, wheels
from harness.releases import drift
from harness.releases.table import merge
from harness.verdict.catalogue import CATALOGUE, Bug, read_catalogue, shows
from harness.verdict.judge import Shown
from harness.verdict.report import example

PER_BUG = 2
COMPLETE = "from harness.package.checkpoint import complete; print(complete())"
IMPORT = "import liquid_audio"
LOAD = """
import sys
from pathlib import Path
from liquid_audio import ChatState, LFM2AudioModel, LFM2AudioProcessor
checkpoint = Path(sys.argv[1])
ChatState(LFM2AudioProcessor.from_pretrained(checkpoint, device="cpu"))
LFM2AudioModel.from_pretrained(checkpoint, device="cpu")
"""


@dataclass(frozen=True)
class Bench:
    """What the releases of a stack are tested with.

    Attributes:
        stack: its name
        checkpoint: the tiny one
        samples: by lane, the tests that are run for each bug
        not_run: by bug, why its tests are not run
    """

    stack: str
    checkpoint: str
    samples: Mapping[str, Mapping[Bug, list[str]]]
    not_run: Mapping[Bug, str]


@dataclass(frozen=True)
class Sampled:
    """The result of a sample of a bug's tests on a release.

    Attributes:
        state: "shows", "does not show" or "not run"
        words: the result of the first of them, or why none was run
        tests: how many were run
        shown: how many of them fail for a reason of the bug
        fixed: how many of them pass on the patched tree; None if the series does not apply
    """

    state: str
    words: str
    tests: int = 0
    shown: int = 0
    fixed: int | None = None


def run(stack: str) -> bool:
    """Try the releases on a stack, which must be that of this environment, and write `out/releases-<stack>.json`.

    Returns:
        whether each release of the stack is as harness/package/releases.toml says
    """
    require_stack(stack)
    begun = world.digest(stack)
    bench = _bench(stack)
    records: list[dict[str, Any]] = []
    for release in wheels.RELEASES.values():
        start = time.monotonic()
        print(f"\nliquid-audio {release.version} on {stack}", flush=True)
        tree = trees.resolve("upstream", release=release)
        here = release.stack == stack
        same = next((known for known in records if (known["files"], known["here"]) == (tree.digest, here)), None)
        found = same or (_try(release, tree.path, bench) if here else _import(tree.path))
        record = {**found, "version": release.version, "files": tree.digest, "here": here}
        record["problems"] = list(problems(release, record)) if here else []
        records.append(record)
        words = record["fails"] or record.get("series words", "it imports")
        print(
            *(f"  {line}" for line in (words, *record["problems"])),
            f"  {time.monotonic() - start:.0f} s",
            sep="\n",
            flush=True,
        )
    result = {"stack": stack, "digest": begun, "releases": records}
    (OUT / f"releases-{stack}.json").write_text(json.dumps(result, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    return not any(record["problems"] for record in records)


def sample(bug: Bug, tests: list[str]) -> list[str]:
    """Choose `PER_BUG` tests of a bug or fewer: the first that each of its globs names, then the last."""
    named = [[test for test in sorted(tests) if replace(bug, tests=(glob,)).shown_by(test)] for glob in bug.tests]
    chosen = dict.fromkeys([*(group[0] for group in named if group), *(group[-1] for group in named if group)])
    if not chosen:
        raise HarnessError(f"{bug.id}: no test shows it here")
    return list(chosen)[:PER_BUG]


def series_on(tree: Path) -> tuple[str, str]:
    """Return "applies" or "conflicts" for the series on a release, with a sentence."""
    findings = drift.examine(tree, trees.series())
    bad = [finding for finding in findings if finding.state != "applies"]
    if not bad:
        return "applies", "the series applies"
    return "conflicts", f"{len(bad)} of {len(findings)} patches do not apply, first {bad[0].patch}, which {bad[0].words}"


def judge(before: Run, after: Run | None, samples: Mapping[Bug, list[str]]) -> dict[str, Sampled]:
    """Say for each bug whether it shows on a release, and how many of its sampled tests pass with the series."""
    found = {}
    for bug, tests in samples.items():
        if missing := [t for t in tests if t not in before.results or (after and t not in after.results)]:
            raise HarnessError(f"{missing[0]} did not run to its end: see above")
        shown = [test for test in tests if shows(before.results[test], bug)]
        fixed = sum(after.results[test].outcome == "passed" for test in tests) if after else None
        # If the bug does not show, another failure says what happens instead.
        failed = shown or [test for test in tests if before.results[test].outcome != "passed"]
        words = example(Shown(bug, tuple(failed), 0), before) if failed else "passes"
        found[bug.id] = Sampled("shows" if shown else "does not show", words, len(tests), len(shown), fixed)
    return found


def problems(release: wheels.Release, record: Mapping[str, Any]) -> Iterator[str]:
    """Compare the results on a release with what harness/package/releases.toml says about it."""
    if record["fails"]:
        yield f"{release.version} does not load on {release.stack}: {record['fails']}"
        return
    if record["series"] != release.series:
        yield f"{release.version}: {record['series words']}; harness/package/releases.toml says {release.series!r}"
    for id in sorted(set(release.without) - record["bugs"].keys()):
        yield f"{release.version}: harness/package/releases.toml names {id}, which is not in the catalogue"
    for id, found in record["bugs"].items():
        expected = "does not show" if id in release.without else "shows"
        if found["state"] not in (expected, "not run"):
            yield f"{release.version} {found['state']} {id}, {found['words']}; harness/package/releases.toml says that it {expected}"
        came = release.without.get(id, "")
        if found["state"] == "does not show" and came and not re.search(came, found["words"]):
            yield f"{release.version}: instead of {id}, tests give {found['words']}; harness/package/releases.toml says {came}"
        # Tests that pass as published, or show the bug, must pass with the series.
        if (found["state"] == "shows" or found["words"] == "passes") and found["fixed"] not in (None, found["tests"]):
            yield f"{release.version}: {found['tests'] - found['fixed']} sampled tests of {id} do not pass with the series"


def _bench(stack: str) -> Bench:
    """Choose the tests and complete the checkpoint, once for all releases."""
    bugs = read_catalogue(CATALOGUE).bugs
    # Most bugs show on the CPU; the others need a second device.
    lanes = {"cpu": [bug for bug in bugs if "cpu" in bug.lanes]}
    lanes["sim"] = [bug for bug in bugs if bug not in lanes["cpu"]]
    samples: dict[str, dict[Bug, list[str]]] = {}
    not_run: dict[Bug, str] = {}
    for lane, shown in lanes.items():
        if reason := devices.lacks(lane):
            not_run |= dict.fromkeys(shown, f"{lane}: {reason.splitlines()[0].replace(f'{ROOT}/', '')}")
        else:
            folder = OUT / "releases" / stack / lane
            collected, _ = run_suite("upstream", lane, folder, *QUIET, "--collect-only", "-qq", verbose=True)
            samples[lane] = {bug: sample(bug, sorted(collected.collected)) for bug in shown}
    checkpoint, fails = _python(COMPLETE, trees.resolve("upstream").path)
    if fails:
        raise HarnessError(f"the tiny checkpoint cannot be completed on {stack}: {fails}")
    return Bench(stack, checkpoint.strip(), samples, not_run)


def _import(tree: Path) -> dict[str, Any]:
    """Check whether a release of another stack can be imported."""
    return {"fails": _python(IMPORT, tree)[1]}


def _try(release: wheels.Release, tree: Path, bench: Bench) -> dict[str, Any]:
    """Load a release and, if that works, run the sampled tests on it as published and with the series."""
    record: dict[str, Any] = {"fails": _python(LOAD, tree, bench.checkpoint)[1]}
    if not record["fails"]:
        record["series"], record["series words"] = series_on(tree)
        patched = trees.resolve("patched", release=release).path if record["series"] == "applies" else None
        bugs = {bug.id: Sampled("not run", reason) for bug, reason in bench.not_run.items()}
        for lane, samples in bench.samples.items():
            folder, tests = OUT / "releases" / bench.stack / lane, [t for tests in samples.values() for t in tests]
            # Each worker imports torch, which takes longer than a few tests.
            run = partial(run_suite, tests=tests, workers=None if len(tests) > 10 else 0, verbose=True)
            before, after = (run(str(t), lane, folder, *QUIET)[0] if t else None for t in (tree, patched))
            assert before
            bugs |= judge(before, after, samples)
        record["bugs"] = {id: asdict(sampled) for id, sampled in bugs.items()}
    return record


def _python(program: str, tree: Path, *arguments: str) -> tuple[str, str]:
    """Run a program that imports a tree's package. Returns what it prints, and why it failed, or "" if it did not."""
    env = world.environment(PYTHONPATH=str(tree), CUDA_VISIBLE_DEVICES="")
    command = [sys.executable, "-W", "ignore", "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    last = (done.stderr.strip().splitlines() or ["it died without a word"])[-1]
    return done.stdout, re.sub(r" \(/.*\)$", "", last) if done.returncode else ""


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `releases`."""
    parser.add_argument(
        "--stack", help="the stack of this environment, on which to try the releases (default: merge earlier runs)"
    )
    parser.set_defaults(run=lambda options: run(options.stack) if options.stack else merge())
