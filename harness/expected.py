"""A pytest plugin: the catalogue of bugs as strict xfail.

On the published package, each test that a bug names must fail for one of the bug's reasons. It is then xfailed. If it passes, or
fails otherwise, it fails, and says which bug it should have failed for. `--runxfail` shows the failures as they are. On any tree,
a test that skips for no listed reason fails.
"""

import os
import re
import traceback
from collections.abc import Generator
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from harness import ROOT, HarnessError, trees
from harness.catalogue import CATALOGUE, Bug, read_catalogue

BUG = pytest.StashKey[Bug]()
SKIPS = pytest.StashKey[tuple[str, ...]]()


def mark(config: pytest.Config, items: list[pytest.Item], tree: str, device: str, stack: str) -> None:
    """Mark the tests that bugs name, if the tree is the published one.

    Raises:
        UsageError: the catalogue cannot be read, or names a test for two bugs
    """
    try:
        catalogue = read_catalogue(CATALOGUE)
    except HarnessError as error:
        raise pytest.UsageError(str(error)) from None
    config.stash[SKIPS] = catalogue.skips
    for item in items if tree == "upstream" else ():
        named = [bug for bug in catalogue.on(device, stack) if bug.shown_by(item.nodeid)]
        if len(named) > 1:
            raise pytest.UsageError(f"{item.nodeid} is named by several bugs: {', '.join(bug.id for bug in named)}")
        for bug in named:
            item.stash[BUG] = bug

            def explained(error: BaseException, bug: Bug = bug, item: pytest.Item = item) -> bool:
                return bug.explains(**described(error, item))

            xfail = pytest.mark.xfail(strict=True, raises=pytest.RaisesExc(check=explained), reason=bug.id)
            item.add_marker(xfail, append=False)  # before any of the test's own, which pytest would ask instead
    shown = {item.stash[BUG].id for item in items if BUG in item.stash}
    whole = config.args == ["tests"] or config.args_source == config.ArgsSource.TESTPATHS
    whole = whole and not (config.option.keyword or config.option.markexpr or config.option.deselect)
    lost = [bug.id for bug in catalogue.on(device, stack) if bug.id not in shown]
    if tree == "upstream" and whole and lost:
        raise pytest.UsageError(f"{CATALOGUE.name}: no test shows {', '.join(lost)}")


def described(error: BaseException, item: pytest.Item) -> dict[str, str]:
    """Describe an exception as the catalogue does: its type, its message, and the package function that it came through."""
    spec = find_spec(trees.PACKAGE)  # the package itself may not import
    package = f"{Path(spec.origin).parent if spec and spec.origin else ''}{os.sep}"
    frames = [frame for frame, _ in traceback.walk_tb(error.__traceback__)]
    # Compare strings, because building and comparing paths takes longer than most of the tests.
    inside = [frame.f_code for frame in frames if frame.f_code.co_filename.startswith(package)]
    # An exception from an object of the test counts as the test's, even if the package called that object.
    own = frames[-1].f_code.co_filename.startswith((f"{item.path.parent}{os.sep}", f"{ROOT / 'harness'}{os.sep}"))
    place = "" if own or not inside else f"{inside[-1].co_filename.removeprefix(package)}:{inside[-1].co_name}"
    return {"type": type(error).__name__, "message": str(error), "place": place.replace(os.sep, "/")}


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, Any, Any]:
    """Let a file fail that skips itself."""
    report = yield
    if report.skipped:
        report.outcome, report.longrepr = "failed", f"skipped as a whole: {report.longrepr[2]}"
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item, call: pytest.CallInfo[None]) -> Generator[None, Any, Any]:
    """Record an exception where the log of the run keeps it, and say what a test should have failed for."""
    if call.excinfo is not None:
        frame, line = list(traceback.walk_tb(call.excinfo.tb))[-1]
        where = f"{Path(frame.f_code.co_filename).name}:{line}"
        item.user_properties.append(("exception", {**described(call.excinfo.value, item), "where": where}))
    report = yield
    bug = item.stash.get(BUG, None)
    # Only the catalogue may expect a failure, and only the body of a test shows a bug.
    called = call.excinfo is not None and isinstance(call.excinfo.value, pytest.xfail.Exception)
    shows = bug and report.when == "call" and report.skipped and getattr(report, "wasxfail", "") == bug.id and not called
    if hasattr(report, "wasxfail") and not shows:
        report.outcome, report.longrepr = "failed", report.longrepr or f"xfail that is not in {CATALOGUE.name}"
        del report.wasxfail  # otherwise pytest's exit status would be 0
    if report.skipped and not shows:
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        if bug or not any(re.search(skip, reason) for skip in item.config.stash[SKIPS]):
            report.outcome, report.longrepr = "failed", f"skipped for no listed reason: {reason}"
    if report.failed and bug and not item.config.getoption("runxfail"):
        reasons = "\n".join(f"    {reason}" for reason in bug.reasons)
        words = f"It should fail for {bug.id}, {bug.title!r}, with one of\n{reasons}"
        if hasattr(report.longrepr, "addsection"):
            report.longrepr.addsection("tests/bugs.toml", words)
        else:
            report.longrepr = f"{report.longrepr}\n{words}"
    return report
