"""Each command of `python -m harness` is found by its name, and its exit status says how it ended."""

import subprocess
import sys
from importlib import import_module

import pytest

from harness import ROOT, HarnessError
from harness.__main__ import COMMANDS, main
from harness.command import status


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_says_what_it_takes(monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "argv", ["harness", name, "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    words = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0 and words.startswith(f"usage: python -m harness {name} ") and COMMANDS[name][1] in words


@pytest.mark.parametrize("name", COMMANDS)
def test_a_command_belongs_to_one_module(name):
    module, _ = COMMANDS[name]
    assert f"`{name}`" in import_module(f"harness.{module}").command.__doc__


def test_a_command_that_is_none_is_refused_with_those_that_are(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["harness", "verdicts"])
    with pytest.raises(SystemExit) as end:
        main()
    said = capsys.readouterr().err
    assert end.value.code == 2 and all(f"'{name}'" in said for name in COMMANDS)


@pytest.mark.parametrize(("found", "code"), [(True, 0), (False, 1), (None, 0), (0, 0), (3, 3)])
def test_what_a_command_found_is_its_status(found, code):
    assert status(lambda: found) == code


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (HarnessError("make it so"), "error: make it so\n"),
        (KeyboardInterrupt(), "interrupted\n"),
        (FileNotFoundError(2, "No such file", "git"), "error: not installed: git\n"),
        (FileNotFoundError(2, "No such file", "a/b"), "error: No such file: a/b\n"),
        (OSError(28, "No space left on device"), "error: No space left on device: out/ or .cache/\n"),
    ],
)
def test_what_went_wrong_is_one_line_and_status_2(capsys, error, words):
    def run():
        raise error

    assert status(run) == 2
    assert capsys.readouterr().err == words


@pytest.mark.parametrize("arguments", [["tree", "upstream"], ["drift", "--help"], ["--help"]])
def test_a_command_imports_nothing_that_it_does_not_need(arguments):
    program = "import sys; from harness.__main__ import main\ntry: main()\nexcept SystemExit: pass\n"
    program += (
        "print(sorted({'torch', 'rich', 'jinja2', 'matplotlib', 'numpy', 'pytest'} & set(sys.modules)), file=sys.stderr)"
    )
    command = [sys.executable, "-c", program, *arguments]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "[]"
