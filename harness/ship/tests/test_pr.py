"""The kit says what the verdicts, the staircase and git say, briefly, and a wrong staircase is refused."""

import json
import os
import re
import subprocess
import sys
from dataclasses import replace
from itertools import groupby

import pytest

from harness import PATCHES, ROOT, HarnessError, world
from harness.package import series, trees
from harness.ship.pr import body, kit, pulls, stairs
from harness.ship.pr.commits import export
from harness.ship.pr.pulls import Pull
from harness.ship.pr.stairs import Step
from harness.ship.wheel import changes
from harness.show import page
from harness.show.tests import test_page
from harness.show.tests.test_page import BUG, NAMED, leave
from harness.suite.catalogue import CATALOGUE, read_catalogue

# The bugs that the bodies name beside earlier attempts.
IDS = (
    "detokenizer-on-cuda",
    "codes-left-behind",
    "mimi-through-safetensors",
    "cuda-by-default",
    "no-automatic-device",
    "demo-on-cuda",
)
STAT = " 1 file changed, 2 insertions(+), 1 deletion(-)"
PROOF = "https://example.invalid/proof"
REAL = pulls.read()

# Fixtures of the same name.
out, patches = test_page.out, test_page.patches


def known(ids=IDS, title="It hears", **changes):
    """Describe bugs as a verdict does."""
    bug = {"title": title, "kind": "wrong", "patch": "0001.patch", "threads": BUG.threads, "shown": [NAMED], "fixed": 1}
    return {"bugs": [{**bug, "id": id} for id in ids], "stack": None, **changes}


def bodies(out, patches, requests=None, others=()):
    """Render the bodies of pull requests, by their names. Other lanes have the results of the CPU's."""
    requests = requests or [Pull(1, "device", pulls.HERE / "test_few.py", "", (patches / "0001.patch",))]
    tests = [f"tests/{pull.tests.name}::test_{letter}" for pull in requests for letter in "abcdefghijklm"]
    commits = [patch.name for pull in requests for patch in pull.code]
    steps = [
        Step(name, {test: "passed" if at < n * len(tests) / len(commits) else "failed" for at, test in enumerate(tests)})
        for n, name in enumerate(["", *commits])
    ]
    lanes = kit.read(out, patches)
    lanes += [replace(lanes[0], name=name, record={**lanes[0].record, "lane": name}) for name in others]
    facts = body.Facts(lanes, steps, [STAT] * len(requests), [True, True, True, False], PROOF)
    return {pull.name: body.body(pull, facts, patches) for pull in requests}


def tables(text):
    """Give the tables of a text, each as its rows, each as its cells."""
    rows = ((line.startswith("|"), re.split(r"(?<!\\)\|", line)[1:-1]) for line in text.splitlines())
    return [[cells for _, cells in rows] for table, rows in groupby(rows, key=lambda row: row[0]) if table]


def test_the_numbers_are_those_of_the_verdict(out, patches):
    leave(out, patches, **known())
    leave(out, patches, name="sim", **known(IDS[:3]))
    body = bodies(out, patches)["device"]
    assert "\n- 1 tests on cpu and 1 on sim fail on 1.3.0, for reasons written down beforehand, and pass with" in body
    assert "\n- No test that passes on 1.3.0 fails with it: 1 on cpu and 1 on sim pass on both.\n" in body
    assert "- Of its 13 tests, 0 and 13 pass before its commits and after each." in body
    assert "Tests that show it: 2 on cpu and 2 on sim." in body
    assert [row[-2].strip() for row in tables(body)[0][2:]] == ["1", "1", "1", "–", "–", "–"]
    assert (
        STAT in body
        and "`processor.py:151`" in body
        and f"**The whole proof**: {PROOF}. It applies to 1.3.0 by itself.\n" in body
    )


def test_what_did_not_run_is_said_and_never_with_a_command(out, patches):
    leave(
        out,
        patches,
        **known(**{"not run": {"cuda": "needs a GPU", "mps": "needs `macOS`", "xla": "needs torch_xla: run `nox -s xla`"}}),
    )
    body = bodies(out, patches)["device"]
    assert "no CUDA host has run it" in body
    assert "\n- `cuda` did not run: needs a GPU\n- `mps` did not run: needs `macOS`\n" in body
    assert "\n- `xla` did not run: needs torch_xla\n" in body and "Not run: " not in body


def real(**changes):
    """Describe the bugs of the catalogue as the verdict of a lane does."""
    found = known(**changes)
    (bug,) = known(("one",))["bugs"]
    found["bugs"] = [
        {**bug, "id": b.id, "kind": b.kind, "title": b.title, "patch": b.patch} for b in read_catalogue(CATALOGUE).bugs
    ]
    return found


@pytest.fixture
def said(out):
    """The body of each pull request of the series, with every lane that a body could name."""
    more = {"not run": {"cuda": "needs a GPU"}, "series": [patch.name for patch in trees.series()]}
    for lane in ("cpu", "sim"):
        leave(out, PATCHES, name=lane, **real(**more))
    return bodies(out, PATCHES, REAL, ["mps", "xla"])


def test_a_body_is_read_in_a_minute(said):
    assert {name: body.words(text) for name, text in said.items() if body.words(text) > body.WORDS} == {}
    assert all(len(text.split()) > body.words(text) > 100 for text in said.values())
    assert all(" on mps and 1 on xla fail on 1.3.0" in text for text in said.values())


def test_every_bug_is_in_one_body(said):
    rows = [row[0].strip() for text in said.values() for row in tables(text)[0][2:]]
    titles = [bug.title for bug in read_catalogue(CATALOGUE).bugs]
    assert len(rows) == len(titles)
    assert all(any(row.startswith(body.cell(title, 200)[:40]) for row in rows) for title in titles)


def test_every_commit_is_in_one_body(said):
    for pull in REAL:
        subjects = [
            page.read_patch(patch)["subject"] for patch in (*pull.patches, *([pulls.TOOLS] if pull is REAL[0] else []))
        ]
        for subject in (*subjects, pull.commit.partition("\n")[0]):
            assert [name for name, text in said.items() if f"\n- {subject}" in text] == [pull.name]


def test_a_body_that_is_too_long_is_refused(out, patches, monkeypatch):
    leave(out, patches, **known())
    monkeypatch.setattr(body, "WORDS", 100)
    with pytest.raises(
        HarnessError, match=r"^device\.md\.jinja makes \d+ words that are not folded, .*more than 100: cut it$"
    ):
        bodies(out, patches)


@pytest.mark.parametrize(
    ("origin", "found"),
    [
        ("https://github.com/some/proof.git", "https://github.com/some/proof"),
        ("git@github.com:some/proof.git", "https://github.com/some/proof"),
        ("ssh://git@example.org/some/proof", "https://example.org/some/proof"),
        ("https://me:secret@example.org/some/proof", "https://example.org/some/proof"),
        ("/srv/proof.git", None),
        (None, None),
    ],
)
def test_the_proof_is_where_the_remote_is(tmp_path, monkeypatch, origin, found):
    series.git(tmp_path, "init", "--quiet")
    if origin:
        series.git(tmp_path, "remote", "add", "origin", origin)
    monkeypatch.setattr(kit, "ROOT", tmp_path)
    if found:
        assert kit.address() == found
        return
    with pytest.raises(HarnessError, match=r"^a reader must find the whole proof: give --proof URL, or a remote `origin`"):
        kit.write(tmp_path / "out", author="A <a@example.invalid>")
    assert not (tmp_path / "out").exists()


def test_what_others_wrote_stays_in_its_cell(out, patches, monkeypatch):
    message = f"a|b `c`\n{ROOT}/.cache/d.py says <e> at 0x7f667d930a40, see http://f.org/g/h"
    monkeypatch.setitem(test_page.HOSTILE, "message", f"deaf {message}")
    leave(out, patches, **known(title=message))
    body = bodies(out, patches)["device"]
    for table in tables(body):
        assert len({len(cells) for cells in table}) == 1
    assert str(ROOT.parent) not in body and "7f667d930a40" not in body
    assert r"`TypeError: deaf a\|b 'c' d.py says <e> at 0x…, see http://f.org/g/h`" in body


def test_there_is_no_kit_where_another_session_found_a_problem(out, patches):
    leave(out, patches, **known())
    table = {"title": "Mutants", "columns": ["a"], "rows": [], "note": "", "problems": ["0001.patch: nothing needs it"]}
    table["digest"] = world.digest(patches=patches)
    (out / "mutants.json").write_text(json.dumps(table))
    with pytest.raises(HarnessError, match=r"^0001\.patch: nothing needs it: fix that before a pull request$"):
        kit.read(out, patches)


def test_the_same_verdicts_give_the_same_bytes(out, patches):
    leave(out, patches, **known())
    leave(out, patches, name="sim", **known())
    program = f"""
from pathlib import Path
from harness.ship.tests.test_pr import bodies
print(*bodies(Path({str(out)!r}), Path({str(patches)!r})).values(), sep="", end="")
"""
    env = {**os.environ, "PYTHONHASHSEED": "1"}
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True, check=True)
    assert done.stdout == "".join(bodies(out, patches).values())


def test_there_is_no_kit_without_a_verdict_on_the_series(out, patches):
    with pytest.raises(HarnessError, match=r"^there is no verdict for the CPU on this series: run `nox -s verdict` first$"):
        kit.read(out, patches)
    leave(out, patches, **known())
    (patches / "0002.patch").write_text(test_page.PATCH)
    with pytest.raises(HarnessError, match=r"out/cpu is stale: made from files that have changed since: run `nox -s verdict`"):
        kit.read(out, patches)


def test_there_is_no_kit_where_a_verdict_does_not_hold(out, patches):
    leave(out, patches, **known())
    leave(out, patches, name="sim", **known(holds=False))
    with pytest.raises(HarnessError, match=r"^the verdict does not hold on sim: "):
        kit.read(out, patches)


def test_the_body_speaks_of_nothing_that_is_not_there(out, patches):
    leave(out, patches, **known(IDS[1:]))
    with pytest.raises(HarnessError, match="detokenizer-on-cuda, codes-left-behind, but the verdict lacks some of them"):
        bodies(out, patches)
    with pytest.raises(HarnessError, match="no such line"):
        body._line("processor.py", ".xpu()")


def step(patch, outcomes):
    """Make a step from a word, P for a test that passes."""
    names = {"P": "passed", "F": "failed", "S": "skipped"}
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
        (["FFF", "PFF", "PPS"], "after 2.patch test_2 ended as skipped"),
        (["FFF", "PF", "PPP"], "after 1.patch other tests ran than on the release"),
    ],
)
def test_each_commit_lets_the_next_tests_pass_and_no_others(outcomes, problem):
    steps = [step(f"{n}.patch" if n else "", word) for n, word in enumerate(outcomes)]
    assert next(stairs.problems(steps), None) == problem
    if problem is None:
        assert stairs.turned(steps) == {"1.patch": ["test_0"], "2.patch": ["test_1", "test_2"]}


def test_the_tests_run_as_upstream_would_run_them(tmp_path):
    file = tmp_path / "test_few.py"
    file.write_text("import os\ndef test_a(): assert not os.environ['CUDA_VISIBLE_DEVICES']\ndef test_b(): assert 0\n")
    (tmp_path / "good").mkdir()
    found = stairs._run(tmp_path / "good", [file])
    assert found == {"tests/test_few.py::test_a": "passed", "tests/test_few.py::test_b": "failed"}
    file.write_text("import what_is_not_there\n")
    (tmp_path / "bad").mkdir()
    with pytest.raises(HarnessError, match="did not finish: "):
        stairs._run(tmp_path / "bad", [file])


def test_the_tests_for_upstream_pass_and_write_a_few_megabytes(tmp_path, monkeypatch):
    (tmp_path / "written").mkdir()
    with series.checkout() as repository:
        series.am(repository, *trees.series())
        monkeypatch.setenv("TMPDIR", str(tmp_path / "written"))
        assert set(stairs._run(repository, [pull.tests for pull in REAL]).values()) == {"passed"}
    assert sum(file.stat().st_size for file in (tmp_path / "written").rglob("*") if file.is_file()) < 10 * 2**20


@pytest.mark.parametrize(
    ("test", "passes"),
    [
        ("assert True", True),
        ("assert False", False),
        ("import pathlib; assert pathlib.Path('src/liquid_audio/audio.py').exists()", False),
    ],
)
def test_a_pull_request_stands_alone_if_its_tests_pass_without_the_others(tmp_path, test, passes):
    (tmp_path / "test_few.py").write_text(f"def test_a():\n    {test}\n")
    assert stairs.alone(Pull(1, "some", tmp_path / "test_few.py", "", (trees.series()[0],))) == passes
    assert not stairs.alone(Pull(1, "some", tmp_path / "test_few.py", "", tuple(trees.series()[:1] * 2)))


def test_each_pull_request_is_commits_of_one_sender_and_the_last_adds_its_tests(tmp_path):
    stats = export(tmp_path, REAL, "Some Sender <sender@example.invalid>")
    assert [folder.name for folder in sorted(tmp_path.iterdir())] == [pull.folder for pull in REAL]
    for pull, stat in zip(REAL, stats, strict=True):
        *others, last = sorted((tmp_path / pull.folder).glob("*.patch"))
        own = [patch.name for patch in others if patch.name.partition("-")[2] != pulls.TOOLS.name]
        assert own == [patch.name for patch in pull.patches]
        assert stat.splitlines()[-1].lstrip().partition(" ")[0] == str(len(changes(pull.code)))
        texts = [patch.read_text(encoding="utf-8") for patch in (*others, last)]
        authors = {re.search("^From: (.+)", text, re.MULTILINE)[1] for text in texts}
        assert authors == {"Some Sender <sender@example.invalid>"}
        added = texts[-1].partition("@@\n")[2].splitlines()
        assert [line[1:] for line in added] == pull.tests.read_text(encoding="utf-8").splitlines()
    assert len(list(tmp_path.rglob(f"*{pulls.TOOLS.name}"))) == 1


@pytest.mark.parametrize(
    ("old", "new", "problem"),
    [
        ("Do-not-ask", "# ", r"0008-Do-not-ask-.+\.patch is in no pull request: add `Do-not"),
        ('training = "rest"', 'training = "gone"', r"0008-Do-not-ask-.+\.patch is in no pull request: add `Do-not"),
        ("[patches]", '[patches]\nAnother = "device"', "pulls.toml names the patch Another, which is not in the series"),
    ],
)
def test_each_patch_is_in_one_pull_request(tmp_path, old, new, problem):
    file = tmp_path / "pulls.toml"
    file.write_text(pulls.LIST.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
    with pytest.raises(HarnessError, match=problem):
        pulls.read(file=file)


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
