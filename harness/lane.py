"""Run a lane: the suite on both trees, the verdict, and what it leaves in `out/<lane>/`."""

import argparse
import json
import os
import platform
import shlex
import subprocess
import sys
import time
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from functools import partial
from importlib.metadata import version
from pathlib import Path
from typing import Any

from harness import OUT, ROOT, HarnessError, census, devices, evidence, real, trees, warm, world
from harness.progress import Surprising, complain, watch
from harness.report import Lane, example, markdown, show, summarise
from harness.verdict import CATALOGUE, Run, judge, read_catalogue, read_run, surprise

DEFAULT = ("cpu", "sim")
STACKS = ROOT / "harness" / "stacks"
NOTHING: Mapping[str, str] = {}
CHANGED = "files that a verdict hangs on were changed while the suite ran: run it again"
PACKAGES = ("torch", "torchaudio", "transformers", "safetensors", "numpy")
SELECTED = {"xla": ("-m", "core")}
# For a log that nobody reads unless pytest does not come to its end.
QUIET = ("--quiet", "--tb=no", "--no-summary")
PATIENCE = 3  # seconds


@dataclass(frozen=True)
class Started:
    """The suite, as it runs on one tree.

    Attributes:
        process: pytest
        words: what the run is called
        log: what it did, by pytest-reportlog
        collected: the ids of its tests
        said: its output, empty if that goes where this process's goes
        begun: when, by the monotonic clock
    """

    process: subprocess.Popen[bytes]
    words: str
    log: Path
    collected: Path
    said: Path | None
    begun: float

    def finish(self, surprising: Surprising | None = None) -> tuple[Run, float]:
        """Wait for its end; return the run, and how long it took in seconds.

        Args:
            surprising: what counts as unexpected, to show progress unless pytest does
        """
        try:
            if self.said and surprising:
                run = watch(self.process, self.log, self.collected, self.words, surprising)
                complain(run, self.said)
            else:
                self.process.wait()
                run = read_run(self.log, self.collected)
        finally:
            _end(self.process)
        return run, time.monotonic() - self.begun


def start_suite(
    tree: str,
    lane: str,
    folder: Path,
    *options: str,
    python: Sequence[str] = (sys.executable,),
    tests: Sequence[str] = ("tests",),
    workers: int | None = None,
    verbose: bool = False,
) -> Started:
    """Start the suite on one tree, as anybody would by hand.

    Args:
        tree: "upstream", "patched", or a folder that holds the package
        lane: a device
        folder: where its log goes, as `<name of the tree>.jsonl`
        options: further ones for pytest
        python: what runs it, on a command line
        tests: files, folders or ids of tests
        workers: processes; as many as fit this host and the lane if None
        verbose: let pytest speak for itself; its output goes to `<name>.txt` otherwise
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(tree).name
    log, collected, said = folder / f"{name}.jsonl", folder / f"{name}.collected.json", folder / f"{name}.txt"
    for stale in (log, collected, said):
        stale.unlink(missing_ok=True)
    command = [*python, "-m", "pytest", *world.SETTINGS, *tests, "--tree", tree, "--device", lane]
    command += ["--report-log", str(log), "--collected", str(collected), *warm.IMPORTED_BEFORE]
    command += [*SELECTED.get(lane, ()), *_spread(_workers(lane) if workers is None else workers, python), *options]
    with nullcontext() if verbose else said.open("wb") as output:
        quiet = () if verbose else QUIET
        process = subprocess.Popen([*command, *quiet], cwd=ROOT, env=environment(lane), stdout=output, stderr=output)
    return Started(process, f"{lane} {name}", log, collected, None if verbose else said, time.monotonic())


def run_suite(
    tree: str, lane: str, folder: Path, *options: str, surprising: Surprising | None = None, **how: Any
) -> tuple[Run, float]:
    """Run the suite on one tree: start it as `start_suite` does, and finish it as `Started.finish` does."""
    return start_suite(tree, lane, folder, *options, **how).finish(surprising)


def run_tests(*options: str) -> bool:
    """Run the suite on the patched tree, and the tests of harness/; with options for pytest, what they say.

    Returns:
        whether all pass
    """
    parser = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    parser.add_argument("--device", default="cpu")
    with warm.python(parser.parse_known_args(options)[0].device, os.environ) as python:
        # A debugger talks to the one process that there is.
        workers = 0 if {"--pdb", "--trace"}.intersection(options) else _workers("cpu")
        command = [*python, "-m", "pytest", *warm.IMPORTED_BEFORE, *_spread(workers, python)]
        # The second apart from the others: once torch knows the stand-in accelerator, it is what "auto" finds.
        runs = [["--tree", "patched", *options], *([] if options else [["harness/sim"]])]
        return not any([subprocess.run([*command, *arguments], cwd=ROOT).returncode for arguments in runs])


def _end(process: subprocess.Popen[bytes]) -> None:
    """Wait for a process that got Ctrl-C as this one did, and not for long."""
    try:
        process.wait(PATIENCE)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def environment(lane: str) -> dict[str, str]:
    """Return the variables of a run: where the lane says which device computes, GPUs are hidden, for they change what "auto" finds."""
    return world.environment(**({"CUDA_VISIBLE_DEVICES": ""} if lane in (*DEFAULT, "xla") else {}))


def _workers(lane: str) -> int:
    # XLA compiles every shape anew, in each process, and a TPU serves one process at a time.
    return 0 if lane == "xla" else len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _at_once(lane: str) -> bool:
    """Say whether the trees run beside each other: where each run is one process, and no TPU, which serves one at a time."""
    return lane == "xla" and not devices.describe(lane).startswith("TPU")


def _spread(workers: int, python: Sequence[str]) -> list[str]:
    """Say to xdist how many processes there are, each of which it starts by the same words as this one's."""
    return ["--dist", "load", "--tx", f"{workers}*popen//python={shlex.join(python)}"] if workers else ["--numprocesses", "0"]


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
    (OUT / f"{evidence.named('verdict', stack)}.md").write_text(text, encoding="utf-8")
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
    # Another checkpoint is another lane, never over that of the tiny one.
    name = evidence.named(f"real-{lane}" if checkpoint else lane, stack)
    folder = OUT / name
    # What an earlier run said would stand beside what this one says, and remain if this one is interrupted.
    for said in (folder / "verdict.json", folder / "verdict.md", OUT / f"{evidence.named('verdict', stack)}.md"):
        said.unlink(missing_ok=True)
    begun = world.digest(stack)
    bugs = {upstream: catalogue.on(lane, stack), patched: []}
    runs, seconds = {}, {}
    with nullcontext(python) if python else warm.python(lane, environment(lane)) as python:
        start = partial(start_suite, python=python, verbose=verbose)
        # Each starts when the one before has finished.
        started: Iterable[Started] = (start(tree.name, lane, folder, *options) for tree in bugs)
        if _at_once(lane) and not verbose:
            started = list(started)
        for tree, suite in zip(bugs, started, strict=True):
            print(f"\n{tree.name}: liquid-audio {trees.RELEASE.version}, {tree.digest[:12]}", flush=True)
            surprising = partial(surprise, bugs=bugs[tree], catalogue=catalogue)
            runs[tree.name], seconds[tree.name] = suite.finish(surprising)

    verdict = replace(judge(runs["upstream"], runs["patched"], catalogue, lane, stack), lane=name)
    if checkpoint and (other := real.heard(runs["patched"], lane)):
        # Each test of words would say the same.
        verdict = replace(verdict, problems=(real.show(other),))
    elif verdict.counts and not checkpoint:
        counted = census.count(runs["upstream"], runs["patched"], catalogue, lane)
        verdict = replace(verdict, problems=(*verdict.problems, *census.differences(counted, name, lane)))
    world.digest.cache_clear()
    if world.digest(stack) != begun:
        verdict = replace(verdict, problems=(*verdict.problems, CHANGED))
    record = {
        "holds": verdict.holds,
        "lane": lane,
        "stack": stack,
        "date": datetime.now(UTC).date().isoformat(),
        "problems": verdict.problems,
        "counts": verdict.counts,
        "same bits": verdict.same_bits,
        "bugs": [
            {**asdict(s.bug), "shown": s.tests, "fixed": s.fixed, "example": example(s, runs["upstream"])}
            for s in verdict.shown
        ],
        "release": {"version": trees.RELEASE.version, "sha256": trees.RELEASE.sha256},
        "trees": {"upstream": upstream.digest, "patched": patched.digest},
        "series": [patch.name for patch in trees.series()],
        "series sha256": world.series_sha256(),
        "lock sha256": world.lock_sha256(stack),
        "digest": begun,
        "host": {
            "system": platform.system(),
            "machine": platform.machine(),
            "device": devices.describe(lane),
            "python": platform.python_version(),
        },
        "packages": {name: version(name) for name in (*PACKAGES, *(["torch_xla"] if lane == "xla" else []))},
        "options": options,
        "not run": not_run,
        "seconds": {name: round(s, 1) for name, s in seconds.items()},
    }
    (folder / "verdict.json").write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    done = Lane(verdict, runs["upstream"], runs["patched"], seconds, not_run)
    (folder / "verdict.md").write_text(markdown([done]), encoding="utf-8")
    show(done)
    return done


def require_stack(stack: str) -> None:
    """Refuse to call this environment by a stack's name when it has other packages.

    Raises:
        HarnessError: there is no such lock, or it has another version of a package
    """
    if not (STACKS / f"{stack}.txt").is_file():
        raise HarnessError(f"--stack {stack}: there is no harness/stacks/{stack}.txt")
    if strange := next(_strange(stack), ""):
        raise HarnessError(f"--stack {stack}: {stack}.txt has no {strange}, run `nox -s 'suite({stack})'`")


def own_stack() -> str:
    """Say which stack this environment is; "own" if it is none, so that nobody takes its verdict for one on `pinned`."""
    known = [stack for stack in evidence.STACKS if (STACKS / f"{stack}.txt").is_file()]
    return next((stack for stack in known if not any(_strange(stack))), evidence.OWN)


def _strange(stack: str) -> Iterator[str]:
    """Find the packages of this environment that a stack has not, or has in another version."""
    locked = (STACKS / f"{stack}.txt").read_text(encoding="utf-8").split()
    yield from (f"{name} {version(name)}" for name in PACKAGES if f"{name}=={version(name)}" not in locked)


def _not_run(lane: str, options: tuple[str, ...], absent: Mapping[str, str]) -> dict[str, str]:
    """Say which lanes nobody may take for granted, and why they did not run."""
    others = [name for name in devices.NEEDS if name != lane]
    reasons = {"sim": "not asked for", **{name: devices.lacks(name) or "not asked for" for name in others}, **absent}
    reasons.pop(lane, None)
    if lane == "xla" and not (on := devices.describe(lane)).startswith("TPU"):
        reasons["tpu"] = f"xla computed on {on}"
    return evidence.cite(reasons) | ({} if "--checkpoint" in options else {"real checkpoint": "no --checkpoint was given"})
