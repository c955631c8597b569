"""Only verdicts of the current files are read, and what is said of them is no more than their tests show."""

import re
from collections import Counter

import pytest

from harness import census, world
from harness.report import summary, views
from harness.report.abilities import ABILITIES, works
from harness.report.views import Lane
from harness.results import Result, Run
from harness.tests import lanes
from harness.tests.lanes import FORM, NAMED, WORKS, leave

out, patches = lanes.out, lanes.patches
DECODE = [f"tests/{test}[cpu]" for test in ABILITIES["decode"]]
PASSED, FAILED, WARNED = Result("passed"), Result("failed", "RuntimeError"), Result("failed", "UserWarning")


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"digest": "0"}, f"out/sim is {world.STALE}"),
        ({"counts": {"fail→pass": 1, "pass→pass": 5}}, "the logs in out/sim are not from the run of its verdict"),
        ({"holds": True, "problems": ["everything burned"]}, "the logs in out/sim are not from the run of its verdict"),
        ({"lane": "cpu"}, "out/sim contains the record of another lane, cpu"),
        ({"stack": "floor"}, "out/sim contains the record of another lane, sim-floor"),
        ({"options": ["--checkpoint", "/x"]}, "out/sim contains the record of another lane, real-sim"),
    ],
)
def test_a_verdict_on_something_else_counts_for_nothing(out, patches, changes, reason):
    leave(out, patches)
    leave(out, patches, name="sim", **changes)
    found, stale = views.read(out, patches)
    assert [lane.name for lane in found] == ["cpu"] and stale == {"sim": reason}


@pytest.mark.parametrize("lost", [[WORKS], [NAMED, WORKS]])
def test_a_run_that_broke_off_does_not_hold(out, patches, lost):
    leave(out, patches, lost=lost)
    assert not views.read(out, patches)[0][0].record["holds"]


@pytest.mark.parametrize(
    ("title", "words"),
    [("It fails", "PicklingError: no"), ("Wrong without an error: it gives another mel", "no exception, assert 1 == 2")],
)
def test_an_exception_says_more_than_a_test_unless_nothing_fails(title, words):
    found = {("AssertionError", "assert 1\n== 2", "test_moves.py:58"): 2, ("PicklingError", "no", "test_moves.py:74"): 1}
    assert views.gives({"title": title, "exceptions": found}) == words


def test_a_bug_gives_its_most_frequent_exception_whatever_its_addresses():
    errors = [("TypeError", "rare"), ("PicklingError", "no <Ear at 0x7f1066a0>"), ("PicklingError", "no <Ear at 0x7f1166a0>")]
    results = {f"tests/{n}": Result("failed", type, message) for n, (type, message) in enumerate(errors)}
    record = {"bugs": [{"id": "deaf", "title": "It fails", "patch": "0001", "shown": list(results), "fixed": 3}]}
    (bug,) = views.bugs([Lane("cpu", record, {"upstream": Run(results)})])
    assert bug["gives"] == ["PicklingError: no <Ear at 0x…>"]


WRONG = Result("failed", "AssertionError", transcript="peas", words=False)
FEATURES = Result("failed", "AssertionError", transcript="please", words=True)


@pytest.mark.parametrize(
    ("results", "kind", "words"),
    [
        ([PASSED, PASSED], "right", "right"),
        ([FAILED], "refused", "refused, RuntimeError, without a message"),
        ([PASSED, FAILED, FEATURES], "silent", "1 of 3 refused, RuntimeError, without a message; 1 of 3 right;"),
        ([PASSED, WRONG], "silent", "1 of 2 right; 1 of 2 wrong words, “peas”"),
        ([PASSED, Result("skipped")], "missing", "1 of 2 right; 1 of 2 skipped"),
    ],
)
def test_a_form_of_audio_is_as_bad_as_its_worst_test(results, kind, words):
    run = Run({FORM("numpy-int16", "1d").replace("a-clip", f"{n}-clip"): result for n, result in enumerate(results)})
    (block,) = views.blocks(Lane("cpu", {}, {"upstream": run, "patched": run}))
    cells = block["rows"][0]["cells"]
    assert cells[0]["patched"]["kind"] == kind and cells[0]["patched"]["words"].startswith(words)
    assert cells[1]["patched"] == {"kind": "none", "words": "no test"}


@pytest.mark.parametrize(
    ("before", "after", "words"),
    [
        ([PASSED] * 3, [PASSED] * 3, ("decode", "–")),
        ([PASSED, PASSED, WARNED], [PASSED] * 3, ("decode (with a warning)", "–")),
        ([PASSED, FAILED, WARNED], [PASSED] * 3, ("–", "decode")),
        ([PASSED, PASSED, Result("skipped")], [PASSED] * 3, ("–", "decode")),
        ([FAILED] * 3, [PASSED, PASSED, FAILED], ("–", "decode (fails)")),
        ([PASSED] * 2, [PASSED] * 2, ("–", "–")),
    ],
)
def test_an_ability_works_only_if_each_of_its_tests_ran_and_passed(before, after, words):
    runs = {"upstream": Run(dict(zip(DECODE, before, strict=False))), "patched": Run(dict(zip(DECODE, after, strict=False)))}
    assert works(Lane("cpu", {}, runs)) == words


@pytest.mark.parametrize("name", ABILITIES)
def test_the_suite_has_each_test_that_an_ability_names(name):
    assert [test for test in ABILITIES[name] if test not in census.read()["cpu"]] == []


def test_what_nobody_ran_is_named_and_only_a_verdict_takes_it_off_the_list():
    cpu = {"lane": "cpu", "host": {"device": "a CPU"}}
    assert views.untested([cpu]) == (
        "This version has not run yet on: a CUDA GPU, Apple silicon, torch_xla, a TPU, the real LFM2.5 weights."
    )
    xla, real = {**cpu, "lane": "xla"}, {**cpu, "lane": "cuda", "options": ["--checkpoint", "/x"]}
    assert views.untested([cpu, xla, real]) == "This version has not run yet on: a CUDA GPU, Apple silicon, a TPU."
    tpu = {**xla, "host": {"device": "TPU, a CPU"}}
    assert views.untested([tpu, real, {**cpu, "lane": "cuda"}, {**cpu, "lane": "mps"}]) == ""


def test_a_summary_has_the_verdicts_and_the_reasons(out, patches):
    leave(out, patches)
    leave(out, patches, name="sim", after="failed")
    text = summary.markdown(views.read(out, patches)[0])
    assert "| `cpu` | 1 of 1, in 1 tests | 1 tests | 0 tests | – | – |" in text
    assert "| `sim`: **the verdict does not hold** | 0 of 1, in 0 tests |" in text
    assert "\n- sim: deaf: not fixed on patched, 1 of its tests do not pass\n" in text
    assert "| does wrong | `TypeError: deaf to <script>" in text and "` | 1 ✗ → ✓ | 1 ✗ → ✗ | 0001 |\n" in text
    assert text.endswith("\nNot run: mps (needs `macOS`).\n")


def test_a_summary_links_only_where_the_address_of_the_repository_is_known(out, patches, monkeypatch):
    leave(out, patches)
    found, _ = views.read(out, patches)
    for name in ("SERVER_URL", "REPOSITORY", "SHA"):
        monkeypatch.delenv(f"GITHUB_{name}", raising=False)
    assert set(re.findall(r"\]\((.+?)\)", summary.markdown(found))) == {lanes.THREAD}
    for name, value in {"SERVER_URL": "https://github.com", "REPOSITORY": "me/it", "SHA": "abc"}.items():
        monkeypatch.setenv(f"GITHUB_{name}", value)
    links = Counter(re.findall(r"\]\((.+?)\)", summary.markdown(found)))
    assert links == {
        lanes.THREAD: 1,
        "https://github.com/me/it/blob/abc/tests/bugs.toml": 1,
        "https://github.com/me/it/blob/abc/patches/0001.patch": 1,
    }
