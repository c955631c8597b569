"""The model of full size has the published sizes, and each stage is measured to the last, or named as not run."""

import contextlib
import hashlib
import json
from dataclasses import asdict

import pytest
import torch

from harness import HarnessError, fullsize
from harness.checkpoint import TINY


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    """Options for a run with the sizes of the tiny checkpoint."""
    config = json.loads((TINY / "config.json").read_text(encoding="utf-8"))
    return {"device": "cpu", "config": config, "cache_folder": tmp_path_factory.mktemp("cache")}


def read(out):
    return json.loads((out / "benchmark-full.json").read_text(encoding="utf-8"))


def test_the_configuration_has_the_sizes_of_the_published_model():
    from liquid_audio.model.conformer.encoder import ConformerEncoder
    from transformers import Lfm2Model

    known = fullsize.settings(fullsize.published_sizes())
    with torch.device("meta"):
        backbone = Lfm2Model(known.lfm)
    encoder = ConformerEncoder(**asdict(known.encoder))
    assert sum(p.numel() for p in backbone.parameters()) == pytest.approx(1.17e9, rel=0.01)
    assert sum(p.numel() for p in encoder.parameters()) == pytest.approx(115e6, rel=0.05)
    assert backbone.embed_tokens.weight.shape == (65_536, 2048)


def test_every_stage_is_measured_in_every_dtype(tiny, tmp_path):
    assert fullsize.run(**tiny, needed={"bfloat16": 0, "float32": 0}, out=tmp_path) is True
    record = read(tmp_path)
    assert record["holds"] and record["columns"] == ["what", "bfloat16", "float32"]
    assert [row[0] for row in record["rows"]] == list(fullsize.STAGES)
    assert all(float(cell.split()[0]) >= 0 for row in record["rows"] for cell in row[1:])
    assert {path.name for path in (tiny["cache_folder"] / "full").iterdir() if path.is_dir()} == {
        hashlib.sha256(json.dumps(tiny["config"]).encode()).hexdigest()[:12]
    }


@pytest.mark.parametrize(
    ("error", "problem"),
    [(KeyboardInterrupt(), "not finished"), (RuntimeError("out of memory\nat x"), "float32: out of memory")],
)
def test_the_stages_before_an_end_are_kept_and_the_others_were_not_run(error, problem, tiny, tmp_path, monkeypatch):
    def ends(*_):
        yield "load", "1.00 s"
        raise error

    monkeypatch.setattr(fullsize, "measure", ends)
    with contextlib.suppress(KeyboardInterrupt):
        assert fullsize.run(**tiny, needed={"float32": 0}, out=tmp_path) is False
    record = read(tmp_path)
    assert record["rows"][0] == ["load", "1.00 s"] and {row[1] for row in record["rows"][1:]} == {"not run"}
    assert not record["holds"] and record["problems"] == [problem]


def test_a_host_without_memory_is_told_before_anything_is_made(tiny, tmp_path):
    with pytest.raises(HarnessError, match=r"float32 needs 1000000000 GB of memory, but .* are free: close something"):
        fullsize.run(**tiny | {"cache_folder": tmp_path}, needed={"float32": 1e18}, out=tmp_path)
    assert list(tmp_path.iterdir()) == []
