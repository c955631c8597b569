"""The figures of a full-size model are computed as they claim, and impossible measurements are refused."""

import json
from dataclasses import asdict

import pytest
import torch

from harness import HarnessError, world
from harness.cost.full import computed, kept, size
from harness.cost.full import run as full


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
    with pytest.raises(HarnessError, match=r"making a checkpoint of 1\.5 B parameters needs 1000000000 GB of memory"):
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
    # Each of the 32 pieces of 944 s is a little shorter.
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
    assert "bfloat16 is the better choice: 30 s of speech take 6.0 s against 9.0 s, and at most 5.0 GB" in computed.advice(
        {"bfloat16": fast, "float32": slow}
    )
    words = computed.advice({"bfloat16": replace_whole(fast, 20.0), "float32": slow})
    assert "float32 is the better choice" in words and words.endswith("where memory is short, use bfloat16.")


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
    with pytest.raises(HarnessError, match=rf"{file.name} is not a record of a measurement"):
        kept.read("full", tmp_path)
