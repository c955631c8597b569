"""README's examples, run unchanged."""

import ast
import re
from types import SimpleNamespace

import pytest
import soundfile

from harness import ROOT
from harness.speech import CLIPS, clips

SECTION = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Audio, by where it comes from")[2]
CODE = re.search(r"```python\n(.+?)```", SECTION, re.DOTALL)[1]
STATEMENTS = ast.parse(CODE).body
IMPORTS = "\n".join(ast.unparse(node) for node in STATEMENTS if isinstance(node, ast.Import | ast.ImportFrom))
# Each other statement is an example, named after the first of these that it uses.
SOURCES = ("soundfile", "librosa", "wavfile", "wave", "microphone", "row")
EXAMPLES = {
    next(name for name in SOURCES if re.search(rf"\b{name}\b", code)): code
    for code in (ast.get_source_segment(CODE, node) for node in STATEMENTS)
    if not code.startswith(("import", "from"))
}
# The wave module and scipy read only WAV, and the example expects 16 bits.
SPOKEN = {
    name: next(c for c in clips() if c.channels == n and c.file.endswith(".wav")) for n, name in ((1, "mono"), (2, "stereo"))
}


@pytest.mark.core
@pytest.mark.parametrize("spoken", SPOKEN)
@pytest.mark.parametrize("source", SOURCES)
def test_readme_audio_example_transcribes_correctly(transcribes, source, spoken):
    clip = SPOKEN[spoken]
    samples, rate = soundfile.read(CLIPS / clip.file, dtype="int16")
    given = {
        "path": str(CLIPS / clip.file),
        "microphone": (rate, samples),
        "row": {"audio": {"array": samples / 32768, "sampling_rate": rate}},
    }
    chat = SimpleNamespace(add_audio=lambda wave, rate: transcribes(clip.text, wave, rate))
    exec(f"{IMPORTS}\n{EXAMPLES[source]}", {**given, "chat": chat})
