"""Write the pull requests to `out/pr/`: a folder for each, with its commits for `git am` and its description, `body.md`.

They are made in a clone of a checkout of upstream's repository. Each commit contains the tests that it lets pass. The tests of a
pull request run without its commits, and after each of them.
"""

import argparse
import json
import re
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from harness import OUT, PATCHES, ROOT, HarnessError, checkpoint, series, trees, world
from harness.export import slug
from harness.wheels import RELEASE

HERE = Path(__file__).parent
UPSTREAM = HERE / "upstream"
# Transcribed in the place of assets/asr.wav, because the tiny checkpoint knows its words.
CLIP = ROOT / "fixtures" / "clips" / "human-forward-16k-mono.wav"
# Runs of the suite whose verdicts the descriptions report.
DEVICES = ("cpu", "cuda", "mps")


@dataclass(frozen=True)
class Pull:
    """A pull request.

    Attributes:
        name: of its folder and branch
        title: its first line
        text: what it changes
        commits: its patches in their order, each with the files of `upstream/` that its commit adds
        tests: what else its tests do
    """

    name: str
    title: str
    text: str
    commits: Mapping[Path, Sequence[str]]
    tests: str = ""


def read(patches: Path = PATCHES, file: Path = HERE / "pulls.toml") -> list[Pull]:
    """Read the pull requests.

    Raises:
        HarnessError: a patch is in none or in two of them, or one that they name is not in the series
    """
    known = {slug(patch): patch for patch in every(patches)}
    listed = tomllib.loads(file.read_text(encoding="utf-8"))["pull"]
    named = Counter(name for entry in listed for name in entry["commits"])
    for name in sorted(named.keys() | known.keys()):
        if name not in known or named[name] != 1:
            raise HarnessError(f"{file.name} names the patch {name} {named[name]} times: name each patch of the series once")
    for entry in listed:
        entry["commits"] = {known[name]: tests for name, tests in entry["commits"].items()}
    return [Pull(**entry) for entry in listed]


def every(patches: Path = PATCHES) -> list[Path]:
    """List all patches by their numbers."""
    return sorted([*series.whole(patches), *series.outside(patches)], key=lambda patch: patch.name)


def write(upstream: Path, proof: str = "", out: Path = OUT) -> Path:
    """Make the pull requests, run their tests, and describe them.

    Args:
        upstream: a checkout of upstream's repository at the release
        proof: the address of this repository
        out: the folder that has the verdicts, and gets the pull requests

    Raises:
        HarnessError: there is no verdict, a patch does not apply, or a test fails or passes where it must not
    """
    author, verdicts, target = sender(), read_verdicts(out), out / "pr"
    with series.checkout(upstream) as repository, tempfile.TemporaryDirectory(dir=out, prefix="pr.") as partial:
        shutil.copy(CLIP, repository / "assets" / "asr.wav")  # which no commit contains
        originals = apply_series(repository, every())
        series.git(repository, "checkout", "--quiet", "-B", "tools", "release")
        series.am(repository, HERE / "pytest.patch")
        lock(repository)
        add(repository, ["conftest.py"])
        series.git(repository, "commit", "--quiet", "--amend", "--no-edit")
        for number, pull in enumerate(read(), 1):
            print(pull.title, flush=True)
            commit(repository, pull, originals, test=True)
            failed, total = without(repository, pull)
            folder = Path(partial) / f"{number}-{pull.name}"
            _format(repository, f"release..{pull.name}", folder, author)
            (folder / "body.md").write_text(describe(pull, verdicts, failed, total, proof), encoding="utf-8")
        series.git(repository, "checkout", "--quiet", "--detach", "tools")
        series.am(repository, HERE / "workflow.patch")
        _format(repository, "tools..HEAD", Path(partial) / "workflow", author)
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(partial, target)
    return target


def apply_series(repository: Path, patches: Sequence[Path]) -> dict[Path, str]:
    """Commit patches on top of the release, and return the commit of each."""
    series.am(repository, *patches)
    return dict(zip(patches, series.git(repository, "rev-list", "--reverse", "release..HEAD").split(), strict=True))


def commit(repository: Path, pull: Pull, originals: Mapping[Path, str], *, test: bool) -> None:
    """Make the branch of a pull request on top of `tools`, and run the tests after each commit that adds some."""
    series.git(repository, "checkout", "--quiet", "-B", pull.name, "tools")
    for patch in (patch for patch in pull.commits if patch in originals):
        series.git(repository, "cherry-pick", "--no-commit", originals[patch])
        add(repository, pull.commits[patch])
        series.git(repository, "commit", "--quiet", "--reuse-message", originals[patch])
        if test and pull.commits[patch]:
            outcomes = run(repository)
            print(f"  {len(outcomes)} tests ran after {patch.name}", flush=True)
            if bad := [name for name, outcome in outcomes.items() if outcome != "passed"]:
                raise HarnessError(f"{bad[0]} does not pass after {patch.name}")


def add(repository: Path, tests: Sequence[str]) -> None:
    """Add tests for the next commit, if upstream's linter accepts them."""
    for name in tests:
        target = repository / "tests" / name
        target.parent.mkdir(exist_ok=True)
        shutil.copy(UPSTREAM / name, target)
        series.git(repository, "add", str(target))
        for options in (["check"], ["format", "--check"]):
            command = [sys.executable, "-m", "ruff", *options, "--no-cache", str(target)]
            done = subprocess.run(command, cwd=repository, capture_output=True, text=True)
            if done.returncode:
                raise HarnessError(f"upstream's ruff rejects {name}: {done.stdout.strip().splitlines()[0]}")


def without(repository: Path, pull: Pull) -> tuple[int, int]:
    """Run the tests of a pull request without its commits, and count those that fail, and all.

    Raises:
        HarnessError: all tests of a file pass, so that its commit is not needed
    """
    series.git(repository, "checkout", "--quiet", "--detach", "tools")
    series.git(repository, "checkout", pull.name, "--", "tests")
    outcomes = run(repository)
    series.git(repository, "reset", "--quiet", "--", "tests")
    series.git(repository, "clean", "--quiet", "--force", "tests")
    failed = [name for name, outcome in outcomes.items() if outcome == "failed"]
    print(f"  {len(failed)} of {len(outcomes)} tests fail without these commits", flush=True)
    for test in (test for tests in pull.commits.values() for test in tests):
        if not any(name.startswith(f"tests.{Path(test).stem}.") for name in failed):
            raise HarnessError(f"no test of {test} fails without the commits of {pull.name!r}")
    return len(failed), len(outcomes)


def run(repository: Path) -> dict[str, str]:
    """Run the tests of a checkout as upstream would on a host without a GPU, and return the outcome of each."""
    log = repository / "junit.xml"
    log.unlink(missing_ok=True)
    environment = world.environment(
        PYTHONPATH=str(repository / "src"), CUDA_VISIBLE_DEVICES="", LIQUID_AUDIO_CHECKPOINT=str(checkpoint.complete())
    )
    command = [sys.executable, "-m", "pytest", "--quiet", "--junitxml", str(log), "tests"]
    done = subprocess.run(command, cwd=repository, env=environment, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise HarnessError(f"pytest did not finish: {(done.stdout + done.stderr).strip().splitlines()[-1]}")
    outcomes = {}
    for case in ElementTree.parse(log).iter("testcase"):
        tags = {child.tag for child in case}
        outcome = "failed" if tags & {"failure", "error"} else "skipped" if "skipped" in tags else "passed"
        outcomes[f"{case.get('classname')}.{case.get('name')}"] = outcome
    return outcomes


def lock(repository: Path) -> None:
    """Update uv.lock, which upstream's workflow installs from.

    Raises:
        HarnessError: uv fails, or the lock would name an index that upstream's does not
    """
    file = repository / "uv.lock"
    before = file.read_text(encoding="utf-8")
    done = subprocess.run(["uv", "lock"], cwd=repository, capture_output=True, text=True)
    if done.returncode:
        raise HarnessError(f"`uv lock` failed: {done.stderr.strip().splitlines()[-1]}")
    hosts = [set(re.findall(r'https?://[^/"]+', text)) for text in (before, file.read_text(encoding="utf-8"))]
    if new := hosts[1] - hosts[0]:
        raise HarnessError(f"uv.lock would name {', '.join(sorted(new))}: let uv use PyPI alone, and run it again")
    series.git(repository, "add", "uv.lock")


def _format(repository: Path, commits: str, folder: Path, author: str) -> None:
    """Write a range of commits as patches of an author, and check that `git am` takes them."""
    series.git(repository, *series.EXPORT, "--output-directory", str(folder), commits)
    files = sorted(folder.glob("*.patch"))
    for file in files:
        text = file.read_text(encoding="utf-8")
        file.write_text(re.sub("^From: .+", lambda _: f"From: {author}", text, count=1, flags=re.MULTILINE), encoding="utf-8")
    series.git(repository, "checkout", "--quiet", "--detach", commits.partition("..")[0])
    series.am(repository, *files)


def read_verdicts(out: Path, patches: Path = PATCHES) -> dict[str, Any]:
    """Read the verdicts on the series, by device.

    Raises:
        HarnessError: there is none for the CPU, or one does not hold or is about other files
    """
    found = {}
    for file in (out / device / "verdict.json" for device in DEVICES):
        if file.is_file():
            found[file.parent.name] = record = json.loads(file.read_text(encoding="utf-8"))
            if not record["holds"] or world.is_stale(record, patches):
                raise HarnessError(f"{file} does not hold, or files have changed since: run that session again")
    if "cpu" not in found:
        raise HarnessError("there is no verdict for the CPU: run `nox -s verdict` first")
    return found


def describe(pull: Pull, verdicts: Mapping[str, Any], failed: int, total: int, proof: str) -> str:
    """Render the description of a pull request."""
    record, names = verdicts["cpu"], {patch.name for patch in pull.commits}
    shown = {test for bug in record["bugs"] if bug["patch"] in names for test in bug["shown"]}
    templates = Environment(loader=FileSystemLoader(HERE), undefined=StrictUndefined, keep_trailing_newline=True)
    return templates.get_template("body.md.jinja").render(
        pull=pull,
        red=failed,
        total=total,
        shown=len(shown),
        proof=proof,
        version=RELEASE.version,
        torch=record["packages"]["torch"],
        ran=[device for device in DEVICES if device in verdicts],
        not_run=[device for device in DEVICES if device not in verdicts],
    )


def sender() -> str:
    """Ask git who sends the pull requests."""
    done = subprocess.run(["git", "var", "GIT_AUTHOR_IDENT"], cwd=ROOT, capture_output=True, text=True)
    if done.returncode:
        raise HarnessError("git does not know who sends the pull requests: set user.name and user.email")
    return done.stdout.rpartition(">")[0] + ">"


def command(parser: argparse.ArgumentParser) -> None:
    """Declare `pr`."""
    parser.add_argument("--checkout", type=Path, required=True, help="a clone of upstream's repository, at the release")
    parser.add_argument("--proof", metavar="URL", default="", help="where readers find this repository")
    parser.set_defaults(run=_run)


def _run(options: argparse.Namespace) -> None:
    sys.path.insert(0, str(trees.resolve("patched").path))  # its classes complete the checkpoint
    folder = write(options.checkout, options.proof).relative_to(ROOT)
    print(f"wrote {folder}/: for each pull request its commits for git am, and its description, body.md")
