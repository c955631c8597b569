"""A bug shows on a release only if a test fails for its reason. A difference from releases.toml is a problem."""

import json
import re

import pytest

from harness import HarnessError, world
from harness.lane.results import Result, Run
from harness.package.trees import resolve, series
from harness.package.wheels import RELEASES, Release
from harness.releases.run import Sampled, judge, problems, sample, series_on
from harness.releases.table import merge
from harness.verdict.catalogue import Bug, Reason

TESTS = [f"tests/test_a.py::test_{name}[{k}]" for name in ("one", "two") for k in "abc"]


def _bug(id="refused", *globs):
    return Bug(
        id,
        "wrong",
        "it is refused",
        "0001.patch",
        ("cpu",),
        (Reason("TypeError", "^no", judged="it"),),
        globs or ("test_a.py::test_one*",),
    )


def _run(**outcomes):
    """Make a run from the outcome of each test: nothing for a pass, else the exception's type."""
    results = {
        test: Result("failed", outcomes[test[-2]], "no such form") if outcomes.get(test[-2]) else Result("passed")
        for test in TESTS
    }
    return Run(results, frozenset(TESTS))


def test_a_sample_is_the_first_and_the_last_of_each_glob():
    assert sample(_bug(), TESTS) == [TESTS[0], TESTS[2]]
    assert sample(_bug("x", "test_a.py::test_one*", "test_a.py::test_two*"), TESTS) == [TESTS[0], TESTS[3]]


def test_a_bug_that_no_test_shows_is_an_error():
    with pytest.raises(HarnessError, match=r"^refused: no test shows it here"):
        sample(_bug("refused", "test_b.py::*"), TESTS)


@pytest.mark.parametrize(
    ("outcomes", "state", "words", "shown"),
    [
        ({"a": "TypeError"}, "shows", "TypeError: no such form", 1),
        ({"b": "TypeError", "a": "AttributeError"}, "shows", "TypeError: no such form", 1),
        ({}, "does not show", "passes", 0),
        ({"a": "AttributeError"}, "does not show", "AttributeError: no such form", 0),
        ({"b": "AttributeError"}, "does not show", "AttributeError: no such form", 0),
    ],
)
def test_a_bug_shows_where_a_test_fails_for_its_reason(outcomes, state, words, shown):
    found = judge(_run(**outcomes), None, {_bug(): TESTS[:2]})["refused"]
    assert (found.state, found.words, found.shown, found.fixed) == (state, words, shown, None)


def test_what_passes_with_the_series_is_counted():
    found = judge(_run(a="TypeError", b="TypeError"), _run(b="TypeError"), {_bug(): TESTS[:3]})["refused"]
    assert (found.tests, found.shown, found.fixed) == (3, 2, 2)


def test_a_test_without_a_result_is_an_error():
    with pytest.raises(HarnessError, match="did not run to its end"):
        judge(_run(), Run({}, frozenset()), {_bug(): TESTS[:1]})


RELEASE = Release("9.9.9", "", "pinned", "applies", {"one": "^words$|^ModuleNotFoundError"})
PASSES = Release("9.9.9", "", "pinned", "applies", {"one": "^passes$"})


def _record(**changes):
    has, without = Sampled("shows", "words", 2, 2, 2).__dict__, Sampled("does not show", "words", 2, 0, 2).__dict__
    found = {"bugs": {"one": without, "two": has}}
    return {"fails": "", "series": "applies", "series words": "it applies", **found, **changes}


def test_a_release_as_it_is_expected_is_no_problem():
    assert list(problems(RELEASE, _record())) == []
    # If a release does not show a bug, the bug's tests need not pass there.
    without = Sampled("does not show", "ModuleNotFoundError: no", 2, 0, 0).__dict__
    assert list(problems(RELEASE, _record(bugs={**_record()["bugs"], "one": without}))) == []


def test_what_comes_in_place_of_a_bug_is_listed_too():
    bugs = {**_record()["bugs"], "one": Sampled("does not show", "ValueError: odd", 2, 0, 2).__dict__}
    (problem,) = problems(RELEASE, _record(bugs=bugs))
    assert problem.startswith("9.9.9: instead of one, tests give ValueError: odd; harness/package/releases.toml says ^words$")


def test_what_passes_as_published_has_to_pass_with_the_series():
    bugs = {**_record()["bugs"], "one": Sampled("does not show", "passes", 2, 0, 1).__dict__}
    assert list(problems(PASSES, _record(bugs=bugs))) == ["9.9.9: 1 sampled tests of one do not pass with the series"]


@pytest.mark.parametrize(
    ("changes", "problem"),
    [
        ({"fails": "ImportError: no"}, "9.9.9 does not load on pinned: ImportError: no"),
        ({"series": "conflicts"}, "9.9.9: it applies; harness/package/releases.toml says 'applies'"),
        (
            {"bugs": {"one": Sampled("shows", "E", 1, 1, 1).__dict__}},
            "9.9.9 shows one, E; harness/package/releases.toml says that it does not show",
        ),
        (
            {"bugs": {**_record()["bugs"], "two": Sampled("does not show", "passes", 1, 0, 1).__dict__}},
            "9.9.9 does not show two, passes; harness/package/releases.toml says that it shows",
        ),
        (
            {"bugs": {**_record()["bugs"], "two": Sampled("shows", "E", 3, 3, 1).__dict__}},
            "9.9.9: 2 sampled tests of two do not pass with the series",
        ),
        ({"bugs": {}}, "9.9.9: harness/package/releases.toml names one, which is not in the catalogue"),
    ],
)
def test_what_differs_from_what_is_expected_is_a_problem(changes, problem):
    assert list(problems(RELEASE, _record(**changes))) == [problem]


@pytest.mark.parametrize("version", RELEASES)
def test_the_series_applies_or_it_is_said_where_it_does_not(version):
    state, said = series_on(resolve("upstream", release=RELEASES[version]).path)
    words = {"applies": "the series applies", "conflicts": rf"\d+ of {len(series())} patches do not apply, first \d{{4}}-.+"}
    assert state == RELEASES[version].series and re.fullmatch(words[state], said)


@pytest.fixture
def out(tmp_path, monkeypatch):
    """Runs of both stacks, all as expected, and no index to compare with."""
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    for stack in ("floor", "pinned"):
        records = [
            {
                "version": version,
                "files": version[0],
                "problems": [],
                **(_record() if release.stack == stack else {"fails": "ImportError: no"}),
            }
            for version, release in RELEASES.items()
        ]
        _write(tmp_path, stack, records)
    return tmp_path


def _write(out, stack, records, suite=None):
    run = {"stack": stack, "digest": suite or world.digest(stack), "releases": records}
    (out / f"releases-{stack}.json").write_text(json.dumps(run))


def _read(out, name):
    return json.loads((out / name).read_text())


def test_the_runs_of_all_stacks_make_one_table(out):
    assert merge(out)
    table = _read(out, "releases.json")
    assert [row[:3] for row in table["rows"]][-3:] == [
        ["1.1.0", "imports", "ImportError: no"],
        ["1.2.0", "ImportError: no", "imports"],
        ["1.3.0", "ImportError: no", "imports"],
    ]
    assert table["rows"][0][3:] == ["1 of 2", "it applies", "2 fail, 2 pass with the series"]
    assert table["others"][0]["rows"][0] == ["one", *["– words"] * 5]
    assert table["others"][0]["rows"][1] == ["two", *["2 ✗ → ✓"] * 5]
    assert "Not compared with what is published: " in table["note"]
    assert table["note"].endswith(" The package is the same, file by file, in 1.0.0 and 1.1.0 and 1.2.0 and 1.3.0.")
    assert f"| {' | '.join(table['rows'][0])} |\n" in (out / "releases.md").read_text()


def test_what_was_not_run_says_why(out):
    records = _read(out, "releases-floor.json")["releases"]
    records[0]["bugs"]["two"] = Sampled("not run", "sim: needs a compiler").__dict__
    _write(out, "floor", records)
    assert merge(out)
    table = _read(out, "releases.json")
    assert table["rows"][0][3] == "0 of 2, 1 not run"
    assert table["others"][0]["rows"][1][:3] == ["two", "not run", "2 ✗ → ✓"]
    assert table["note"].endswith(" Not run on floor, sim: needs a compiler.")


def test_a_problem_of_any_stack_is_one_of_the_table(out):
    records = _read(out, "releases-floor.json")["releases"]
    records[0]["problems"] = ["0.0.0a1 shows another bug"]
    _write(out, "floor", records)
    assert not merge(out)
    assert (out / "releases.md").read_text().endswith("\n- 0.0.0a1 shows another bug\n")


def test_a_release_that_nobody_listed_is_a_problem(out, monkeypatch):
    monkeypatch.setenv("PIP_FIND_LINKS", str(out))
    (out / "liquid_audio-99.0-py3-none-any.whl").touch()
    assert not merge(out)
    assert _read(out, "releases.json")["problems"] == ["99.0 is published, and harness/package/releases.toml does not list it"]


def test_a_stack_that_did_not_run_or_ran_with_other_files_is_an_error(out):
    # If a run of another suite were merged, its table would pass for one of this suite.
    _write(out, "floor", [], suite="of another suite")
    with pytest.raises(HarnessError, match=rf"^the run of the stack floor is {world.STALE}: run"):
        merge(out)
    (out / "releases-floor.json").unlink()
    with pytest.raises(HarnessError, match=r"^the stack floor has not run: run"):
        merge(out)
