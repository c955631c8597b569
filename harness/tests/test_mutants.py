"""Mutants are proposed where lines changed, and each is killed, listed, or a problem."""

import json

import pytest

from harness import HarnessError, mutants
from harness.mutants import Fate, Mutant, killers, read_listed, run, table
from harness.mutate import becomes, changed, deletions, functions, meaning, replacements

BEFORE = "def f(x):\n    return x\n"
AFTER = 'def f(x):\n    """Say what."""\n    x = x.to("cuda")\n    if any(x):\n        raise TypeError("expected x")\n    return x\n'


def test_lines_that_changed_are_mutated_and_no_others():
    lines = changed(BEFORE, AFTER)
    assert lines == {2, 3, 4, 5}
    found = {(line, name) for name, line, _ in replacements(AFTER, lines)}
    assert found == {
        (3, "another device"),
        (3, "a call dropped"),
        (4, "any and all"),
        (5, "another exception"),
        (5, "other words"),
    }
    assert {line for _, line, _ in deletions(AFTER, lines)} >= {3, 4, 5}


def test_a_function_that_changed_is_mutated_whole_with_its_decorators():
    text = "import a\n\n\n@a.no_grad()\ndef f(x):\n    assert x\n    y = x\n    return y\n\n\ndef g():\n    return 1\n"
    lines = functions(text, {7})
    assert lines == {4, 5, 6, 7, 8}
    assert [(name, line) for name, line, _ in deletions(text, lines)] == [
        ("a decorator dropped", 4),
        ("a statement dropped", 7),
        ("a statement dropped", 8),
    ]


def test_a_mutant_is_a_program_that_means_something_else():
    assert meaning(AFTER) == meaning(AFTER.replace("Say what.", "Say that."))
    assert meaning("if:") == ""
    assert becomes(AFTER, AFTER.replace('"cuda"', '"mps"')) == 'x = x.to("mps")'
    assert becomes(AFTER, AFTER.replace("    return x\n", "")) == "without return x"


MUTANT = Mutant("audio.py", 7, "another device", "x = 2", "x = 2\n")


def test_what_changes_nothing_is_listed_with_its_reason(tmp_path):
    (tmp_path / "mutants.toml").write_text('[[mutant]]\nfile = "audio.py"\nbecomes = ["x = 2"]\nreason = "x is 2"\n')
    assert read_listed(tmp_path / "mutants.toml") == {MUTANT.key: "x is 2"}
    assert read_listed(tmp_path / "none") == {}


def test_too_few_mutants_tell_nothing(tmp_path, monkeypatch):
    monkeypatch.setattr("harness.devices.lacks", lambda name: None)
    (tmp_path / "proposed.json").write_text(json.dumps([MUTANT.__dict__] * 299))
    with pytest.raises(HarnessError, match=r"^proposed\.json has 299 mutants, expected 300 or more"):
        run(tmp_path / "proposed.json")


def test_who_killed_what_is_summed_up_by_file():
    fates = [Fate(MUTANT, "cpu", "test_a.py::test_b[1]", "E"), Fate(MUTANT, reason="same"), Fate(MUTANT)]
    assert killers(fates).rows == [["audio.py", "3", "1", "1", "test_a.py::test_b 1"]]
    assert [row[3] for row in table(fates).rows] == ["test_a.py::test_b[1]", "same", "nothing"]


def test_what_is_listed_is_proposed_and_changes_nothing():
    assert all(reason.strip() for reason in read_listed().values())
    assert mutants.LEAST == 300
