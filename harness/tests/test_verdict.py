"""The files of a verdict belong to the run that they name, not to an earlier one, to other files, or to another environment."""

import signal
import subprocess
import sys
import time
from types import SimpleNamespace

import pytest
from filelock import FileLock

from harness import ROOT, HarnessError, stacks, trees, verdict, world
from harness.evidence import read_record
from harness.results import Run
from harness.tests.test_judge import CATALOGUED, PATCHED, UPSTREAM


@pytest.fixture
def out(tmp_path, monkeypatch):
    """Replace the suite's runs with two small ones, and write the files of lanes to a temporary folder."""
    runs = {"upstream": Run(UPSTREAM), "patched": Run(PATCHED)}
    monkeypatch.setattr(verdict, "OUT", tmp_path)
    monkeypatch.setattr(verdict, "read_catalogue", lambda file: CATALOGUED)
    monkeypatch.setattr(verdict.census, "differences", lambda *arguments: ())
    monkeypatch.setattr(verdict.Asked, "guarded", False)

    def start(tree, device, folder, *options, **how):
        folder.mkdir(parents=True, exist_ok=True)
        return SimpleNamespace(finish=lambda: (runs[tree], 1.0), end=lambda: None)

    monkeypatch.setattr(verdict, "start_suite", start)
    return tmp_path


def test_verdict_replaces_an_older_one_and_leaves_other_stacks(out):
    (out / "verdict.md").write_text("- **The verdict holds** on `cpu`: 9999 fail→pass.\n")
    (out / "verdict-floor.md").write_text("of another stack\n")
    assert verdict.run_lanes(["cpu"])
    assert "9999" not in (out / "verdict.md").read_text()
    assert (out / "verdict-floor.md").read_text() == "of another stack\n"


def test_interrupted_run_leaves_no_older_verdict(out, monkeypatch):
    verdict.run_lanes(["cpu"])
    (out / "report.html").touch()

    def interrupted(*arguments, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(verdict, "start_suite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        verdict.run_lanes(["cpu"])
    assert not [file for file in out.rglob("*") if file.name.startswith(("verdict", "report"))]


def test_second_verdict_in_a_checkout_is_told_to_wait(out):
    with FileLock(out / ".lock"), pytest.raises(HarnessError, match=r"^another verdict runs in this checkout .+: wait"):
        verdict.run_lanes(["cpu"])


def test_files_that_change_while_the_suite_runs_are_a_problem(out, monkeypatch):
    digests = iter(["begun", "other"])
    monkeypatch.setattr(world, "digest", lambda *arguments: next(digests))
    assert not verdict.run_lanes(["cpu"])
    found = read_record(out / "cpu" / "verdict.json")
    assert (found["problems"], found["holds"], found["digest"]) == ([verdict.CHANGED], False, "begun")


@pytest.mark.parametrize(("compiler", "lanes"), [(None, ["cpu", "sim"]), ("no C++ compiler: install one", ["cpu"])])
def test_default_devices_are_those_that_the_host_has_and_the_others_are_named(out, monkeypatch, compiler, lanes):
    monkeypatch.setattr(verdict.devices, "lacks", lambda name: {"cpu": None, "sim": compiler}.get(name, "not here"))
    verdict.run_lanes([])
    assert sorted(file.parent.name for file in out.glob("*/verdict.json")) == lanes
    not_run = read_record(out / "cpu" / "verdict.json")["not run"]
    assert not_run["cuda"] == "not here" and not_run.get("sim") == compiler


def test_tree_broken_on_purpose_is_run_on_the_cpu_alone():
    asked = [verdict.Asked(device, "pinned", (), "", {}) for device in ("cpu", "sim")]
    assert [each.guarded for each in asked] == [True, False]


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


def test_environment_is_known_by_all_its_packages(out, locks):
    assert verdict.run_lanes(["cpu"])
    assert read_record(out / "cpu-own" / "verdict.json")["stack"] == "own"
    (locks / "pinned.txt").write_text(LOCK)
    stacks.own_stack.cache_clear()
    assert stacks.own_stack() == "pinned"
    stacks.require_stack("pinned")


@pytest.mark.parametrize(
    ("lock", "strange"),
    [
        (LOCK.replace("2.1", "2.2"), "torch 2.1"),
        (LOCK.replace("pyyaml==6.0", ""), "pyyaml 6.0"),
        (f"{LOCK}numpy==2.5\n", "numpy is not installed"),
    ],
)
def test_environment_with_other_packages_is_not_a_stack(out, locks, lock, strange):
    (locks / "floor.txt").write_text(lock)
    with pytest.raises(
        HarnessError, match=rf"this environment is another \({strange}\): leave --stack out, or run `nox -s 'suite\(floor\)'`"
    ):
        verdict.run_lanes(["cpu"], stack="floor")
    with pytest.raises(HarnessError, match=r"there is no harness/stacks/latest\.txt"):
        verdict.run_lanes(["cpu"], stack="latest")


INTERRUPTED = """
import sys
from pathlib import Path
from harness import run, verdict

folder = verdict.OUT = Path(sys.argv[1])

(folder / "test_it.py").write_text("import os, time\\ndef test_it(): open(f'{os.getpid()}.pid', 'w'); time.sleep(600)")

def start(tree, device, out, *options, **how):
    (folder / f"{tree}.starts").touch()
    arguments = ["-c", "/dev/null", "--rootdir", str(folder), "-n", "1", "test_it.py"]
    return run.start(arguments, folder / f"{tree}.log", folder / f"{tree}.txt", run.environment("cpu"), folder=folder)

verdict.start_suite = start
verdict.run_lanes(["cpu"])
"""


@pytest.mark.parametrize("when", ["starts", "pid"])
def test_ctrl_c_leaves_no_process(tmp_path, when):
    command = [sys.executable, "-c", INTERRUPTED, str(tmp_path)]
    with subprocess.Popen(command, cwd=ROOT, env=world.environment(), stderr=subprocess.PIPE) as process:
        while not list(tmp_path.glob(f"*.{when}")):
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        assert b"KeyboardInterrupt" in process.communicate(timeout=600)[1]
    shown = [subprocess.run(["ps", "-o", "stat=", "-p", file.stem], stdout=subprocess.PIPE) for file in tmp_path.glob("*.pid")]
    assert [each.stdout for each in shown if each.stdout.strip()[:1] not in (b"", b"Z")] == []


def test_what_cannot_be_proved_is_refused_before_anything_runs(out, monkeypatch):
    for name in ("", "nowhere", "cpu:0"):
        with pytest.raises(HarnessError, match=f"^--device {name}: expected one of cpu, sim, cuda, mps, xla$"):
            verdict.run_lanes([name])
    with pytest.raises(HarnessError, match=r"--device xla: this .* host cannot compute on it"):
        verdict.run_lanes(["xla"])
    with pytest.raises(HarnessError, match=r"^--checkpoint .+: there is no config\.json"):
        verdict.run_lanes(["cpu"], "--checkpoint", str(out))
    with monkeypatch.context() as patch, pytest.raises(HarnessError, match="upstream and patched are the same tree"):
        patch.setattr(trees, "resolve", lambda name: trees.Tree(name, out, "the same digest"))
        verdict.run_lanes(["cpu"])
    monkeypatch.setenv("PYTHONPATH", "elsewhere")
    with pytest.raises(HarnessError, match=r"^PYTHONPATH is set"):
        verdict.run_lanes(["cpu"])
