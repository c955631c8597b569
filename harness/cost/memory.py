"""How much memory a process took at most. Standard library alone, so that a worker can ask before it imports anything."""

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak() -> int:
    """Return the most bytes that this process has held in memory, files that it maps included."""
    if STATUS.is_file():
        # Not ru_maxrss, which begins with what the parent held when it started this process.
        line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def forget() -> bool:
    """Let the peak begin anew at what is held now; only Linux can, and the answer says so."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
