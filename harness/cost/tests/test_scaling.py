"""How things grow is found from what was measured."""

import re
import subprocess
import sys

import pytest

from harness import ROOT, HarnessError, world
from harness.cost.scaling import run as scaling


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
