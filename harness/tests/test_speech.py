"""Transcripts are compared by their words, and outputs by their bits."""

import pytest
import torch

from harness import HarnessError, speech


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("Go forward ten meters.", "go forward ten meters"),
        ("Go forward 10 meters!", "go forward ten meters"),
        ("2 9, 3-4 0", "two nine three four zero"),
        ("29340", "two nine three four zero"),
        ("", ""),
    ],
)
def test_numerals_case_and_punctuation_do_not_count(text, words):
    assert speech.normalise(text) == words


def test_a_digest_tells_bits_and_dtypes_apart():
    one = torch.tensor([1.0, 2.0])
    assert speech.digest(one) == speech.digest(one.clone())
    assert speech.digest(one) != speech.digest(one + 1e-7)
    assert speech.digest(one) != speech.digest(one.bfloat16())


def test_a_clip_that_is_not_the_manifests_is_refused(tmp_path, monkeypatch):
    for file in speech.CLIPS.iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    first = speech.clips()[0]
    (tmp_path / first.file).write_bytes(b"RIFF")
    monkeypatch.setattr(speech, "CLIPS", tmp_path)
    with pytest.raises(HarnessError, match=f"fixtures/clips/{first.file} is not the file"):
        speech.clips.__wrapped__()
