"""Upstream's own examples run unchanged: the programs of its README, with the series' changes, and the demo.

They get one of our clips instead of upstream's file, and texts of the 49 words that the tiny checkpoint knows.
"""

import ast
import importlib
import re
import shutil
import sys
from pathlib import Path

import liquid_audio
import pytest
import soundfile
import torch

from harness.series import readme
from harness.speech import CLIPS, clips, normalise, spoken_codes

TEXTS = {
    "My business specialized in chairs, can you give me something related to that?": "Thank you, Bobby!",
    "What is this obsession people have with books? They put them in their houses—like they're trophies. "
    "What do you need it for after you read it?": "Go forward ten meters.",
}


def program(section):
    """Return the program of a section of README."""
    code = re.search(r"```python\n(.+?)```", readme().partition(f"\n### {section}\n")[2].partition("\n##")[0], re.DOTALL)[1]
    for theirs, ours in TEXTS.items():
        code = code.replace(theirs, ours)
    return code


SPOKEN, QUESTION = (
    next(clip for clip in clips() if clip.id == id) for id in ("slt-thanks-48k-stereo", "human-forward-16k-mono")
)


@pytest.fixture
def run(hub, tmp_path, monkeypatch):
    """Return a function that runs a program in a folder with the files that it reads, and returns its variables."""
    (tmp_path / "assets").mkdir()
    for clip, name in ((SPOKEN, "asr.wav"), (QUESTION, "question.wav")):
        shutil.copy(CLIPS / clip.file, tmp_path / "assets" / name)
    monkeypatch.chdir(tmp_path)

    def run(section):
        left = {}
        exec(program(section), left)
        return left

    return run


def test_readme_asr_prints_transcript(run, device, capsys):
    run("ASR")
    heard = re.sub(r"<\|\w+\|>", "", capsys.readouterr().out)
    assert normalise(heard).replace(" ", "") == SPOKEN.text.replace(" ", "")  # a token decoded alone may lack its space


@pytest.mark.tiny
def test_readme_chat_answers_in_text_and_audio(run, device, capsys):
    left = run("Multi-turn, multi-modal chat")
    words = [QUESTION.text, f"{QUESTION.text} thank you bobby"]
    printed = "".join(capsys.readouterr().out.split())  # a token decoded alone may lack its space
    assert printed == "<|text_end|>".join([*words, ""]).replace(" ", "")
    # The history contains the first answer, and the second was decoded last.
    assert left["chat"].audio_out.cpu().equal(spoken_codes(words[0], end=True))
    assert left["audio_codes"].cpu().equal(spoken_codes(words[1])[None])
    assert left["waveform"].device.type == device.type
    for said, file in zip(words, ["answer1.wav", "answer2.wav"], strict=True):
        assert soundfile.info(file).frames == 1920 * spoken_codes(said).shape[1]


@pytest.mark.tiny
def test_readme_tts_writes_waveform(run, device):
    left = run("TTS")
    assert left["audio_codes"].cpu().equal(spoken_codes("go forward ten meters")[None])
    assert left["waveform"].device.type == device.type
    samples, rate = soundfile.read("tts.wav", dtype="float32")
    assert rate == 24_000
    assert torch.from_numpy(samples)[None].allclose(left["waveform"].cpu(), atol=2**-15)


@pytest.mark.usefixtures("hub")
def test_demo_loads_on_automatic_device(device, monkeypatch):
    monkeypatch.delitem(sys.modules, "liquid_audio.demo.model", raising=False)
    demo = importlib.import_module("liquid_audio.demo.model")
    assert {demo.proc.device.type, next(demo.lfm2_audio.parameters()).device.type} == {device.type}


@pytest.mark.host
@pytest.mark.parametrize("module", ["chat", "model"])
def test_demo_source_names_no_device(module):
    source = Path(liquid_audio.__file__).with_name("demo") / f"{module}.py"
    devices = [n.value for n in ast.walk(ast.parse(source.read_text())) if isinstance(n, ast.keyword) and n.arg == "device"]
    assert [device.value for device in devices if isinstance(device, ast.Constant)] == []
