"""Upstream's own examples run as they stand: the speech to text of its README, with the series' changes, and the demo."""

import ast
import importlib
import re
import shutil
import sys
from pathlib import Path

import pytest

from harness.series import readme
from harness.speech import CLIPS, clips, normalise

SECTION = readme().partition("\n### ASR\n")[2].partition("\n### ")[0]
SPEECH_TO_TEXT = re.search(r"```python\n(.+?)```", SECTION, re.DOTALL)[1]
CLIP = next(clip for clip in clips() if clip.id == "slt-thanks-48k-stereo")


@pytest.fixture
def hub(checkpoint, tmp_path, monkeypatch):
    """Put the checkpoint where a download from the hub would be, under the name that the examples have for it."""
    repository = tmp_path / "models--LiquidAI--LFM2.5-Audio-1.5B"
    (repository / "refs").mkdir(parents=True)
    (repository / "refs" / "main").write_text("0")
    (repository / "snapshots").mkdir()
    (repository / "snapshots" / "0").symlink_to(checkpoint)
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)


@pytest.mark.usefixtures("hub")
def test_speech_to_text_prints_the_spoken_words(device, tmp_path, monkeypatch, capsys):
    (tmp_path / "assets").mkdir()
    shutil.copy(CLIPS / CLIP.file, tmp_path / "assets" / "asr.wav")
    monkeypatch.chdir(tmp_path)
    exec(SPEECH_TO_TEXT, {})
    heard = re.sub(r"<\|\w+\|>", "", capsys.readouterr().out)
    assert normalise(heard).replace(" ", "") == CLIP.text.replace(" ", "")  # a token alone may come without its space


@pytest.mark.usefixtures("hub")
def test_the_demo_warms_up_on_the_automatic_device(device, monkeypatch):
    monkeypatch.delitem(sys.modules, "liquid_audio.demo.model", raising=False)
    demo = importlib.import_module("liquid_audio.demo.model")
    assert {demo.proc.device.type, next(demo.lfm2_audio.parameters()).device.type} == {device.type}


@pytest.mark.host
@pytest.mark.parametrize("module", ["chat", "model"])
def test_the_demo_names_no_device_of_its_own(liquid_audio, module):
    source = Path(liquid_audio.__file__).with_name("demo") / f"{module}.py"
    devices = [n.value for n in ast.walk(ast.parse(source.read_text())) if isinstance(n, ast.keyword) and n.arg == "device"]
    assert [device.value for device in devices if isinstance(device, ast.Constant)] == []
