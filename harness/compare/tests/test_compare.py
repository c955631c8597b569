"""The comparison of recognizers: what it hears, how it converts weights and counts words, and what it refuses."""

import json
import os
import re
import struct
import subprocess
import sys
from dataclasses import asdict

import numpy as np
import pytest
import torch

from harness import ROOT, HarnessError, world
from harness.checkpoint import TINY
from harness.compare import figure, keep, tables
from harness.compare.hearing import lfm, sound, weights
from harness.compare.hearing.engines import ENGINES, longest
from harness.compare.hearing.worker import MEMORY, reason
from harness.compare.run import Run
from harness.compare.score import score
from harness.real import PARTS
from harness.table import Table

WIDTH, LAYERS = 4, 2
SPOKEN = ("go forward ten meters", "he was not an ill disposed young man")


def child(program, **more):
    """Run a program in a process of its own, where pytest does not block sockets."""
    env = {**os.environ, "PYTHONPATH": str(ROOT), **more}
    return subprocess.run([sys.executable, "-c", program], cwd=ROOT, env=env, capture_output=True, text=True)


# --- What is heard ----------------------------------------------------------------------------


def test_sphinx_transcripts_are_read_by_name():
    text = "<s> he was not an ill disposed young man </s> (librivox-0880)\n<s> ten of clubs  </s> (001)\n"
    assert sound.transcripts(text) == {"librivox-0880": "he was not an ill disposed young man", "001": "ten of clubs"}


def test_joined_files_have_the_length_asked_for_and_begin_alike():
    short, longer = sound.joined(10), sound.joined(30)
    assert (len(short.wave), len(longer.wave)) == (160_000, 480_000) and short.wave.dtype == np.float32
    assert longer.text.startswith(f"{short.text} ") and sound.knows(longer.text)
    assert np.array_equal(short.wave[:80_000], longer.wave[:80_000])
    # A quiet room, between words and after the last one: neither digital silence nor a sound.
    assert 0 < np.abs(longer.wave[-1_000:]).max() < 0.01


def test_a_word_that_the_tiny_checkpoint_was_not_taught_is_not_known():
    assert [sound.knows(text) for text in (*SPOKEN, "go forward slowly")] == [True, False, False]


# --- Weights ----------------------------------------------------------------------------------


def fused(seed=0):
    """Make weights of a small Whisper as CTranslate2 names them."""
    draw = np.random.default_rng(seed)

    def some(*shape):
        return draw.normal(size=shape).astype(np.float16)

    found = {"encoder/num_heads": np.array(2, np.int16), "decoder/num_heads": np.array(2, np.int16)}
    found |= {"encoder/conv1/weight": some(WIDTH, 5, 3), "encoder/conv2/weight": some(WIDTH, WIDTH, 3)}
    found |= {f"encoder/conv{n}/bias": some(WIDTH) for n in (1, 2)}
    found |= {"encoder/position_encodings/encodings": some(7, WIDTH), "decoder/position_encodings/encodings": some(6, WIDTH)}
    found["decoder/embeddings/weight"] = found["decoder/projection/weight"] = some(9, WIDTH)
    for side in ("encoder", "decoder"):
        found |= {f"{side}/layer_norm/{name}": some(WIDTH) for name in ("gamma", "beta")}
        for layer in (f"{side}/layer_{n}" for n in range(LAYERS)):
            found |= _norm(f"{layer}/ffn", some) | _linear(f"{layer}/ffn/linear_0", 4 * WIDTH, WIDTH, some)
            found |= _linear(f"{layer}/ffn/linear_1", WIDTH, 4 * WIDTH, some)
            kinds = {"self_attention": (3, 1)} | ({"attention": (1, 2, 1)} if side == "decoder" else {})
            for kind, parts in kinds.items():
                found |= _norm(f"{layer}/{kind}", some)
                for n, count in enumerate(parts):
                    found |= _linear(f"{layer}/{kind}/linear_{n}", count * WIDTH, WIDTH, some)
                    if count > 1:  # the key has no bias, and is the last but one
                        found[f"{layer}/{kind}/linear_{n}/bias"][(count - 2) * WIDTH : (count - 1) * WIDTH] = 0
    return found


def _norm(name, some):
    return {f"{name}/layer_norm/{part}": some(WIDTH) for part in ("gamma", "beta")}


def _linear(name, out, into, some):
    return {f"{name}/weight": some(out, into), f"{name}/bias": some(out)}


def packed(found, version=6, alias="decoder/projection/weight", of="decoder/embeddings/weight"):
    """Write weights in CTranslate2's format, one of them under two names."""
    codes = {np.dtype(dtype): code for code, dtype in weights.DTYPES.items()}

    def word(text):
        return struct.pack("<H", len(text) + 1) + text.encode() + b"\0"

    stored = {name: array for name, array in found.items() if name != alias}
    parts = [struct.pack("<I", version), word("WhisperSpec"), struct.pack("<II", 3, len(stored))]
    for name, array in stored.items():
        parts += [word(name), struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape)]
        parts += [struct.pack("<BI", codes[array.dtype], array.nbytes), array.tobytes()]
    return b"".join([*parts, struct.pack("<I", 1), word(alias), word(of)])


def test_a_model_of_ctranslate2_is_read_bit_for_bit():
    found = fused()
    read = weights.read(packed(found))
    assert read.keys() == found.keys()
    assert all(np.array_equal(read[name], array) and read[name].dtype == array.dtype for name, array in found.items())


@pytest.mark.parametrize(
    ("model", "words"),
    [
        (packed(fused(), version=5), "version 5 of CTranslate2's format, expected 6"),
        (packed(fused())[:-9], "not a whole CTranslate2 model"),
        (packed(fused())[:400], "not a whole CTranslate2 model"),
        (b"", "not a whole CTranslate2 model"),
        (packed(fused(), of="decoder/nothing"), "not a whole CTranslate2 model"),
    ],
)
def test_what_is_no_whole_model_is_refused(model, words):
    with pytest.raises(HarnessError, match=words):
        weights.read(model)


def test_taken_apart_the_weights_are_the_same_numbers():
    found = fused()
    state = weights.convert(found)["model_state_dict"]
    for side, kind, name in (("encoder", "self_attention", "attn"), ("decoder", "self_attention", "attn")):
        for n in range(LAYERS):
            whole = [state[f"{side}.blocks.{n}.{name}.{part}.weight"] for part in ("query", "key", "value")]
            assert np.array_equal(torch.cat(whole).numpy(), found[f"{side}/layer_{n}/{kind}/linear_0/weight"])
            bias = [
                state[f"{side}.blocks.{n}.{name}.query.bias"],
                torch.zeros(WIDTH),
                state[f"{side}.blocks.{n}.{name}.value.bias"],
            ]
            assert np.array_equal(torch.cat(bias).numpy(), found[f"{side}/layer_{n}/{kind}/linear_0/bias"])
    across = [state[f"decoder.blocks.1.cross_attn.{part}.weight"] for part in ("key", "value")]
    assert np.array_equal(torch.cat(across).numpy(), found["decoder/layer_1/attention/linear_1/weight"])
    assert np.array_equal(
        state["decoder.blocks.1.cross_attn.query.weight"], found["decoder/layer_1/attention/linear_0/weight"]
    )
    assert np.array_equal(state["encoder.blocks.1.mlp.2.weight"], found["encoder/layer_1/ffn/linear_1/weight"])
    # As many numbers as before, except for the projection, which is the embedding, and the keys' biases.
    kept = sum(array.size for array in found.values() if array.ndim) - 9 * WIDTH - 3 * LAYERS * WIDTH
    assert sum(tensor.numel() for tensor in state.values()) == kept
    assert not any(name.endswith("key.bias") for name in state)


def test_the_dimensions_are_those_of_the_weights():
    assert weights.convert(fused())["dims"] == {
        "n_mels": 5,
        "n_audio_ctx": 7,
        "n_audio_state": WIDTH,
        "n_audio_head": 2,
        "n_audio_layer": LAYERS,
        "n_vocab": 9,
        "n_text_ctx": 6,
        "n_text_state": WIDTH,
        "n_text_head": 2,
        "n_text_layer": LAYERS,
    }


@pytest.mark.parametrize(
    ("name", "array", "words"),
    [
        ("encoder/layer_0/self_attention/linear_0/bias", np.ones(3 * WIDTH, np.float16), "the key has a bias"),
        ("decoder/layer_1/attention/linear_1/bias", np.ones(2 * WIDTH, np.float16), "the key has a bias"),
        ("decoder/projection/weight", np.ones((9, WIDTH), np.float16), "projection is not its embedding"),
        (
            "encoder/layer_0/gate/weight",
            np.ones(1, np.float16),
            "hold encoder/layer_0/gate/weight, which no Whisper model has",
        ),
    ],
)
def test_what_would_be_lost_is_refused(name, array, words):
    with pytest.raises(HarnessError, match=words):
        weights.convert(fused() | {name: array})


# --- Scores and tables ------------------------------------------------------------------------


def test_errors_are_counted_over_all_words_together_and_normalised_on_both_sides():
    found = score(
        [("One two", "one, TWO!"), ("three", "tree tree tree")], lambda text: text.lower().strip("!").replace(",", "")
    )
    assert (found.words, found.wer) == (3, 1.0)  # one word is wrong, and two are too many
    assert score([("ten", "ten or so it seems")], str).wer == 4.0
    assert score([("ten meters", "")], str) == type(found)(2, 1.0, 1.0)


def line(event, id="c", spoken="ten", text="ten", audio=1.0, **more):
    return {"event": event, "id": id, "spoken": spoken, "text": text, "audio": audio, "seconds": 0.5, "cpu": 0.75} | {
        "peak": 10**9,
        "on_device": 0,
        **more,
    }


LOADED, DONE = {"event": "loaded", "load": 1.0, "warm_up": 2.0}, {"event": "done"}


def ran(key, *lines, last=DONE, device="cpu"):
    return Run(key, device, (LOADED, *lines, last) if last else (LOADED, *lines))


def test_a_recognizer_without_weights_has_a_row_that_says_so():
    (row,) = tables.clips([Run("lfm-whole", "cpu", not_run="no weights")], sound.knows, str)
    assert row[:4] == ["LFM2.5-Audio", "whole file in one turn", "cpu", "not run: no weights"] and len(row) == len(
        tables.COLUMNS
    )
    (row,) = tables.lengths([Run("lfm-cut", "cpu", not_run="no weights")], str)
    assert row[3:] == ["not run: no weights", "–", "–", "–"]


def test_speed_is_by_the_length_of_the_audio_and_memory_is_what_it_was_at_most():
    heard = [line("clip", audio=2.0, peak=10**9), line("clip", text="tan", audio=2.0, peak=2 * 10**9, on_device=5 * 10**8)]
    (row,) = tables.clips([ran("openai-greedy", *heard)], sound.knows, str)
    assert row[3:] == ["50.0%", "16.7%", "0.250", "0.50 s", "0.375", "1.0 s", "2.0 s", "2.0 GB + 0.5 GB of the device"]


def test_the_tiny_checkpoint_has_a_row_of_the_words_that_it_knows():
    heard = [line("clip", spoken=SPOKEN[0], text=SPOKEN[0]), line("clip", spoken=SPOKEN[1], text="do")]
    every, known = tables.clips([ran("tiny-cut", *heard)], sound.knows, str)
    assert (every[3], known[3]) == ("66.7%", "0.0%") and known[1].endswith("; the 1 clips whose words it knows")


def test_a_file_that_was_not_heard_says_why():
    heard = [line("clip"), line("joined", id="10 s", audio=10.0)]
    (row,) = tables.lengths([ran("tiny-whole", *heard, last={"event": "failed", "reason": "not enough memory"})], str)
    assert row[3:] == ["0.0%, RTF 0.050, 1.0 GB", *["not heard: not enough memory"] * 3]
    assert list(tables.lengths([ran("openai-beam", *heard)], str)) == []


CLIP, TEN, LONG = line("clip"), line("joined", id="10 s"), line("joined", id="163 s", text="two")


@pytest.mark.parametrize(
    ("run", "problem"),
    [
        (ran("openai-greedy", CLIP), None),
        (Run("lfm-cut", "cpu", not_run="no weights"), None),
        (ran("tiny-cut", CLIP, TEN), None),
        (ran("tiny-whole", CLIP, TEN, LONG), None),
        (ran("tiny-whole", CLIP, TEN, last=None), None),
        (ran("tiny-whole", CLIP, last=None), "it died after c"),
        (ran("tiny-cut", CLIP, TEN, last=None), "it died after 10 s"),
        (ran("openai-greedy", last={"event": "failed", "reason": "OSError: no"}), "OSError: no"),
        (Run("faster-beam", "cpu"), "it reported nothing"),
        (ran("tiny-cut", CLIP, TEN, LONG), "its word error rate grows with the length of the file, from 0.0% to 100.0%"),
    ],
)
def test_a_recognizer_that_failed_and_words_lost_by_length_are_problems(run, problem):
    found = list(tables.problems([run], str))
    assert found == ([f"{run.engine.name}, {run.engine.how}, on cpu: {problem}"] if problem else [])


def test_a_turn_has_the_recipe_s_tokens_and_more_where_speech_is_long():
    assert (longest(2.0), longest(64.0), longest(944.0)) == (512, 512, 7552)


def test_each_recognizer_has_a_name_of_its_own():
    assert len({(engine.name, engine.how) for engine in ENGINES.values()}) == len(ENGINES)


# --- Memory -----------------------------------------------------------------------------------


def test_memory_is_a_process_s_own_whoever_started_it():
    program = """
import subprocess, sys
held = bytearray(600 << 20)
print(subprocess.run([sys.executable, "-c", "from harness.compare.hearing.worker import peak; print(peak())"], capture_output=True, text=True).stdout)
"""
    assert 5 << 20 < int(child(program).stdout) < 300 << 20


def test_an_allocation_beyond_what_the_host_has_left_fails_in_words():
    program = """
import torch
from harness.compare.hearing import worker
left = worker._kilobytes(worker.MEMORY, "MemAvailable") * 1024 if worker.MEMORY.is_file() else 1 << 30
torch.empty(left, dtype=torch.uint8)  # none of which is touched
worker.bound()
try:
    torch.empty(left, dtype=torch.uint8)
except RuntimeError as error:
    print(worker.reason(error))
"""
    done = child(program)
    failed = re.fullmatch(r"not enough memory on this host: .*you tried to allocate \d+ bytes.*\n", done.stdout)
    # Only Linux says what it has left.
    assert bool(failed) == MEMORY.is_file(), done.stdout + done.stderr[-300:]


def test_any_other_failure_is_its_type_and_its_first_line():
    assert reason(ValueError("no\nmore")) == "ValueError: no" and reason(KeyError()) == "KeyError: without a message"


# --- LFM2.5-Audio -----------------------------------------------------------------------------


def test_a_folder_that_is_no_real_checkpoint_is_refused(tmp_path):
    with pytest.raises(HarnessError, match=r"^--lfm .*: there is no config\.json: expected the folder of a whole"):
        lfm.obtain(str(tmp_path))
    for part in PARTS:
        (tmp_path / part).parent.mkdir(exist_ok=True)
        (tmp_path / part).touch()
    assert lfm.obtain(str(tmp_path)) == tmp_path
    (tmp_path / "config.json").write_bytes((TINY / "config.json").read_bytes())
    with pytest.raises(HarnessError, match=r"^--lfm .* is the tiny checkpoint"):
        lfm.obtain(str(tmp_path))


def test_a_folder_that_is_not_there_and_no_name_either_is_refused():
    with pytest.raises(HarnessError, match="no such folder, and it is not the name of a model on the hub"):
        lfm.obtain("no/such/folder")


def test_a_hub_that_cannot_be_reached_is_one_sentence(tmp_path):
    program = """
import huggingface_hub.constants
from harness import HarnessError
from harness.compare.hearing.lfm import obtain
for offline in (False, True):
    huggingface_hub.constants.HF_HUB_OFFLINE = offline
    try:
        obtain("LiquidAI/LFM2.5-Audio-1.5B")
    except HarnessError as error:
        print(error)
"""
    done = child(program, HF_HOME=str(tmp_path), HF_ENDPOINT="http://127.0.0.1:9", HF_HUB_OFFLINE="0", no_proxy="127.0.0.1")
    closed, offline = done.stdout.splitlines()
    for said in (closed, offline):
        assert said.startswith("--lfm LiquidAI/LFM2.5-Audio-1.5B: the download stopped (")
        assert said.endswith("): run it again where the hub can be reached, or give the folder of a checkpoint")
    assert closed != offline


# --- README and the figure --------------------------------------------------------------------


@pytest.fixture
def made(tmp_path):
    """Folder with a comparison, and a README that has a place for it."""
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "compare.svg").write_text("<svg/>")
    (tmp_path / "README.md").write_text("Before.\n\n<!-- compare: by hand -->\nold\n<!-- /compare -->\nAfter.\n")
    return tmp_path


def leave(made, **more):
    first, second = (
        Table(title, ("who", "WER"), [["w|x", rate]], f"About {title}.") for title, rate in (("a", "5%"), ("b", "9%"))
    )
    record = {**asdict(first), "others": [asdict(second)], "holds": True, "problems": [], "stack": "compare"}
    record |= {"host": {"system": "Linux", "machine": "x86_64", "device": "A (R) CPU"}, "digest": world.digest("compare")}
    (made / "out" / "compare.json").write_text(json.dumps(record | more))


def kept(made):
    return keep.keep(made / "README.md", made / "out", made / "evidence", made / "shown.svg")


def test_a_comparison_is_kept_in_readme_and_as_evidence(made):
    leave(made)
    file = kept(made)
    assert file.name == "linux-x86-64-a-r-cpu.json" and file.read_bytes() == (made / "out" / "compare.json").read_bytes()
    text = (made / "README.md").read_text()
    assert text.startswith(
        "Before.\n\n<!-- compare: by hand -->\n| who | WER |\n|---|---|\n| w\\|x | 5% |\n\nAbout a.\n\n| who |"
    )
    assert text.endswith("](shown.svg)\n<!-- /compare -->\nAfter.\n") and "old" not in text and "##" not in text
    assert (made / "shown.svg").read_text() == "<svg/>"


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"digest": "0"}, f"the comparison is {world.STALE}: run `nox -s compare` first"),
        ({"holds": False, "problems": ["openai-whisper died"]}, "does not hold: openai-whisper died"),
        (None, "there is no comparison: run `nox -s compare` first"),
    ],
)
def test_a_comparison_that_is_none_is_not_kept(made, more, words):
    if more is not None:
        leave(made, **more)
    with pytest.raises(HarnessError, match=words):
        kept(made)
    assert "old" in (made / "README.md").read_text() and not (made / "evidence").exists()


def test_a_readme_without_a_place_is_refused(made):
    leave(made)
    (made / "README.md").write_text("Nothing.\n")
    with pytest.raises(HarnessError, match=r"^README\.md has no place for the comparison"):
        kept(made)


def test_readme_shows_the_comparison_that_is_kept():
    records = [json.loads(file.read_text(encoding="utf-8")) for file in keep.EVIDENCE.glob("*.json")]
    text = keep.README.read_text(encoding="utf-8")
    shown = text.partition("<!-- compare")[2].partition("<!-- /compare -->")[0]

    def rows(record):
        fields = Table.__dataclass_fields__
        each = [Table(**{name: table[name] for name in fields}) for table in (record, *record["others"])]
        return {line for table in each for line in table.markdown() if line.startswith("|")}

    assert {line for line in shown.splitlines() if line.startswith("|")} in ([rows(record) for record in records] or [set()])


def test_the_figure_takes_the_ink_of_its_page():
    svg = figure.for_both_pages(f'<?xml version="1.0"?>\n<svg width="1"><g style="fill: {figure.INK}"/></svg>', "A title")
    assert 'style="fill: currentColor"' in svg and "<title>A title</title>" in svg and "prefers-color-scheme:dark" in svg
