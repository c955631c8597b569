"""`sim` is a separate device: it computes in its own memory, does not mix with the CPU, and refuses what real devices refuse."""

import io
import shutil
import subprocess
import sys

import pytest
import torch

from harness import CACHE, ROOT, sim

MIXED = "Expected all tensors to be on the same device, but found at least two devices, sim:0 and cpu!"
NO_FLOAT64 = "Cannot convert a SIM Tensor to float64 dtype as the SIM framework doesn't support"
ROWS = torch.arange(6.0).reshape(2, 3)

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def accelerator():
    """The device, which accepts every dtype unless a test makes it strict."""
    return sim.load(CACHE / "sim")


@pytest.fixture
def strict(accelerator):
    """The device as the suite uses it: without float64."""
    return sim.load(CACHE / "sim", strict=True)


@pytest.fixture
def rows(accelerator):
    return ROWS.to(accelerator)


def on_both(tensor):
    """Return a leaf on the CPU and one on the device, with the same values."""
    return [tensor.clone().to(place).requires_grad_() for place in ("cpu", "sim")]


def test_torch_reports_one_accelerator():
    assert torch.accelerator.current_accelerator(check_available=True) == torch.device("sim")
    assert torch.accelerator.device_count() == 1
    with pytest.raises(RuntimeError, match="there is one sim device, got sim:1"):
        ROWS.to("sim:1")


@pytest.mark.parametrize("name", ["LFM2AudioProcessor", "LFM2AudioModel"])
def test_auto_finds_it_where_there_is_no_gpu(checkpoint, liquid_audio, accelerator, monkeypatch, name):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    loaded = getattr(liquid_audio, name).from_pretrained(checkpoint)
    assert (loaded.device if name == "LFM2AudioProcessor" else next(loaded.parameters()).device) == accelerator


@pytest.mark.parametrize("non_blocking", [False, True], ids=["blocking", "non-blocking"])
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.int64, torch.bool, torch.complex64], ids=str)
def test_a_transfer_copies_the_values(accelerator, dtype, non_blocking):
    there = ROWS.to(dtype).pin_memory().to(accelerator, non_blocking=non_blocking)
    back = there.to("cpu", non_blocking=non_blocking)
    torch.accelerator.synchronize()
    there.zero_()
    assert there.device == accelerator
    assert back.equal(ROWS.to(dtype))


def test_numpy_cannot_read_its_memory(rows):
    with pytest.raises(TypeError, match="can't convert sim:0 device type tensor to numpy"):
        rows.numpy()


@pytest.mark.parametrize("compute", [torch.add, torch.matmul, torch.Tensor.mul_], ids=["add", "matmul", "in-place"])
def test_nothing_is_copied_to_compute(accelerator, compute):
    square = torch.eye(3, device=accelerator)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        result = compute(square, square)
    assert result.untyped_storage().device == accelerator
    assert not [event.name for event in profile.events() if "copy" in event.name or event.name == "aten::to"]


@pytest.mark.parametrize(
    "view", [lambda t: t.T, lambda t: t[:, ::2], lambda t: t.view(3, 2), lambda t: t.chunk(2)[1]], ids=range(4)
)
def test_a_view_shares_its_memory_and_passes_gradients(rows, view):
    expected = ROWS.clone()
    for tensor in (expected, rows):
        view(tensor).zero_()
    assert rows.cpu().equal(expected)
    here, there = on_both(ROWS)
    for tensor in (here, there):
        view(tensor).square().sum().backward()
    assert there.grad.cpu().equal(here.grad)


def test_writes_change_the_tensor(accelerator, rows):
    rows.mul_(2).add_(1)
    rows[rows > 10] = 0
    assert rows.cpu().equal(torch.tensor([[1.0, 3, 5], [7, 9, 0]]))
    out = torch.empty(0, device=accelerator)
    assert torch.add(rows, rows, out=out) is out
    assert out.cpu().equal(rows.cpu() * 2)


MIXES = {
    "cat": lambda there, here: torch.cat([there, here]),
    "add": lambda there, here: there + here,
    "in-place": lambda there, here: here.add_(there),
    "out": lambda there, here: torch.add(there, there, out=here),
    "embedding": lambda there, here: torch.nn.functional.embedding(here.long(), there),
    "convolution": lambda there, here: torch.nn.functional.conv1d(there[None], torch.ones(2, 2, 1)),
}


@pytest.mark.parametrize("mix", MIXES.values(), ids=MIXES)
def test_mixing_with_the_cpu_is_refused_in_torchs_words(rows, mix):
    with pytest.raises(RuntimeError, match=MIXED):
        mix(rows, ROWS.clone())


def test_numbers_and_indices_may_come_from_the_cpu(rows):
    assert (rows + torch.tensor(1.0)).cpu().equal(ROWS + 1)
    assert rows[torch.tensor([1, 0])].cpu().equal(ROWS[[1, 0]])


@pytest.mark.parametrize(
    "make",
    [
        lambda: torch.zeros(3, dtype=torch.float64).to("sim"),
        lambda: torch.zeros(3, dtype=torch.float64, device="sim"),
        lambda: torch.zeros(3, device="sim").double(),
        lambda: torch.zeros(3, device="sim").sum(dtype=torch.float64),
    ],
    ids=["transfer", "factory", "cast", "result"],
)
def test_float64_is_refused_in_strict_mode(make):
    assert make().dtype == torch.float64
    sim.load(CACHE / "sim", strict=True)
    with pytest.raises(TypeError, match=NO_FLOAT64):
        make()


def test_an_empty_batch_is_normalized_in_strict_mode(strict):
    norm = torch.nn.BatchNorm1d(3).to(strict)
    norm(torch.empty(0, 3, 4, device=strict)).sum().backward()
    assert norm.weight.grad.cpu().equal(torch.zeros(3))
    with pytest.raises(TypeError, match=NO_FLOAT64):
        torch.empty(1, dtype=torch.float64, device=strict)


def test_a_tensor_prints_in_strict_mode_as_on_the_cpu(strict):
    assert repr(ROWS.to(strict)).replace(", device='sim:0'", "") == repr(ROWS)


def test_an_operation_that_it_lacks_fails_by_name(rows):
    library = torch.library.Library("sim_test", "FRAGMENT")
    library.define("lacks(Tensor x) -> Tensor")
    with pytest.raises(NotImplementedError, match="sim_test::lacks"):
        torch.ops.sim_test.lacks(rows)


FUNCTIONS = {
    "attention": lambda t: torch.nn.functional.scaled_dot_product_attention(*[t.expand(1, 4, 8, 16)] * 3),
    "layer norm": lambda t: torch.nn.functional.layer_norm(t, (16,)),
    "convolution": lambda t: torch.nn.functional.conv1d(t[None], t.T[..., None]),
    "linear": lambda t: torch.nn.functional.linear(t, t),
    "softmax": lambda t: t.softmax(1),
    "loss": lambda t: torch.nn.functional.mse_loss(t, t * 2),
    "foreach": lambda t: torch.stack(torch._foreach_mul([t, t + 1], 2.0)),
    "index": lambda t: t[torch.tensor([3, 1], device=t.device)],
    "fourier": lambda t: torch.fft.rfft(t).conj().imag,
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_results_and_gradients_are_the_cpus_to_the_bit(accelerator, function):
    torch.manual_seed(0)
    here, there = on_both(torch.randn(8, 16))
    outputs = [function(tensor) for tensor in (here, there)]
    for output in outputs:
        output.square().sum().backward()
    assert outputs[1].device == there.grad.device == accelerator
    assert outputs[1].cpu().equal(outputs[0])
    assert there.grad.cpu().equal(here.grad)


# The dtypes of torch's list for CUDA: see "Autocast Op Reference" in its documentation.
CASTS = {
    "linear": (lambda x: torch.nn.functional.linear(x, x), torch.bfloat16),
    "attention": (lambda x: torch.nn.functional.scaled_dot_product_attention(x, x, x), torch.bfloat16),
    "softmax": (lambda x: (x @ x).softmax(1), torch.float32),
    "sum": (lambda x: (x @ x).sum(), torch.float32),
    "norm": (lambda x: (x @ x).norm(2), torch.float32),
    "widest": (lambda x: torch.addcmul(x @ x, x, x @ x), torch.float32),
    "not listed": (lambda x: (x @ x).relu(), torch.bfloat16),
}


@pytest.mark.parametrize(("compute", "dtype"), CASTS.values(), ids=CASTS)
def test_autocast_casts_what_it_casts_on_cuda(accelerator, compute, dtype):
    with torch.autocast("sim", dtype=torch.bfloat16):
        assert compute(torch.eye(3, device=accelerator) / 3).dtype == dtype


def train(place):
    """Train a small model for a few steps, in bfloat16 where autocast casts to it, and return the losses."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(3, 8, 3), torch.nn.GELU(), torch.nn.Flatten(), torch.nn.Linear(48, 1))
    model.to(place)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, fused=True)
    data = [(clip, clip.mean(0, keepdim=True)[:, 0]) for clip in torch.randn(16, 3, 8)]
    losses = []
    for clips, means in torch.utils.data.DataLoader(data * 6, batch_size=16, pin_memory=True):
        optimizer.zero_grad()
        with torch.autocast(place, dtype=torch.bfloat16):
            loss = torch.nn.functional.mse_loss(model(clips.to(place)), means.to(place))
        loss.backward()
        torch.nn.utils.clip_grad_norm_(model.parameters(), 1.0)
        optimizer.step()
        losses.append(loss.item())
    return losses


def test_a_model_trains_as_on_the_cpu(strict):
    losses = train("sim")
    assert losses[-1] < losses[0] / 2
    assert losses == pytest.approx(train("cpu"), rel=0.02)


def test_a_saved_tensor_loads_on_both_devices(accelerator, rows):
    file = io.BytesIO()
    torch.save(rows, file)
    for location in (accelerator, torch.device("cpu")):
        file.seek(0)
        loaded = torch.load(file, map_location=location)
        assert loaded.device == location
        assert loaded.cpu().equal(ROWS)


def test_a_process_may_end_with_the_backward_pass():
    program = f"import pathlib, torch; from harness import sim; sim.load(pathlib.Path({str(CACHE / 'sim')!r}))\n"
    program += "torch.ones(3, device='sim', requires_grad=True).sum().backward()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_host_without_a_compiler_is_told_so(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(RuntimeError, match=r"^no C\+\+ compiler: install g\+\+ or clang, or set CXX$"):
        sim.build(tmp_path)


def test_a_compiler_that_fails_leaves_nothing_half_built(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", shutil.which("false"))
    with pytest.raises(RuntimeError, match=r"^it does not compile: "):
        sim.build(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]
