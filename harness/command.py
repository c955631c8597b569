"""How every command ends: with an exit status, and an error as one sentence."""

import io
import signal
import sys
from collections.abc import Callable

from harness import HarnessError


def status(run: Callable[[], bool | int | None]) -> int:
    """Run a command, and return its exit status.

    Args:
        run: returns whether the command's claim holds, or an exit status; None if it claims nothing

    Returns:
        0 if the claim holds, 1 if it does not, 2 after an error, or the status that `run` returned
    """
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal may support only ASCII
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as after Ctrl-C, what runs is ended
    try:
        found = run()
        return int(not found) if isinstance(found, bool) else found or 0
    except HarnessError as error:
        print(f"error: {error}", file=sys.stderr)
    except OSError as error:  # a full disk, a read-only folder, a missing program
        missing = isinstance(error, FileNotFoundError) and "/" not in str(error.filename)
        why = "not installed" if missing else error.strerror or error
        print(f"error: {why}: {error.filename or 'out/ or .cache/'}", file=sys.stderr)
    except KeyboardInterrupt:
        print("interrupted", file=sys.stderr)
    return 2
