"""The verdict: run the suite on both trees of some devices, compare, and write `out/<lane>/verdict.json` and the report."""

import argparse
import json
import os
import platform
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from threading import Event
from typing import Any

from filelock import FileLock, Timeout
from rich.progress import Progress, SpinnerColumn, TimeElapsedColumn

from harness import OUT, ROOT, HarnessError, census, devices, evidence, guard, real, trees, wheels, world
from harness.catalogue import CATALOGUE, read_catalogue
from harness.judge import Verdict, judge
from harness.report import page, summary, views
from harness.report.terminal import Lane, example, show, summarise
from harness.results import Run
from harness.run import DEFAULT, Started, at_once, most_workers, start_suite
from harness.stacks import PACKAGES, named, own_stack, require_stack

TREES, BROKEN = ("upstream", "patched"), "broken"
CHANGED = "files that the verdict depends on changed while the suite ran: run it again"


@dataclass(frozen=True)
class Asked:
    """A requested lane: a device, with a stack and a checkpoint.

    Attributes:
        device: the device
        stack: the packages of this environment
        options: further options for pytest
        digest: that of every file that the verdict depends on, before the runs
        not_run: other lanes, and why they did not run
    """

    device: str
    stack: str
    options: tuple[str, ...]
    digest: str
    not_run: Mapping[str, str]

    @property
    def real(self) -> bool:
        """Say whether a checkpoint other than the tiny one was requested. It makes a separate lane."""
        return "--checkpoint" in self.options

    @property
    def name(self) -> str:
        """Its name in the report, and that of its folder."""
        return named(f"real-{self.device}" if self.real else self.device, self.stack)

    @property
    def guarded(self) -> bool:
        """Say whether the tree that is broken on purpose is run, too."""
        return self.device == "cpu" and not self.real


def run_lanes(asked: Sequence[str], *options: str, stack: str | None = None, verbose: bool = False) -> bool:
    """Run the suite on both trees on some devices, print the verdicts, and write them to `out/<lane>/` and `out/verdict.md`.

    On another stack the folder is `out/<lane>-<stack>/`, and the file `out/verdict-<stack>.md`.

    Args:
        asked: devices; if empty, those of a host without a GPU: the CPU, and the stand-in accelerator if it can be built
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
    if unknown := [name for name in asked if name not in (*DEFAULT, *devices.NEEDS)]:
        raise HarnessError(f"--device {unknown[0]}: expected one of {', '.join((*DEFAULT, *devices.NEEDS))}")
    absent = {name: why for name in DEFAULT if (why := devices.lacks(name))} if not asked else {}
    asked = asked or [name for name in DEFAULT if name not in absent]
    for name in asked:
        devices.refuse(name, devices.lacks(name))
    if "--checkpoint" in options:
        real.require(Path(options[options.index("--checkpoint") + 1]))
    if len({trees.resolve(name).digest for name in TREES}) == 1:
        raise HarnessError("upstream and patched are the same tree: the series changes nothing")
    read_catalogue(CATALOGUE), guard.read()  # an error in them must not wait for the runs
    OUT.mkdir(exist_ok=True)
    try:
        with FileLock(OUT / ".lock", timeout=0):
            not_run = {**_not_run(asked, options), **absent}
            lanes = [Asked(name, stack, options, world.digest(stack), not_run) for name in asked]
            text = OUT / f"{named('verdict', stack)}.md"
            # An earlier run's files would contradict this one if it is interrupted.
            for file in (*(OUT / lane.name / "verdict.json" for lane in lanes), text, OUT / "report.html"):
                file.unlink(missing_ok=True)
            ran = [_answer(lane, found) for lane, found in zip(lanes, _run(lanes, verbose=verbose), strict=True)]
            shown = [_view(lane, done) for lane, done in zip(lanes, ran, strict=True)]
            text.write_text(summary.markdown(shown), encoding="utf-8")
    except Timeout:
        raise HarnessError(f"another verdict runs in this checkout and writes {OUT.name}/: wait for it") from None
    if len(ran) > 1:
        summarise(ran)
    return all(lane.verdict.holds for lane in ran)


def _run(lanes: Sequence[Asked], *, verbose: bool) -> list[dict[str, tuple[Run, float]]]:
    """Run the suite on both trees of each lane, two at once where that is possible, and show which of them run."""
    runs = 1 if verbose else min(at_once(lane.device) for lane in lanes)
    cores = min(most_workers(lane.device) for lane in lanes)
    workers = cores // runs if cores > runs and lanes[0].device != "xla" else 0
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

        def run(lane: Asked, tree: str) -> tuple[Run, float]:
            words = f"{lane.name} {tree}"
            task = progress.add_task(words)
            how: dict[str, Any] = {"workers": workers}
            if tree == BROKEN:
                tree, how = str(guard.build().path), {"tests": [test for test, _ in guard.read().values()]}
            own = start_suite(tree, lane.device, OUT / lane.name, *lane.options, verbose=verbose, **how)
            started.append(own)
            if over.is_set():  # Ctrl-C came while it started
                own.end()
            found, seconds = own.finish()
            progress.remove_task(task)
            failed = sum(result.outcome == "failed" for result in found.results.values())
            progress.console.print(f"{words}: {failed} of {len(found.results)} tests fail, {seconds:.0f} s")
            return found, seconds

        # Of two runs at once the longer one starts first, so that the shorter one fills the remaining time.
        wanted = [(*reversed(TREES), *([BROKEN] if lane.guarded else [])) for lane in lanes]
        futures = [{tree: pool.submit(run, lane, tree) for tree in of} for lane, of in zip(lanes, wanted, strict=True)]
        return [{tree: future.result() for tree, future in of.items()} for of in futures]


def _end(started: Sequence[Started]) -> None:
    for each in started:
        each.end()


def _answer(asked: Asked, found: Mapping[str, tuple[Run, float]]) -> Lane:
    """Judge the runs of a lane, and write the verdict."""
    upstream, patched = (found[tree][0] for tree in TREES)
    verdict = judge(upstream, patched, read_catalogue(CATALOGUE), asked.device, asked.stack)
    problems = tuple(real.misheard(patched, asked.device)) if asked.real else ()
    problems = problems or (*verdict.problems, *_further(asked, verdict, found))
    verdict = replace(verdict, lane=asked.name, problems=problems)
    done = Lane(verdict, upstream, patched, {tree: found[tree][1] for tree in TREES}, asked.not_run)
    record = json.dumps(_record(asked, done), indent=1, ensure_ascii=False) + "\n"
    (OUT / asked.name / "verdict.json").write_text(record, encoding="utf-8")
    show(done)
    return done


def _view(asked: Asked, done: Lane) -> views.Lane:
    """Arrange a lane as it is shown."""
    return views.Lane(asked.name, _record(asked, done), {"upstream": done.upstream, "patched": done.patched})


def _further(asked: Asked, verdict: Verdict, found: Mapping[str, tuple[Run, float]]) -> Iterator[str]:
    """List what the two runs do not show: tests that vanished or notice nothing, and files that changed."""
    if verdict.counts and not asked.real:
        yield from census.differences(census.count(*(found[tree][0] for tree in TREES)), asked.device, asked.name)
    if asked.guarded:
        yield from guard.problems(guard.read(), found[BROKEN][0])
    world.suite_sha256.cache_clear()
    if world.digest(asked.stack) != asked.digest:
        yield CHANGED


def _record(asked: Asked, done: Lane) -> dict[str, Any]:
    """Return the content of `verdict.json`: the verdict, its inputs and the host."""
    verdict = done.verdict
    return {
        "holds": verdict.holds,
        "lane": asked.device,
        "stack": asked.stack,
        "date": datetime.now(UTC).date().isoformat(),
        "problems": verdict.problems,
        "counts": verdict.counts,
        "same bits": verdict.same_bits,
        "bugs": [
            {**asdict(s.bug), "shown": s.tests, "fixed": s.fixed, "example": example(s, done.upstream)} for s in verdict.shown
        ],
        "release": {"version": wheels.RELEASE.version, "sha256": wheels.RELEASE.sha256},
        "trees": {name: trees.resolve(name).digest for name in TREES},
        "series": [patch.name for patch in trees.series()],
        "series sha256": world.series_sha256(),
        "digest": asked.digest,
        "lock sha256": world.lock_sha256(asked.stack),
        "host": {
            "system": platform.system(),
            "machine": platform.machine(),
            "device": devices.describe(asked.device),
            "python": platform.python_version(),
        },
        "packages": {name: version(name) for name in (*PACKAGES, *(["torch_xla"] if asked.device == "xla" else []))},
        "options": asked.options,
        "not run": asked.not_run,
        "seconds": {name: round(s, 1) for name, s in done.seconds.items()},
    }


def _not_run(asked: Sequence[str], options: Sequence[str]) -> dict[str, str]:
    """Return the devices that were not asked for, each with the reason and with committed evidence."""
    reasons = {name: devices.lacks(name) or "not asked for" for name in devices.NEEDS if name not in asked}
    if "sim" not in asked:
        reasons = {"sim": "not asked for", **reasons}
    if "xla" in asked and not (on := devices.describe("xla")).startswith("TPU"):
        reasons["tpu"] = f"xla computed on {on}"
    return evidence.cite(reasons) | ({} if "--checkpoint" in options else {"real checkpoint": "no --checkpoint was given"})


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `verdict`."""
    parser.add_argument("--device", help="the device (default: cpu, and sim if there is a compiler)")
    parser.add_argument(
        "--checkpoint", type=Path, help="folder of a real checkpoint, which makes a separate lane (default: the tiny one)"
    )
    parser.add_argument(
        "--stack", help="the stack that this environment must match; writes out/<device>-<stack>/ unless it is `pinned`"
    )
    parser.add_argument("--evidence", action="store_true", help="write the verdict to fixtures/evidence/, to be committed")
    parser.add_argument("--verbose", action="store_true", help="show pytest's own output instead of a progress line")
    parser.set_defaults(run=_command)


def _command(options: argparse.Namespace) -> bool:
    extra = ["--checkpoint", str(options.checkpoint.expanduser().absolute())] if options.checkpoint else []
    asked = (
        []
        if options.device is None and not (extra or options.evidence)
        else ["cpu" if options.device is None else options.device]
    )
    holds = run_lanes(asked, *extra, stack=options.stack, verbose=options.verbose)
    if options.evidence:
        record = OUT / named(asked[0], options.stack or own_stack()) / "verdict.json"
        print(f"wrote {evidence.write(record).relative_to(ROOT)}: commit it")
    print(f"wrote {page.write().relative_to(ROOT)}")
    return holds
