"""Mutants are proposed where lines changed, and each is killed, listed, or a problem."""

import json
from collections import Counter
from concurrent.futures import ThreadPoolExecutor

import pytest

from harness import HarnessError, trees
from harness.catalogue import Bug, Catalogue, Reason
from harness.results import Result, Run
from harness.worth import mutants
from harness.worth.mutants import Fate, Hunt, Mutant, killers, read_listed, run, table
from harness.worth.mutate import becomes, changed, deletions, functions, meaning, moves, replacements
from harness.worth.sample import Suite, prepare

BEFORE = "def f(x):\n    return x\n"
AFTER = 'def f(x):\n    """Say what."""\n    x = x.to("cuda")\n    if any(x):\n        raise TypeError("expected x")\n    return x\n'


def test_lines_that_changed_are_mutated_and_no_others():
    lines = changed(BEFORE, AFTER)
    assert lines == {2, 3, 4, 5}
    found = {(line, name) for name, line, _ in replacements(AFTER, lines)}
    assert found == {
        (3, "another device"),
        (3, "a call dropped"),
        (5, "another exception"),
        (5, "other words"),
    }
    assert {line for _, line, _ in deletions(AFTER, lines)} >= {3, 4, 5}


def test_a_device_that_the_series_takes_away_comes_back():
    # The demo's modality flags once had no mutant at all.
    (found,) = replacements("chat.append(\n    flag=torch.tensor(out),\n)\n", {2})
    assert found == ("another device", 2, 'chat.append(\n    flag=torch.tensor(out, device="cuda"),\n)\n')


def test_a_function_that_changed_is_mutated_whole_with_its_decorators():
    text = "import a\n\n\n@a.no_grad()\ndef f(x):\n    assert x\n    y = x\n    return y\n\n\ndef g():\n    return 1\n"
    lines = functions(text, {7})
    assert lines == {4, 5, 6, 7, 8}
    assert [(name, line) for name, line, _ in deletions(text, lines)] == [
        ("a decorator dropped", 4),
        ("a statement dropped", 7),
        ("a statement dropped", 8),
    ]


GUARDED = """\
class Chat:
    dtype = int
    size = 0

    def add(self, x):
        from a import f, g

        y = f(x)
        z = g(x)
        if y < z:
            raise ValueError("y")

        self.y += y
        self.z += z
        return self
"""


def test_a_statement_moves_after_the_next_and_a_guard_to_the_end_too():
    # A clip once could be appended before it was checked, and no mutant said so.
    found = [(name, line, becomes(GUARDED, mutant)) for name, line, mutant in moves(GUARDED, set(range(1, 16)))]
    # Imports and what is outside of functions stay, and so do `y` and `z`, whose order does not matter.
    assert found == [
        ("a statement moved", 9, 'z = g(x) after raise ValueError("y")'),
        ("a statement moved", 10, "if y < z: after self.y += y"),
        ("a statement moved", 10, "if y < z: after self.z += z"),
        ("a statement moved", 13, "self.y += y after self.z += z"),
    ]
    *_, (_, _, last), _ = moves(GUARDED, set(range(1, 16)))
    assert last.endswith('self.z += z\n        if y < z:\n            raise ValueError("y")\n        return self\n')
    assert [line for _, line, _ in moves(GUARDED, {13, 14})] == [13]


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
    (tmp_path / "proposed.json").write_text(json.dumps([MUTANT.__dict__] * 399))
    with pytest.raises(HarnessError, match=r"^proposed\.json has 399 mutants, expected 400 or more"):
        run(tmp_path / "proposed.json")


ABOVE, BELOW, LEFT = (
    "tests/test_audio_input.py::test_above",
    "tests/test_audio_input.py::test_below",
    "tests/test_b.py::test_left",
)
BUG = Bug("deaf", "wrong", "t", "p", ("cpu",), (Reason("E", "", judged="it"),), ("test_audio_input.py::test_below",))
PASS, BITS, RED = Result("passed"), Result("passed", digest="ab"), Result("failed", "TypeError", "deaf")


class Told:
    """Stands in for runs, with the results that a test gives for each tree; an exception is a run that does not finish."""

    def __init__(self, **told):
        self.told, self.asked = {tree: iter(runs) for tree, runs in told.items()}, []

    def run(self, tree, lane, tests, *options):
        tree = "patched" if tree == "patched" else "mutant"
        self.asked.append((tree, lane, tests))
        said = next(self.told[tree])
        if isinstance(said, Exception):
            raise said
        return Run(said)


@pytest.fixture
def hunt(tmp_path, monkeypatch):
    """Return a function that makes a hunt from the results of its runs. The suite has two sampled tests, and one more."""
    (tmp_path / trees.PACKAGE).mkdir()
    (tmp_path / trees.PACKAGE / "audio.py").write_text("x = 1\n")
    monkeypatch.setattr(trees, "resolve", lambda name: trees.Tree(name, tmp_path, ""))
    monkeypatch.setattr("harness.series.lint", lambda tree: Counter())
    suites = [Suite(lane, (BUG,), (ABOVE, BELOW, LEFT), (ABOVE, BELOW)) for lane in ("cpu", "sim")]

    def make(**told):
        green = {lane: Run({ABOVE: BITS, BELOW: BITS}) for lane in ("cpu", "sim")}
        return Hunt(Told(**told), suites, green, tmp_path)

    return make


END = HarnessError("pytest did not finish on a tree, cpu: it was killed")


def test_a_run_that_the_host_broke_kills_no_mutant(hunt):
    # A run that ran out of memory or time once counted as a mutant that was killed by its import.
    assert hunt(mutant=[END, {}], patched=[{}]).red("a tree", "cpu", [ABOVE]) is None
    assert hunt(mutant=[END, END], patched=[{}]).red("a tree", "cpu", [ABOVE]) == (mutants.NO_END, "it was killed")
    with pytest.raises(
        HarnessError, match=r"^pytest, which does not .* is red on the patched package too, on cpu: it was killed$"
    ):
        hunt(mutant=[END], patched=[END]).red("a tree", "cpu", [ABOVE])


def test_a_test_that_is_red_anyway_kills_no_mutant(hunt):
    # The test is not in the sample, so it was never seen to pass.
    asked = hunt(mutant=[{LEFT: RED}], patched=[{LEFT: PASS}])
    assert asked.red("a tree", "cpu", [LEFT]) == ("test_b.py::test_left", "TypeError: deaf")
    assert asked.trials.asked[1:] == [("patched", "cpu", [LEFT])]
    with pytest.raises(
        HarnessError, match=r"^test_b\.py::test_left is red on the patched package too, on cpu: TypeError: deaf$"
    ):
        hunt(mutant=[{LEFT: RED}], patched=[{LEFT: RED}]).red("a tree", "cpu", [LEFT])


def test_other_bits_kill_a_mutant_where_a_verdict_compares_them(hunt):
    other = Result("passed", digest="cd")
    assert hunt(mutant=[{ABOVE: other}]).red("a tree", "cpu", [ABOVE]) == (
        "test_audio_input.py::test_above",
        "passes, with different bits",
    )
    # This test fails as published, and so has no bits there.
    assert hunt(mutant=[{BELOW: other}]).red("a tree", "cpu", [BELOW]) is None


def test_tests_are_asked_before_mypy(hunt, monkeypatch):
    found = hunt(mutant=[{ABOVE: RED}])
    monkeypatch.setattr("harness.series.lint", lambda tree: Counter(["src/audio.py: error: x"]))
    assert found(MUTANT).test == "test_audio_input.py::test_above"
    found = hunt(mutant=[{ABOVE: BITS, BELOW: BITS}])
    found.said = Counter()
    assert found(MUTANT).test == "mypy"


def test_a_sample_that_is_red_with_the_whole_series_tells_nothing_of_any_tree(monkeypatch):
    # Such a test once killed every mutant, made every piece of the series needed, and rejected every rival.
    monkeypatch.setattr("harness.worth.sample.read_catalogue", lambda file: Catalogue((BUG,)))
    trials = Told(patched=[{ABOVE: PASS, BELOW: RED}, {ABOVE: PASS, BELOW: PASS}])
    trials.collect = lambda tree, lane: [ABOVE, BELOW]
    with (
        ThreadPoolExecutor(1) as pool,
        pytest.raises(
            HarnessError, match=r"^test_audio_input\.py::test_below is red on the patched package, on cpu: TypeError"
        ),
    ):
        prepare(trials, pool)


def test_who_killed_what_is_summed_up_by_file():
    fates = [Fate(MUTANT, "cpu", "test_a.py::test_b[1]", "E"), Fate(MUTANT, reason="same"), Fate(MUTANT)]
    assert killers(fates).rows == [["audio.py", "3", "1", "1", "test_a.py::test_b 1"]]
    assert [row[3] for row in table(fates).rows] == ["test_a.py::test_b[1]", "same", "nothing"]


def test_what_is_listed_is_proposed_and_changes_nothing():
    assert all(reason.strip() for reason in read_listed().values())
    assert mutants.LEAST == 400
