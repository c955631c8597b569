"""Options that do nothing are refused before anything is measured."""

import sys

import pytest

from harness.cost.__main__ import main


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
    assert "--rounds 2: an interval of 95% needs 6 or more" in capsys.readouterr().err
