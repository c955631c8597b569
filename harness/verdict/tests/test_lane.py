"""The files of a lane belong to the run that they name, not to an earlier one, to other files, or to another environment."""

import json
import subprocess
from importlib.metadata import version

import pytest

from harness import HarnessError, world
from harness.lane import run as runs_of_suite
from harness.lane import stacks
from harness.package import trees
from harness.show import views
from harness.verdict import lane
from harness.verdict.evidence import read_record
from harness.verdict.tests.test_report import laned
from harness.verdict.tests.test_verdict import CATALOGUED, PATCHED, UPSTREAM, run


@pytest.fixture
def suite(tmp_path, monkeypatch):
    """Replace the suite's runs with two small ones, and write the files of lanes to a temporary folder."""
    runs = {"upstream": run(UPSTREAM), "patched": run(PATCHED)}
    monkeypatch.setattr(lane, "OUT", tmp_path)
    monkeypatch.setattr(lane, "read_catalogue", lambda file: CATALOGUED)
    monkeypatch.setattr(lane.census, "differences", lambda *arguments: ())

    class Suite:
        def __init__(self, tree, device, folder, *options, **how):
            folder.mkdir(parents=True, exist_ok=True)
            self.tree = tree
            self.process = subprocess.Popen(["true"])

        def finish(self, surprising):
            return runs[self.tree], 1.0

    monkeypatch.setattr(runs_of_suite, "start_suite", Suite)
    return tmp_path


def test_a_lane_alone_leaves_no_verdict_of_several_beside_it(suite):
    # out/verdict.md once kept the text of an earlier run.
    (suite / "verdict.md").write_text("- **The verdict holds** on `cpu`: 9999 fail→pass.\n")
    (suite / "verdict-floor.md").write_text("of another stack\n")
    lane.run_lane("cpu")
    assert "3 fail→pass" in (suite / "cpu" / "verdict.md").read_text()
    assert [file.name for file in suite.glob("*.md")] == ["verdict-floor.md"]


def test_a_run_that_is_interrupted_leaves_no_older_verdict(suite, monkeypatch):
    lane.run_lane("cpu")

    def interrupted(*arguments, **how):
        raise KeyboardInterrupt

    monkeypatch.setattr(runs_of_suite, "start_suite", interrupted)
    with pytest.raises(KeyboardInterrupt):
        lane.run_lane("cpu")
    assert not list((suite / "cpu").glob("verdict.*"))


def test_files_that_change_while_it_runs_are_a_problem(suite, monkeypatch):
    # The record once had the digest of the files at the end, but the tests were those from the beginning.
    digests = iter(["begun", "other"])
    monkeypatch.setattr(world, "digest", lambda *arguments: next(digests))
    assert lane.run_lane("cpu").verdict.problems == (lane.CHANGED,)
    record = read_record(suite / "cpu" / "verdict.json")
    assert (record["holds"], record["digest"]) == (False, "begun")


def test_an_environment_that_is_no_stack_is_not_taken_for_pinned(suite, tmp_path, monkeypatch):
    # Without --stack its verdict was once written to out/cpu, with the digest of the packages of `pinned`.
    locks = tmp_path / "stacks"
    locks.mkdir()
    (locks / "pinned.txt").write_text("torch==0.1\n")
    monkeypatch.setattr(stacks, "LOCKS", locks)
    assert lane.run_lane("cpu").verdict.lane == "cpu-own"
    _write_logs(suite / "cpu-own")
    (found,), _ = views.read(suite, world.PATCHES)
    assert found.record["stack"] == "own" and found.command == "python -m harness verdict --device cpu"
    assert not (suite / "cpu").exists()


def _write_logs(folder):
    """Write the logs that pytest would have written for the two runs."""
    for tree, results in (("upstream", UPSTREAM), ("patched", PATCHED)):
        reports = [
            {
                "$report_type": "TestReport",
                "nodeid": test,
                "when": "call",
                "outcome": result.outcome,
                "longrepr": "",
                "duration": 0.1,
                "user_properties": [
                    ["exception", {name: getattr(result, name) for name in ("type", "message", "where", "place")}]
                ],
            }
            for test, result in results.items()
        ]
        end = {"$report_type": "SessionFinish", "exitstatus": int(tree == "upstream")}
        (folder / f"{tree}.jsonl").write_text("".join(f"{json.dumps(report)}\n" for report in [*reports, end]))
        (folder / f"{tree}.collected.json").write_text(json.dumps(list(results)))


def test_an_environment_is_known_by_its_packages(monkeypatch, tmp_path):
    here = "".join(f"{name}=={version(name)} \\\n" for name in stacks.PACKAGES)
    monkeypatch.setattr(stacks, "LOCKS", tmp_path)
    assert stacks.own_stack() == "own"
    (tmp_path / "xla.txt").write_text(here)
    assert stacks.own_stack() == "xla"
    (tmp_path / "pinned.txt").write_text(here)
    assert stacks.own_stack() == "pinned"
    (tmp_path / "pinned.txt").write_text("torch==0.1\n")
    with pytest.raises(HarnessError, match=r"^--stack pinned: pinned\.txt has no torch \d"):
        stacks.require_stack("pinned")


def test_trees_that_are_the_same_are_refused_before_anything_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(trees, "resolve", lambda name: trees.Tree(name, tmp_path, "the same digest"))
    with pytest.raises(HarnessError, match="upstream and patched are the same tree"):
        lane.run_lane("cpu")


def test_a_device_that_this_host_lacks_is_refused_before_anything_runs():
    with pytest.raises(HarnessError, match=r"--device meta: this .* host cannot compute on it"):
        lane.run_lane("meta")


def test_an_environment_is_not_called_by_the_name_of_a_stack_with_other_packages(tmp_path, monkeypatch):
    monkeypatch.setattr(stacks, "LOCKS", tmp_path)
    with pytest.raises(HarnessError, match=r"there is no harness/stacks/floor\.txt"):
        lane.run_lane("cpu", stack="floor")
    here = "".join(f"{name}=={version(name)} \\\n    --hash=sha256:0\n" for name in stacks.PACKAGES)
    (tmp_path / "floor.txt").write_text(here)
    stacks.require_stack("floor")
    (tmp_path / "floor.txt").write_text(here.replace("torchaudio==", "torchaudio==0."))
    with pytest.raises(HarnessError, match=r"floor\.txt has no torchaudio \d.*'suite\(floor\)'"):
        lane.run_lane("cpu", stack="floor")


@pytest.mark.parametrize(("compiler", "lanes"), [(None, ["cpu", "sim"]), ("no C++ compiler: install one", ["cpu"])])
def test_every_lane_that_this_host_can_have_is_run_and_the_other_named(monkeypatch, tmp_path, compiler, lanes):
    asked = []

    def run(names, options, stack, absent, *, verbose):
        asked[:] = names
        others = {"cpu": {"sim": "not asked for", **absent}, "sim": {"cpu": "not asked for"}}
        return [laned(UPSTREAM, PATCHED, name, others[name]) for name in names]

    monkeypatch.setattr(lane, "OUT", tmp_path)
    monkeypatch.setattr(lane, "_run", run)
    monkeypatch.setattr(lane.devices, "lacks", lambda name: compiler)
    assert lane.run_every_lane()
    assert asked == lanes
    text = (tmp_path / "verdict.md").read_text()
    assert ("sim (no C++ compiler: install one)" in text) == (compiler is not None)
    assert "not asked for" not in text
    assert lane.run_every_lane(stack="floor")
    assert (tmp_path / "verdict-floor.md").read_text() == text


def test_no_lane_says_that_one_beside_it_did_not_run(suite, monkeypatch):
    monkeypatch.setattr(lane.devices, "lacks", lambda name: None if name in ("cpu", "sim") else "not here")
    cpu, sim = lane._run(["cpu", "sim"], (), None, {}, verbose=False)
    assert "sim" not in cpu.not_run and "cpu" not in sim.not_run
    assert cpu.not_run["cuda"] == "not here"
