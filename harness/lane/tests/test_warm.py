"""A process of the server behaves like a new Python with torch imported. It sees no other, and ends with its client."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from harness import ROOT, world
from harness.lane import warm

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks")


# A server that imports little, for what torch has no part in.
LITTLE = ("json",)


@pytest.fixture(scope="module")
def python():
    with warm.python("cpu", world.environment(), LITTLE) as words:
        yield words


@pytest.fixture
def with_torch():
    with warm.python("cpu", world.environment()) as words:
        yield words


def run(python, *arguments, **options):
    return subprocess.run([*python, *arguments], capture_output=True, text=True, timeout=300, **options)


def test_it_is_asked_as_python_is(python, tmp_path):
    program = "import os, sys; print(sys.argv, os.getcwd(), sorted(os.environ), sys.executable, __name__, sys.stdin.read())"
    asked = (("-c", program, "a", "-b"), {"cwd": tmp_path, "env": {"A": "1", "LC_ALL": "C.UTF-8"}, "input": "ü"})
    assert run(python, *asked[0], **asked[1]).stdout == run([sys.executable], *asked[0], **asked[1]).stdout != ""
    (tmp_path / "own.py").write_text("import sys; print(__name__, sys.argv)")
    for words in (python, [sys.executable]):
        assert run(words, "-m", "own", "a", cwd=tmp_path).stdout == f"__main__ ['{tmp_path}/own.py', 'a']\n"


@pytest.mark.parametrize(
    "program",
    [
        "raise SystemExit(7)",
        "raise SystemExit",
        "raise SystemExit('words')",
        "import sys; sys.exit(None)",
        "1 / 0",
        "import atexit; atexit.register(print, 'late')",
        "import threading, time; threading.Thread(target=lambda: (time.sleep(0.2), print('later'))).start()",
        "import os; print('lost'); os._exit(3)",
    ],
)
def test_it_ends_as_python_does(python, program):
    mine, own = run(python, "-c", program), run([sys.executable], "-c", program)
    assert (mine.returncode, mine.stderr.splitlines()[-1:]) == (own.returncode, own.stderr.splitlines()[-1:])
    assert mine.stdout == own.stdout or program.endswith("_exit(3)")  # its output may be flushed line by line


def test_it_holds_only_its_own_descriptors_while_others_run(python):
    with subprocess.Popen([*python, "-c", SLEEP], stdout=subprocess.PIPE) as other:
        other.stdout.readline()
        program = "import os; print(sorted(os.listdir('/proc/self/fd')))"
        assert run(python, "-c", program).stdout == run([sys.executable], "-c", program).stdout
        other.kill()


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_its_stdin_stdout_and_stderr_may_be_closed(python, closed):
    shell = f'"$@" {closed}'
    assert run(["bash", "-c", shell, "bash", *python], "-c", "raise SystemExit(7)").returncode == 7


def test_a_signal_that_ends_it_is_told(python):
    assert run(python, "-c", "import os, signal; os.kill(os.getpid(), signal.SIGKILL)").returncode == 128 + signal.SIGKILL


def test_torch_is_there_and_neither_tree_nor_device_is(with_torch):
    program = "import sys; print([name for name in ('torch', 'transformers', 'liquid_audio', 'harness.lane.sim') if name in sys.modules])"
    assert run(with_torch, "-c", program).stdout == "['torch', 'transformers']\n"


def test_a_copy_of_this_repository_has_its_own_harness(python, tmp_path):
    (tmp_path / "harness").mkdir()
    (tmp_path / "harness" / "__init__.py").write_text("print(__name__, 'of the copy')")
    assert run(python, "-c", "import harness", cwd=tmp_path).stdout == "harness of the copy\n"


def test_a_server_is_shared_by_the_same_python_only(python, monkeypatch):
    address = python[-1]
    monkeypatch.setenv(*warm.shared(python).popitem())
    with warm.python("cpu", world.environment()) as shared:
        assert shared == python
    monkeypatch.setenv(warm.SHARED, f"/another/python{os.pathsep}{address}")
    with warm.python("cpu", world.environment()) as own:
        assert own[-1] != address
    assert run(python, "-c", "print('still here')").stdout == "still here\n"


def test_no_process_sees_what_another_did(with_torch):
    assert run(with_torch, "-c", "import torch; torch.seen = True; torch.set_num_threads(1)").returncode == 0
    assert run(with_torch, "-c", "import torch; print(hasattr(torch, 'seen'))").stdout == "False\n"


def test_its_temporary_files_are_where_its_own_tmpdir_says(with_torch, tmp_path):
    env = world.environment(TMPDIR=str(tmp_path))
    assert run(with_torch, "-c", "import tempfile; print(tempfile.gettempdir())", env=env).stdout == f"{tmp_path}\n"


def test_cuda_is_asked_as_ever(with_torch):
    program = "import torch; torch.zeros(1, device='cuda')"
    mine, own = run(with_torch, "-c", program), run([sys.executable], "-c", program)
    assert (mine.returncode, mine.stderr.splitlines()[-1:]) == (own.returncode, own.stderr.splitlines()[-1:])


def alive(pid):
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def gone(pid):
    """Wait for a process to end."""
    end = time.monotonic() + 20
    while alive(pid) and time.monotonic() < end:
        time.sleep(0.05)
    return not alive(pid)


SLEEP = "import os, time; print(os.getpid(), flush=True); time.sleep(60)"


def test_it_ends_when_who_asked_is_killed(python):
    with subprocess.Popen([*python, "-c", SLEEP], stdout=subprocess.PIPE) as asked:
        pid = int(asked.stdout.readline())
        assert alive(pid)
        asked.kill()
    assert gone(pid)


def test_ctrl_c_is_the_processes_own_affair(python):
    program = f"try:\n    {SLEEP}\nexcept KeyboardInterrupt: print('tidied up')"
    with subprocess.Popen([*python, "-c", program], stdout=subprocess.PIPE, text=True) as asked:
        pid = int(asked.stdout.readline())
        for each in (asked.pid, pid):  # a terminal signals all of them
            os.kill(each, signal.SIGINT)
        assert asked.stdout.read() == "tidied up\n"
    assert asked.returncode == 0


def test_all_end_with_the_server():
    with warm.python("sim", world.environment(), LITTLE) as python:
        folder = Path(python[-1]).parent
        asked = subprocess.Popen([*python, "-c", SLEEP], stdout=subprocess.PIPE)
        pid = int(asked.stdout.readline())
    assert gone(pid) and asked.wait() == 128 + signal.SIGTERM
    asked.stdout.close()
    assert not folder.exists()


def test_the_path_of_its_folder_may_be_a_long_one(tmp_path, monkeypatch):
    folder = tmp_path / ("long " * 20)
    folder.mkdir()
    monkeypatch.setenv("TMPDIR", str(folder))
    monkeypatch.setattr("tempfile.tempdir", None)  # it is asked for once
    with warm.python("cpu", world.environment(), LITTLE) as python:
        assert run(python, "-c", "import os; print(os.getcwd())", cwd=tmp_path).stdout == f"{tmp_path}\n"


def test_its_folder_is_in_memory_where_there_is_room_unless_tmpdir_names_another(tmp_path, monkeypatch):
    monkeypatch.setattr(warm, "MEMORY", tmp_path)
    for room, tmpdir, expected in ((1, None, True), (1, "/tmp", False), (1 << 60, None, False)):
        monkeypatch.setattr(warm, "ROOM", room)
        monkeypatch.setenv("TMPDIR", tmpdir) if tmpdir else monkeypatch.delenv("TMPDIR", raising=False)
        with warm.python("cpu", world.environment(), LITTLE) as python:
            assert Path(python[-1]).is_relative_to(tmp_path) == expected
            files = warm.temporary(python)
            made = run(python, "-c", "import tempfile; print(tempfile.mkdtemp())", env={**os.environ, **files})
            assert made.stdout.startswith(files["TMPDIR"] + os.sep)
        assert not Path(files["TMPDIR"]).exists()


@pytest.mark.parametrize("stop", [signal.SIGKILL, signal.SIGHUP])
def test_nothing_is_left_where_who_started_it_was_killed(tmp_path, stop):
    program = "import time; from harness import world; from harness.lane import warm\n"
    program += (
        "with warm.python('cpu', world.environment(), ['json']) as python: print(python[-1], flush=True); time.sleep(60)"
    )
    variables = world.environment(TMPDIR=str(tmp_path))
    with subprocess.Popen(
        [sys.executable, "-c", program], cwd=ROOT, env=variables, stdout=subprocess.PIPE, text=True, start_new_session=True
    ) as asked:
        folder = Path(asked.stdout.readline().strip()).parent
        assert folder.is_relative_to(tmp_path)
        # A terminal that closes signals all of them.
        os.killpg(asked.pid, stop) if stop == signal.SIGHUP else asked.kill()
    end = time.monotonic() + 300
    while folder.exists() and time.monotonic() < end:
        time.sleep(0.05)
    assert not folder.exists()


def test_a_client_that_is_killed_before_it_asks_leaves_no_process(python, capfd):
    for said in (None, b"", b'{"arguments": ["-c", "print('):
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(python[-1])
            if said is not None:
                request, end = os.pipe()
                socket.send_fds(client, [b"?"], [0, 1, 2, request])
                os.write(end, said)
                os.close(request)
                os.close(end)
    assert run(python, "-c", "print('still here')").stdout == "still here\n"
    assert capfd.readouterr().err == ""


def test_a_device_with_a_driver_gets_a_python_of_its_own():
    for lane in ("cuda", "mps"):
        with warm.python(lane, {}) as python:
            assert python == [sys.executable]
