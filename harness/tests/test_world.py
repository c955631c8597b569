"""Settings of the user's shell, git and editor do not reach a run, and a verdict is tied to every file that it depends on."""

import os
import shutil
import subprocess
import sys

import pytest

from harness import ROOT, HarnessError, trees, world
from harness.run import run_suite

STRAY = ("PYTEST_ADDOPTS", "PYTHONOPTIMIZE", "PYTHONSAFEPATH", "PYTEST_DISABLE_PLUGIN_AUTOLOAD", "GIT_DIR", "HF_HOME", "LANG")


def test_variables_of_a_shell_do_not_reach_a_run(monkeypatch):
    for name in STRAY:
        monkeypatch.setenv(name, "1")
    kept = world.environment(MORE="yes")
    assert kept.keys() - {*world.FIXED, "MORE"} <= world.KEPT | {name for name in kept if name.startswith(world.KEPT_PREFIXES)}
    assert kept["PATH"] == os.environ["PATH"] and kept["MORE"] == "yes"


def test_pytest_options_of_a_shell_and_a_pytest_ini_leave_the_suite_whole(monkeypatch, tmp_path):
    # Either of these once left a verdict that held on only 31 tests.
    test = "tests/test_signatures.py"
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--deselect {test}::test_waveform_is_documented")
    ini = ROOT / "pytest.ini"
    assert not ini.exists()
    ini.touch()
    try:
        run, _ = run_suite("upstream", "cpu", tmp_path, tests=(test,))
    finally:
        ini.unlink()
    assert run.status == 0
    assert run.results[f"{test}::test_waveform_is_documented"].bug == "waveform-undocumented"


def test_git_variables_of_a_hook_leave_no_unpatched_tree(monkeypatch, tmp_path):
    # With these variables git applies nothing and exits with 0, and the tree was once kept as if it were patched.
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(ROOT))
    shutil.copytree(trees.CACHE / "wheels", tmp_path / "wheels")
    assert trees.resolve("patched", cache=tmp_path).digest == trees.resolve("patched").digest


def test_patch_that_git_applies_to_nothing_is_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr(trees, "git_apply", lambda patch, tree, *options, strip: "not there" if "--reverse" in options else "")
    with pytest.raises(HarnessError, match=r"\.patch does not apply: not there$"):
        trees.apply(trees.series()[0], tmp_path)


def test_digest_covers_the_files_of_a_verdict_and_no_others(tmp_path):
    counted = [*world.SUITE[:2], *(f"{name}/file" for name in world.SUITE[2:]), "patches/1.patch", "harness/stacks/pinned.txt"]
    apart = ["harness/tests/file", "harness/README.md", "harness/stacks/floor.txt", "tests/mutants.toml"]
    for name in (*counted, *apart):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a\n")

    def digest():
        world.suite_sha256.cache_clear()
        return world.digest("pinned", tmp_path / "patches", root=tmp_path)

    for name in (*counted, *apart):
        before = digest()
        (tmp_path / name).write_text("b\n")
        assert (digest() != before) == (name in counted), name


def test_digest_covers_the_programs_of_readme_and_not_its_text(tmp_path):
    found = []
    for text in ("", "a\n", "a\n```python\nb\n```\n", "c\n```python\nb\n```\n", "a\n```python\nd\n```\n"):
        (tmp_path / "README.md").write_text(text)
        found.append("".join(world.examples(tmp_path / "README.md")))
    assert found[0] == found[1] != found[2] == found[3] != found[4]


def test_only_the_lock_of_latest_may_be_another():
    record = {"digest": world.digest("latest", lock="other"), "stack": "latest", "lock sha256": "other"}
    assert not world.is_stale(record)
    assert world.is_stale({**record, "stack": "floor"})
    assert world.is_stale({})


def test_host_without_git_is_told_so(tmp_path):
    env = world.environment() | {"PATH": str(tmp_path)}
    done = subprocess.run([sys.executable, "-m", "harness", "series"], cwd=ROOT, env=env, capture_output=True, text=True)
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "error: not installed: git")
    assert "Traceback" not in done.stderr


def test_line_endings_are_pinned():
    asked = [*map(str, trees.PATCHES.rglob("*.patch")), "harness/world.py", "fixtures/clips/manifest.json"]
    done = subprocess.run(["git", "check-attr", "text", "--", *asked], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.count(": text: unset\n") == len(asked)
