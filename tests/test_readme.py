"""README's examples, run as they stand there."""

import re

import pytest
import soundfile
import torch

from harness import ROOT
from harness.suite.speech import CLIPS, clips, normalise, transcribe

SECTION = (
    (ROOT / "README.md").read_text(encoding="utf-8").partition("## Audio, by where it comes from")[2].partition("\n## ")[0]
)
# Each example begins with a comment that names its source.
EXAMPLES = {re.match(r"# ([\w.]+)", code)[1]: code for code in re.findall(r"```python\n(.+?)```", SECTION, re.DOTALL)}
# The wave module and scipy read WAV alone, and the example is of 16 bits.
SPOKEN = {
    name: next(c for c in clips() if c.channels == n and c.file.endswith(".wav")) for n, name in ((1, "mono"), (2, "stereo"))
}


@pytest.mark.core
@pytest.mark.parametrize("spoken", SPOKEN)
@pytest.mark.parametrize("source", EXAMPLES)
def test_the_example_gives_the_spoken_words(processor, models, source, spoken):
    clip = SPOKEN[spoken]
    samples, rate = soundfile.read(CLIPS / clip.file, dtype="int16")
    given = {
        "path": str(CLIPS / clip.file),
        "microphone": (rate, samples),
        "example": {"array": samples / 32768, "sampling_rate": rate},
    }
    heard = transcribe(
        processor, models(torch.float32), lambda chat: exec(EXAMPLES[source], {**given, "chat": chat}), torch.float32
    )
    assert normalise(heard.text) == clip.text
