"""The guide of tests/README.md leads from a bug to the patch that fixes it. `nox -s guide` runs its long steps."""

import sys

import pytest

from harness import HarnessError
from harness.ship import guide

# Sessions that take minutes.
LONG = {"verdict", "census", "readme"}


@pytest.fixture
def repository(tmp_path):
    return guide.copy(tmp_path / "repository")


def apart(command, repository):
    """Run what a session of nox runs, in this environment, unless it takes long."""
    if command[:3] == ["python3", "-m", "nox"]:
        _, _, _, _, session, _, *rest = [*command, *["verdict"] * 3] if len(command) < 6 else command
        if session in LONG or any("harness" in word for word in rest):
            return None
        command = [sys.executable, "-m", "harness", {"tests": "test"}.get(session, session)]
        # One process, because there is one test to run.
        command += ["--", "--numprocesses", "0", *rest] if session == "tests" else rest
    return guide.runner(sys.executable)(command, repository)


def test_the_guide_leads_from_a_bug_to_its_patch(repository):
    steps = list(guide.follow(repository, apart))
    assert len([step for step in steps if step.startswith("added to ")]) == 4
    program = """
from harness import PATCHES
from harness import series
from harness.ship import wheel
from harness.ship.pr import pulls
from harness.catalogue import CATALOGUE, read_catalogue
with series.checkout() as repository:
    for pull in pulls.read():
        series.am(repository, *pull.code)
with series.checkout() as repository:
    series.am(repository, *series.whole(PATCHES))
    series.check_export(repository, series.whole(PATCHES))
assert {bug.patch for bug in read_catalogue(CATALOGUE).bugs} == {patch.name for patch in series.trees.series()}
print(wheel.VERSION)
"""
    assert guide.runner(sys.executable)([sys.executable, "-c", program], repository) == 0


@pytest.mark.parametrize(
    ("block", "problem"),
    [
        ("```bash\ntrue  # fails\n```", r"says `true  # fails`, which ended with 0"),
        ("   ```bash\n   false\n   ```", r"says `false`, which ended with 1"),
        ("```python\n# at the end of tests/none.py\n```", r"none\.py', and there is no such file"),
    ],
)
def test_a_step_that_does_not_do_what_it_says_is_an_error(tmp_path, monkeypatch, block, problem):
    (tmp_path / "README.md").write_text(f"## Add a bug\n{block}\n")
    monkeypatch.setattr(guide, "GUIDE", tmp_path / "README.md")
    with pytest.raises(HarnessError, match=problem):
        list(guide.follow(tmp_path, guide.runner(sys.executable)))
