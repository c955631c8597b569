"""README's examples, run as they stand there."""

import re

import pytest
import soundfile
import torch

from harness import ROOT
from harness.speech import CLIPS, clips, normalise, transcribe

SECTION = (
    (ROOT / "README.md").read_text(encoding="utf-8").partition("## Audio, by where it comes from")[2].partition("\n## ")[0]
)
# Each example begins with a comment that names its source.
EXAMPLES = {re.match(r"# ([\w.]+)", code)[1]: code for code in re.findall(r"```python\n(.+?)```", SECTION, re.DOTALL)}
STEREO = next(clip for clip in clips() if clip.channels == 2 and clip.file.endswith(".wav"))


def test_there_is_an_example_for_each_common_source():
    assert list(EXAMPLES) == ["soundfile", "librosa", "scipy.io.wavfile", "wave", "gradio", "datasets"]


@pytest.mark.core
@pytest.mark.parametrize("source", EXAMPLES)
def test_the_example_gives_the_spoken_words(processor, models, source):
    samples, rate = soundfile.read(CLIPS / STEREO.file, dtype="int16")
    given = {
        "path": str(CLIPS / STEREO.file),
        "microphone": (rate, samples),
        "example": {"array": samples.mean(1) / 32768, "sampling_rate": rate},
    }
    spoken = transcribe(
        processor, models(torch.float32), lambda chat: exec(EXAMPLES[source], {**given, "chat": chat}), torch.float32
    )
    assert normalise(spoken.text) == STEREO.text
