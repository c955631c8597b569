"""The stand-in accelerator: a second torch device for hosts without one. See README.md in this folder."""

import atexit
import contextlib
import hashlib
import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
import time
import types
from collections.abc import Callable
from pathlib import Path

import torch
from filelock import FileLock
from torch.utils import backend_registration

from harness import world

SOURCE = Path(__file__).parent / "sim.cpp"
COMPILERS = ("c++", "g++", "clang++")


def load(folder: Path, *, strict: bool = False) -> torch.device:
    """Register the device `sim` with torch in this process.

    Args:
        folder: where the extension is kept; building it once takes about 20 seconds
        strict: reject float64 and complex128, as MPS does

    Raises:
        RuntimeError: this host cannot build it; or another backend already uses PrivateUse1, of which torch has one
    """
    if not hasattr(torch, "sim"):
        torch.ops.load_library(build(folder))  # type: ignore[no-untyped-call]
        backend_registration.rename_privateuse1_backend("sim")
        torch.ops.sim.register_hooks()
        torch._register_device_module("sim", _module())
        backend_registration.generate_methods_for_privateuse1_backend()
        _print_through_the_cpu()
        # autograd's thread releases a graph after backward() has returned. torch aborts a process that exits before that.
        atexit.register(time.sleep, 0.1)
    torch.ops.sim.set_strict(strict)
    return torch.device("sim", 0)


def build(folder: Path) -> Path:
    """Compile the extension with torch's own loader, unless it exists for this torch and this source.

    Raises:
        RuntimeError: there is no compiler, or the compiler fails
    """
    key = hashlib.sha256(f"{torch.__version__} {sys.version}".encode() + SOURCE.read_bytes()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / f"sim-{key}.so"
    with FileLock(folder / ".lock"):
        if not library.is_file():
            asked = os.environ.get("CXX")
            compiler = next(filter(None, map(shutil.which, [asked] if asked else COMPILERS)), None)
            if compiler is None and asked:
                raise RuntimeError(f"CXX names {asked}, which is not installed: unset it, or name a C++ compiler")
            if compiler is None:
                raise RuntimeError("no C++ compiler: install g++ or clang, or set CXX")
            print("building the stand-in accelerator (once, about 20 seconds)", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=folder) as partial:
                _compile(Path(partial), compiler).rename(library)
    return library


def _compile(folder: Path, compiler: str) -> Path:
    # In a separate process, because torch's loader looks for ninja on PATH, which may lack the environment's scripts.
    program = "import sys; from torch.utils.cpp_extension import load; load('sim', sys.argv[1:2], extra_cflags=['-O1'], build_directory=sys.argv[2], is_python_module=False)"
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    env = world.environment(CXX=compiler, PATH=path)
    done = subprocess.run([sys.executable, "-c", program, str(SOURCE), str(folder)], env=env, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise RuntimeError(f"it does not compile: {next((line for line in lines if ' error: ' in line), lines[-1])}")
    return folder / "sim.so"


def _print_through_the_cpu() -> None:
    """Let torch print in strict mode. It formats numbers in float64, except on devices that it knows to lack it."""
    widen: Callable[[torch.Tensor], torch.Tensor] = torch._tensor_str.tensor_totype
    torch._tensor_str.tensor_totype = lambda tensor: widen(tensor.cpu() if tensor.device.type == "sim" else tensor)


def _module() -> types.ModuleType:
    """Create `torch.sim`, with the functions that torch and libraries look up on it."""
    module = types.ModuleType("torch.sim")
    module.__dict__.update(
        is_available=lambda: True,
        is_initialized=lambda: True,
        device_count=lambda: 1,
        current_device=lambda: 0,
        device=lambda device: contextlib.nullcontext(),
        manual_seed_all=lambda seed: None,  # random numbers are the CPU's
        _is_in_bad_fork=lambda: False,
        get_amp_supported_dtype=lambda: [torch.float16, torch.bfloat16],
    )
    return module
