"""Settings of the user's shell, git and editor do not reach a run, and a verdict is tied to every file that it depends on."""

import errno
import os
import shutil
import subprocess
import sys

import pytest

from harness import ROOT, world
from harness.__main__ import main
from harness.lane.run import run_suite
from harness.package import trees


def test_a_shell_adds_nothing(monkeypatch):
    for name in (
        "PYTEST_ADDOPTS",
        "PYTHONOPTIMIZE",
        "PYTHONSAFEPATH",
        "PYTEST_DISABLE_PLUGIN_AUTOLOAD",
        "GIT_DIR",
        "HF_HOME",
        "LANG",
    ):
        monkeypatch.setenv(name, "1")
    kept = world.environment(MORE="yes")
    assert kept.keys() - {*world.FIXED, "MORE"} <= world.KEPT | {name for name in kept if name.startswith(world.KEPT_PREFIXES)}
    assert kept["PATH"] == os.environ["PATH"] and kept["MORE"] == "yes"


def test_options_of_a_shell_and_a_pytest_ini_leave_the_suite_whole(monkeypatch, tmp_path):
    # Either of these once left a verdict that held on only 31 tests.
    test = "tests/test_signatures.py"
    monkeypatch.setenv("PYTEST_ADDOPTS", f"--deselect {test}::test_waveform_is_annotated")
    ini = ROOT / "pytest.ini"
    assert not ini.exists()
    ini.touch()
    try:
        run, _ = run_suite("upstream", "cpu", tmp_path, tests=(test,))
    finally:
        ini.unlink()
    assert run.status == 0
    assert run.results[f"{test}::test_waveform_is_annotated"].bug == "waveform-undocumented"


def test_git_of_a_hook_leaves_no_unpatched_tree(monkeypatch, tmp_path):
    # With these variables git applies nothing and exits with 0, and the tree was once kept as if it were patched.
    monkeypatch.setenv("GIT_DIR", str(ROOT / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(ROOT))
    cache = tmp_path / "cache"
    shutil.copytree(trees.CACHE / "wheels", cache / "wheels")
    assert trees.resolve("patched", cache=cache).digest == trees.resolve("patched").digest


def test_a_patch_that_git_applies_to_nothing_is_no_patch(monkeypatch, tmp_path):
    monkeypatch.setattr(trees, "git_apply", lambda patch, tree, *options, strip: "not there" if "--reverse" in options else "")
    with pytest.raises(trees.HarnessError, match=r"\.patch does not apply: not there$"):
        trees.apply(trees.series()[0], tmp_path)


@pytest.mark.parametrize("name", ["PYTHONOPTIMIZE", "PYTHONSAFEPATH", "PYTEST_ADDOPTS"])
def test_sessions_are_not_told_what_a_shell_says_to_python(name):
    program = (
        "import os, runpy; runpy.run_path('noxfile.py'); print([n for n in os.environ if n.startswith(('PYTHON', 'PYTEST_'))])"
    )
    stub = (
        "import sys, types; nox = types.ModuleType('nox'); nox.session = lambda f: f; nox.options = types.SimpleNamespace(); "
    )
    stub += "nox.parametrize = lambda *a, **k: (lambda f: f); nox.Session = object; sys.modules['nox'] = nox; "
    env = world.environment() | {name: "1"}
    done = subprocess.run([sys.executable, "-c", stub + program], cwd=ROOT, env=env, capture_output=True, text=True)
    assert name not in done.stdout and done.stdout.startswith("["), done.stderr


@pytest.fixture
def repository(tmp_path):
    """The files that a verdict depends on, one line each."""
    for name in world.SUITE:
        file = tmp_path / name if name.endswith((".py", ".ini")) else tmp_path / name / "file"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text("a\n")
    for name in (
        "harness/tests/file",
        "harness/suite/tests/file",
        "harness/README.md",
        "harness/stacks/pinned.txt",
        "harness/stacks/floor.txt",
        "patches/0001.patch",
    ):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text("a\n")
    return tmp_path


@pytest.mark.parametrize(
    ("file", "counts"),
    [
        ("conftest.py", True),
        ("tox.ini", True),
        ("tests/file", True),
        ("harness/file", True),
        ("fixtures/clips/file", True),
        ("fixtures/checkpoint/file", True),
        ("patches/0001.patch", True),
        ("harness/stacks/pinned.txt", True),
        ("harness/stacks/floor.txt", False),
        ("harness/tests/file", False),
        ("harness/suite/tests/file", False),
        ("harness/README.md", False),
    ],
)
def test_the_digest_tells_what_a_verdict_hangs_on(repository, file, counts):
    def digest():
        world.suite_sha256.cache_clear()
        return world.digest("pinned", repository / "patches", root=repository)

    before = digest()
    assert digest() == before
    (repository / file).write_text("b\n")
    assert (digest() != before) == counts


def test_the_digest_tells_readmes_examples_which_the_suite_runs(repository):
    found = []
    for text in ("", "a\n", "a\n```python\nb\n```\n", "c\n```python\nb\n```\n", "a\n```python\nd\n```\n"):
        (repository / "README.md").write_text(text)
        found.append(world.digest("pinned", repository / "patches", root=repository))
    assert found[0] == found[1] != found[2] == found[3] != found[4]


def test_only_the_lock_of_latest_may_be_another():
    record = {"digest": world.digest("latest", lock="other"), "stack": "latest", "lock sha256": "other"}
    assert not world.is_stale(record)
    assert world.is_stale({**record, "stack": "floor"})
    assert world.is_stale({})


def _harness(*arguments, **env):
    command = [sys.executable, "-m", "harness", *arguments]
    return subprocess.run(command, cwd=ROOT, env=world.environment() | env, capture_output=True, text=True)


def test_a_host_without_git_is_told_so(tmp_path):
    done = _harness("series", PATH=str(tmp_path))
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, "error: not installed: git")
    assert "Traceback" not in done.stderr


def test_a_terminal_that_knows_ascii_alone_gets_its_words():
    env = world.environment(PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C")
    program = "from harness.command import status; status(lambda: print('1 \\u2192 2'))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1 ? 2\n", "")


@pytest.mark.parametrize("number", [errno.ENOSPC, errno.EROFS, errno.EACCES])
def test_what_cannot_be_written_is_one_sentence(monkeypatch, capsys, number):
    def write(*arguments):
        raise OSError(number, os.strerror(number), "out/report.html")

    monkeypatch.setattr(sys, "argv", ["harness", "page"])
    monkeypatch.setattr("harness.report.page.write", write)
    assert main() == 2
    assert capsys.readouterr().err == f"error: {os.strerror(number)}: out/report.html\n"


def test_line_endings_are_pinned():
    asked = [*map(str, trees.PATCHES.rglob("*.patch")), "harness/world.py", "fixtures/clips/manifest.json"]
    done = subprocess.run(["git", "check-attr", "text", "--", *asked], cwd=ROOT, capture_output=True, text=True)
    assert done.stdout.count(": text: unset\n") == len(asked)


def test_texts_for_people_make_no_verdict_stale():
    files = {file.relative_to(ROOT).as_posix() for file in world._files(ROOT)}
    assert {"tests/bugs.toml", "tests/census.txt", "harness/verdict/lane.py"} <= files
    assert not [name for name in files if name.endswith(".md")]
