"""Run a lane: the suite on both trees, compared, with the verdict written to `out/<lane>/`."""

import json
import platform
from collections.abc import Iterable, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness import OUT, HarnessError, world
from harness.lane import devices, warm
from harness.lane.run import DEFAULT, Started, at_once, environment, start_suite
from harness.lane.stacks import PACKAGES, named, own_stack, require_stack
from harness.package import trees, wheels
from harness.verdict import census, evidence, real
from harness.verdict.catalogue import CATALOGUE, read_catalogue
from harness.verdict.judge import judge, surprise
from harness.verdict.report import Lane, example, markdown, show, summarise

NOTHING: Mapping[str, str] = {}
CHANGED = "files that a verdict hangs on were changed while the suite ran: run it again"


def run_every_lane(*options: str, stack: str | None = None, verbose: bool = False) -> bool:
    """Run the lanes that a host without a GPU has: the CPU's and that of the stand-in accelerator.

    Their verdict is `out/verdict.md`, or `out/verdict-<stack>.md`. For the rest see `run_lane`.

    Returns:
        whether every verdict holds

    Raises:
        HarnessError: as for `run_lane`
    """
    stack = stack or own_stack()
    with warm.python(DEFAULT[0], environment(DEFAULT[0])) as python:
        lacks = devices.lacks("sim")
        absent = {"sim": lacks} if lacks else {}
        lanes = [lane for lane in DEFAULT if lane not in absent]
        ran = [run_lane(lane, *options, stack=stack, absent=absent, python=python, verbose=verbose) for lane in lanes]
    not_run = {name: reason for name, reason in ran[0].not_run.items() if name in absent or name not in DEFAULT}
    text = markdown([replace(lane, not_run=not_run) for lane in ran])
    (OUT / f"{named('verdict', stack)}.md").write_text(text, encoding="utf-8")
    summarise(ran)
    return all(lane.verdict.holds for lane in ran)


def run_lane(
    lane: str,
    *options: str,
    stack: str | None = None,
    absent: Mapping[str, str] = NOTHING,
    python: Sequence[str] = (),
    verbose: bool = False,
) -> Lane:
    """Run the suite on both trees, print the verdict, and write it to `out/<lane>/`, or `out/<lane>-<stack>/`.

    Args:
        lane: a device
        options: further ones for pytest
        stack: the one that this environment must be; found out if None
        absent: lanes that were found to be impossible here, and why
        python: what runs the suite, on a command line; one that is started for this lane if empty
        verbose: let pytest speak for itself, in place of a line of progress

    Raises:
        HarnessError: this host cannot compute on the device, this environment is not the stack,
            or the trees cannot be built or are the same
    """
    if stack:
        require_stack(stack)
    stack = stack or own_stack()
    checkpoint = Path(options[options.index("--checkpoint") + 1]) if "--checkpoint" in options else None
    if checkpoint:
        real.require(checkpoint)
    devices.refuse(lane, devices.lacks(lane))
    upstream, patched = trees.resolve("upstream"), trees.resolve("patched")
    if upstream.digest == patched.digest:
        raise HarnessError("upstream and patched are the same tree: the series changes nothing")
    catalogue = read_catalogue(CATALOGUE)
    not_run = _not_run(lane, options, absent)
    # A real checkpoint is a lane of its own, which never replaces that of the tiny one.
    name = named(f"real-{lane}" if checkpoint else lane, stack)
    folder = OUT / name
    # An earlier verdict must not stay beside this one, nor remain if this run is interrupted.
    for said in (folder / "verdict.json", folder / "verdict.md", OUT / f"{named('verdict', stack)}.md"):
        said.unlink(missing_ok=True)
    begun = world.digest(stack)
    bugs = {upstream: catalogue.on(lane, stack), patched: []}
    runs, seconds = {}, {}
    with nullcontext(python) if python else warm.python(lane, environment(lane)) as python:
        start = partial(start_suite, python=python, verbose=verbose)
        # Each starts when the one before has finished.
        started: Iterable[Started] = (start(tree.name, lane, folder, *options) for tree in bugs)
        if at_once(lane) and not verbose:
            started = list(started)
        for tree, suite in zip(bugs, started, strict=True):
            print(f"\n{tree.name}: liquid-audio {wheels.RELEASE.version}, {tree.digest[:12]}", flush=True)
            surprising = partial(surprise, bugs=bugs[tree], catalogue=catalogue)
            runs[tree.name], seconds[tree.name] = suite.finish(surprising)

    verdict = replace(judge(runs["upstream"], runs["patched"], catalogue, lane, stack), lane=name)
    if checkpoint and (other := real.heard(runs["patched"], lane)):
        # Every test that compares words would repeat this.
        verdict = replace(verdict, problems=(real.show(other),))
    elif verdict.counts and not checkpoint:
        counted = census.count(runs["upstream"], runs["patched"], catalogue, lane)
        verdict = replace(verdict, problems=(*verdict.problems, *census.differences(counted, name, lane)))
    world.digest.cache_clear()
    if world.digest(stack) != begun:
        verdict = replace(verdict, problems=(*verdict.problems, CHANGED))
    done = Lane(verdict, runs["upstream"], runs["patched"], seconds, not_run)
    trees_of = {"upstream": upstream.digest, "patched": patched.digest}
    record = _record(done, lane, stack) | {"trees": trees_of, "digest": begun, "options": options}
    (folder / "verdict.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    (folder / "verdict.md").write_text(markdown([done]), encoding="utf-8")
    show(done)
    return done


def _record(ran: Lane, device: str, stack: str) -> dict[str, Any]:
    """Gather what a lane found, on which host and with which packages, for its verdict.json."""
    verdict = ran.verdict
    return {
        "holds": verdict.holds,
        "lane": device,
        "stack": stack,
        "date": datetime.now(UTC).date().isoformat(),
        "problems": verdict.problems,
        "counts": verdict.counts,
        "same bits": verdict.same_bits,
        "bugs": [
            {**asdict(s.bug), "shown": s.tests, "fixed": s.fixed, "example": example(s, ran.upstream)} for s in verdict.shown
        ],
        "release": {"version": wheels.RELEASE.version, "sha256": wheels.RELEASE.sha256},
        "series": [patch.name for patch in trees.series()],
        "series sha256": world.series_sha256(),
        "lock sha256": world.lock_sha256(stack),
        "host": {
            "system": platform.system(),
            "machine": platform.machine(),
            "device": devices.describe(device),
            "python": platform.python_version(),
        },
        "packages": {name: version(name) for name in (*PACKAGES, *(["torch_xla"] if device == "xla" else []))},
        "not run": ran.not_run,
        "seconds": {name: round(s, 1) for name, s in ran.seconds.items()},
    }


def _not_run(lane: str, options: tuple[str, ...], absent: Mapping[str, str]) -> dict[str, str]:
    """List the lanes that did not run, and why."""
    others = [name for name in devices.NEEDS if name != lane]
    reasons = {"sim": "not asked for", **{name: devices.lacks(name) or "not asked for" for name in others}, **absent}
    reasons.pop(lane, None)
    if lane == "xla" and not (on := devices.describe(lane)).startswith("TPU"):
        reasons["tpu"] = f"xla computed on {on}"
    return evidence.cite(reasons) | ({} if "--checkpoint" in options else {"real checkpoint": "no --checkpoint was given"})
