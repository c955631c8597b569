"""A Python that starts with torch already imported: a server (`server.py`) imports it once, and forks each process."""

import os
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from harness import ROOT, HarnessError

# Libraries that the suite and the package import. The package itself is left out: it differs from run to run.
LIBRARIES: tuple[str, ...] = ("torch", "torchaudio", "transformers.models.lfm2.modeling_lfm2", "einops", "librosa.filters")
LIBRARIES += ("scipy.io.wavfile", "sentencepiece", "soundfile", "pytest", "hypothesis.strategies", "xdist.plugin")
# pytest warns that it cannot rewrite the asserts of plugins that are imported already. Those asserts need no rewriting.
IMPORTED_BEFORE = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
# At import, torch 2.9 and transformers check for CUDA. With this variable they ask NVML, which does not initialise CUDA. If
# the server initialised CUDA, no forked process could use it.
ASKED_APART = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
# Each process computes on one thread, as conftest.py asks of torch. More threads of OpenBLAS would wait for each other.
ASKED_APART["OMP_NUM_THREADS"] = "1"
CLIENT = Path(__file__).with_name("client.py")
# The lanes that fork. The frameworks of macOS do not survive a fork, and GPU drivers are untested.
LANES = ("cpu", "sim", "xla")
MEMORY = Path("/dev/shm")
ROOM = 1 << 30  # bytes
SHARED = "WARM_PYTHON"  # the variable that holds a Python and the address of its server


@contextmanager
def python(lane: str, environment: Mapping[str, str], libraries: Sequence[str] = LIBRARIES) -> Iterator[Sequence[str]]:
    """Start a server for a lane. On exit, stop it and every process that it forked.

    Args:
        lane: a device
        environment: the server's variables; each process has its own, but libraries see these when they are imported
        libraries: what the server imports. With the default, this uses the server that `shared` names, if there is one, and
            leaves it running

    Yields:
        the command line that replaces Python; Python itself if this lane does not fork
    """
    if lane not in LANES or sys.platform != "linux":
        yield [sys.executable]
        return
    executable, _, address = os.environ.get(SHARED, "").rpartition(os.pathsep)
    if executable == sys.executable and libraries == LIBRARIES:
        yield _client(address)
        return
    # After Ctrl-C the processes may still write there. The server removes it when they have ended.
    with TemporaryDirectory(prefix="warm-", dir=_memory(), ignore_cleanup_errors=True) as folder:
        address = str(Path(folder) / "socket")
        command = [sys.executable, "-m", "harness.lane.warm.server", address, *libraries]
        environment = {**environment, **ASKED_APART}
        # The server sees end-of-file on its stdin when this process ends, however that happens.
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            # It listens before it imports, which takes seconds. An early request waits.
            if server.stdout and server.stdout.readline() != b"listening\n":
                raise HarnessError("the process that imports torch once did not start: see its output above")
            try:
                yield _client(address)
            finally:
                server.terminate()  # stops a server that still imports; later, the end of its stdin stops it


def _memory() -> Path | None:
    """Return a folder in memory, if this host has one with room for what tests write, and TMPDIR names no other."""
    with suppress(OSError):
        if "TMPDIR" in os.environ:
            return None
        found = os.statvfs(MEMORY)
        if found.f_bavail * found.f_frsize >= ROOM and not found.f_flag & os.ST_NOEXEC and os.access(MEMORY, os.W_OK):
            return MEMORY
    return None


def shared(python: Sequence[str]) -> dict[str, str]:
    """Return the variable that lets child processes use this server instead of starting one."""
    return {} if python == [sys.executable] else {SHARED: f"{sys.executable}{os.pathsep}{python[-1]}"}


def temporary(python: Sequence[str]) -> dict[str, str]:
    """Return the variable that puts temporary files into the folder of this server, which removes it when it stops."""
    return {} if python == [sys.executable] else {"TMPDIR": str(Path(python[-1]).parent)}


def _client(address: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(CLIENT), address]
