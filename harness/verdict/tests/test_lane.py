"""The files of a lane belong to the run that they name, not to an earlier one, to other files, or to another environment."""

import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from filelock import FileLock

from harness import ROOT, HarnessError, world
from harness.lane import stacks
from harness.lane.results import Run
from harness.package import trees
from harness.report import views
from harness.verdict import lane
from harness.verdict.evidence import read_record
from harness.verdict.tests.test_judge import CATALOGUED, PATCHED, UPSTREAM


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Replace the suite's runs with two small ones, and write the files of lanes to a temporary folder."""
    runs = {"upstream": Run(UPSTREAM), "patched": Run(PATCHED)}
    monkeypatch.setattr(lane, "OUT", tmp_path)
    monkeypatch.setattr(lane, "read_catalogue", lambda file: CATALOGUED)
    monkeypatch.setattr(lane.census, "differences", lambda *arguments: ())
    monkeypatch.setattr(lane.guard, "read", dict)

    class Suite:
        def __init__(self, tree, device, folder, *options, **how):
            folder.mkdir(parents=True, exist_ok=True)
            self.tree = tree

        def finish(self):
            return runs[self.tree], 1.0

        def end(self):
            pass

    monkeypatch.setattr(lane, "start_suite", Suite)
    return tmp_path


def record(folder):
    return read_record(folder / "verdict.json")


def test_a_lane_leaves_no_older_verdict_beside_it(suite):
    # out/verdict.md once kept the text of an earlier run.
    (suite / "verdict.md").write_text("- **The verdict holds** on `cpu`: 9999 fail→pass.\n")
    (suite / "verdict-floor.md").write_text("of another stack\n")
    assert lane.run_lanes(["cpu"])
    assert "in 3 tests" in (suite / "verdict.md").read_text()
    assert (suite / "verdict-floor.md").read_text() == "of another stack\n"


def test_a_run_that_is_interrupted_leaves_no_older_verdict(suite, monkeypatch):
    lane.run_lanes(["cpu"])

    def interrupted(*arguments, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(lane, "start_suite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lane.run_lanes(["cpu"])
    assert not list(suite.rglob("verdict*"))


def test_a_second_verdict_in_a_checkout_is_told_to_wait(suite):
    with (
        FileLock(suite / ".lock"),
        pytest.raises(HarnessError, match=r"^another verdict runs in this checkout and writes .+: wait"),
    ):
        lane.run_lanes(["cpu"])


def test_files_that_change_while_it_runs_are_a_problem(suite, monkeypatch):
    # The record once had the digest of the files at the end, but the tests were those from the beginning.
    digests = iter(["begun", "other"])
    monkeypatch.setattr(world, "digest", lambda *arguments: next(digests))
    assert not lane.run_lanes(["cpu"])
    found = record(suite / "cpu")
    assert (found["problems"], found["holds"], found["digest"]) == ([lane.CHANGED], False, "begun")


@pytest.fixture
def locks(tmp_path, monkeypatch):
    """The folder of the locks, which is empty, in an environment with two packages."""
    found = [SimpleNamespace(name="torch", version="2.1"), SimpleNamespace(name="PyYAML", version="6.0")]
    found.append(SimpleNamespace(name="liquid_audio", version="1.3.0"))  # the tree under test
    monkeypatch.setattr(stacks, "distributions", lambda: found)
    monkeypatch.setattr(stacks, "LOCKS", tmp_path / "stacks")
    stacks.LOCKS.mkdir()
    stacks.own_stack.cache_clear()
    yield stacks.LOCKS
    stacks.own_stack.cache_clear()


LOCK = "torch==2.1 \\\n    --hash=sha256:0\npyyaml==6.0 \\\ncolorama==1 ; sys_platform == 'win32' \\\n"


def test_an_environment_that_is_no_stack_is_not_taken_for_pinned(suite, locks):
    # Without --stack its verdict was once written to out/cpu, with the digest of the packages of `pinned`.
    assert lane.run_lanes(["cpu"])
    found = record(suite / "cpu-own")
    assert found["stack"] == "own"
    assert views.Lane("cpu-own", found, {}).command == "python -m harness verdict --device cpu"
    assert not (suite / "cpu").exists()


@pytest.mark.parametrize("stack", ["pinned", "xla"])
def test_an_environment_is_known_by_all_its_packages(locks, stack):
    (locks / f"{stack}.txt").write_text(LOCK)
    assert stacks.own_stack() == stack
    stacks.require_stack(stack)


@pytest.mark.parametrize(
    ("lock", "strange"),
    [
        (LOCK.replace("2.1", "2.2"), "torch 2.1"),
        (LOCK.replace("pyyaml==6.0", ""), "pyyaml 6.0"),
        (f"{LOCK}numpy==2.5\n", "numpy is not installed"),
    ],
)
def test_an_environment_is_not_called_by_the_name_of_a_stack_with_other_packages(suite, locks, lock, strange):
    (locks / "floor.txt").write_text(lock)
    with pytest.raises(HarnessError, match=rf"floor\.txt differs in {strange}, run `nox -s 'suite\(floor\)'`"):
        lane.run_lanes(["cpu"], stack="floor")
    with pytest.raises(HarnessError, match=r"there is no harness/stacks/latest\.txt"):
        lane.run_lanes(["cpu"], stack="latest")


INTERRUPTED = """
import sys
from pathlib import Path
from harness.lane import run
from harness.verdict import lane

folder = lane.OUT = Path(sys.argv[1])

(folder / "test_it.py").write_text("import os, time\\ndef test_it(): open(f'{os.getpid()}.pid', 'w'); time.sleep(600)")

def start(tree, device, out, *options, **how):
    (folder / f"{tree}.starts").touch()
    arguments = ["-c", "/dev/null", "--rootdir", str(folder), "-n", "1", "test_it.py"]
    return run.start(tree, arguments, folder / f"{tree}.log", folder / f"{tree}.txt", run.environment("cpu"), folder=folder)

lane.start_suite = start
lane.run_lanes(["cpu"])
"""


@pytest.mark.parametrize("when", ["starts", "pid"])
def test_ctrl_c_leaves_no_process(tmp_path, when):
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=world.environment(), stderr=subprocess.PIPE) as process:
        while not list(tmp_path.glob(f"*.{when}")):
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in process.communicate(timeout=60)[1]
    shown = [subprocess.run(["ps", "-o", "stat=", "-p", file.stem], stdout=subprocess.PIPE) for file in tmp_path.glob("*.pid")]
    assert [each.stdout for each in shown if each.stdout.strip() not in (b"", b"Z")] == []


def test_a_python_path_is_refused_before_anything_runs(monkeypatch):
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    with pytest.raises(HarnessError, match=r"^PYTHONPATH is set"):
        lane.run_lanes(["cpu"])


def test_trees_that_are_the_same_are_refused_before_anything_runs(suite, monkeypatch):
    monkeypatch.setattr(trees, "resolve", lambda name: trees.Tree(name, suite, "the same digest"))
    with pytest.raises(HarnessError, match="upstream and patched are the same tree"):
        lane.run_lanes(["cpu"])


def test_a_device_that_this_host_lacks_is_refused_before_anything_runs():
    with pytest.raises(HarnessError, match=r"--device meta: this .* host cannot compute on it"):
        lane.run_lanes(["meta"])


@pytest.mark.parametrize(("compiler", "lanes"), [(None, ["cpu", "sim"]), ("no C++ compiler: install one", ["cpu"])])
def test_without_a_device_every_lane_that_a_host_can_have_is_run_and_the_others_named(suite, monkeypatch, compiler, lanes):
    monkeypatch.setattr(lane.devices, "lacks", lambda name: {"cpu": None, "sim": compiler}.get(name, "not here"))
    lane.run_lanes([])
    assert sorted(file.parent.name for file in suite.glob("*/verdict.json")) == lanes
    not_run = {name: record(suite / name)["not run"] for name in lanes}
    assert all(reasons.keys().isdisjoint(lanes) and reasons["cuda"] == "not here" for reasons in not_run.values())
    assert not_run["cpu"].get("sim") == compiler
    assert ("sim (no C++ compiler: install one)" in (suite / "verdict.md").read_text()) == (compiler is not None)
