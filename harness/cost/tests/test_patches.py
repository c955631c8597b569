"""What the patches cost is a ratio with an interval, and no test depends on how long anything takes."""

import subprocess
import sys
from statistics import median

import numpy as np
import pytest

from harness import ROOT, HarnessError, trees
from harness.cost import facts
from harness.cost.patches import run as patches
from harness.cost.patches.ratios import Interval, goal, interval, paired

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
    with pytest.raises(HarnessError, match=rf"--rounds {number}: an interval of 95% needs 6 or more"):
        patches.run(number)


def test_rounds_are_compared_with_those_beside_them_and_a_process_counts_once():
    # The host slows down by half or more from round to round, for both trees alike.
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
    """Times of processes: each has a speed of its own, patched takes a factor more, and a turn disturbs all alike."""
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
    assert ("More than 1.02, beyond chance" in drawn.note) == (slower > 1.05)


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
    # In a process that holds little: to hold more than this one ever did takes gigabytes.
    program = """
from harness.cost import memory
before = memory.peak()
block = bytearray(b"1" * (before + 50_000_000))
high = memory.peak()
del block
print(before, high, memory.peak(), memory.peak() if memory.forget() else 0)
"""
    said = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    before, high, later, anew = map(int, said.split())
    assert high >= before + 50_000_000 and later == high > anew


def test_what_the_host_has_no_memory_for_is_refused():
    with pytest.raises(HarnessError, match="this needs 12 GB of memory, but 3 GB are free"):
        facts.require_memory(12e9, "this", available=3e9)
    facts.require_memory(12e9, "this", available=12e9)
