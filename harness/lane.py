"""Run a lane: the suite on both trees, the verdict, and what it leaves in `out/<lane>/`."""

import json
import platform
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, replace
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path

from harness import OUT, ROOT, HarnessError, census, devices, evidence, real, trees, world
from harness.report import Lane, example, markdown, show, summarise
from harness.verdict import CATALOGUE, Run, judge, read_catalogue, read_run

DEFAULT = ("cpu", "sim")
STACKS = ROOT / "harness" / "stacks"
NOTHING: Mapping[str, str] = {}
CHANGED = "files that a verdict hangs on were changed while the suite ran: run it again"
PACKAGES = ("torch", "torchaudio", "transformers", "safetensors", "numpy")
# XLA compiles every shape anew, in each process, and a TPU serves one process at a time.
SELECTED = {"xla": ("-m", "core", "--numprocesses", "0")}


def run_suite(
    tree: str, lane: str, folder: Path, *options: str, python: str = sys.executable, tests: Sequence[str] = ("tests",)
) -> tuple[Run, float]:
    """Run the suite on one tree, as anybody would by hand.

    Args:
        tree: "upstream", "patched", or a folder that holds the package
        lane: a device
        folder: where its log goes, as `<name of the tree>.jsonl`
        options: further ones for pytest
        python: the interpreter that runs it
        tests: files, folders or ids of tests

    Returns:
        the run, and how long it took in seconds
    """
    folder.mkdir(parents=True, exist_ok=True)
    name = Path(tree).name
    log, collected = folder / f"{name}.jsonl", folder / f"{name}.collected.json"
    for stale in (log, collected):
        stale.unlink(missing_ok=True)
    # The lane says which device computes, so those of the CPU hide GPUs: they would change what "auto" finds.
    env = world.environment(**({"CUDA_VISIBLE_DEVICES": ""} if lane in (*DEFAULT, "xla") else {}))
    command = [python, "-m", "pytest", *world.SETTINGS, *tests, "--tree", tree, "--device", lane, "--numprocesses", "logical"]
    command += ["--quiet", "--tb=no", "--no-summary", "--report-log", str(log), "--collected", str(collected)]
    command += [*SELECTED.get(lane, ()), *options]
    start = time.monotonic()
    subprocess.run(command, cwd=ROOT, env=env)
    return read_run(log, collected), time.monotonic() - start


def run_every_lane(*options: str, stack: str | None = None) -> bool:
    """Run the lanes that a host without a GPU has: the CPU's and that of the stand-in accelerator.

    Their verdict is `out/verdict.md`, or `out/verdict-<stack>.md`.

    Returns:
        whether every verdict holds

    Raises:
        HarnessError: as for `run_lane`
    """
    stack = stack or own_stack()
    lacks = devices.lacks("sim")
    absent = {"sim": lacks} if lacks else {}
    ran = [run_lane(lane, *options, stack=stack, absent=absent) for lane in DEFAULT if lane not in absent]
    not_run = {name: reason for name, reason in ran[0].not_run.items() if name in absent or name not in DEFAULT}
    text = markdown([replace(lane, not_run=not_run) for lane in ran])
    (OUT / f"{evidence.named('verdict', stack)}.md").write_text(text, encoding="utf-8")
    summarise(ran)
    return all(lane.verdict.holds for lane in ran)


def run_lane(lane: str, *options: str, stack: str | None = None, absent: Mapping[str, str] = NOTHING) -> Lane:
    """Run the suite on both trees, print the verdict, and write it to `out/<lane>/`, or `out/<lane>-<stack>/`.

    Args:
        lane: a device
        options: further ones for pytest
        stack: the one that this environment must be; found out if None
        absent: lanes that were found to be impossible here, and why

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
    runs, seconds = {}, {}
    for tree in (upstream, patched):
        print(f"\n{tree.name}: liquid-audio {trees.RELEASE.version}, {tree.digest[:12]}", flush=True)
        runs[tree.name], seconds[tree.name] = run_suite(tree.name, lane, folder, *options)

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
