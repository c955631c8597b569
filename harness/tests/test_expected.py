"""On upstream a test that a bug names fails for the bug's reason, or pytest's exit status is not 0."""

from pathlib import Path

import pytest

from harness import ROOT, expected

pytest_plugins = "pytester"

HEAD = """\
from pathlib import Path
import pytest
from liquid_audio.utils import get_model_dir

def package(): get_model_dir(Path("x"), revision="r")
"""
CONFTEST = """\
import sys
from pathlib import Path
sys.path[:0] = {paths}  # workers have that of the outermost pytest
from harness import expected

def pytest_addoption(parser): parser.addoption("--tree", default="upstream")
def pytest_configure(config): config.pluginmanager.register(expected)
def pytest_collection_modifyitems(config, items):
    expected.CATALOGUE = Path(__file__).with_name("bugs.toml")
    expected.mark(config, items, config.getoption("--tree"), "cpu", "pinned")
"""
BUG = """\
[[bug]]
id = "{id}"
kind = "wrong"
title = "No revision of a folder"
patch = "p"
reasons = [{reason}]
tests = ["test_it.py::test_named*"]
"""
PACKAGE = '{ type = "RuntimeError", message = "kwarg", at = ["utils.py:get_model_dir"] }'
JUDGED = '{ type = "RuntimeError", message = "kwarg", judged = "the folder" }'


@pytest.fixture
def run(pytester, monkeypatch, liquid_audio):
    """Return a function that runs a test file on upstream, with a catalogue of one bug."""
    monkeypatch.setattr(expected, "CATALOGUE", None)
    pytester.makeconftest(CONFTEST.format(paths=[str(ROOT), str(Path(liquid_audio.__file__).parents[1])]))

    def run(body, *options, reason=PACKAGE, ids=("deaf",), skips=()):
        pytester.path.joinpath("bugs.toml").write_text(
            f"skips = {list(skips)}\n" + "".join(BUG.format(id=id, reason=reason) for id in ids)
        )
        pytester.makepyfile(test_it=HEAD + body)
        return pytester.runpytest_inprocess("-p", "no:cacheprovider", *options)

    return run


NAMED = "def test_named(): package()\n"
ITSELF = "def test_named(): raise RuntimeError('kwarg')\n"


def test_a_test_that_fails_for_its_reason_is_expected(run):
    result = run(NAMED + "def test_other(): pass\n")
    result.assert_outcomes(xfailed=1, passed=1)
    assert result.ret == 0


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        ("def test_named(): pass\n", PACKAGE),
        ("def test_named(): raise TypeError('kwarg')\n", JUDGED),
        ("def test_named(): raise RuntimeError('remote')\n", JUDGED),
        (ITSELF, PACKAGE),
        (NAMED, JUDGED),
        (NAMED, PACKAGE.replace("get_model_dir", "other")),
        ("@pytest.fixture\ndef broken(): package()\ndef test_named(broken): pass\n", PACKAGE),
        ("@pytest.fixture\ndef broken():\n    yield\n    package()\ndef test_named(broken): package()\n", PACKAGE),
        ("def test_named(): pytest.skip('no second ear')\n", PACKAGE),
        ("def test_named(): pytest.xfail('deaf')\n", PACKAGE),
        ("@pytest.mark.xfail(strict=False)\ndef test_named(): pass\n", PACKAGE),
    ],
    ids=[
        "passes",
        "another-type",
        "another-message",
        "the-test-itself",
        "the-package",
        "another-function",
        "set-up",
        "tear-down",
        "skips",
        "calls-xfail",
        "marked-xfail",
    ],
)
def test_a_test_that_does_anything_else_fails_and_names_its_bug(run, body, reason):
    result = run(body, reason=reason, skips=["second ear"])
    assert result.ret == 1
    result.stdout.fnmatch_lines(
        ["It should fail for deaf, 'No revision of a folder', with one of", "    RuntimeError 'kwarg' from *"]
    )


def test_two_workers_judge_as_one(run):
    result = run(f"{NAMED}def test_named_too(): pass\ndef test_other(): package()\n", "-n", "2")
    result.assert_outcomes(xfailed=1, failed=2)
    result.stdout.fnmatch_lines(["[[]XPASS(strict)] deaf", "It should fail for deaf, *"])


def test_an_exception_of_a_tests_object_is_the_tests_own_even_if_the_package_called_it(run):
    # An assert in the tests that the package reached was once mistaken for the package's own.
    body = (
        "from liquid_audio.utils import mel2emb_len\nclass Odd:\n    def __floordiv__(self, n): raise RuntimeError('kwarg')\n"
    )
    assert run(f"{body}def test_named(): mel2emb_len(Odd())\n", reason=JUDGED).ret == 0


def test_no_mark_but_the_catalogues_expects_a_failure(run):
    result = run("@pytest.mark.xfail\ndef test_other(): assert 0\n", "--tree", "patched")
    result.assert_outcomes(failed=1)
    assert result.ret == 1


def test_a_skip_needs_a_listed_reason(run):
    body = "def test_other(): pytest.skip('no second ear here')\n"
    run(body, skips=["second ear"]).assert_outcomes(skipped=1)
    run(body).stdout.fnmatch_lines(["skipped for no listed reason: *no second ear here"])
    assert run(body).ret == 1


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ({"ids": ("deaf", "dumb")}, "test_it.py::test_named is named by several bugs: deaf, dumb"),
        ({"reason": PACKAGE.replace("kwarg", "")}, "bugs.toml: a reason of deaf matches other messages, too: ''"),
    ],
)
def test_a_catalogue_that_proves_nothing_is_a_usage_error(run, how, said):
    result = run("def test_first(): open('ran', 'w')\n" + NAMED, **how)
    assert result.ret == pytest.ExitCode.USAGE_ERROR
    result.stderr.fnmatch_lines([f"ERROR: {said}"])
    assert not Path("ran").exists()


def test_runxfail_shows_the_failures_as_they_are(run):
    result = run(NAMED, "--runxfail")
    result.assert_outcomes(failed=1)
    assert "It should fail" not in result.stdout.str()


def test_on_patched_every_test_must_pass(run):
    run(NAMED, "--tree", "patched").assert_outcomes(failed=1)


def test_a_marker_of_the_test_itself_does_not_come_first(run):
    result = run("@pytest.mark.xfail(True, reason='deaf')\ndef test_named(): raise ValueError('anything')\n")
    assert result.ret == 1
    result.stdout.fnmatch_lines(["*It should fail for deaf*"])


def test_a_file_that_skips_itself_fails(run):
    assert run("pytest.skip('hidden', allow_module_level=True)\n").ret != 0


def test_a_bug_that_no_test_of_a_whole_run_shows_is_an_error(run, pytester):
    pytester.mkdir("tests")
    result = run("def test_other(): pass\n", "tests")
    assert result.ret == 4
    result.stderr.fnmatch_lines(["*no test shows deaf*"])
