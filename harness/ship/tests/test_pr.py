"""The kit says what the verdicts, the staircase and git say, what did not run is said, and a wrong staircase is refused."""

import json
import os
import re
import subprocess
import sys
from itertools import groupby

import pytest

from harness import ROOT, HarnessError, world
from harness.ship.pr import kit, stairs
from harness.ship.pr.stairs import Step
from harness.show.tests import test_page
from harness.show.tests.test_page import BUG, NAMED, leave

# Those that the body answers earlier attempts with.
IDS = ("detokenizer-on-cuda", "codes-left-behind", "mimi-through-safetensors", "cuda-by-default", "demo-on-cuda")
STEPS = [
    Step(patch, dict.fromkeys(("t.py::test_a", "t.py::test_b"), o)) for patch, o in (("", "failed"), ("0001.patch", "passed"))
]
STAT = " 1 file changed, 2 insertions(+), 1 deletion(-)\n"

# Fixtures of the same name.
out, patches = test_page.out, test_page.patches


def known(ids=IDS, title="It hears", **changes):
    """Describe bugs as a verdict does."""
    bug = {"title": title, "kind": "wrong", "patch": "0001.patch", "threads": BUG.threads, "shown": [NAMED], "fixed": 1}
    return {"bugs": [{**bug, "id": id} for id in ids], "stack": None, **changes}


def texts(out, patches):
    return kit.texts(out, patches, kit.read(out, patches), STEPS, STAT)


def tables(text):
    """Give the tables of a text, each as its rows, each as its cells."""
    rows = ((line.startswith("|"), re.split(r"(?<!\\)\|", line)[1:-1]) for line in text.splitlines())
    return [[cells for _, cells in rows] for table, rows in groupby(rows, key=lambda row: row[0]) if table]


def test_the_numbers_are_those_of_the_verdict(out, patches):
    leave(out, patches, **known())
    leave(out, patches, name="sim", **known(IDS[:2]))
    body = texts(out, patches)["body.md"]
    assert "liquid-audio 1.3.0 has 5 bugs, each shown by tests." in body
    assert "- cpu: 1 fail→pass, 1 pass→pass, 0 pass→fail, 0 skipped; 0 gave the same bits before and after." in body
    assert "tests that show it: 2 on cpu and 2 on sim." in body
    assert "2 of the 5 show on `sim`" in body
    matrix = tables(body)[0]
    assert matrix[2][:3] == [" cpu ", " 0 → 1 of 1 ", " 1 → 1 of 1 "]
    assert "Where there is no CUDA 0 of them pass on 1.3.0, and 2 after each commit in turn." in body
    assert STAT in body and "`processor.py:151`" in body


def test_what_did_not_run_is_said(out, patches):
    leave(out, patches, **known(**{"not run": {"cuda": "needs a GPU", "mps": "needs `macOS`"}}))
    body = texts(out, patches)["body.md"]
    assert "- `cuda`: **not run**, needs a GPU." in body
    assert {row[0].strip() for row in tables(body)[0] if " not run " in row} == {"cuda", "mps"}
    assert "read from the code, `cuda` is not run" in body
    assert "of the 5 bugs show on `sim`" not in body
    assert all(
        f"**{name}.** Not run: run `python3 -m nox -s {name.lower()}`." in body for name in ("Necessity", "Rivals", "Releases")
    )


def test_a_patch_has_a_text_of_its_own(out, patches):
    leave(out, patches, **known())
    text = texts(out, patches)["0001.md"]
    assert text.startswith("# Hear with both ears\n\nIt did not.\n\n## Why")
    assert len(tables(text)[0]) == 2 + len(IDS)
    assert "2 lines added, 1 removed." in text and "\n- `test_a`\n- `test_b`\n" in text


def test_what_others_wrote_stays_in_its_cell(out, patches, monkeypatch):
    message = f"a|b `c`\n{ROOT}/.cache/d.py says <e> at 0x7f667d930a40, see http://f.org/g/h"
    monkeypatch.setitem(test_page.HOSTILE, "message", f"deaf {message}")
    leave(out, patches, **known(title=message))
    (out / "rivals.json").write_text(
        json.dumps({"title": "Rivals", "columns": ["|", "b"], "rows": [[message] * 2], "note": ""})
    )
    found = texts(out, patches)
    for text in found.values():
        for table in tables(text):
            assert len({len(cells) for cells in table}) == 1
        assert str(ROOT.parent) not in text and "7f667d930a40" not in text
    assert r"`TypeError: deaf a\|b 'c' d.py says <e> at 0x, see http://f.org/g/h`" in found["body.md"]


@pytest.mark.parametrize(
    ("title", "words"),
    [("It fails", "PicklingError: no"), ("Silently wrong: it gives another mel", "no exception, assert 1 == 2")],
)
def test_an_exception_says_more_than_a_test_unless_nothing_fails(title, words):
    found = {("AssertionError", "assert 1 == 2", "test_moves.py:58"): 2, ("PicklingError", "no", "test_moves.py:74"): 1}
    assert kit._words({"title": title, "exceptions": found}) == words


def test_a_body_is_read_in_one_go(out, patches):
    bugs = known((*IDS, *map(str, range(25))), **{"not run": {"cuda": "none", "mps": "none"}})
    leave(out, patches, **bugs)
    leave(out, patches, name="sim", **bugs)
    for name, rows in (("necessity", 100), ("rivals", kit.ROWS), ("releases", kit.ROWS)):
        table = {"title": name, "columns": ["a"], "rows": [["b"]] * rows, "note": f"{rows} rows."}
        table |= {"holds": True, "digest": world.digest(patches=patches)}
        (out / f"{name}.json").write_text(json.dumps(table))
    body = texts(out, patches)["body.md"]
    assert "**necessity.** 100 rows.\n\n**Mutants.** Not run:" in body
    assert len(body.splitlines()) < 130


def test_there_is_no_kit_where_another_session_found_a_problem(out, patches):
    leave(out, patches, **known())
    table = {"title": "Necessity", "columns": ["a"], "rows": [], "note": "", "problems": ["0001.patch: nothing needs it"]}
    table["digest"] = world.digest(patches=patches)
    (out / "necessity.json").write_text(json.dumps(table))
    with pytest.raises(HarnessError, match=r"^0001\.patch: nothing needs it: that comes before a pull request$"):
        kit.write(out, patches)


def test_the_same_verdicts_give_the_same_bytes(out, patches):
    leave(out, patches, **known())
    leave(out, patches, name="sim", **known())
    program = f"""
from pathlib import Path
from harness.ship.tests.test_pr import texts
print(*texts(Path({str(out)!r}), Path({str(patches)!r})).values(), sep="", end="")
"""
    env = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "".join(texts(out, patches).values())


def test_there_is_no_kit_without_a_verdict_on_the_series(out, patches):
    with pytest.raises(HarnessError, match=r"^there is no verdict for the CPU on this series: run `nox -s verdict` first$"):
        kit.write(out, patches)
    leave(out, patches, **known())
    (patches / "0002.patch").write_text(test_page.PATCH)
    with pytest.raises(
        HarnessError, match=r"what out/cpu holds is stale: made from other files than these: run `nox -s verdict`"
    ):
        kit.write(out, patches)
    assert not (out / "pr").exists()


def test_there_is_no_kit_where_a_verdict_does_not_hold(out, patches):
    leave(out, patches, **known())
    leave(out, patches, name="sim", **known(holds=False))
    with pytest.raises(HarnessError, match=r"^the verdict does not hold on sim: "):
        kit.write(out, patches)


def test_the_body_speaks_of_nothing_that_is_not_there(out, patches):
    leave(out, patches, **known(IDS[1:]))
    with pytest.raises(HarnessError, match="detokenizer-on-cuda, codes-left-behind, and the verdict has not all of them"):
        texts(out, patches)
    with pytest.raises(HarnessError, match="no such line"):
        kit._line("processor.py", ".xpu()")


def step(patch, outcomes):
    """Make a step from a word, P for a test that passes."""
    names = {"P": "passed", "F": "failed", "E": "error", "S": "skipped"}
    return Step(patch, {f"test_{n}": names[sign] for n, sign in enumerate(outcomes)})


@pytest.mark.parametrize(
    ("outcomes", "problem"),
    [
        (["FFF", "PFF", "PPP"], None),
        (["PFF", "PPF", "PPP"], "test_0 passes on the release"),
        (["FFF", "FFF", "PPP"], "1.patch lets no further test pass"),
        (["FFF", "FPF", "PPP"], "after 1.patch test_0 fails, and a later test passes"),
        (["FFF", "PPF", "FPP"], "after 2.patch test_0 fails, and a later test passes"),
        (["FFF", "PFF", "PPF"], "test_2 fails after the whole series"),
        (["FFF", "PFE", "PPP"], "after 1.patch test_2 ended as error"),
        (["FFF", "PFF", "PPS"], "after 2.patch test_2 ended as skipped"),
        (["FFF", "PF", "PPP"], "after 1.patch other tests ran than on the release"),
    ],
)
def test_each_commit_lets_the_next_tests_pass_and_no_others(outcomes, problem):
    steps = [step(f"{n}.patch" if n else "", word) for n, word in enumerate(outcomes)]
    assert next(stairs.problems(steps), None) == problem
    if problem is None:
        assert stairs.turned(steps) == {"1.patch": ["test_0"], "2.patch": ["test_1", "test_2"]}


def test_the_tests_run_as_upstream_would_run_them(tmp_path, monkeypatch):
    file = tmp_path / "test_few.py"
    file.write_text("import os\ndef test_a(): assert not os.environ['CUDA_VISIBLE_DEVICES']\ndef test_b(): assert 0\n")
    monkeypatch.setattr(stairs, "TESTS", file)
    (tmp_path / "good").mkdir()
    assert stairs._run(tmp_path / "good") == {"tests/test_few.py::test_a": "passed", "tests/test_few.py::test_b": "failed"}
    file.write_text("import what_is_not_there\n")
    (tmp_path / "bad").mkdir()
    with pytest.raises(HarnessError, match="did not come to its end: "):
        stairs._run(tmp_path / "bad")


def test_the_tests_become_a_commit_after_the_series(tmp_path):
    assert "14 files changed" in stairs.export(tmp_path, "Some Sender <sender@example.invalid>")
    *_, last = names = sorted(file.name for file in tmp_path.iterdir())
    assert last == f"{len(names):04d}-Test-processor-model-and-audio-on-any-device.patch"
    authors = {re.search("^From: (.+)", (tmp_path / name).read_text("utf-8"), re.MULTILINE)[1] for name in names}
    assert authors == {"Some Sender <sender@example.invalid>"}
    added = (tmp_path / last).read_text(encoding="utf-8").partition("@@\n")[2].splitlines()
    assert [line[1:] for line in added] == stairs.TESTS.read_text(encoding="utf-8").splitlines()


def test_who_sends_the_series_is_who_git_says(monkeypatch, tmp_path):
    (tmp_path / "config").write_text("[user]\n\tname = Some Sender\n\temail = sender@example.invalid\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    assert kit.sender() == "Some Sender <sender@example.invalid>"


def test_nobody_sends_nothing(monkeypatch, tmp_path):
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "none"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    monkeypatch.setattr(kit, "ROOT", tmp_path)
    with pytest.raises(
        HarnessError, match=r"^git does not know who sends the series: set user\.name and user\.email, or --author"
    ):
        kit.sender()
