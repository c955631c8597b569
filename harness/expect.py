"""An expectation of an error that keeps any other error visible in the log."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def refused(kind: type[Exception], pattern: str) -> Iterator[None]:
    """Expect an error whose message says what was passed and what to do. Any other error is raised, so that the log shows it.

    Args:
        kind: the exception's type
        pattern: a pattern that its message must match
    """
    try:
        yield
    except kind as error:
        if not re.search(pattern, str(error)):
            raise
    else:
        pytest.fail(f"nothing was raised, expected {kind.__name__}")
