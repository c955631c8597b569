"""Run a lane: the suite on both trees, the verdict, and the files in `out/<lane>/`."""

import json
import os
import platform
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

from filelock import FileLock, Timeout
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

from harness import OUT, HarnessError, world
from harness.lane import devices
from harness.lane.results import Run
from harness.lane.run import DEFAULT, Started, at_once, processors, start_suite
from harness.lane.stacks import PACKAGES, named, own_stack, require_stack
from harness.package import trees, wheels
from harness.report import summary, views
from harness.suite.catalogue import CATALOGUE, Catalogue, read_catalogue
from harness.verdict import census, evidence, guard, real
from harness.verdict.judge import Verdict, judge
from harness.verdict.report import Lane, example, show, summarise

NOTHING: Mapping[str, str] = {}
TREES, BROKEN = ("upstream", "patched"), "broken"
CHANGED = "files that the verdict depends on changed while the suite ran: run it again"


@dataclass(frozen=True)
class Asked:
    """A requested lane.

    Attributes:
        lane: the device
        name: its name in the report, and that of its folder
        stack: the packages of this environment
        options: further options for pytest
        trees: upstream and patched
        catalogue: the expected bugs
        digest: that of every file that the verdict depends on, before the runs
        not_run: other lanes, and why they did not run
        noticed: the tests that must fail on the tree that is broken on purpose, by patch; only the CPU has them
    """

    lane: str
    name: str
    stack: str
    options: tuple[str, ...]
    trees: Mapping[str, trees.Tree]
    catalogue: Catalogue
    digest: str
    not_run: Mapping[str, str]
    noticed: Mapping[str, tuple[str, str]] = field(default_factory=dict)

    @property
    def real(self) -> bool:
        """Say whether a checkpoint other than the tiny one was requested."""
        return "--checkpoint" in self.options


def run_lanes(lanes: Sequence[str], *options: str, stack: str | None = None, verbose: bool = False) -> bool:
    """Run the suite on both trees on some devices, print the verdicts, and write them to `out/<lane>/` and `out/verdict.md`.

    On another stack the folder is `out/<lane>-<stack>/`, and the file `out/verdict-<stack>.md`.

    Args:
        lanes: devices; if empty, those of a host without a GPU: the CPU, and the stand-in accelerator if it can be built
        options: further options for pytest
        stack: the stack that this environment must match; detected if None
        verbose: show pytest's own output instead of a progress line

    Returns:
        whether every verdict holds

    Raises:
        HarnessError: this host cannot compute on a device, this environment does not match the stack, the trees cannot be built
            or are identical, or another verdict runs in this checkout
    """
    if os.environ.get("PYTHONPATH"):
        raise HarnessError("PYTHONPATH is set, and what it names could take the place of a package: unset it")
    if stack:
        require_stack(stack)
    stack = stack or own_stack()
    absent = {name: why for name in DEFAULT if (why := devices.lacks(name))} if not lanes else {}
    lanes = lanes or [lane for lane in DEFAULT if lane not in absent]
    for lane in lanes:
        devices.refuse(lane, devices.lacks(lane))
    OUT.mkdir(exist_ok=True)
    try:
        with FileLock(OUT / ".lock", timeout=0):
            asked = [_ask(lane, options, stack, {**_not_run(lane, options), **absent}) for lane in lanes]
            # A lane must not say that another lane of this call did not run.
            others = [{name: why for name, why in each.not_run.items() if name not in lanes} for each in asked]
            asked = [replace(each, not_run=not_run) for each, not_run in zip(asked, others, strict=True)]
            ran = [_answer(each, found) for each, found in zip(asked, _run(asked, verbose=verbose), strict=True)]
            text = summary.markdown([_view(each, done) for each, done in zip(asked, ran, strict=True)])
            (OUT / f"{named('verdict', stack)}.md").write_text(text, encoding="utf-8")
    except Timeout:
        raise HarnessError(f"another verdict runs in this checkout and writes {OUT.name}/: wait for it") from None
    if len(ran) > 1:
        summarise(ran)
    return all(lane.verdict.holds for lane in ran)


def _ask(lane: str, options: Sequence[str], stack: str, not_run: Mapping[str, str]) -> Asked:
    """Check that a lane can run, and delete an earlier run's files, which would contradict this run and outlive it."""
    checkpoint = Path(options[options.index("--checkpoint") + 1]) if "--checkpoint" in options else None
    if checkpoint:
        real.require(checkpoint)
    both = {name: trees.resolve(name) for name in TREES}
    if both["upstream"].digest == both["patched"].digest:
        raise HarnessError("upstream and patched are the same tree: the series changes nothing")
    # A real checkpoint is a separate lane, which never replaces that of the tiny one.
    name = named(f"real-{lane}" if checkpoint else lane, stack)
    for said in (OUT / name / "verdict.json", OUT / f"{named('verdict', stack)}.md", OUT / "report.html"):
        said.unlink(missing_ok=True)
    noticed = guard.read() if lane == "cpu" and not checkpoint else {}
    catalogue, digest = read_catalogue(CATALOGUE), world.digest(stack)
    return Asked(lane, name, stack, tuple(options), both, catalogue, digest, not_run, noticed)


def _run(asked: Sequence[Asked], *, verbose: bool) -> list[dict[str, tuple[Run, float]]]:
    """Run the suite on both trees of each lane, two at once where that is possible, and show which of them run."""
    runs = 1 if verbose else min(at_once(each.lane) for each in asked)
    workers = processors() // runs if processors() > runs and asked[0].lane != "xla" else 0
    started: list[Started] = []
    over = Event()
    columns = (SpinnerColumn(), "{task.description}", TimeElapsedColumn())
    with ExitStack() as stack:
        pool = stack.enter_context(ThreadPoolExecutor(runs))
        # After Ctrl-C no further run may start, and those that run are killed, because the threads wait for them.
        stack.callback(_end, started)
        stack.callback(pool.shutdown, wait=False, cancel_futures=True)
        stack.callback(over.set)
        progress = stack.enter_context(Progress(*columns, transient=True, disable=verbose))

        def run(each: Asked, tree: str) -> tuple[Run, float]:
            words = f"{each.name} {tree}"
            task = progress.add_task(words)
            folder = OUT / each.name
            how: dict[str, Any] = {"workers": workers}
            if tree == BROKEN:
                tree, how = str(guard.build().path), {"tests": [test for test, _ in each.noticed.values()]}
            own = start_suite(tree, each.lane, folder, *each.options, verbose=verbose, **how)
            started.append(own)
            if over.is_set():  # Ctrl-C came while it started
                own.end()
            found, seconds = own.finish()
            progress.remove_task(task)
            failed = sum(result.outcome == "failed" for result in found.results.values())
            progress.console.print(f"{words}: {failed} of {len(found.results)} tests fail, {seconds:.0f} s")
            return found, seconds

        # Of two runs at once the longer one starts first, so that the shorter one fills the remaining time.
        wanted = [(*reversed(TREES), *([BROKEN] if each.noticed else [])) for each in asked]
        futures = [{tree: pool.submit(run, each, tree) for tree in of} for each, of in zip(asked, wanted, strict=True)]
        return [{tree: future.result() for tree, future in of.items()} for of in futures]


def _end(started: Sequence[Started]) -> None:
    for each in started:
        each.end()


def _answer(asked: Asked, found: Mapping[str, tuple[Run, float]]) -> Lane:
    """Judge the runs of a lane, and write the verdict."""
    runs, seconds = {tree: found[tree][0] for tree in TREES}, {tree: found[tree][1] for tree in TREES}
    verdict = _judge(asked, runs)
    if asked.noticed:
        missed = guard.problems(asked.noticed, found[BROKEN][0])
        verdict = replace(verdict, problems=(*verdict.problems, *missed))
    done = Lane(verdict, runs["upstream"], runs["patched"], seconds, asked.not_run)
    record = json.dumps(_record(asked, done), indent=1, ensure_ascii=False) + "\n"
    (OUT / asked.name / "verdict.json").write_text(record, encoding="utf-8")
    show(done)
    return done


def _view(asked: Asked, done: Lane) -> views.Lane:
    """Arrange a lane as it is shown."""
    return views.Lane(asked.name, _record(asked, done), {"upstream": done.upstream, "patched": done.patched})


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


def _not_run(lane: str, options: Sequence[str]) -> dict[str, str]:
    """Return the lanes that did not run, each with the reason."""
    others = [name for name in devices.NEEDS if name != lane]
    reasons = {"sim": "not asked for", **{name: devices.lacks(name) or "not asked for" for name in others}}
    reasons.pop(lane, None)
    if lane == "xla" and not (on := devices.describe(lane)).startswith("TPU"):
        reasons["tpu"] = f"xla computed on {on}"
    return evidence.cite(reasons) | ({} if "--checkpoint" in options else {"real checkpoint": "no --checkpoint was given"})
