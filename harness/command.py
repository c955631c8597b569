"""How every command ends: with an exit status, and an error as one sentence."""

import io
import sys
from collections.abc import Callable

from harness import HarnessError


def status(run: Callable[[], bool | int | None]) -> int:
    """Run a command, and return its exit status.

    Args:
        run: returns whether what the command claims holds, or a status of its own; None if it claims nothing

    Returns:
        0 if it holds, 1 if it does not, 2 if it could not be found out, or the status of its own
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may know ASCII alone
    try:
        found = run()
        return int(not found) if isinstance(found, bool) else found or 0
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:  # a disk that is full, a folder that cannot be written, a program that is not there
        missing = isinstance(error, FileNotFoundError) and "/" not in str(error.filename)
        why = "not installed" if missing else error.strerror or error
        print(f"error: {why}: {error.filename or 'out/ or .cache/'}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return 2
