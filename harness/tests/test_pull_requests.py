"""Each pull request applies to the release alone, with tests that fail without its commits, and says only what is known."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from harness import HarnessError, series, trees, world
from harness.pull_requests import kit

REAL = kit.read()


@pytest.fixture(scope="module")
def repository():
    """A repository of the release, without the files that no wheel contains, and a branch for each pull request."""
    with series.checkout() as repository:
        originals = kit.apply_series(repository, series.whole(kit.PATCHES))
        series.git(repository, "checkout", "--quiet", "-B", "tools", "release")
        kit.add(repository, ["conftest.py"])
        series.git(repository, "commit", "--quiet", "--message", "Add a tiny checkpoint")
        for pull in REAL:
            kit.commit(repository, pull, originals, test=False)
        yield repository


def test_each_commit_has_its_tests(repository):
    for pull in REAL:
        log = series.git(repository, "log", "--reverse", "--format=%x00", "--name-only", f"tools..{pull.name}")
        commits = [{file for file in names.split() if file.startswith("tests/")} for names in log.split("\0")[1:]]
        inside = [tests for patch, tests in pull.commits.items() if patch.parent.name != "checkout"]
        assert commits == [{f"tests/{test}" for test in tests} for tests in inside]


def test_all_of_them_together_are_the_series(repository):
    series.git(repository, "checkout", "--quiet", "--detach", "tools")
    for pull in REAL:
        series.git(repository, "merge", "--quiet", "--no-edit", pull.name)
    assert trees.digest(repository / "src" / trees.PACKAGE) == trees.resolve("patched").digest
    assert {file.name for file in (repository / "tests").glob("*.py")} == {file.name for file in kit.UPSTREAM.glob("*.py")}


@pytest.mark.parametrize("pull", [pull for pull in REAL if pull.name in ("device", "audio")], ids=lambda pull: pull.name)
def test_tests_fail_without_the_commits_and_pass_with_them(repository, checkpoint, pull):
    assets = repository / "assets"
    assets.mkdir(exist_ok=True)
    shutil.copy(kit.CLIP, assets / "asr.wav")
    failed, total = kit.without(repository, pull)
    assert failed == total
    series.git(repository, "checkout", "--quiet", "--detach", pull.name)
    assert set(kit.run(repository).values()) == {"passed"}


def test_a_commit_that_no_test_needs_is_an_error(repository):
    (patch, *_) = REAL[0].commits
    with pytest.raises(HarnessError, match=r"no test of test_few\.py fails without the commits of 'device'"):
        kit.without(repository, kit.Pull("device", "", "", {patch: ["test_few.py"]}))


def test_a_transcription_needs_a_checkpoint(tmp_path):
    shutil.copy(kit.UPSTREAM / "test_transcription.py", tmp_path)
    env = {**os.environ, "PYTHONPATH": str(trees.resolve("patched").path)}
    command = [sys.executable, "-m", "pytest", "-rs", "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)]
    done = subprocess.run(command, cwd=tmp_path, env=env, capture_output=True, text=True)
    assert "needs LIQUID_AUDIO_CHECKPOINT, such as LiquidAI/LFM2.5-Audio-1.5B" in done.stdout and "3 skipped" in done.stdout


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Do-not-ask", "Another", "pulls.toml names the patch Another-.* 1 times"),
        ("Do-not-ask-", "# ", "pulls.toml names the patch Do-not-ask-.* 0 times"),
    ],
)
def test_each_patch_is_in_one_pull_request(tmp_path, old, new, problem):
    file = tmp_path / "pulls.toml"
    file.write_text((kit.HERE / "pulls.toml").read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(HarnessError, match=problem):
        kit.read(file=file)


def verdict(patch, **more):
    bugs = [{"patch": patch, "shown": ["a", "b"]}, {"patch": patch, "shown": ["b", "c"]}, {"patch": "other", "shown": ["d"]}]
    return {"holds": True, "digest": world.digest(), "bugs": bugs, "packages": {"torch": "2.14.1"}, **more}


@pytest.mark.parametrize("pull", REAL, ids=lambda pull: pull.name)
def test_a_description_is_short_and_has_the_numbers_of_its_pull_request_alone(pull):
    record = verdict(next(iter(pull.commits)).name)
    text = kit.describe(pull, {"cpu": record}, 5, 7, "https://example.invalid/proof")
    assert len(text.split()) <= 150
    assert "5 of 7 fail on 1.3.0" in text and "[A separate suite](https://example.invalid/proof) has 3 more" in text
    assert "**Ran** on cpu (torch 2.14.1). **Read in the code, not run**: cuda, mps." in text
    assert "**Ran** on cpu, cuda (" in kit.describe(pull, {"cpu": record, "cuda": record}, 5, 7, "")


def test_there_is_no_pull_request_without_a_verdict_that_holds(tmp_path):
    with pytest.raises(HarnessError, match="there is no verdict for the CPU: run `nox -s verdict` first"):
        kit.read_verdicts(tmp_path)
    file = tmp_path / "cpu" / "verdict.json"
    file.parent.mkdir()
    for changed in ({"holds": False}, {"digest": "of other files"}):
        file.write_text(json.dumps(verdict("some.patch", **changed)))
        with pytest.raises(HarnessError, match=r"cpu/verdict\.json does not hold, or files have changed"):
            kit.read_verdicts(tmp_path)
