"""The stand-in accelerator is a separate device: it computes, does not mix with the CPU, and rejects by name what it lacks."""

import copy
import io
import pickle
import shutil
import subprocess
import sys

import pytest
import torch
from datasets.fingerprint import Hasher
from torch.testing import assert_close

from harness import CACHE, ROOT
from harness.lane import sim

MIXED = "Expected all tensors to be on the same device, but found at least two devices, sim:0 and cpu!"
ROWS = torch.arange(6.0).reshape(2, 3)

pytestmark = pytest.mark.filterwarnings("error")


@pytest.fixture(autouse=True)
def accelerator():
    """The device, which accepts every dtype unless a test makes it strict."""
    return sim.load(CACHE / "sim")


@pytest.fixture
def rows(accelerator):
    return ROWS.to(accelerator)


def test_torch_reports_it_as_the_accelerator(accelerator):
    assert torch.accelerator.current_accelerator(check_available=True) == torch.device("sim")
    assert torch.accelerator.device_count() == 1
    torch.accelerator.synchronize()
    assert str(torch.empty(0, device="sim").device) == "sim:0"


def test_there_is_one_of_it():
    with pytest.raises(RuntimeError, match="there is one sim device, got sim:1"):
        ROWS.to("sim:1")


@pytest.mark.parametrize("non_blocking", [False, True], ids=["blocking", "non-blocking"])
@pytest.mark.parametrize(
    "dtype", [torch.float32, torch.float16, torch.bfloat16, torch.int64, torch.bool, torch.complex64], ids=str
)
def test_a_transfer_keeps_the_values(accelerator, dtype, non_blocking):
    there = ROWS.to(dtype).pin_memory().to(accelerator, non_blocking=non_blocking)
    assert there.device == accelerator
    assert_close(there.to("cpu", non_blocking=non_blocking), ROWS.to(dtype), rtol=0, atol=0)


def test_a_transfer_copies(rows):
    back = rows.cpu()
    rows.zero_()
    assert back.equal(ROWS)


def test_numpy_does_not_see_it(rows):
    with pytest.raises(TypeError, match="can't convert sim:0 device type tensor to numpy"):
        rows.numpy()


VIEWS = {
    "transpose": lambda t: t.T,
    "slice": lambda t: t[:, 1:],
    "step": lambda t: t[:, ::2],
    "select": lambda t: t[1],
    "view": lambda t: t.view(3, 2),
    "reshape": lambda t: t.reshape(-1),
    "unsqueeze": lambda t: t[:, None],
    "diagonal": lambda t: t.diagonal(),
    "unfold": lambda t: t.unfold(1, 2, 1),
    "as_strided": lambda t: t.as_strided((2, 2), (1, 2), 1),
    "chunk": lambda t: t.chunk(2)[1],
    "view_as_complex": lambda t: torch.view_as_real(torch.view_as_complex(t.view(3, 2))),
    "bits": lambda t: t.view(torch.int32),
}


@pytest.mark.parametrize("view", VIEWS.values(), ids=VIEWS)
def test_a_view_shares_its_memory(rows, view):
    expected = ROWS.clone()
    view(expected).zero_()
    shared = view(rows)
    assert shared.untyped_storage().data_ptr() == rows.untyped_storage().data_ptr()
    shared.zero_()
    assert_close(rows.cpu(), expected, rtol=0, atol=0)


def test_an_expanded_tensor_has_the_values(rows):
    assert rows[:1].expand(4, 3).cpu().equal(ROWS[:1].expand(4, 3))


@pytest.mark.parametrize("lazily", [torch.conj, lambda tensor: tensor.conj().imag], ids=["conjugated", "negated"])
def test_a_tensor_that_is_changed_when_it_is_read_has_the_values(accelerator, lazily):
    here = torch.view_as_complex(ROWS.reshape(3, 2))
    there = lazily(here.to(accelerator))
    assert there.cpu().equal(lazily(here))
    assert (there + 1).cpu().equal(lazily(here) + 1)
    assert there[2].item() == lazily(here)[2].item()
    assert there.copy_(lazily(here) * 2).cpu().equal(lazily(here) * 2)


def test_in_place_operations_change_the_tensor(rows):
    same = rows
    same.mul_(2).add_(1)
    same[0, 0] = 7
    same[same > 10] = 0
    expected = ROWS * 2 + 1
    expected[0, 0] = 7
    expected[expected > 10] = 0
    assert rows.cpu().equal(expected)


@pytest.mark.parametrize("size", [(2, 3), (0,)], ids=["fitting", "resized"])
def test_out_is_written_and_resized(accelerator, rows, size):
    out = torch.empty(size, device=accelerator)
    assert torch.add(rows, rows, out=out) is out
    assert out.device == accelerator
    assert out.cpu().equal(ROWS * 2)


def test_a_tensor_can_grow(rows):
    assert rows.resize_(3, 3)[:2].cpu().equal(ROWS)


MIXES = {
    "cat": lambda there, here: torch.cat([there, here]),
    "matmul": lambda there, here: there @ here.T,
    "add": lambda there, here: there + here,
    "in-place": lambda there, here: here.add_(there),
    "out": lambda there, here: torch.add(there, there, out=here),
    "embedding": lambda there, here: torch.nn.functional.embedding(here.long(), there),
    "conv": lambda there, here: torch.nn.functional.conv1d(there[None], torch.ones(2, 2, 1)),
    "where": lambda there, here: torch.where(there > 1, here, there),
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
        lambda device, dtype: torch.zeros(3, dtype=dtype).to(device),
        lambda device, dtype: torch.zeros(3, dtype=dtype, device=device),
        lambda device, dtype: torch.zeros(3, device=device).to(dtype),
        lambda device, dtype: torch.empty_strided((3,), (2,), dtype=dtype, device=device),
    ],
    ids=["to", "factory", "cast", "strided"],
)
@pytest.mark.parametrize("dtype", [torch.float64, torch.complex128], ids=str)
def test_strict_mode_refuses_what_mps_refuses_in_its_words(accelerator, make, dtype):
    assert make(accelerator, dtype).dtype == dtype
    sim.load(CACHE / "sim", strict=True)
    name = str(dtype).removeprefix("torch.")
    with pytest.raises(TypeError, match=f"Cannot convert a SIM Tensor to {name} dtype as the SIM framework doesn't support"):
        make(accelerator, dtype)


@pytest.mark.parametrize(
    "compute", [lambda t: t.sum(dtype=torch.float64), lambda t: torch.ops.sim_test.kernel(t)], ids=["asked for", "unasked"]
)
def test_strict_mode_refuses_a_result_of_float64(accelerator, kernel, compute):
    kernel("(Tensor x) -> Tensor", lambda tensor: tensor.double())
    there = ROWS.to(accelerator)
    assert compute(there).dtype == torch.float64
    sim.load(CACHE / "sim", strict=True)
    with pytest.raises(TypeError, match="Cannot convert a SIM Tensor to float64 dtype as the SIM framework doesn't support"):
        compute(there)


@pytest.mark.parametrize("train", [True, False], ids=["train", "eval"])
def test_strict_mode_normalizes_an_empty_batch_as_accelerators_without_float64_do(accelerator, train):
    sim.load(CACHE / "sim", strict=True)
    norm = torch.nn.BatchNorm1d(3).train(train).to(accelerator)
    norm(torch.empty(0, 3, 4, device=accelerator)).sum().backward()
    assert norm.weight.grad.cpu().equal(torch.zeros(3))
    with pytest.raises(TypeError, match="Cannot convert a SIM Tensor to float64"):
        torch.empty(1, dtype=torch.float64, device=accelerator)


@pytest.fixture
def kernel():
    """Define torch.ops.sim_test.kernel with a CPU kernel in Python, as a library might, for the duration of the test."""
    library = torch.library.Library("sim_test", "DEF")

    def define(schema, function=None):
        library.define(f"kernel{schema}")
        if function:
            library.impl("kernel", function, "CPU")
        return lambda *arguments: torch.ops.sim_test.kernel(*arguments)

    yield define
    library._destroy()


def test_an_operation_that_it_lacks_fails_by_name(rows, kernel):
    with pytest.raises(NotImplementedError, match="sim_test::kernel"):
        kernel("(Tensor x) -> Tensor")(rows)


def test_a_kernel_works_on_the_memory_of_the_device(rows, kernel):
    kernel("(Tensor x) -> int", torch.Tensor.data_ptr)
    assert torch.ops.sim_test.kernel(rows) == rows.data_ptr()


@pytest.mark.parametrize("compute", [torch.add, torch.matmul, torch.Tensor.mul_], ids=["add", "matmul", "in-place"])
def test_nothing_is_copied_to_compute(accelerator, compute):
    square = torch.eye(3, device=accelerator)
    with torch.profiler.profile(activities=[torch.profiler.ProfilerActivity.CPU]) as profile:
        result = compute(square, square)
    assert result.untyped_storage().device == accelerator
    assert not [event.name for event in profile.events() if "copy" in event.name or event.name == "aten::to"]


def test_a_kernel_that_is_given_the_device_uses_the_cpu(rows, kernel):
    add = kernel("(Tensor x, Device device) -> Tensor", lambda tensor, device: tensor + torch.ones(3, device=device))
    assert add(rows, rows.device).cpu().equal(ROWS + 1)


def test_what_a_kernel_keeps_stays_the_cpus(rows, kernel):
    kept = []

    def remember(tensor):
        kept.extend([tensor, tensor * 2])
        return kept[1]

    result = kernel("(Tensor x) -> Tensor", remember)(rows)
    result.zero_()
    del rows, result
    assert [tensor.device.type for tensor in kept] == ["cpu", "cpu"]
    assert kept[0].equal(ROWS)
    assert kept[1].equal(ROWS * 2)


def test_a_view_that_a_kernel_makes_shares_the_memory(rows, kernel):
    row = kernel("(Tensor(a) x) -> Tensor(a)", lambda tensor: tensor[1])(rows)
    row.zero_()
    assert row.device == rows.device
    assert rows.cpu().equal(ROWS * torch.tensor([[1], [0]]))


def test_what_a_kernel_changes_and_returns_is_the_tensor_that_it_was_given(rows, kernel):
    assert kernel("(Tensor(a!) x) -> Tensor(a!)", lambda tensor: tensor.add_(1))(rows) is rows
    assert rows.cpu().equal(ROWS + 1)


def test_a_tensor_that_is_given_twice_is_one_to_the_kernel(rows, kernel, capsys):
    grow = kernel("(Tensor(a!) x, Tensor y) -> ()", lambda first, second: print(first.resize_(9) is second.zero_()))
    grow(rows, rows)
    assert capsys.readouterr().out == "True\n"
    assert rows.cpu().equal(torch.zeros(9))


def test_a_tensor_that_a_kernel_resized_and_then_failed_has_its_new_memory(rows, kernel):
    def fail(tensor):
        raise ValueError(f"after it moved to {tensor.resize_(10_000).fill_(3).data_ptr()}")

    with pytest.raises(ValueError, match="after it moved") as failure:
        kernel("(Tensor(a!) x) -> ()", fail)(rows)
    assert str(failure.value).endswith(f" {rows.data_ptr()}")
    assert rows.untyped_storage().nbytes() == 40_000
    assert rows.cpu().equal(torch.full((10_000,), 3.0))


def test_gradients_go_through_an_operation_that_brings_none(rows, kernel):
    squared = kernel("(Tensor x) -> Tensor", lambda tensor: tensor * tensor)
    with pytest.warns(UserWarning, match="an autograd kernel was not registered"):
        squared(rows.requires_grad_()).sum().backward()
    assert rows.grad.cpu().equal(ROWS * 2)


@pytest.mark.parametrize("write", [torch.Tensor.add_, torch.Tensor.copy_], ids=["add", "copy"])
def test_memory_that_is_read_and_written_at_once_is_refused_as_on_the_cpu(rows, write):
    flat = rows.view(-1)
    with pytest.raises(
        RuntimeError, match="some elements of the input tensor and the written-to tensor refer to a single memory"
    ):
        write(flat[1:], flat[:-1])


FUNCTIONS = {
    "attention": lambda t: torch.nn.functional.scaled_dot_product_attention(*[t.expand(1, 4, 8, 16)] * 3),
    "masked attention": lambda t: torch.nn.functional.scaled_dot_product_attention(
        *[t.expand(1, 4, 8, 16)] * 3, attn_mask=(t[:, :8] > 0).view(8, 8)
    ),
    "layer norm": lambda t: torch.nn.functional.layer_norm(t, (16,)),
    "group norm": lambda t: torch.nn.functional.group_norm(t[None], 2),
    "linear": lambda t: torch.nn.functional.linear(t, t),
    "softmax": lambda t: t.softmax(1),
    "loss": lambda t: torch.nn.functional.mse_loss(t, t * 2),
    "split": lambda t: torch.cat(torch.ops.aten.split_copy.Tensor(t, 3)[::2]),
    "foreach": lambda t: torch.stack(torch._foreach_mul([t, t + 1], 2.0)),
    "sort": lambda t: t.sort(1).values,
    "index": lambda t: t[torch.tensor([3, 1], device=t.device)],
    "indices": lambda t: t[:, 0] * torch.tril_indices(4, 2, device=t.device).sum(),
    "complex": lambda t: torch.fft.rfft(t).conj().imag,
}


@pytest.mark.parametrize("function", FUNCTIONS.values(), ids=FUNCTIONS)
def test_results_and_gradients_are_the_cpus_to_the_bit(accelerator, function):
    torch.manual_seed(0)
    here, there = there_and_back(torch.randn(8, 16))
    outputs = [function(tensor) for tensor in (here, there)]
    for output in outputs:
        output.square().sum().backward()
    assert outputs[1].device == there.grad.device == accelerator
    assert outputs[1].cpu().equal(outputs[0])
    assert there.grad.cpu().equal(here.grad)


@pytest.mark.parametrize("name", sorted(VIEWS.keys() - {"bits"}))
def test_gradients_go_through_a_view(name):
    here, there = there_and_back(ROWS)
    for tensor in (here, there):
        VIEWS[name](tensor).square().sum().backward()
    assert there.grad.cpu().equal(here.grad)


def there_and_back(tensor):
    """Return a leaf on the CPU and one on the device, with the same values."""
    return [tensor.clone().to(place).requires_grad_() for place in ("cpu", "sim")]


CONVOLUTIONS = {
    "1d": lambda: torch.nn.Conv1d(4, 6, 3, padding=1),
    "2d": lambda: torch.nn.Conv2d(4, 6, 3, stride=2),
    "grouped": lambda: torch.nn.Conv1d(4, 4, 3, groups=4, dilation=2),
    "transposed": lambda: torch.nn.ConvTranspose1d(4, 6, 3, stride=2, output_padding=1),
    "unbiased": lambda: torch.nn.Conv1d(4, 6, 1, bias=False),
}


@pytest.mark.parametrize("name", CONVOLUTIONS)
def test_the_gradients_of_a_convolution_are_the_cpus(accelerator, name):
    module = CONVOLUTIONS[name]()
    moved = copy.deepcopy(module).to(accelerator)
    here, there = there_and_back(torch.randn(2, 4, *[9] * (module.weight.dim() - 2)))
    for layer, tensor in ((module, here), (moved, there)):
        layer(tensor).square().sum().backward()
    for expected, grad in zip([here, *module.parameters()], [there, *moved.parameters()], strict=True):
        assert grad.grad.device == accelerator
        assert_close(grad.grad.cpu(), expected.grad)


def test_a_gradient_from_the_cpu_does_not_mix_with_a_convolution(accelerator):
    arguments = [torch.ones(1, 2, 3, device=accelerator), torch.ones(2, 2, 1), torch.ones(1, 2, 3, device=accelerator)]
    with pytest.raises(RuntimeError, match=MIXED):
        torch.ops.aten.convolution_backward(*arguments[::2], arguments[1], [2], [1], [0], [1], False, [0], 1, [True] * 3)


# The dtypes of torch's list for CUDA: see "Autocast Op Reference" in its documentation.
CASTS = {
    "linear": (lambda x: torch.nn.functional.linear(x, x), torch.bfloat16),
    "matmul": (lambda x: x @ x, torch.bfloat16),
    "conv1d": (lambda x: torch.nn.functional.conv1d(x[None], x[..., None]), torch.bfloat16),
    "attention": (lambda x: torch.nn.functional.scaled_dot_product_attention(x, x, x), torch.bfloat16),
    "softmax": (lambda x: (x @ x).softmax(1), torch.float32),
    "layer norm": (lambda x: torch.nn.functional.layer_norm(x @ x, (3,)), torch.float32),
    "sum": (lambda x: (x @ x).sum(), torch.float32),
    "norm": (lambda x: (x @ x).norm(2), torch.float32),
    "exp": (lambda x: (x @ x).exp(), torch.float32),
    "loss": (lambda x: torch.nn.functional.l1_loss(x @ x, x.bfloat16()), torch.float32),
    "the widest": (lambda x: torch.addcmul(x @ x, x, x @ x), torch.float32),
    "not listed": (lambda x: (x @ x).relu(), torch.bfloat16),
    "a lookup": (lambda x: torch.nn.functional.embedding(torch.tensor([1], device=x.device), x), torch.float32),
    "told otherwise": (lambda x: (x @ x).sum(dtype=torch.bfloat16), torch.bfloat16),
    "switched off": (lambda x: torch.autocast("sim", enabled=False)(torch.mm)(x, x), torch.float32),
}


@pytest.mark.parametrize(("compute", "dtype"), CASTS.values(), ids=CASTS)
def test_autocast_casts_what_it_casts_on_cuda(accelerator, compute, dtype):
    square = torch.eye(3, device=accelerator) / 3
    with torch.autocast("sim", dtype=torch.bfloat16):
        assert compute(square).dtype == dtype
    assert torch.mm(square, square).dtype == torch.float32


def test_autocast_is_there_and_refuses_what_it_refuses_on_cuda(rows):
    assert torch.amp.is_autocast_available("sim")
    with torch.autocast("sim"), pytest.raises(RuntimeError, match="are unsafe to autocast"):
        torch.nn.functional.binary_cross_entropy(rows.sigmoid(), rows.sigmoid())


def test_what_autocast_computes_is_what_the_cpu_computes_of_the_cast(accelerator, rows):
    here, there = there_and_back(torch.randn(4, 3))
    with torch.autocast("sim", dtype=torch.bfloat16):
        output = torch.nn.functional.linear(rows, there)
    expected = torch.nn.functional.linear(ROWS.bfloat16(), here.bfloat16())
    assert_close(output.cpu(), expected, rtol=0, atol=0)
    for tensor in (output, expected):
        tensor.float().square().sum().backward()
    assert there.grad.dtype == torch.float32
    assert_close(there.grad.cpu(), here.grad, rtol=0, atol=0)


OPTIMIZERS = {"fused": {"fused": True}, "foreach": {"foreach": True}, "one by one": {"foreach": False}}


def train(place, **options):
    """Train a small model for a few steps, in bfloat16 where autocast casts to it, and return the losses."""
    torch.manual_seed(0)
    model = torch.nn.Sequential(torch.nn.Conv1d(3, 8, 3), torch.nn.GELU(), torch.nn.Flatten(), torch.nn.Linear(48, 1))
    model.to(place)
    optimizer = torch.optim.AdamW(model.parameters(), lr=1e-2, **options)
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


@pytest.mark.parametrize("options", OPTIMIZERS.values(), ids=OPTIMIZERS)
def test_a_model_trains_as_on_the_cpu(options):
    sim.load(CACHE / "sim", strict=True)
    losses = train("sim", **options)
    assert losses[-1] < losses[0] / 2
    assert losses == pytest.approx(train("cpu", **options), rel=0.02)


PRINTED = {
    "float": torch.tensor([0.5, 1e-9, -3e5]),
    "whole": torch.arange(6.0).reshape(2, 3),
    "bfloat16": torch.tensor([1.5, -2.0]).bfloat16(),
    "not a number": torch.tensor([float("nan"), float("inf"), 1.5]),
    "complex": torch.tensor([1 + 2j, 0.5j]),
    "integer": torch.arange(3),
    "bool": torch.tensor([True, False]),
    "one": torch.tensor(2.5),
    "nothing": torch.empty(0),
    "long": torch.linspace(0, 1, 2000),
    "parameter": torch.nn.Parameter(torch.ones(2)),
}


@pytest.mark.parametrize("here", PRINTED.values(), ids=PRINTED)
def test_a_tensor_prints_in_strict_mode_as_on_the_cpu(here):
    there = here.detach().to(sim.load(CACHE / "sim", strict=True))
    there = torch.nn.Parameter(there) if here.requires_grad else there
    assert repr(there).replace(", device='sim:0'", "") == repr(here)
    assert "device='sim:0'" in repr(there)


def test_datasets_hashes_what_holds_a_tensor(accelerator):
    sim.load(CACHE / "sim", strict=True)
    for tensor in (ROWS, ROWS.bfloat16()):
        assert Hasher.hash({"held": tensor.to(accelerator)}) == Hasher.hash({"held": tensor})


def test_a_module_moves_computes_and_comes_back(accelerator):
    module = torch.nn.Sequential(torch.nn.Linear(3, 4), torch.nn.LayerNorm(4), torch.nn.Conv1d(2, 2, 3, padding=1))
    expected = module(ROWS)
    moved = copy.deepcopy(module).to(accelerator)
    assert {parameter.device for parameter in moved.parameters()} == {accelerator}
    assert_close(moved(ROWS.to(accelerator)).cpu(), expected)
    assert_close(moved.cpu()(ROWS), expected)


def test_a_state_dict_goes_both_ways(accelerator):
    module = torch.nn.Linear(3, 4)
    there = torch.nn.Linear(3, 4, device=accelerator)
    there.load_state_dict(module.state_dict())
    assert {tensor.device for tensor in there.state_dict().values()} == {accelerator}
    file = io.BytesIO()
    torch.save(there.state_dict(), file)
    for location in (accelerator, torch.device("cpu")):
        file.seek(0)
        loaded = torch.load(file, map_location=location)
        assert {tensor.device for tensor in loaded.values()} == {location}
        assert loaded["weight"].cpu().equal(module.weight)


@pytest.mark.parametrize("copied", [copy.deepcopy, lambda tensor: pickle.loads(pickle.dumps(tensor))], ids=["copy", "pickle"])
def test_a_copy_is_on_the_device_and_its_own(accelerator, rows, copied):
    other = copied(rows)
    rows.zero_()
    assert other.device == accelerator
    assert other.cpu().equal(ROWS)


def test_gradients_are_the_cpus(accelerator):
    here, there = (ROWS.clone().to(place).detach().requires_grad_() for place in ("cpu", accelerator))
    for tensor in (here, there):
        (tensor.softmax(1) @ tensor.T).square().sum().backward()
    assert there.grad.device == accelerator
    assert_close(there.grad.cpu(), here.grad)


def test_from_pretrained_loads_on_it(checkpoint, liquid_audio, accelerator):
    processor = liquid_audio.LFM2AudioProcessor.from_pretrained(checkpoint, device="sim")
    model = liquid_audio.LFM2AudioModel.from_pretrained(checkpoint, device="sim")
    assert processor.device == accelerator
    assert {tensor.device for tensor in [*model.parameters(), *model.buffers()]} == {accelerator}


@pytest.mark.parametrize("name", ["LFM2AudioProcessor", "LFM2AudioModel"])
def test_a_device_that_is_chosen_automatically_is_this_one_where_there_is_no_gpu(
    checkpoint, liquid_audio, accelerator, monkeypatch, name
):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(torch.backends.mps, "is_available", lambda: False)
    loaded = getattr(liquid_audio, name).from_pretrained(checkpoint)
    assert (loaded.device if name == "LFM2AudioProcessor" else next(loaded.parameters()).device) == accelerator


def test_a_process_may_end_with_the_backward_pass():
    program = f"import pathlib, torch; from harness.lane import sim; sim.load(pathlib.Path({str(CACHE / 'sim')!r}))\n"
    program += "torch.ones(3, device='sim', requires_grad=True).sum().backward()"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_host_without_a_compiler_is_told_so_in_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("CXX", raising=False)
    with pytest.raises(RuntimeError, match=r"^no C\+\+ compiler: install g\+\+ or clang, or set CXX$"):
        sim.build(tmp_path)


def test_a_compiler_that_fails_is_quoted_and_leaves_nothing_half_built(tmp_path, monkeypatch):
    monkeypatch.setenv("CXX", shutil.which("false"))
    with pytest.raises(RuntimeError, match=r"^it does not compile: "):
        sim.build(tmp_path)
    assert [file.name for file in tmp_path.iterdir()] == [".lock"]
