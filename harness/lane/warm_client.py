"""Stands in for Python on a command line: hands what follows, with stdin, stdout and stderr, to a server of `warm.py`.

A script of its own that imports next to nothing: it starts once for each process that the server forks.
"""

import json
import os
import signal
import socket
import sys


def main() -> int:
    """Wait for the process that the server forks, and exit as it does."""
    # After Ctrl-C that process ends by itself; who kills this one ends it too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asked = json.dumps({"arguments": sys.argv[2:], "folder": os.getcwd(), "environment": dict(os.environ)}).encode()
    with socket.socket(socket.AF_UNIX) as server:
        folder, name = os.path.split(sys.argv[1])
        os.chdir(folder)  # the whole path may be too long for an address
        server.connect(name)
        socket.send_fds(server, [len(asked).to_bytes(8, "big")], [0, 1, 2])
        server.sendall(asked)
        # Its pipes are now that process's alone, so that their other ends see it go.
        nothing = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        status = server.recv(4)
    return int.from_bytes(status, "big") if len(status) == 4 else 1


if __name__ == "__main__":
    sys.exit(main())
