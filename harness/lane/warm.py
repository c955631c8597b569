"""A Python that starts with torch already imported. A server imports it once, and forks a process for each request.

The server only imports libraries and computes nothing, so that no process sees another's tree or device.
"""

import atexit
import gc
import json
import os
import select
import signal
import socket
import subprocess
import sys
import traceback
import types
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from runpy import run_module
from tempfile import TemporaryDirectory
from typing import Any, NoReturn

from harness import ROOT, HarnessError

# Libraries that the suite and the package import. The package itself is left out: it differs from run to run.
LIBRARIES: tuple[str, ...] = ("torch", "torchaudio", "transformers.models.lfm2.modeling_lfm2", "einops", "librosa.filters")
LIBRARIES += ("scipy.io.wavfile", "sentencepiece", "soundfile", "pytest", "hypothesis.strategies", "xdist.plugin")
# pytest warns that it cannot rewrite the asserts of plugins that are imported already. Those asserts need no rewriting.
IMPORTED_BEFORE = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
# At import, torch 2.9 and transformers check for CUDA. With this variable they ask NVML, which does not initialise CUDA. If
# the server initialised CUDA, no forked process could use it.
ASKED_APART = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
CLIENT = Path(__file__).with_name("warm_client.py")
# The lanes that fork. The frameworks of macOS do not survive a fork, and GPU drivers are untested.
LANES = ("cpu", "sim", "xla")
PATIENCE = 5  # seconds from SIGTERM to SIGKILL
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
    with TemporaryDirectory(prefix="warm-") as folder:
        address = str(Path(folder) / "socket")
        command = [sys.executable, "-m", "harness.lane.warm", address, *libraries]
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


def shared(python: Sequence[str]) -> dict[str, str]:
    """Return the variable that lets child processes use this server instead of starting one."""
    return {} if python == [sys.executable] else {SHARED: f"{sys.executable}{os.pathsep}{python[-1]}"}


def _client(address: str) -> list[str]:
    return [sys.executable, "-I", "-S", str(CLIENT), address]


def main(address: str, *libraries: str) -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the forked processes get the signal directly
    listener = socket.socket(socket.AF_UNIX)
    folder = Path(address).parent
    os.chdir(folder)  # an address has at most 107 bytes, and the path of TMPDIR may be longer
    listener.bind(Path(address).name)
    os.chdir(ROOT)
    listener.listen()
    print("listening", flush=True)
    for library in libraries:
        import_module(library)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # otherwise each process spends half a second collecting the imported objects
    keepers = []
    while sys.stdin not in select.select([listener, sys.stdin], [], [])[0]:
        connection, _ = listener.accept()
        if not (keeper := os.fork()):
            listener.close()
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            _keep(connection)
        keepers.append(keeper)
        connection.close()
    for keeper in keepers:
        os.waitpid(keeper, 0)  # counts their CPU time as this process's
    with suppress(OSError):  # after Ctrl-C nox soon kills the parent, which then leaves the folder behind
        Path(address).unlink()
        folder.rmdir()


def _keep(connection: socket.socket) -> NoReturn:
    """Fork the requested process, report its exit status to the client, and stop it when the client or the server is gone."""
    head, numbers, _, _ = socket.recv_fds(connection, 8, 3)
    length, asked = int.from_bytes(head, "big"), b""
    while len(asked) < length and (more := connection.recv(1 << 20)):
        asked += more
    if not head or len(asked) < length:  # the client was killed before its request was complete
        os._exit(0)
    running, ended = os.pipe()  # `ended` stays open for as long as the process lives
    if not (process := os.fork()):
        connection.close()
        os.close(running)
        _become(numbers, json.loads(asked))
    for number in (*numbers, ended):
        os.close(number)
    if running not in select.select([connection, sys.stdin, running], [], [])[0]:
        os.kill(process, signal.SIGTERM)
        if not select.select([running], [], [], PATIENCE)[0]:
            os.kill(process, signal.SIGKILL)
    code = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    with suppress(OSError):
        connection.sendall((code if code >= 0 else 128 - code).to_bytes(4, "big"))
    os._exit(0)


def _become(numbers: Sequence[int], asked: Mapping[str, Any]) -> NoReturn:
    """Become the process that Python would start with these arguments, except that libraries are already imported."""
    for target, number in enumerate(numbers):
        os.dup2(number, target)
        os.close(number)
    for name in [name for name in sys.modules if name.partition(".")[0] == "harness"]:
        del sys.modules[name]  # the process may run in another copy of this repository
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)

    _end(_run(asked["arguments"], asked["folder"]))


def _run(arguments: Sequence[str], folder: str) -> int:
    """Run the arguments of a `python` command line, and return the exit status."""
    kind, program, *sys.argv[1:] = (word for word in arguments if word != "-u")
    try:
        if kind == "-m":
            sys.path[0] = folder
            run_module(program, run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = ""
            sys.argv[0] = kind
            fresh = sys.modules["__main__"] = types.ModuleType("__main__")
            exec(program, vars(fresh))
    except SystemExit as end:
        if end.code is not None and not isinstance(end.code, int):
            print(end.code, file=sys.stderr)
        return end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
        return 1
    return 0


def _end(status: int) -> NoReturn:
    """Exit without tearing down thousands of modules, which takes a second."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the stream or its other end is closed
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
