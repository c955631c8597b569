"""A Python that has imported torch and the like already: a server imports them once, and forks for each process that is asked for.

It imports and computes nothing else, so that no process sees what another did: neither its tree nor its device.
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

# What the suite and the package import, and the package itself not: it is what differs.
LIBRARIES: tuple[str, ...] = ("torch", "torchaudio", "transformers.models.lfm2.modeling_lfm2", "einops", "librosa.filters")
LIBRARIES += ("scipy.io.wavfile", "sentencepiece", "soundfile", "pytest", "hypothesis.strategies", "xdist.plugin")
# Of pytest's plugins, which are for tests, and not of the tests: their asserts need no rewriting.
IMPORTED_BEFORE = ("-W", "ignore:Module already imported:pytest.PytestAssertRewriteWarning")
# What torch 2.9 and transformers ask of CUDA when they are imported is answered without starting it: where it was started no
# forked process may use it, nor say in its own words that there is none.
ASKED_APART = {"PYTORCH_NVML_BASED_CUDA_CHECK": "1"}
CLIENT = Path(__file__).with_name("warm_client.py")
# Where nothing else is tried: a Mac's frameworks do not take a fork, and what a GPU's driver makes of one is not known.
LANES = ("cpu", "sim", "xla")
PATIENCE = 5  # seconds from SIGTERM to SIGKILL


@contextmanager
def python(lane: str, environment: Mapping[str, str]) -> Iterator[Sequence[str]]:
    """Start a server for a lane, and stop it, with all that runs on it, in the end.

    Args:
        lane: a device
        environment: what the server runs in; each process has its own, but what a library reads when it is imported is this

    Yields:
        what stands for Python on a command line; Python itself where forking is not for this lane
    """
    if lane not in LANES or sys.platform != "linux":
        yield [sys.executable]
        return
    with TemporaryDirectory(prefix="warm-") as folder:
        address = str(Path(folder) / "socket")
        command = [sys.executable, "-m", "harness.lane.warm", address]
        environment = {**environment, **ASKED_APART}
        # Its stdin ends with this process, however that ends.
        with subprocess.Popen(command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as server:
            # It listens before it imports, which takes seconds: who asks early waits.
            if server.stdout and server.stdout.readline() != b"listening\n":
                raise HarnessError("the process that imports torch once did not start: what it said is above")
            try:
                yield [sys.executable, "-I", "-S", str(CLIENT), address]
            finally:
                server.terminate()  # while it imports; later its stdin ends it


def main(address: str) -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the processes get it themselves
    listener = socket.socket(socket.AF_UNIX)
    folder = Path(address).parent
    os.chdir(folder)  # an address has 107 bytes at the most, which the path of a user's TMPDIR may pass
    listener.bind(Path(address).name)
    os.chdir(ROOT)
    listener.listen()
    print("listening", flush=True)
    for library in LIBRARIES:
        import_module(library)
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    gc.collect()
    gc.freeze()  # what was imported is no garbage: to look through it anew takes half a second, in each process
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
        os.waitpid(keeper, 0)  # what they used of the processors is then known to who waits for this process
    with suppress(OSError):  # who started this one may be killed, as nox does soon after Ctrl-C, and leaves the folder
        Path(address).unlink()
        folder.rmdir()


def _keep(connection: socket.socket) -> NoReturn:
    """Fork the process that is asked for, tell the client how it ended, and end it when the client is gone or the server is."""
    head, numbers, _, _ = socket.recv_fds(connection, 8, 3)
    length, asked = int.from_bytes(head, "big"), b""
    while len(asked) < length and (more := connection.recv(1 << 20)):
        asked += more
    if not head or len(asked) < length:  # the client was killed before it had asked
        os._exit(0)
    running, ended = os.pipe()  # the process holds `ended` for as long as it lives
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
    """Be the process that Python with these arguments would be, but for what is imported already."""
    for target, number in enumerate(numbers):
        os.dup2(number, target)
        os.close(number)
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    signal.signal(signal.SIGINT, signal.default_int_handler)

    _end(_run(asked["arguments"], asked["folder"]))


def _run(arguments: Sequence[str], folder: str) -> int:
    """Run what stands after `python` on a command line, and return its exit status."""
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
    """Exit without taking thousands of modules apart, which takes a second."""
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # its other end, or itself, is closed
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main(sys.argv[1])
