"""The comparison with Whisper. The tests that need its packages run in `nox -s compare`."""

import re
from importlib.util import find_spec

import numpy as np
import pytest
import soundfile
import torch

from harness import ROOT, HarnessError
from harness import checkpoint as tiny
from harness.compare import report, run, speech, weights
from harness.compare.engines import CUT, ENGINES, LENGTHS, REAL, TINY, WHOLE, cutter, faster, openai
from harness.real import PARTS
from harness.speech import clips, normalise


def with_packages(test):
    """Leave a test out where the packages of `nox -s compare` are not installed. That session runs all of them."""
    return test if find_spec("whisper") else None


def engine(name, how):
    return next(engine for engine in ENGINES if (engine.name, engine.how) == (name, how))


def heard(text, said="ten", audio=2.0):
    return run.Heard(said, text, audio, seconds=0.5, cpu=0.75)


def rows(*runs):
    return [list(table.rows) for table in report.tables(runs, str.lower, "host")]


# --- What runs --------------------------------------------------------------------------------


def test_who_has_weights_transcribes_the_same_speech_and_who_has_none_says_why(checkpoint, monkeypatch):
    monkeypatch.setattr(run, "ENGINES", [engine(TINY, WHOLE), engine(REAL, WHOLE)])
    spoken = [speech.Speech(clip.text, clip.mono()[0].numpy()) for clip in clips() if clip.sampling_rate == 16_000][:2]
    runs = run.run_all({"tiny": checkpoint, "lfm": "no weights"}, ["cpu"], spoken, dict.fromkeys(LENGTHS, spoken[0]))
    assert [h.text for h in runs[0].clips] == [clip.text for clip in spoken] and len(runs[0].files) == len(LENGTHS)
    recordings, files = rows(*runs)
    assert recordings[0][:6] == [TINY, WHOLE, "cpu", "bfloat16", "0.0%", "0.0%"] and files[0][4].startswith("0.0%, RTF ")
    assert recordings[1][4:] == ["not run: no weights", "–", "–", "–"] and files[1][4] == "not run: no weights"
    assert list(report.problems(runs, str)) == []


def test_a_recognizer_that_fails_is_a_problem_and_the_next_one_runs(tmp_path, monkeypatch):
    monkeypatch.setattr(run, "ENGINES", [engine(TINY, WHOLE), engine(REAL, WHOLE)])
    failed, other = run.run_all({"tiny": tmp_path, "lfm": "no weights"}, ["cpu"], [speech.joined(10)], {})
    assert failed.failed and not other.failed
    (problem,) = report.problems([failed, other], str)
    assert problem.startswith(f"{TINY}, {WHOLE}, cpu, bfloat16: ") and rows(failed)[0][0][4].startswith("not run: ")


def test_errors_that_grow_with_length_are_a_problem_only_where_a_file_is_cut():
    files = {10: heard("ten"), 163: heard("two")}
    (problem,) = report.problems([run.Run(engine(how=how, name=TINY), "cpu", files=files) for how in (CUT, WHOLE)], str)
    assert problem.endswith("its word error rate grows with the length of the file, from 0.0% to 100.0%") and CUT in problem


# --- What is reported -------------------------------------------------------------------------


def test_a_row_has_rates_over_all_words_and_times_over_all_audio():
    whisper = run.Run(engine("openai-whisper base", "greedy"), "cpu", [heard("TEN"), heard("tan ten", "ten ten ten", 8.0)])
    ((row,), _) = rows(whisper)
    assert row == ["openai-whisper base", "greedy", "cpu", "float32", "50.0%", "35.7%", "0.100", "0.150"]


def test_every_table_with_the_tiny_checkpoint_says_that_it_does_not_show_the_quality_of_the_real_one():
    for table in report.tables([run.Run(engine(TINY, CUT), "cpu", [heard("ten")])], str, "host"):
        assert "knows 49 words" in table.note and "do not show the quality of LFM2.5-Audio" in table.note


def test_readme_has_a_row_for_each_recognizer_that_names_its_dtype():
    text = (ROOT / "harness" / "compare" / "README.md").read_text(encoding="utf-8")
    cells = [line.strip("| ").split(" | ") for line in text.splitlines()]
    shown = [tuple(row[:4]) for row in cells if len(row) == len(report.COLUMNS)]
    assert [row for row in shown if row[2] == "cpu"] == [(one.name, one.how, "cpu", one.dtype("cpu")) for one in ENGINES]


@with_packages
def test_the_picture_says_the_same_and_dashes_the_line_that_may_lie_on_another(tmp_path):
    (tmp_path / "compare.json").write_text("{}")
    runs = [
        run.Run(engine(name, "greedy"), "cpu", files={10: heard("ten"), 30: heard("ten")})
        for name in report.COLOURS
        if "base" in name
    ]
    report.draw(runs, str, tmp_path / "compare.json")
    text = (tmp_path / "compare.svg").read_text(encoding="utf-8")
    assert "The tiny checkpoint knows 49 words" in text and "LFM2.5-Audio was not run" in text
    lines = re.findall(r'id="line2d_\d+">\s*<path d="[^"]*" (?:clip-path="[^"]*" )?style="([^"]*)"', text)
    dashed = [style for style in lines if "stroke-dasharray" in style]
    assert any(report.COLOURS["faster-whisper base"] in style for style in dashed)
    assert not any(report.COLOURS["openai-whisper base"] in style for style in dashed)


# --- Weights ----------------------------------------------------------------------------------


def test_what_is_no_real_checkpoint_is_refused(tmp_path, monkeypatch):
    with pytest.raises(HarnessError, match=r"^--lfm .*: there is no config\.json: expected the folder of a whole"):
        weights.real(str(tmp_path))
    for part in PARTS:
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (tmp_path / part).touch()
    assert weights.real(str(tmp_path)) == tmp_path
    (tmp_path / "config.json").write_bytes((tiny.TINY / "config.json").read_bytes())
    with pytest.raises(HarnessError, match=r"^--lfm .* is the tiny checkpoint"):
        weights.real(str(tmp_path))


@pytest.mark.parametrize("name", ["LiquidAI/LFM2.5-Audio-1.5B", "no/such/folder"])
def test_a_checkpoint_that_the_hub_does_not_provide_is_one_sentence(name, monkeypatch):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", True)
    with pytest.raises(HarnessError, match=rf"^--lfm {name} is no folder, and the hub does not provide it: [^\n]+$"):
        weights.real(name)


@with_packages
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")  # Whisper's tokenizer leaves a file open
def test_openai_whisper_hears_what_faster_whisper_hears_with_the_same_weights():
    folder, wave = weights.whisper_base(), speech.joined(10).wave
    one, other = openai(folder, "cpu", "float32", beam=None), faster(folder, "cpu", "float32", beam=1)
    assert normalise(one(wave)) == normalise(other(wave)) != ""


# --- Long files -------------------------------------------------------------------------------


@with_packages
def test_the_voice_activity_model_is_loaded_once_before_the_clock_starts(checkpoint, monkeypatch):
    import silero_vad

    loaded, load = [], silero_vad.load_silero_vad
    monkeypatch.setattr(silero_vad, "load_silero_vad", lambda: loaded.append(1) or load())
    torch.set_num_threads(2)
    recognize = engine(TINY, CUT).load(checkpoint, "cpu", "bfloat16")
    assert len(loaded) == 1
    file = speech.joined(10)
    assert recognize(file.wave) == recognize(file.wave) == file.text
    assert len(loaded) == 1 and torch.get_num_threads() == 2


@with_packages
def test_a_piece_ends_at_a_pause_and_speech_without_a_pause_is_cut_before_it_is_too_long():
    pieces = cutter()
    cards = next(clip for clip in clips() if clip.id == "human-cards-16k-mono").mono()[0].numpy()
    room = np.random.default_rng(0).normal(0, speech.NOISE, 16_000).astype(np.float32)
    found = pieces(np.concatenate([cards, room, cards, room]))
    assert len(found) == 2 and all(abs(len(piece) - len(cards)) < 9_600 for piece in found)
    endless = np.tile(cards[4_000:-4_000], 70 * 16_000 // len(cards))
    found = pieces(endless)
    assert max(map(len, found)) <= 30 * 16_000 and sum(map(len, found)) > 0.9 * len(endless)
    assert pieces(np.zeros(32_000, np.float32)) == []


@with_packages
@pytest.mark.parametrize("channels", [1, 2])
def test_readme_s_lines_give_the_words_of_a_file_of_thirty_seconds(checkpoint, tmp_path, capsys, channels):
    text = (ROOT / "README.md").read_text(encoding="utf-8").partition("## Transcribe a file")[2].partition("\n## ")[0]
    program, recipe = re.findall(r"```python\n(.+?)```", text, re.DOTALL)
    file = speech.joined(30)
    soundfile.write(tmp_path / "file.wav", np.stack([file.wave] * channels, 1), 16_000)
    exec(program.rpartition("print(")[0] + recipe, {"checkpoint": checkpoint, "path": str(tmp_path / "file.wav")})
    assert normalise(capsys.readouterr().out) == file.text
