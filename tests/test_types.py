"""A user's program passes its type checkers, which report its misuses, and the documented examples run."""

import doctest
import json
import os
import shutil
import site
import subprocess
import sys
import typing
from pathlib import Path

import liquid_audio
import pytest
import scipy.io.wavfile
import soundfile
import torch

from harness import CACHE
from harness.speech import CLIPS, clips, mel

PROGRAM = Path(__file__).parent / "users" / "program.py"
SPEECH = next(clip for clip in clips() if clip.channels == 1 and clip.file.endswith(".wav"))

pytestmark = pytest.mark.host


def mypy(tree: Path, folder: Path) -> list[str]:
    """Run mypy on the program, and return its errors, which include ignores that nothing needs."""
    # Untyped libraries are Any, and only the program is checked.
    options = ["--config-file=", "--strict", "--ignore-missing-imports", "--follow-imports=silent", "--no-error-summary"]
    # mypy rejects a MYPYPATH in site-packages, where it finds packages by itself.
    env = {} if str(tree) in site.getsitepackages() else {"MYPYPATH": str(tree)}
    cache = CACHE / "mypy-users" / tree.name.partition("-")[0]  # the suite may run on two trees at once
    return checked("mypy", *options, f"--cache-dir={cache}", PROGRAM, env=env).splitlines()


def pyright(tree: Path, folder: Path) -> list[str]:
    """Run pyright on the program, and return its errors, which include ignores that nothing needs."""
    config = folder / "pyrightconfig.json"
    # Types of untyped libraries are inferred from their source.
    settings = {"typeCheckingMode": "strict", "reportMissingTypeStubs": False, "reportUnnecessaryTypeIgnoreComment": True}
    config.write_text(json.dumps({**settings, "include": [str(PROGRAM)], "extraPaths": [str(tree)]}))
    said = checked("basedpyright", "--outputjson", f"--pythonpath={sys.executable}", f"--project={config}")
    errors = json.loads(said)["generalDiagnostics"]
    return [f"line {e['range']['start']['line'] + 1}: {e.get('rule')}: {e['message'].splitlines()[0]}" for e in errors]


def checked(module: str, *arguments: str | Path, env: dict[str, str] | None = None) -> str:
    """Run a checker. Its exit status is 1 if a program has errors; any other is one of the checker's own."""
    command = [sys.executable, "-m", module, *map(str, arguments)]
    done = subprocess.run(command, env={**os.environ, **(env or {})}, capture_output=True, text=True)
    assert done.returncode in (0, 1) and "No module named" not in done.stderr, done.stderr or done.stdout
    return done.stdout


@pytest.mark.parametrize("checker", [mypy, pyright], ids=lambda checker: checker.__name__)
def test_user_program_passes_type_checker(checker, tmp_path):
    errors = checker(Path(liquid_audio.__file__).parent.parent, tmp_path)
    assert not errors, "\n".join(errors)


def test_waveform_is_exported():
    assert "Waveform" in liquid_audio.__all__
    assert {torch.Tensor, list[float]} < set(typing.get_args(liquid_audio.Waveform.__value__))


def test_docstring_examples_run(processor, tmp_path, monkeypatch):
    shutil.copy(CLIPS / SPEECH.file, tmp_path / "speech.wav")
    monkeypatch.chdir(tmp_path)
    chat = liquid_audio.ChatState(processor, dtype=torch.float32)
    names = {"chat": chat, "scipy": scipy, "soundfile": soundfile}
    documented = doctest.DocTestFinder().find(liquid_audio.ChatState.add_audio, "add_audio", globs=names)
    assert [example for test in documented for example in test.examples] != []

    report: list[str] = []
    for test in documented:
        doctest.DocTestRunner().run(test, out=report.append)
    assert "".join(report) == ""
    expected = mel(processor, SPEECH.mono(), SPEECH.sampling_rate)
    assert set(chat.audio_in_lens.tolist()) == {expected.shape[1]}
