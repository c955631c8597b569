"""What the comparison takes from the packages of `nox -s compare`: README's lines on long files, Whisper, and the figure."""

import re
from xml.etree import ElementTree

import numpy as np
import pytest
import soundfile
import torch
from ctranslate2.specs import WhisperSpec
from whisper.model import ModelDimensions, Whisper

from harness import ROOT, HarnessError
from harness.compare import figure
from harness.compare.hearing import sound, weights
from harness.compare.hearing.cut import LONGEST, pieces
from harness.compare.run import Run
from harness.compare.score import normaliser, score
from harness.speech import clips, normalise

SECTION = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Transcribe a file")[2].partition("\n## ")[0]
PROGRAM, RECIPE = re.findall(r"```python\n(.+?)```", SECTION, re.DOTALL)


@pytest.fixture(scope="module")
def file():
    return sound.joined(30)


@pytest.mark.parametrize("name", ["mono-16k.wav", "stereo-44k.flac"])
def test_readme_s_lines_give_the_words_of_a_file_of_thirty_seconds(checkpoint, file, tmp_path, capsys, name):
    wave, rate = file.wave, 16_000
    if "stereo" in name:
        wave, rate = (
            np.stack([np.interp(np.arange(len(wave) * 441 // 160) * 160 / 441, np.arange(len(wave)), wave)] * 2, 1),
            44_100,
        )
    soundfile.write(tmp_path / name, wave, rate)
    torch.set_num_threads(2)
    without_the_whole = PROGRAM.rpartition("print(")[0]
    exec(without_the_whole + RECIPE, {"checkpoint": checkpoint, "path": str(tmp_path / name)})
    assert torch.get_num_threads() == 2
    assert score([(file.text, capsys.readouterr().out)], normalise).wer == 0


def test_a_pause_ends_a_piece_and_no_word_is_cut():
    heard = [(clip.mono()[0].numpy(), clip.text) for clip in clips() if clip.sampling_rate == 16_000][:3]
    room = np.random.default_rng(0).normal(0, sound.NOISE, 16_000).astype(np.float32)
    wave = np.concatenate([part for clip, _ in heard for part in (clip, room)])
    ends = np.cumsum([len(clip) + len(room) for clip, _ in heard])
    found = pieces(wave)
    assert len(found) == len(heard)
    for piece, end, (clip, _) in zip(found, ends, heard, strict=True):
        # Each piece holds its own clip only, and all of it except quiet edges.
        begin = end - len(room) - len(clip)
        place = next(n for n in range(len(wave)) if wave[n] == piece[0] and np.array_equal(wave[n : n + len(piece)], piece))
        assert begin - 4_800 < place < begin + 4_800 and place + len(piece) > end - len(room) - 4_800


def test_speech_without_a_pause_is_cut_before_it_is_too_long():
    cards = next(clip for clip in clips() if clip.id == "human-cards-16k-mono").mono()[0].numpy()[4_000:-4_000]
    wave = np.tile(cards, 70 * 16_000 // len(cards))
    found = pieces(wave)
    assert len(found) >= 3 and max(map(len, found)) <= LONGEST * 16_000
    assert sum(map(len, found)) > 0.95 * len(wave)


def test_speech_is_found_by_one_thread_and_what_comes_next_has_its_own(monkeypatch, file):
    import silero_vad

    seen, find = [], silero_vad.get_speech_timestamps

    def watched(*args, **options):
        seen.append(torch.get_num_threads())
        return find(*args, **options)

    monkeypatch.setattr(silero_vad, "get_speech_timestamps", watched)
    torch.set_num_threads(2)
    pieces(file.wave[:80_000])
    assert (seen, torch.get_num_threads()) == ([1], 2)


def test_silence_has_no_pieces():
    assert pieces(np.zeros(32_000, np.float32)) == []


def small(tmp_path):
    """Write a small Whisper model of random numbers with CTranslate2's own code."""
    draw, spec = np.random.default_rng(0), WhisperSpec(2, 2, 2, 2)
    width, hidden = 8, 32

    def fill(layer, *shape):
        for name, size in (("weight", shape), ("bias", shape[:1])):
            setattr(layer, name, draw.normal(size=size).astype(np.float16))

    def norm(layer):
        layer.gamma, layer.beta = (draw.normal(size=width).astype(np.float16) for _ in range(2))

    for conv, bands in ((spec.encoder.conv1, 80), (spec.encoder.conv2, width)):
        fill(conv, width, bands, 3)
    for side, length in ((spec.encoder, 1500), (spec.decoder, 448)):
        side.position_encodings.encodings = draw.normal(size=(length, width)).astype(np.float16)
        norm(side.layer_norm)
        for layer in side.layer:
            norm(layer.ffn.layer_norm)
            fill(layer.ffn.linear_0, hidden, width)
            fill(layer.ffn.linear_1, width, hidden)
            for attention, parts in ((layer.self_attention, (3, 1)), (getattr(layer, "attention", None), (1, 2, 1))):
                if attention is not None:
                    norm(attention.layer_norm)
                    for linear, count in zip(attention.linear, parts, strict=True):
                        fill(linear, count * width, width)
                        if count > 1:
                            linear.bias[(count - 2) * width : (count - 1) * width] = 0
    embedding = spec.decoder.embeddings[0] if isinstance(spec.decoder.embeddings, list) else spec.decoder.embeddings
    embedding.weight = draw.normal(size=(50, width)).astype(np.float16)
    spec.decoder.projection.weight = embedding.weight
    spec.register_vocabulary([str(n) for n in range(50)])
    spec.validate()
    spec.save(str(tmp_path))
    return spec, (tmp_path / "model.bin").read_bytes()


def test_what_ctranslate2_wrote_openai_whisper_loads_and_loses_nothing(tmp_path):
    spec, model = small(tmp_path)
    found = weights.convert(weights.read(model))
    whisper = Whisper(ModelDimensions(**found["dims"]))
    whisper.load_state_dict(found["model_state_dict"])  # each name, and no other
    first = spec.decoder.layer[1].attention
    key, value = first.linear[1].weight.numpy().reshape(2, 8, 8)
    loaded = whisper.decoder.blocks[1].cross_attn
    assert np.array_equal(loaded.key.weight.half().detach().numpy(), key)
    assert np.array_equal(loaded.value.weight.half().detach().numpy(), value)
    assert np.array_equal(loaded.query.weight.half().detach().numpy(), first.linear[0].weight.numpy())


def test_weights_that_are_cut_short_are_refused(tmp_path):
    with pytest.raises(HarnessError, match="not a whole CTranslate2 model"):
        weights.read(small(tmp_path)[1][:-100])


# It leaves its file for the garbage collector to close.
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_whisper_s_normaliser_makes_words_and_numbers_alike():
    pairs = [("ten of clubs", "10 of Clubs."), ("mister dashwood had not", "Mr. Dashwood hadn't"), ("two nine three", "293")]
    assert score(pairs, normaliser()).wer == 0


def test_the_figure_is_the_same_bytes_for_the_same_runs_and_fits_both_pages(tmp_path):
    title = "Word error rates & more"
    told = {"spoken": "ten", "text": "ten", "audio": 2.0, "seconds": 1.0}
    lines = ({"event": "clip", **told}, {"event": "joined", "id": "10 s", **told}, {"event": "done"})
    runs = [Run("tiny-whole", "cpu", lines), Run("openai-beam", "cpu", lines[:1]), Run("lfm-cut", "cpu", not_run="no weights")]
    source = tmp_path / "compare.json"
    source.write_text("{}")
    file = figure.draw(runs, str, source, title)
    text = file.read_text()
    assert figure.draw(runs, str, source, title).read_text() == text
    root = ElementTree.parse(file).getroot()
    assert root.findtext("{*}title") == title == root.get("aria-label")
    assert figure.INK not in text and "currentColor" in text and "<date>" not in text
    assert "tiny checkpoint, whole file in one turn, cpu" in text and "LFM2.5" not in text
