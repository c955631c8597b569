"""Stands in for Python on a command line, and passes its arguments, stdin, stdout and stderr to the server.

It runs once for each process that the server forks, so it imports as little as possible.
"""

import json
import os
import signal
import socket
import sys


def main() -> int:
    """Wait for the process that the server forks, and return its exit status."""
    # On Ctrl-C that process ends by itself. Killing this one ends it too.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    # What is closed becomes the null device. Otherwise the socket would get the number of stdin, stdout or stderr.
    while (nothing := os.open(os.devnull, os.O_RDWR)) < 3:
        pass
    asked = json.dumps({"arguments": sys.argv[2:], "folder": os.getcwd(), "environment": dict(os.environ)}).encode()
    with socket.socket(socket.AF_UNIX) as server:
        folder, name = os.path.split(sys.argv[1])
        os.chdir(folder)  # the whole path may be too long for an address
        server.connect(name)
        request, end = os.pipe()
        socket.send_fds(server, [b"?"], [0, 1, 2, request])
        os.close(request)
        with open(end, "wb") as pipe:
            pipe.write(asked)
        # Leave the pipes to that process alone, so that their other ends notice when it ends.
        for number in (0, 1, 2):
            os.dup2(nothing, number)
        status = server.recv(4)
    return int.from_bytes(status, "big") if len(status) == 4 else 1


if __name__ == "__main__":
    sys.exit(main())
