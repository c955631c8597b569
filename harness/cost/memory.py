"""The peak memory of a process. This needs only the standard library, so that a worker can ask before it imports anything."""

import resource
import sys
from pathlib import Path

STATUS = Path("/proc/self/status")


def peak() -> int:
    """Return the most bytes that this process has held in memory, including mapped files."""
    if STATUS.is_file():
        # Not ru_maxrss, which starts at what the parent held when it started this process.
        line = next(line for line in STATUS.read_text(encoding="ascii").splitlines() if line.startswith("VmHWM:"))
        return int(line.split()[1]) * 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else most * 1024


def forget() -> bool:
    """Reset the peak to what is held now, and return whether this system can: only Linux does."""
    try:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    except OSError:
        return False
    return True
