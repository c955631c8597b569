"""Figures are computed as they say, and what cannot be measured is refused. No test hangs on how long anything takes."""

import json
import re
import subprocess
import sys
from array import array
from dataclasses import asdict
from statistics import median

import numpy as np
import pytest
import torch

from harness import ROOT, HarnessError, world
from harness.cost import facts, memory
from harness.cost.__main__ import main
from harness.cost.full import computed, kept, size
from harness.cost.full import run as full
from harness.cost.patches import forms
from harness.cost.patches import run as patches
from harness.cost.patches.ratios import Interval, goal, interval, paired
from harness.cost.scaling import run as scaling
from harness.package import trees
from harness.show.figures import plot
from harness.show.page import read_table

RNG = np.random.default_rng(15)


def test_an_interval_is_around_the_median_and_as_wide_as_the_values_are_apart():
    calm, wild = (interval(1 + spread * RNG.standard_normal(20)) for spread in (0.001, 0.1))
    for found in (calm, wild):
        assert found.low <= found.middle <= found.high
    assert wild.high - wild.low > 10 * (calm.high - calm.low)
    assert interval([1.5] * 6) == Interval(1.5, 1.5, 1.5)


def test_one_value_out_of_line_moves_neither_the_median_nor_the_interval_far():
    values = [1 + n / 1000 for n in range(-10, 11)]
    assert interval([*values[:-1], 50.0]).high < 1.02


def test_an_interval_holds_the_true_median_about_as_often_as_it_says():
    held = [interval(np.exp(0.02 * RNG.standard_normal(10))) for _ in range(200)]
    assert 0.88 < sum(found.low <= 1 <= found.high for found in held) / len(held) <= 1


def test_the_same_values_give_the_same_interval():
    values = RNG.standard_normal(12)
    assert interval(values) == interval(values)


@pytest.mark.parametrize("number", [0, 1, 5])
def test_too_few_rounds_are_refused(number):
    with pytest.raises(HarnessError, match=rf"{number} rounds are too few .* pass 6 or more"):
        interval([1.0] * number)
    with pytest.raises(HarnessError, match=rf"--rounds {number}: an interval of 95% takes 6 or more"):
        patches.run(number)


def test_rounds_are_compared_with_those_beside_them_and_a_process_counts_once():
    # The host slows down by half and more from round to round: both trees alike.
    base, times = [[1.0, 1.5, 4.0], [2.0, 2.0, 2.0]], [[1.1, 1.65, 4.4], [2.0, 2.0, 9.0]]
    assert paired(times, base) == pytest.approx([1.1, 1.0])
    with pytest.raises(ValueError, match="zip"):
        paired([[1.0]], [[1.0, 2.0]])


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [
        (0.99, 1.01, "met"),
        (1.0, 1.02, "met"),
        (0.99, 1.03, "too wide to tell"),
        (0.97, 0.99, "costs less"),
        (1.001, 1.01, "costs more"),
        (1.01, 1.03, "costs more"),
        (1.021, 1.03, "more than 1.02"),
    ],
)
def test_the_goal_is_an_interval_with_1_in_it_that_ends_in_time(low, high, words):
    assert goal(Interval((low + high) / 2, low, high)) == words


def measured(slower, rounds=8):
    """What processes took: each is slow in its own way, patched by a factor, and a turn disturbs all alike."""
    found = {}
    for work in patches.WORKS:
        base = np.exp(0.2 * RNG.standard_normal((rounds, 1)) + 0.3 * RNG.random((rounds, work.turns)))
        noise = {name: np.exp(0.001 * RNG.standard_normal(base.shape)) for name in patches.TREES}
        factor = {"patched": slower}
        found[work.what] = {name: (base * noise[name] * factor.get(name, 1)).tolist() for name in patches.TREES}
    return found


@pytest.mark.parametrize(
    ("slower", "words"), [(1.0, "met"), (1.01, "costs more"), (1.1, "more than 1.02"), (0.9, "costs less")]
)
def test_what_patched_takes_more_is_found_under_noise_and_the_control_is_level(slower, words):
    found = patches.summarise(measured(slower), patches.WORKS)
    assert median(entry["ratio"].middle for entry in found) == pytest.approx(slower, abs=0.002)
    assert median(entry["control"].middle for entry in found) == pytest.approx(1, abs=0.002)
    # One interval in twenty misses.
    assert sum(entry["goal"] == words for entry in found) >= len(found) - 3
    drawn = patches.table(found, 8)
    assert len(drawn.rows) == len(patches.WORKS) and all(len(row) == len(drawn.columns) for row in drawn.rows)
    assert f"{sum(entry['goal'] == 'met' for entry in found)} of {len(found)} meet the goal" in drawn.note
    assert ("More than 1.02, whatever chance did" in drawn.note) == (slower > 1.05)


@pytest.mark.parametrize(
    ("value", "unit", "words"),
    [(1.234, "s", "1.23 s"), (0.0123, "s", "12.3 ms"), (-2e-5, "s", "-20 µs"), (2e9, "B", "2000 MB")],
)
def test_a_figure_has_the_unit_that_suits_it(value, unit, words):
    assert patches.figure(value, unit) == words


def test_each_process_begins_in_turn():
    first = [next(patches._order(n)) for n in range(6)]
    assert sorted(first[:3]) == sorted(patches.TREES) and first[:3] == first[3:]


def test_a_process_that_dies_is_an_error_in_its_own_words(tmp_path):
    (tmp_path / trees.PACKAGE).mkdir()
    (tmp_path / trees.PACKAGE / "__init__.py").write_text("raise ImportError('no ears')")
    with pytest.raises(HarnessError, match="a worker died at 'import': ImportError: no ears"):
        patches.Worker(trees.Tree("deaf", tmp_path, ""))


def test_a_peak_is_what_was_held_and_can_begin_anew():
    before = memory.peak()
    block = bytearray(b"1" * (before + 50_000_000))
    high = memory.peak()
    assert high >= before + 50_000_000
    del block
    assert memory.peak() == high
    if memory.forget():
        assert memory.peak() < high


def test_what_the_host_has_no_memory_for_is_refused():
    with pytest.raises(HarnessError, match="this takes 12 GB of memory, and 3 GB are free"):
        facts.require_memory(12e9, "this", available=3e9)
    facts.require_memory(12e9, "this", available=12e9)


# Forms of audio


@pytest.fixture(scope="module")
def to_mono(liquid_audio):
    from liquid_audio.audio import to_mono

    return to_mono


@pytest.fixture(scope="module")
def found_forms():
    return forms.forms(1)


def test_the_canonical_form_is_first_and_each_is_there_once(found_forms):
    names = [(form.held, form.shape) for form in found_forms]
    assert names[0] == ("torch float32", "(1, n)") and len(names) == len(set(names))


def test_every_form_is_the_same_audio(found_forms, to_mono):
    wave, _ = to_mono(found_forms[0].audio, forms.RATE)
    for form in found_forms:
        mono, _ = to_mono(form.audio, forms.RATE)
        # Of two channels the second is half as loud. Eight bits are coarse.
        expected = wave * (0.75 if "2" in form.shape else 1)
        torch.testing.assert_close(
            mono.float(), expected, rtol=0, atol=0.01, msg=lambda m, form=form: f"{form.held} {form.shape}: {m}"
        )


def test_no_form_but_a_sequence_of_objects_is_copied_more_than_once(found_forms, to_mono):
    more = {form.held for form in found_forms if forms.copied(form, to_mono).buffers > forms.allowed(form)}
    assert more == {"list of floats", "tuple of floats"}


@pytest.mark.parametrize(
    ("audio", "values", "shared", "buffers", "size"),
    [
        (torch.zeros(1, 16_000), 16_000, True, 0, 0),
        (torch.zeros(16_000), 16_000, True, 0, 0),
        (torch.zeros(1, 16_000).half(), 16_000, False, 1, 64_000),
        (np.zeros(16_000, np.int16), 16_000, False, 1, 64_000),
        (array("h", bytes(32_000)), 16_000, False, 1, 64_000),
        (torch.zeros(2, 16_000), 32_000, False, 1, 64_000),
        (np.zeros((16_000, 2), np.float64), 32_000, False, 2, 128_000 + 64_000),
        ([0.0] * 16_000, 16_000, False, 2, 128_000 + 64_000),
    ],
)
def test_copies_are_counted(audio, values, shared, buffers, size, to_mono):
    found = forms.copied(forms.Form("", "", audio, values), to_mono)
    assert (found.shared, found.buffers) == (shared, buffers)
    # Python holds some kilobytes of its own.
    assert found.size == pytest.approx(size, abs=8_000)


def test_a_copy_too_many_is_seen_in_torch_and_in_numpy():
    form = forms.Form("", "(n,)", np.zeros(16_000, np.int16), 16_000)
    by_torch = forms.copied(form, lambda audio, rate: (torch.from_numpy(audio.astype(np.float32)).clone()[None].mul(2), rate))
    assert by_torch.buffers == 3

    def twice(audio, rate):
        wide = audio.astype(np.float64)
        return torch.from_numpy(wide.astype(np.float32))[None], rate

    assert forms.copied(form, twice).buffers == 2


# A model of full size


def test_the_configuration_has_the_sizes_of_the_published_model(liquid_audio):
    from liquid_audio.model.conformer.encoder import ConformerEncoder
    from transformers import Lfm2Model

    known = size.settings()
    with torch.device("meta"):
        backbone = Lfm2Model(known.lfm)
    encoder = ConformerEncoder(**asdict(known.encoder))
    assert sum(p.numel() for p in backbone.parameters()) == pytest.approx(1.17e9, rel=0.01)
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(115e6, rel=0.05)
    assert backbone.embed_tokens.weight.shape == (65_536, 2048)
    assert size.LAYERS.count("full_attention") == 6 and len(size.LAYERS) == 16


def test_a_host_without_room_is_told_before_anything_is_made(tmp_path, monkeypatch):
    monkeypatch.setattr(size, "ROOM", 1e18)
    with pytest.raises(HarnessError, match=r"making a checkpoint of 1\.5 B parameters takes 1000000000 GB of memory"):
        size.build(tmp_path)
    assert [file.name for file in (tmp_path / "full").iterdir()] == [".lock"]


@pytest.mark.parametrize("growth", [[0.5, 0.02, 0.0], [0.1, 0.03, 0.0004], [0.0, 0.0, 0.001]])
def test_growth_is_found_from_what_was_measured(growth):
    lengths = [10, 20, 30, 60]
    found = computed.fit(lengths, [computed.at(growth, n) for n in lengths], 2)
    assert found == pytest.approx(growth, abs=1e-9)
    assert computed.at(found, 944) == pytest.approx(computed.at(growth, 944))


def test_growth_has_no_term_that_would_make_long_audio_take_less():
    found = computed.fit([10, 20, 30, 60], [1.0, 2.1, 2.9, 5.5], 2)
    assert min(found) >= 0
    with pytest.raises(ValueError, match="2 lengths do not give a polynomial of degree 2"):
        computed.fit([1, 2], [1.0, 2.0], 2)


GROWTH = {"features": [0.0, 0.001], "encoder": [0.0, 0.05, 0.0002], "prefill": [0.1, 0.02, 0.0], "token": [0.06, 0.0]}


def stages(growth=GROWTH, lengths=(10, 20, 30, 60)):
    more = {"frame": 0.02, "positions": 140, "encoder operations": 2e11, "prefill operations": 1e9}
    return {str(n): {name: computed.at(known, n) for name, known in growth.items()} | more for n in lengths}


def machine(dtype="bfloat16", whole=6.0, peak=5e9, **changes):
    """What `harness.cost.full.stages` prints."""
    return {
        "device": "cpu",
        "load s": 2.0,
        "load peak B": 4e9,
        "auto": {"device": "cpu", "load s": 2.1, "load peak B": 4e9},
        "stages": stages(),
        "whole": {
            "10": {"seconds": 2.0, "tokens": 34.0, "wanted": 34.0},
            "30": {"seconds": whole, "tokens": 100.0, "wanted": 100.0},
        },
        "weights": {"parameters": 1.45e9, "token B": 2e9, "frame B": 1e9},
        "operations/s": 4e11,
        "bandwidth B/s": 4e10,
        "peak B": peak,
        **changes,
    }


def test_speech_has_as_many_tokens_as_it_has_words():
    assert [computed.tokens_of(seconds) for seconds in (3, 10, 30, 60)] == [10, 34, 100, 200]


def test_a_turn_is_the_sum_of_its_stages():
    known = computed.growths(stages())
    expected = 30 * 0.001 + (30 * 0.05 + 900 * 0.0002) + (0.1 + 30 * 0.02) + 100 * 0.06
    assert computed.turn(known, 30) == pytest.approx(expected)
    assert computed.real_time_factor(known, 30) == pytest.approx(expected / 30)
    assert computed.error(stages()) == pytest.approx(0, abs=1e-6)


def test_in_pieces_long_audio_costs_what_a_piece_costs_and_in_one_turn_more():
    known = computed.growths(stages())
    piece = computed.real_time_factor(known, 30)
    assert computed.real_time_factor(known, 300, 30) == pytest.approx(piece)
    # Of 944 s in 32 pieces each is a little shorter.
    assert computed.real_time_factor(known, 944, 30) == pytest.approx(piece, rel=0.02)
    assert computed.real_time_factor(known, 944) > piece + 0.0002 * 800


def test_a_stage_that_grows_otherwise_shows_in_the_error():
    odd = stages()
    odd["60"]["encoder"] *= 2
    assert computed.error(odd) < -0.1


def test_limits_are_work_over_what_the_host_can_do():
    found = computed.limits(machine(), "30")
    assert found == pytest.approx({"encoder": 0.5, "prefill": 0.05, "token": 0.05, "frame": 0.025})
    cells = full.column(machine())
    assert cells["a token of text"] == "60 ms, 83% of the limit" and cells["encoder, 30 s"] == "1.68 s, 30% of the limit"
    assert cells["RTF, 30 s, measured"] == "0.20"
    assert float(cells["RTF, 944 s in one turn, computed"]) > float(cells["RTF, 944 s in pieces of 30 s, computed"])
    # Six tokens of text for twelve frames, twelve and a half frames a second.
    assert computed.speaking(machine(), "30") == pytest.approx(12.5 * (1.5 * 0.06 + 0.02))


def test_advice_follows_what_was_measured():
    fast, slow = machine(whole=6.0, peak=5e9), machine(whole=9.0, peak=9e9)
    assert "bfloat16 is the better advice: 30 s of speech take 6.0 s against 9.0 s, and at most 5.0 GB" in computed.advice(
        {"bfloat16": fast, "float32": slow}
    )
    words = computed.advice({"bfloat16": replace_whole(fast, 20.0), "float32": slow})
    assert "float32 is the better advice" in words and words.endswith("where memory is short take bfloat16.")


def replace_whole(found, seconds):
    return {**found, "whole": {**found["whole"], "30": {**found["whole"]["30"], "seconds": seconds}}}


def test_a_measurement_that_broke_off_or_ran_elsewhere_is_a_problem():
    assert full.problems({"bfloat16": machine()}) == []
    elsewhere = machine(auto={"device": "cuda:0"}, whole=6.0)
    assert full.problems({"bfloat16": elsewhere}) == ["bfloat16: auto loads on cuda:0, not on cpu"]
    short = machine()
    short["whole"]["30"]["tokens"] = 3.0
    assert full.problems({"float32": short}) == ["float32: 30 s gave 3 tokens, not 100"]


def test_a_device_that_is_not_here_is_refused_before_anything_is_built():
    with pytest.raises(HarnessError, match=r"--device nowhere: this .* host cannot compute on it"):
        full.run("nowhere", keep=False)


def record(device="An A100", date="2026-11-25"):
    host = {"system": "Linux", "machine": "x86_64", "device": device}
    return {"date": date, "host": host, "measured": {"bfloat16": machine()}}


def test_what_another_host_gave_is_a_column_with_its_date_and_stale_once_files_differ(tmp_path):
    file = kept.write("full", "cuda", record(), tmp_path)
    assert file.name == "full-cuda-linux-x86-64-an-a100.json"
    (known,) = kept.read("full", tmp_path)
    assert kept.label(known) == "An A100, 2026-11-25, kept" and kept.label(record()) == "An A100, 2026-11-25"
    drawn = full.table({"here": record(), kept.label(known): known})
    assert list(drawn.columns) == ["stage", "bfloat16, here", "bfloat16, An A100, 2026-11-25, kept"]
    assert all(len(row) == 3 for row in drawn.rows)
    file.write_text(json.dumps({**known, "digest": "another"}))
    assert kept.label(kept.read("full", tmp_path)[0]).endswith(f"kept, {world.STALE}")
    file.write_text('{"date": "2026-11-25"}')
    with pytest.raises(HarnessError, match=rf"{file.name} is no record of a measurement"):
        kept.read("full", tmp_path)


# Scaling


def runs(workers, start, each, cases=(200, 1000, 5000)):
    return [{"cases": n, "workers": workers, "seconds": start + each * n, "failed": 0} for n in cases]


def test_a_line_has_its_start_its_slope_and_how_far_it_is_off():
    assert scaling.line(runs(2, 12, 0.05)) == pytest.approx((12, 0.05, 0), abs=1e-6)
    bent = runs(2, 12, 0.05)
    bent[1]["seconds"] *= 1.3
    assert 0.05 < scaling.line(bent)[2] < 0.3
    drawn = scaling.suite_table([*runs(1, 20, 0.1), *runs(2, 20, 0.05)])
    assert list(drawn.columns) == ["", "1 worker", "2 workers"]
    assert ["each case", "100 ms", "50 ms"] in drawn.rows and ["to start", "20 s", "20 s"] in drawn.rows


def test_growth_of_memory_is_a_power_of_the_length():
    chats = [{"seconds": n, "chat B": 25_600 * n, "features B": 1e6 * n, "encoder B": 40 * n**2} for n in (10, 30, 60)]
    chats.append({"seconds": 944, "chat B": 25_600 * 944, "features B": 1e6 * 944})
    assert scaling.power(chats, "chat B") == pytest.approx(1) and scaling.power(chats, "encoder B") == pytest.approx(2)
    drawn = scaling.chat_table(chats)
    assert drawn.rows[-2][-1] == "–" and drawn.rows[-1][1:] == ["1.00", "1.00", "2.00"]


@pytest.mark.parametrize(("cases", "workers"), [([200], [1]), ([200, 200], [1]), ([0, 5], [1]), ([1, 2], [0])])
def test_scaling_of_nothing_is_refused(cases, workers):
    with pytest.raises(HarnessError, match="--cases takes two numbers or more"):
        scaling.run(cases, workers)


def collect(folder, *options):
    (folder / "test_a.py").write_text(
        "import pytest\n@pytest.mark.parametrize('n', range(5))\ndef test_ear(n): pass\ndef test_eye(): pass\n"
    )
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-c",
        "/dev/null",
        "--rootdir",
        str(folder),
        "-p",
        "harness.cost.scaling.cases",
        *options,
    ]
    command += ["-p", "no:cacheprovider", "--collect-only", "-q", str(folder / "test_a.py")]
    done = subprocess.run(command, cwd=ROOT, env=world.environment(), capture_output=True, text=True)
    return re.findall(r"::(\S+)", done.stdout), done.stderr


def test_a_suite_has_as_many_cases_as_are_asked_for(tmp_path):
    sample, _ = collect(tmp_path, "--cases", "4")
    assert len(set(sample)) == 4 and collect(tmp_path, "--cases", "4")[0] == sample
    many, _ = collect(tmp_path, "--cases", "11", "--times", "2")
    assert len(set(many)) == 11 and len({name.replace("again0", "again1") for name in many}) == 6
    assert "--cases 7: there are 6, pass --times 2 or more" in collect(tmp_path, "--cases", "7")[1]


# The command and its plots


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--full", "--scaling"], "not allowed with"),
        (["--keep"], "--keep goes with --full"),
        (["--device", "cuda"], "--device goes with --full"),
        (["--full", "--workers", "2"], "--workers goes with --scaling"),
        (["--scaling", "--rounds", "9"], "--rounds goes with neither"),
    ],
)
def test_options_that_do_nothing_are_refused(options, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cost", *options])
    with pytest.raises(SystemExit):
        main()
    assert words in capsys.readouterr().err


def test_too_few_rounds_are_refused_before_anything_is_measured(monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["cost", "--rounds", "2"])
    assert main() == 2
    assert "--rounds 2: an interval of 95% takes 6 or more" in capsys.readouterr().err


SVG = """<?xml version="1.0"?>
<svg xmlns="http://www.w3.org/2000/svg" width="9pt">
 <dc:title>Ratios &amp; more</dc:title>
 <dc:source>{}</dc:source>
 <text style="font: 9.5px 'DejaVu Sans', sans-serif; text-anchor: end; fill: #191c1e">a</text>
</svg>
"""


def test_a_plot_has_dark_colours_and_the_readers_fonts():
    svg = plot.themed(SVG)
    assert svg.index("<svg ") < svg.index("prefers-color-scheme: dark") < svg.index("<dc:title>")
    assert '[style*="fill: #191c1e"] { fill: #e7eae9 !important }' in svg
    assert "font: 9.5px system-ui" in svg and "DejaVu" not in svg


def contrast(one, other):
    def light(colour):
        parts = [int(colour[n : n + 2], 16) / 255 for n in (1, 3, 5)]
        linear = [p / 12.92 if p <= 0.04045 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
        return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))

    dark, bright = sorted((light(one), light(other)))
    return (bright + 0.05) / (dark + 0.05)


@pytest.mark.parametrize("colour", [plot.INK, plot.SOFT, plot.FIRST, plot.SECOND, plot.THIRD])
def test_a_plot_can_be_read_in_both(colour):
    assert contrast(colour, plot.PAPER) > 4.5 and contrast(plot.DARK[colour], plot.DARK[plot.PAPER]) > 4.5


def test_a_plot_counts_only_for_the_figures_that_it_was_drawn_from(tmp_path):
    table = {"title": "t", "columns": ["a"], "rows": [["1"]], "note": "", "holds": True, "digest": world.digest()}
    source = tmp_path / "benchmark-full.json"
    source.write_text(json.dumps(table))
    assert read_table(source, "t")["plot"] is None
    source.with_suffix(".svg").write_text(SVG.format(plot.sha256(source)))
    shown = read_table(source, "t")["plot"]
    assert shown["words"] == "Ratios & more" and shown["source"].startswith("data:image/svg+xml;base64,")
    source.write_text(json.dumps({**table, "rows": [["2"]]}))
    assert read_table(source, "t")["plot"] is None


def test_a_part_that_was_not_measured_is_named_with_its_option(tmp_path):
    assert read_table(tmp_path / "benchmark-full.json", "t")["note"] == "Not run: run `python3 -m nox -s benchmark -- --full`."
