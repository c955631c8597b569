"""Each command of `python -m harness` is found by its name, and its exit status says how it ended."""

import subprocess
import sys

import pytest

from harness import ROOT, HarnessError, world
from harness.__main__ import COMMANDS, main
from harness.command import status


@pytest.mark.parametrize("name", COMMANDS)
def test_command_has_a_help(monkeypatch, capsys, name):
    monkeypatch.setattr(sys, "argv", ["harness", name, "--help"])
    with pytest.raises(SystemExit) as end:
        main()
    words = " ".join(capsys.readouterr().out.split())
    assert end.value.code == 0 and words.startswith(f"usage: python -m harness {name} ") and COMMANDS[name][1] in words


@pytest.mark.parametrize(("found", "code"), [(True, 0), (False, 1), (None, 0), (0, 0), (3, 3)])
def test_claim_of_a_command_is_its_exit_status(found, code):
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
def test_error_of_a_command_is_one_line_and_status_2(capsys, error, words):
    def run():
        raise error

    assert status(run) == 2
    assert capsys.readouterr().err == words


def test_terminal_that_knows_only_ascii_gets_replacements():
    env = world.environment(PYTHONUTF8="0", PYTHONIOENCODING="ascii", LC_ALL="C")
    program = "from harness.command import status; status(lambda: print('1 \\u2192 2'))"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True)
    assert (done.stdout, done.stderr) == ("1 ? 2\n", "")


@pytest.mark.parametrize("arguments", [["tree", "upstream"], ["drift", "--help"], ["--help"]])
def test_command_imports_nothing_that_it_does_not_need(arguments):
    heavy = "{'torch', 'rich', 'jinja2', 'matplotlib', 'numpy', 'pytest'}"
    program = "import sys; from harness.__main__ import main\ntry: main()\nexcept SystemExit: pass\n"
    program += f"print(sorted({heavy} & set(sys.modules)), file=sys.stderr)"
    done = subprocess.run([sys.executable, "-c", program, *arguments], cwd=ROOT, capture_output=True, text=True)
    assert done.stderr.splitlines()[-1] == "[]"
