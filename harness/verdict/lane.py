"""Run a lane: the suite on both trees, the verdict, and the files in `out/<lane>/`."""

import json
import platform
from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness import OUT, HarnessError, world
from harness.lane import devices, warm
from harness.lane.results import Run
from harness.lane.run import DEFAULT, Started, Turns, at_once, environment
from harness.lane.stacks import PACKAGES, named, own_stack, require_stack
from harness.package import trees, wheels
from harness.verdict import census, evidence, real
from harness.verdict.catalogue import CATALOGUE, Catalogue, read_catalogue
from harness.verdict.judge import Verdict, judge, surprise
from harness.verdict.report import Lane, example, markdown, show, summarise

NOTHING: Mapping[str, str] = {}
TREES = ("upstream", "patched")
CHANGED = "files that the verdict depends on changed while the suite ran: run it again"


@dataclass(frozen=True)
class Asked:
    """A requested lane, whose runs have begun or wait for their turn.

    Attributes:
        lane: the device
        name: its name in the report, and that of its folder
        stack: the packages of this environment
        options: further options for pytest
        trees: upstream and patched
        catalogue: the expected bugs
        digest: that of every file that the verdict depends on, before the runs
        begun: a run for each tree
        not_run: other lanes, and why they did not run
    """

    lane: str
    name: str
    stack: str
    options: tuple[str, ...]
    trees: Mapping[str, trees.Tree]
    catalogue: Catalogue
    digest: str
    begun: Mapping[str, Future[Started]]
    not_run: Mapping[str, str]

    @property
    def real(self) -> bool:
        """Say whether a checkpoint other than the tiny one was requested."""
        return "--checkpoint" in self.options


def run_every_lane(*options: str, stack: str | None = None, verbose: bool = False) -> bool:
    """Run the lanes of a host without a GPU: the CPU and the stand-in accelerator.

    Writes their verdict to `out/verdict.md`, or `out/verdict-<stack>.md`. For the arguments see `run_lane`.

    Returns:
        whether every verdict holds

    Raises:
        HarnessError: as for `run_lane`
    """
    stack = stack or own_stack()
    lacks = devices.lacks("sim")
    absent = {"sim": lacks} if lacks else {}
    lanes = [lane for lane in DEFAULT if lane not in absent]
    ran = _run(lanes, options, stack, absent, verbose=verbose)
    not_run = {name: reason for name, reason in ran[0].not_run.items() if name in absent or name not in DEFAULT}
    text = markdown([replace(lane, not_run=not_run) for lane in ran])
    (OUT / f"{named('verdict', stack)}.md").write_text(text, encoding="utf-8")
    summarise(ran)
    return all(lane.verdict.holds for lane in ran)


def run_lane(lane: str, *options: str, stack: str | None = None, verbose: bool = False) -> Lane:
    """Run the suite on both trees, print the verdict, and write it to `out/<lane>/`, or `out/<lane>-<stack>/`.

    Args:
        lane: a device
        options: further options for pytest
        stack: the stack that this environment must match; detected if None
        verbose: show pytest's own output instead of a progress line

    Raises:
        HarnessError: this host cannot compute on the device, this environment does not match the stack,
            or the trees cannot be built or are identical
    """
    return _run([lane], options, stack, NOTHING, verbose=verbose)[0]


def _run(
    lanes: Sequence[str], options: Sequence[str], stack: str | None, absent: Mapping[str, str], *, verbose: bool
) -> list[Lane]:
    """Run lanes with a shared server and queue. `absent` names the lanes that this host lacks, each with the reason."""
    if stack:
        require_stack(stack)
    for lane in lanes:
        devices.refuse(lane, devices.lacks(lane))
    runs = 1 if verbose else min(map(at_once, lanes))
    with warm.python(lanes[0], environment(lanes[0])) as python, Turns(runs, python, verbose=verbose) as turns:
        asked = [_ask(lane, options, stack or own_stack(), absent, turns) for lane in lanes]
        # A lane must not say that another lane of this call did not run.
        others = [{name: why for name, why in each.not_run.items() if name not in lanes} for each in asked]
        return [_answer(replace(each, not_run=not_run)) for each, not_run in zip(asked, others, strict=True)]


def _ask(lane: str, options: Sequence[str], stack: str, absent: Mapping[str, str], turns: Turns) -> Asked:
    """Check that a lane can run, and queue its runs."""
    checkpoint = Path(options[options.index("--checkpoint") + 1]) if "--checkpoint" in options else None
    if checkpoint:
        real.require(checkpoint)
    both = {name: trees.resolve(name) for name in TREES}
    if both["upstream"].digest == both["patched"].digest:
        raise HarnessError("upstream and patched are the same tree: the series changes nothing")
    # A real checkpoint is a separate lane, which never replaces that of the tiny one.
    name = named(f"real-{lane}" if checkpoint else lane, stack)
    folder = OUT / name
    # Delete an earlier run's files, which would contradict this run and outlive it if it is interrupted.
    for said in (folder / "verdict.json", folder / "verdict.md", OUT / f"{named('verdict', stack)}.md"):
        said.unlink(missing_ok=True)
    digest = world.digest(stack)
    # If two runs go at once, start the longer one first, so that the shorter one fills the remaining time. Otherwise use the
    # order in which they are shown.
    order = TREES if turns.runs == 1 else TREES[::-1]
    begun = {tree: turns.add(tree, lane, folder, *options) for tree in order}
    return Asked(
        lane, name, stack, tuple(options), both, read_catalogue(CATALOGUE), digest, begun, _not_run(lane, options, absent)
    )


def _answer(asked: Asked) -> Lane:
    """Wait for the runs of a lane, show their progress, judge them, and write the verdict."""
    runs, seconds = {}, {}
    for name, tree in asked.trees.items():
        print(f"\n{name}: liquid-audio {wheels.RELEASE.version}, {tree.digest[:12]}", flush=True)
        bugs = asked.catalogue.on(asked.lane, asked.stack) if name == "upstream" else []
        surprising = partial(surprise, bugs=bugs, catalogue=asked.catalogue)
        runs[name], seconds[name] = asked.begun[name].result().finish(surprising)
    verdict = _judge(asked, runs)
    done = Lane(verdict, runs["upstream"], runs["patched"], seconds, asked.not_run)
    folder = OUT / asked.name
    record = _record(asked, done)
    (folder / "verdict.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "verdict.md").write_text(markdown([done]), encoding="utf-8")
    show(done)
    return done


def _judge(asked: Asked, runs: Mapping[str, Run]) -> Verdict:
    """Compare the runs with each other, the catalogue and the census."""
    upstream, patched = (runs[tree] for tree in TREES)
    verdict = replace(judge(upstream, patched, asked.catalogue, asked.lane, asked.stack), lane=asked.name)
    if asked.real and (other := real.heard(patched, asked.lane)):
        # Every test that compares words would report the same.
        verdict = replace(verdict, problems=(real.show(other),))
    elif verdict.counts and not asked.real:
        counted = census.count(upstream, patched, asked.catalogue, asked.lane)
        verdict = replace(verdict, problems=(*verdict.problems, *census.differences(counted, asked.name, asked.lane)))
    world.suite_sha256.cache_clear()
    if world.digest(asked.stack) != asked.digest:
        verdict = replace(verdict, problems=(*verdict.problems, CHANGED))
    return verdict


def _record(asked: Asked, done: Lane) -> dict[str, Any]:
    """Return the content of `verdict.json`: the verdict, its inputs and the host."""
    verdict = done.verdict
    return {
        "holds": verdict.holds,
        "lane": asked.lane,
        "stack": asked.stack,
        "date": datetime.now(UTC).date().isoformat(),
        "problems": verdict.problems,
        "counts": verdict.counts,
        "same bits": verdict.same_bits,
        "bugs": [
            {**asdict(s.bug), "shown": s.tests, "fixed": s.fixed, "example": example(s, done.upstream)} for s in verdict.shown
        ],
        "release": {"version": wheels.RELEASE.version, "sha256": wheels.RELEASE.sha256},
        "trees": {name: tree.digest for name, tree in asked.trees.items()},
        "series": [patch.name for patch in trees.series()],
        "series sha256": world.series_sha256(),
        "lock sha256": world.lock_sha256(asked.stack),
        "digest": asked.digest,
        "host": {
            "system": platform.system(),
            "machine": platform.machine(),
            "device": devices.describe(asked.lane),
            "python": platform.python_version(),
        },
        "packages": {name: version(name) for name in (*PACKAGES, *(["torch_xla"] if asked.lane == "xla" else []))},
        "options": asked.options,
        "not run": asked.not_run,
        "seconds": {name: round(s, 1) for name, s in done.seconds.items()},
    }


def _not_run(lane: str, options: Sequence[str], absent: Mapping[str, str]) -> dict[str, str]:
    """Return the lanes that did not run, each with the reason."""
    others = [name for name in devices.NEEDS if name != lane]
    reasons = {"sim": "not asked for", **{name: devices.lacks(name) or "not asked for" for name in others}, **absent}
    reasons.pop(lane, None)
    if lane == "xla" and not (on := devices.describe(lane)).startswith("TPU"):
        reasons["tpu"] = f"xla computed on {on}"
    return evidence.cite(reasons) | ({} if "--checkpoint" in options else {"real checkpoint": "no --checkpoint was given"})
