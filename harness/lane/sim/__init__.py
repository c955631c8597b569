"""The stand-in accelerator: a second torch device, for hosts that have none. See README.md beside this file."""

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
    """Make torch know the device `sim` in this process.

    Args:
        folder: where the extension is kept; building it takes some 20 seconds, once
        strict: refuse float64 and complex128, as MPS does

    Raises:
        RuntimeError: this host cannot build it, in one sentence; or another backend has torch's one free place
    """
    if not hasattr(torch, "sim"):
        torch.ops.load_library(build(folder))  # type: ignore[no-untyped-call]
        backend_registration.rename_privateuse1_backend("sim")
        torch.ops.sim.register_hooks()
        torch._register_device_module("sim", _module())
        backend_registration.generate_methods_for_privateuse1_backend()
        _print_through_the_cpu()
        # autograd's thread lets go of a graph after backward() has returned; torch aborts a process that ends meanwhile.
        atexit.register(time.sleep, 0.1)
    torch.ops.sim.set_strict(strict)
    return torch.device("sim", 0)


def build(folder: Path) -> Path:
    """Compile the extension with torch's own loader, unless it is there for this torch and this source.

    Raises:
        RuntimeError: there is no compiler, or it fails
    """
    key = hashlib.sha256(f"{torch.__version__} {sys.version}".encode() + SOURCE.read_bytes()).hexdigest()[:12]
    folder.mkdir(parents=True, exist_ok=True)
    library = folder / f"sim-{key}.so"
    with FileLock(folder / ".lock"):
        if not library.is_file():
            compiler = next(filter(None, map(shutil.which, [os.environ.get("CXX", ""), *COMPILERS])), None)
            if compiler is None:
                raise RuntimeError("no C++ compiler: install g++ or clang, or set CXX")
            print("building the stand-in accelerator: some 20 seconds, once", file=sys.stderr)
            with tempfile.TemporaryDirectory(dir=folder) as partial:
                _compile(Path(partial), compiler).rename(library)
    return library


def _compile(folder: Path, compiler: str) -> Path:
    # In a process of its own: torch's loader looks for ninja on PATH, which may not have the environment's.
    program = "import sys; from torch.utils.cpp_extension import load; load('sim', sys.argv[1:2], extra_cflags=['-O1'], build_directory=sys.argv[2], is_python_module=False)"
    path = os.pathsep.join([sysconfig.get_path("scripts"), os.environ.get("PATH", "")])
    env = world.environment(CXX=compiler, PATH=path)
    done = subprocess.run([sys.executable, "-c", program, str(SOURCE), str(folder)], env=env, capture_output=True, text=True)
    if done.returncode:
        lines = (done.stdout + done.stderr).strip().splitlines()
        raise RuntimeError(f"it does not compile: {next((line for line in lines if ' error: ' in line), lines[-1])}")
    return folder / "sim.so"


def _print_through_the_cpu() -> None:
    """Let torch print in strict mode: it looks at the numbers in float64, on all devices but those that it knows to lack it."""
    widen: Callable[[torch.Tensor], torch.Tensor] = torch._tensor_str.tensor_totype
    torch._tensor_str.tensor_totype = lambda tensor: widen(tensor.cpu() if tensor.device.type == "sim" else tensor)


def _module() -> types.ModuleType:
    """Make `torch.sim`, of which torch and what builds on it ask these."""
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
