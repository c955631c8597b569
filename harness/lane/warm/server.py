"""The server: it imports libraries once, and forks a process for each request.

It computes nothing, so that no process sees another's tree or device.
"""

import atexit
import gc
import json
import os
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import threading
import time
import traceback
import types
from collections.abc import Sequence
from contextlib import suppress
from importlib import import_module
from pathlib import Path
from runpy import run_module
from typing import Any, NoReturn, TextIO

from harness import ROOT

PATIENCE = 5  # seconds from SIGTERM to SIGKILL


def main(address: str, *libraries: str) -> None:
    """Serve until stdin ends."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the forked processes get the signal directly
    # A terminal that closes sends SIGHUP to all at once. The server has the folder to remove, then its stdin ends.
    hangup = signal.signal(signal.SIGHUP, signal.SIG_IGN)
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
    _Server(listener, hangup).serve()
    shutil.rmtree(folder, ignore_errors=True)  # after Ctrl-C nox soon kills the parent, which then leaves it behind


class _Server:
    """Forks a process for each request, reports its exit status, and stops it when its client is gone or stdin ends."""

    def __init__(self, listener: socket.socket, hangup: Any) -> None:
        """Serve a socket that listens; the processes handle SIGHUP as `hangup` says."""
        self._hangup = hangup
        self._clients: dict[int, socket.socket] = {}  # by process
        self._deadlines: dict[int, float] = {}  # for processes that were told to stop
        self._open = True
        ended, self._wake = socket.socketpair()
        for end in (ended, self._wake):
            end.setblocking(False)
        signal.signal(signal.SIGCHLD, lambda *_: None)  # only a signal with a handler wakes the selector
        signal.set_wakeup_fd(self._wake.fileno(), warn_on_full_buffer=False)
        self._events = selectors.DefaultSelector()
        self._events.register(sys.stdin, selectors.EVENT_READ, self._close)
        self._events.register(listener, selectors.EVENT_READ, self._accept)
        self._events.register(ended, selectors.EVENT_READ, self._reap)

    def serve(self) -> None:
        """Serve until stdin ends, then until no process is left."""
        while self._open or self._clients:
            patience = min(self._deadlines.values()) - time.monotonic() if self._deadlines else None
            for key, _ in self._events.select(patience):
                key.data(key.fileobj)
            for process in [process for process, deadline in self._deadlines.items() if deadline <= time.monotonic()]:
                os.kill(process, signal.SIGKILL)
                del self._deadlines[process]

    def _close(self, stdin: TextIO) -> None:
        self._open = False
        self._events.unregister(stdin)
        for process in self._clients:
            self._stop(process)

    def _accept(self, listener: socket.socket) -> None:
        self._events.register(listener.accept()[0], selectors.EVENT_READ, self._fork)

    def _fork(self, client: socket.socket) -> None:
        _, numbers, _, _ = socket.recv_fds(client, 1, 4)
        if not numbers or not self._open:  # the client was killed before it asked, or it asked too late
            for number in numbers:
                os.close(number)
            self._events.unregister(client)
            client.close()
        elif process := os.fork():
            for number in numbers:
                os.close(number)
            self._clients[process] = client
            self._events.modify(client, selectors.EVENT_READ, self._hang_up)
        else:
            signal.set_wakeup_fd(-1)
            for caught in (signal.SIGCHLD, signal.SIGTERM):
                signal.signal(caught, signal.SIG_DFL)
            signal.signal(signal.SIGHUP, self._hangup)
            # Close them without telling the selector, whose state the parent shares.
            registered = {key.fd for key in self._events.get_map().values()}
            for number in registered.union(other.fileno() for other in self._clients.values()):
                os.close(number)
            self._events.close()
            self._wake.close()
            _become(numbers)

    def _hang_up(self, client: socket.socket) -> None:
        for process in [process for process, other in self._clients.items() if other is client]:
            self._events.unregister(client)
            self._stop(process)

    def _stop(self, process: int) -> None:
        os.kill(process, signal.SIGTERM)
        self._deadlines[process] = time.monotonic() + PATIENCE

    def _reap(self, ended: socket.socket) -> None:
        ended.recv(1 << 10)
        while self._clients and (process := (found := os.waitpid(-1, os.WNOHANG))[0]):
            client = self._clients.pop(process)
            self._deadlines.pop(process, None)
            if client in self._events.get_map():
                self._events.unregister(client)
            code = os.waitstatus_to_exitcode(found[1])
            with suppress(OSError):
                client.sendall((code if code >= 0 else 128 - code).to_bytes(4, "big"))
            client.close()


def _become(numbers: Sequence[int]) -> NoReturn:
    """Become the process that Python would start with the requested arguments, except that libraries are already imported.

    Args:
        numbers: its stdin, stdout and stderr, and a pipe with the request
    """
    try:
        with open(numbers[3], "rb") as request:
            asked = json.load(request)
    except ValueError:  # the client was killed before its request was complete
        os._exit(1)
    for target, number in enumerate(numbers[:3]):
        os.dup2(number, target)
        os.close(number)
    for name in [name for name in sys.modules if name.partition(".")[0] == "harness"]:
        del sys.modules[name]  # the process may run in another copy of this repository
    os.chdir(asked["folder"])
    os.environ.clear()
    os.environ.update(asked["environment"])
    tempfile.tempdir = None  # torch has asked for it, with the variables of the server
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
    threading._shutdown()  # type: ignore[attr-defined]  # waits for threads, as Python does
    atexit._run_exitfuncs()
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError):  # the stream or its other end is closed
            stream.flush()
    os._exit(status)


if __name__ == "__main__":
    main(*sys.argv[1:])
