"""What the suite says where pytest's own words would hide the evidence."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

import pytest


@contextmanager
def refused(kind: type[Exception], pattern: str) -> Iterator[None]:
    """Expect an error that says what came and what to do; let any other through, so that the log has its own words.

    Args:
        kind: the exception's type
        pattern: what its message matches
    """
    try:
        yield
    except kind as error:
        if not re.search(pattern, str(error)):
            raise
    else:
        pytest.fail(f"nothing was raised, expected {kind.__name__}")
