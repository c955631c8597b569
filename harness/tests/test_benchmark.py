"""A tree that is slower is found, and one that is not is not called slower."""

import json
import shutil
import sys

import numpy as np
import pytest

from harness import benchmark, trees
from harness.__main__ import main
from harness.benchmark import Interval, interval

CASE = "`add_audio`, 1 s, float32"
CONVERTED = "wave = wave.to(device=device)\n"


def test_tree_that_converts_audio_again_is_slower(tmp_path):
    paths = {"upstream": trees.resolve("upstream").path}
    paths["patched"] = shutil.copytree(paths["upstream"], tmp_path / "slow")
    file = paths["patched"] / "liquid_audio" / "processor.py"
    source = file.read_text(encoding="utf-8")
    assert source.count(CONVERTED) == 1
    file.write_text(source.replace(CONVERTED, f"{CONVERTED}        for _ in range(200): wave = wave.double().float()\n"))
    assert not benchmark.report(benchmark.measure(paths, [CASE], 2), tmp_path)
    record = json.loads((tmp_path / "benchmark.json").read_text(encoding="utf-8"))
    assert not record["holds"] and f"{CASE} is slower: " in record["problems"][0]


def test_equal_times_are_no_slower(tmp_path):
    assert benchmark.report({CASE: [{"upstream": [1.0, 1.2], "patched": [1.0, 1.2]}] * 6}, tmp_path)


def test_a_host_that_slows_down_in_between_does_not_change_the_ratio():
    speeds = [[1, 3, 9], [2, 2, 40], [5, 1, 1], [1, 1, 1], [7, 8, 9], [3, 1, 2]]
    rounds = [{"upstream": speed, "patched": [1.1 * value for value in speed]} for speed in speeds]
    found = benchmark.compare(rounds, "patched")
    assert (found.low, found.middle, found.high) == pytest.approx((1.1, 1.1, 1.1))


def test_an_interval_holds_the_true_median_about_as_often_as_it_says():
    noise = np.random.default_rng(15)
    found = [interval(np.exp(0.02 * noise.standard_normal(10))) for _ in range(200)]
    assert 0.88 < sum(one.low <= 1 <= one.high for one in found) / len(found) <= 1


@pytest.mark.parametrize(
    ("low", "high", "words"),
    [(0.97, 0.99, "no slower"), (0.99, 1.02, "no slower"), (0.99, 1.03, "too wide to tell"), (1.021, 1.03, "slower")],
)
def test_slower_means_that_the_whole_interval_is_above_the_limit(low, high, words):
    assert Interval((low + high) / 2, low, high).judgement == words


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--rounds", "5"], "--rounds 5: an interval of 95% needs 6 or more"),
        (["--device", "cuda"], "--device goes with --full"),
        (["--full", "--device", "nowhere"], "--device nowhere: this"),
    ],
)
def test_what_cannot_be_measured_is_refused_before_anything_is_built(options, words, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["harness", "benchmark", *options])
    assert main() == 2
    assert words in capsys.readouterr().err
