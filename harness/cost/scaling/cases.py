"""A plugin for pytest that makes a suite of any size: `pytest -p harness.cost.scaling.cases --cases 5000`.

For fewer cases than the suite has, it takes a sample, the same each time. For more, it repeats the suite.
"""

import random

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    """Declare the number of cases, and how often each is repeated before some are left out."""
    group = parser.getgroup("liquid-audio")
    group.addoption("--cases", type=int, help="how many cases of the suite to run")
    group.addoption("--times", type=int, default=1, help="how often to repeat each case, before some are left out")


@pytest.fixture(scope="session")
def _again(request: pytest.FixtureRequest) -> int:
    return int(request.param)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Repeat each test."""
    if (times := metafunc.config.getoption("--times")) > 1:
        metafunc.fixturenames.append("_again")
        metafunc.parametrize("_again", range(times), indirect=True, ids=lambda n: f"again{n}")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Deselect random cases, the same in every worker, until `--cases` are left."""
    if (cases := config.getoption("--cases")) is None:
        return
    if cases > len(items):
        raise pytest.UsageError(
            f"--cases {cases}: there are {len(items)}, pass --times {-(-cases // max(len(items), 1))} or more"
        )
    chosen = set(random.Random(0).sample(range(len(items)), cases))
    config.hook.pytest_deselected(items=[item for n, item in enumerate(items) if n not in chosen])
    items[:] = [item for n, item in enumerate(items) if n in chosen]
