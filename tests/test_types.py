"""Users' programs pass their type checkers, misuses are reported, and the documented examples run."""

import ast
import doctest
import importlib.util
import json
import os
import re
import shutil
import site
import subprocess
import sys
import typing
from collections.abc import Callable, Iterable
from pathlib import Path

import pytest
import scipy.io.wavfile
import soundfile
import torch
from filelock import FileLock

from harness import CACHE, HarnessError
from harness.suite.speech import CLIPS, clips

USERS = Path(__file__).parent / "users"
ACCEPTED, REFUSED = USERS / "accepted.py", USERS / "refused.py"
# Each form of audio is a function. Each misuse is a line that ends in a comment.
FORMS = {
    node.name: range(node.lineno, node.end_lineno + 1)
    for node in ast.parse(ACCEPTED.read_text(encoding="utf-8")).body
    if isinstance(node, ast.FunctionDef)
}
MISUSES = {
    found[1]: number
    for number, line in enumerate(REFUSED.read_text(encoding="utf-8").splitlines(), 1)
    if (found := re.search(r"\)  # ([\w-]+)$", line))
}
SPEECH = next(clip for clip in clips() if clip.channels == 1 and clip.file.endswith(".wav"))

pytestmark = pytest.mark.host

Complaints = dict[str, dict[int, list[str]]]


def mypy(tree: Path, folder: Path) -> Complaints:
    """Run mypy on the programs, and return its messages by file and line."""
    # Untyped libraries are Any, and only the programs are checked.
    options = ("--config-file=", "--strict", "--ignore-missing-imports", "--follow-imports=silent", "--output=json")
    cache = CACHE / "mypy-users" / tree.name.partition("-")[0]  # the suite may run on two trees at once
    # mypy rejects a MYPYPATH in site-packages, where it finds packages by itself.
    env = {} if str(tree) in site.getsitepackages() else {"MYPYPATH": str(tree)}
    command = ("mypy", *options, f"--cache-dir={cache}", ACCEPTED, REFUSED)
    try:
        said = run(*command, env=env)
    except HarnessError:  # a killed mypy may have left a broken cache
        shutil.rmtree(cache, ignore_errors=True)
        said = run(*command, env=env)
    return by_line((c["file"], c["line"], f"{c['code']}: {c['message']}") for c in map(json.loads, said.splitlines()))


def pyright(tree: Path, folder: Path) -> Complaints:
    """Run pyright on the programs, and return its messages by file and line."""
    config = folder / "pyrightconfig.json"
    # Types of untyped libraries are inferred from their source.
    settings = {
        "typeCheckingMode": "strict",
        "reportMissingTypeStubs": False,
        "include": [str(USERS)],
        "extraPaths": [str(tree)],
    }
    config.write_text(json.dumps(settings))
    said = run("basedpyright", "--outputjson", f"--pythonpath={sys.executable}", f"--project={config}")
    complaints = json.loads(said)["generalDiagnostics"]
    return by_line((c["file"], c["range"]["start"]["line"] + 1, f"{c.get('rule')}: {c['message']}") for c in complaints)


CHECKERS: dict[str, Callable[[Path, Path], Complaints]] = {"mypy": mypy, "pyright": pyright}


def run(module: str, *arguments: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a checker. Its exit status 1 means that a program has mistakes."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    if done.returncode not in (0, 1):
        raise HarnessError(f"{module} failed: {(done.stderr or done.stdout).strip()}")
    return done.stdout


def by_line(complaints: Iterable[tuple[str, int, str]]) -> Complaints:
    """Group complaints by file name and line."""
    found: Complaints = {ACCEPTED.name: {}, REFUSED.name: {}}
    for file, line, message in complaints:
        found[Path(file).name].setdefault(line, []).append(message)
    return found


@pytest.fixture(scope="session", params=CHECKERS)
def complaints(request, liquid_audio, tmp_path_factory, worker_id) -> Complaints:
    """A checker's messages on the programs. It runs once, and the workers share the result."""
    folder = tmp_path_factory.getbasetemp()
    folder = folder if worker_id == "master" else folder.parent
    known = folder / f"{request.param}.json"
    with FileLock(f"{known}.lock"):
        if not known.exists():
            tree = Path(liquid_audio.__file__).parent.parent
            known.write_text(json.dumps(CHECKERS[request.param](tree, folder)))
    said = json.loads(known.read_text())
    return {file: {int(line): messages for line, messages in lines.items()} for file, lines in said.items()}


@pytest.fixture
def chat(liquid_audio, processor):
    return liquid_audio.ChatState(processor, dtype=torch.float32)


@pytest.mark.parametrize("form", FORMS)
def test_a_users_program_checks_clean(complaints, form):
    assert [m for line in FORMS[form] for m in complaints[ACCEPTED.name].get(line, [])] == []


@pytest.mark.parametrize("misuse", MISUSES)
def test_a_misuse_is_reported(complaints, misuse):
    assert MISUSES[misuse] in complaints[REFUSED.name]


def test_nothing_but_the_misuses_is_reported(complaints):
    assert complaints[REFUSED.name].keys() == set(MISUSES.values())
    assert complaints[ACCEPTED.name].keys() <= {line for lines in FORMS.values() for line in lines}


@pytest.mark.parametrize("form", FORMS)
def test_what_checks_clean_is_taken(chat, form):
    spec = importlib.util.spec_from_file_location("accepted", ACCEPTED)
    program = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(program)
    getattr(program, form)(chat, str(CLIPS / SPEECH.file))
    assert chat.audio_in_lens.min() > 0


def test_the_waveform_is_exported(liquid_audio):
    assert "Waveform" in liquid_audio.__all__
    assert {torch.Tensor, list[float]} < set(typing.get_args(liquid_audio.Waveform.__value__))


def test_the_documented_examples_run(liquid_audio, processor, chat, tmp_path, monkeypatch):
    shutil.copy(CLIPS / SPEECH.file, tmp_path / "speech.wav")
    monkeypatch.chdir(tmp_path)
    names = {"chat": chat, "scipy": scipy, "soundfile": soundfile}
    documented = doctest.DocTestFinder().find(liquid_audio.ChatState.add_audio, "add_audio", globs=names)
    assert [example for test in documented for example in test.examples] != []

    report: list[str] = []
    for test in documented:
        doctest.DocTestRunner().run(test, out=report.append)
    assert "".join(report) == ""

    expected = liquid_audio.ChatState(processor, dtype=torch.float32)
    expected.add_audio(SPEECH.mono(), SPEECH.sampling_rate)
    assert set(chat.audio_in_lens.tolist()) == set(expected.audio_in_lens.tolist())
