"""Mutants are proposed where lines changed. A test kills each one, or it is listed, or it is a problem."""

import pytest

from harness import HarnessError, trees
from harness.mutants import Fate, Mutant, Runs, Suite, difference, problems, read_known, sample
from harness.mutate import becomes, changed, deletions, functions, meaning, moves, pieces, replacements
from harness.results import Result, Run

BEFORE = "def f(x):\n    return x\n"
AFTER = 'def f(x):\n    """Say what."""\n    x = x.to("cuda")\n    if any(x):\n        raise TypeError("expected x")\n    return x\n'


def test_lines_that_changed_are_mutated_and_no_others():
    lines = changed(BEFORE, AFTER)
    assert lines == {2, 3, 4, 5}
    assert {(line, name) for name, line, _ in replacements(AFTER, lines)} == {
        (3, "another device"),
        (3, "a call dropped"),
        (5, "another exception"),
        (5, "other words"),
    }
    assert {line for _, line, _ in deletions(AFTER, lines)} >= {3, 4, 5}


def test_a_function_that_changed_is_mutated_as_a_whole_with_its_decorators():
    text = "import a\n\n\n@a.no_grad()\ndef f(x):\n    assert x\n    y = x\n    return y\n\n\ndef g():\n    return 1\n"
    lines = functions(text, {7})
    assert lines == {4, 5, 6, 7, 8}
    assert [(name, line) for name, line, _ in deletions(text, lines)] == [
        ("a decorator dropped", 4),
        ("a statement dropped", 7),
        ("a statement dropped", 8),
    ]


def test_a_statement_moves_after_the_next_and_a_check_to_the_end_too():
    text = "def add(self, x):\n    y = f(x)\n    z = g(x)\n    if y < z:\n        raise ValueError\n    self.y += y\n    self.z += z\n"
    found = [(line, becomes(text, mutant)) for _, line, mutant in moves(text, set(range(1, 8)))]
    # The order of `y` and `z` does not matter.
    assert found == [
        (3, "z = g(x) after raise ValueError"),
        (4, "if y < z: after self.y += y"),
        (4, "if y < z: after self.z += z"),
        (6, "self.y += y after self.z += z"),
    ]


def test_each_hunk_and_each_run_of_changed_lines_is_left_out():
    far = "a\nb\nc\nd\ne\nf\ng\nh\n"
    before, after = f"1\n2\n3\n{far}4\n", f"one\n2\nthree\n{far}4\n5\n"
    assert [mutant.replace(far, "...") for _, _, mutant in pieces(before, after)] == [
        "1\n2\n3\n...4\n5\n",
        "1\n2\nthree\n...4\n5\n",
        "one\n2\n3\n...4\n5\n",
        "one\n2\nthree\n...4\n",
    ]


def test_a_mutant_is_a_program_that_means_something_else():
    assert meaning(AFTER) == meaning(AFTER.replace("Say what.", "Say that."))
    assert meaning("if:") == ""
    assert becomes(AFTER, AFTER.replace('"cuda"', '"mps"')) == 'x = x.to("mps")'
    assert becomes(AFTER, AFTER.replace("    return x\n", "")) == "without return x"


def mutate(file, old, new):
    """Make a mutant of the patched package."""
    text = (trees.resolve("patched").path / trees.PACKAGE / file).read_text()
    assert old in text
    return Mutant(file, 1, "by hand", new, text.replace(old, new))


@pytest.fixture(scope="module")
def suite():
    """A few fast tests, green on the patched package."""
    with Runs() as runs:
        yield Suite(runs, ["cpu"], ["tests/test_signatures.py"])


def test_a_mutant_is_killed_by_a_test_or_by_mypy_or_survives(suite):
    default = 'device: torch.device | str = "auto"'
    assert suite.fate(mutate("processor.py", default, default.replace("auto", "cpu"))) == Fate(
        "cpu: tests/test_signatures.py::test_device_defaults_to_auto[LFM2AudioProcessor]",
        "AssertionError: assert 'cpu' == 'auto'",
    )
    number = mutate("utils.py", "import os", "import os\nx: int = ''")
    assert suite.fate(number).killer == "mypy"
    # None of these few tests resamples.
    assert suite.fate(mutate("processor.py", "16_000", "16_001")) == Fate()


def test_a_mutant_that_pytest_does_not_survive_is_killed(suite):
    fate = suite.fate(mutate("__init__.py", "__all__", "import os\nos._exit(0)\n__all__"))
    assert fate.killer == "cpu: pytest, which does not finish"


def test_a_suite_that_is_red_on_the_patched_package_says_nothing_about_mutants(suite):
    with pytest.raises(HarnessError, match=r"^pytest is red on the patched package, on cpu: .*: run `nox -s verdict` first$"):
        suite._green("cpu", ["tests/test_signatures.py::test_nothing"])


def test_after_an_interruption_no_run_starts():
    with Runs() as runs:
        pass
    with pytest.raises(HarnessError, match=r"^interrupted$"):
        runs("patched", "cpu", ["tests/test_signatures.py"])


def test_other_bits_kill_a_mutant_where_a_verdict_compares_them():
    green = Run({"a": Result("passed", digest="1"), "b": Result("passed")})
    assert difference(green, green) is None
    assert difference(Run({"a": Result("passed", digest="2")}), green) == ("a", "passes, with different bits")
    assert difference(Run({"b": Result("passed", digest="2")}), green) is None
    assert difference(Run({"b": Result("failed", "TypeError", "deaf")}), green) == ("b", "TypeError: deaf")


def test_of_a_test_with_many_parametrisations_the_first_and_the_last_run_first():
    ears = {f"t::ear[{n}]": Result("passed", seconds=0.2) for n in range(9)}
    green = Run({**ears, "t::slow": Result("passed", seconds=9), "t::eye": Result("passed", seconds=0.1)})
    assert sample(green) == ["t::eye", "t::ear[0]", "t::ear[8]"]


def test_a_survivor_that_is_not_listed_and_an_entry_that_is_no_survivor_are_problems():
    survivor, killed = (Mutant("audio.py", 7, "by hand", becomes, "") for becomes in ("x = 2", "x = 3"))
    fates = [(survivor, Fate()), (killed, Fate("cpu: test_ear", "deaf"))]
    assert list(problems(fates, {survivor.key: "it is 2"})) == []
    assert list(problems(fates, {killed.key: "it is 3", ("audio.py", "x = 4"): "it is 4"})) == [
        "audio.py:7: no test kills `x = 2` (by hand)",
        "tests/mutants.toml lists `x = 3` of audio.py, which is killed by cpu: test_ear",
        "tests/mutants.toml lists `x = 4` of audio.py, which is no longer proposed",
    ]


def test_an_interrupted_run_continues_unless_a_file_has_changed(tmp_path):
    log = tmp_path / "out" / "mutants.jsonl"
    assert read_known(log, "digest") == {}
    with log.open("a") as opened:
        opened.write('["audio.py", "x = 2", "mypy", "an error"]\n')
    assert read_known(log, "digest") == {("audio.py", "x = 2"): Fate("mypy", "an error")}
    assert read_known(log, "another") == read_known(log, "digest") == {}
