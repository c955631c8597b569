"""The audio detokenizer speaks: the codes of words become a waveform that the checkpoint transcribes to the same words.

`codes.json` has the codes of each word. The checkpoint hears these sentences right, but not every sentence: it mishears
"two nine three four zero", for example.
"""

import pytest

from harness.speech import between_quiet, spoken_codes

pytestmark = pytest.mark.tiny

SENTENCES = [
    "go forward ten meters",
    "two nine three zero",
    "hello world thank you",
    "seven one five eight",
    "press star",
    "ace of spades",
]


# On xla, which compiles for each length of codes, half of them.
@pytest.mark.parametrize(
    "text",
    [
        pytest.param(text, id=text.replace(" ", "-"), marks=[pytest.mark.core] if n % 2 else [])
        for n, text in enumerate(SENTENCES)
    ],
)
def test_decoded_codes_transcribe_to_their_words(processor, transcribes, text):
    codes = spoken_codes(text)
    wave = processor.decode(codes[None])
    assert wave.shape == (1, 1920 * codes.shape[1])
    transcribes(text, between_quiet(wave, 24_000), 24_000)
