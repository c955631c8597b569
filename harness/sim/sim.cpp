// A second device for hosts that have none: torch's PrivateUse1 key over host memory. Values are real and every operation
// is computed, by the CPU's own kernels, yet to torch its tensors are on another device. See README.md beside this file.

#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/Operators.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/ops/from_blob.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <c10/core/impl/alloc_cpu.h>
#include <torch/library.h>

#include <cstring>
#include <string>
#include <utility>

namespace {

constexpr auto SIM = c10::DeviceType::PrivateUse1;
const c10::Device DEVICE(SIM, 0);
const c10::DispatchKeySet KEYS(c10::DispatchKey::PrivateUse1);

bool strict = false;

// ---- the device: one of it, with host memory ----

// Not derived from torch's own that does nothing, which is final in 2.8 and 2.9.
struct Guard final : c10::impl::DeviceGuardImplInterface {
  static c10::Stream stream() noexcept { return c10::Stream(c10::Stream::DEFAULT, DEVICE); }
  c10::DeviceType type() const override { return SIM; }
  c10::DeviceIndex deviceCount() const noexcept override { return 1; }
  c10::Device getDevice() const override { return DEVICE; }
  void setDevice(c10::Device) const override {}
  void uncheckedSetDevice(c10::Device) const noexcept override {}
  c10::Device exchangeDevice(c10::Device) const override { return DEVICE; }
  c10::Stream getStream(c10::Device) const noexcept override { return stream(); }
  c10::Stream getDefaultStream(c10::Device) const override { return stream(); }
  c10::Stream exchangeStream(c10::Stream) const noexcept override { return stream(); }
  bool queryStream(const c10::Stream&) const override { return true; }
  void synchronizeStream(const c10::Stream&) const override {}
  void synchronizeDevice(c10::DeviceIndex) const override {}
};
C10_REGISTER_GUARD_IMPL(PrivateUse1, Guard)

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override {
    void* data = c10::alloc_cpu(bytes);
    return {data, data, &c10::free_cpu, DEVICE};
  }
  c10::DeleterFnPtr raw_deleter() const override { return &c10::free_cpu; }
  void copy_data(void* to, const void* from, size_t bytes) const override { std::memcpy(to, from, bytes); }
} memory;
REGISTER_ALLOCATOR(SIM, &memory)

struct Hooks final : at::PrivateUse1HooksInterface {
  bool isBuilt() const override { return true; }
  bool isAvailable() const override { return true; }
  bool hasPrimaryContext(c10::DeviceIndex) const override { return true; }
  c10::DeviceIndex deviceCount() const override { return 1; }
  c10::DeviceIndex getCurrentDevice() const override { return 0; }
  void setCurrentDevice(c10::DeviceIndex) const override {}
  // Copies are made at once, so what asks for pinned memory does as well with any other.
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetAllocator(c10::kCPU); }
};

// ---- what touches memory itself ----

// Returns the dtype to allocate.
c10::ScalarType check(std::optional<c10::ScalarType> given, std::optional<c10::Device> device) {
  TORCH_CHECK(!device || device->index() <= 0, "invalid device ordinal: there is one sim device, got ", *device);
  const auto dtype = c10::dtype_or_default(given);
  const bool is_double = dtype == c10::kDouble;
  TORCH_CHECK_TYPE(!strict || !(is_double || dtype == c10::kComplexDouble), "Cannot convert a SIM Tensor to ",
      is_double ? "float64" : "complex128", " dtype as the SIM framework doesn't support ",
      is_double ? "float64. Please use float32 instead." : "complex128. Please use complex64 instead.");
  return dtype;
}

at::Tensor empty(c10::IntArrayRef size, std::optional<c10::ScalarType> dtype, std::optional<c10::Layout>,
    std::optional<c10::Device> device, std::optional<bool>, std::optional<c10::MemoryFormat> format) {
  return at::detail::empty_generic(size, &memory, KEYS, check(dtype, device), format);
}

at::Tensor empty_strided(c10::IntArrayRef size, c10::IntArrayRef stride, std::optional<c10::ScalarType> dtype,
    std::optional<c10::Layout>, std::optional<c10::Device> device, std::optional<bool>) {
  return at::detail::empty_strided_generic(size, stride, &memory, KEYS, check(dtype, device));
}

// The same memory as a CPU tensor, for as long as the other one lives.
at::Tensor on_host(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.device().type() != SIM) return tensor;
  auto host = at::from_blob(tensor.mutable_data_ptr(), tensor.sizes(), tensor.strides(), tensor.options().device(c10::kCPU));
  host._set_conj(tensor.is_conj());
  host._set_neg(tensor.is_neg());
  return host;
}

at::Tensor copy_from(const at::Tensor& from, const at::Tensor& to, bool) {
  on_host(to).copy_(on_host(from));
  return to;
}

at::Tensor copy_from_and_resize(const at::Tensor& from, const at::Tensor& to) {
  to.resize_(from.sizes());
  return copy_from(from, to, false);
}

at::Scalar local_scalar_dense(const at::Tensor& tensor) {
  return at::native::_local_scalar_dense_cpu(on_host(tensor));
}

// ---- everything else: check the devices, as a GPU's kernels do, and let the CPU compute ----

class Devices {
 public:
  explicit Devices(std::string op) : op_(std::move(op)) {}

  Devices& add(const at::Tensor& tensor) {
    if (!tensor.defined()) return *this;
    sim_ |= tensor.device().type() == SIM;
    // torch lets a CPU tensor without dimensions stand for a number on any device.
    cpu_ |= tensor.is_cpu() && tensor.dim() > 0;
    TORCH_CHECK(!(sim_ && cpu_), "Expected all tensors to be on the same device, but found at least two devices, sim:0 and cpu! (",
        op_, ")");
    return *this;
  }

 private:
  std::string op_;
  bool sim_ = false, cpu_ = false;
};

void check_devices(const c10::OperatorHandle& op, const torch::jit::Stack& stack) {
  // Indices may be on the CPU, as CUDA's may.
  const auto& name = op.schema().name();
  const bool indexing = name == "aten::index" || name == "aten::_index_put_impl_" || name == "aten::index_put_";
  Devices devices(name);
  for (const auto& value : torch::jit::last(stack, op.schema().arguments().size())) {
    if (value.isTensor()) {
      devices.add(value.toTensor());
    } else if (value.isTensorList()) {
      for (const at::Tensor& tensor : value.toTensorList()) devices.add(tensor);
    } else if (value.isOptionalTensorList() && !indexing) {
      for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorList()) {
        if (tensor) devices.add(*tensor);
      }
    }
  }
}

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  check_devices(op, *stack);
  at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
}

at::Tensor refuse_autocast(const at::Tensor&, const at::Tensor&, const std::optional<at::Tensor>&, int64_t) {
  TORCH_CHECK(false, "torch.nn.functional.binary_cross_entropy and torch.nn.BCELoss are unsafe to autocast.");
}

}  // namespace

TORCH_LIBRARY_IMPL(_, PrivateUse1, m) {
  m.fallback(torch::CppFunction::makeFromBoxedFunction<&fallback>());
}

TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  m.impl("empty.memory_format", empty);
  m.impl("empty_strided", empty_strided);
  m.impl("_copy_from", copy_from);
  m.impl("_copy_from_and_resize", copy_from_and_resize);
  m.impl("_local_scalar_dense", local_scalar_dense);
  // For these torch chooses by the device and leaves no choice to the fallback: let the CPU choose.
  m.impl("convolution", torch::CppFunction::makeFromBoxedFunction<&fallback>());
  m.impl("convolution_backward", torch::CppFunction::makeFromBoxedFunction<&fallback>());
  // These look at sizes and strides alone, or ask the tensor's own allocator.
  m.impl("resize_", at::native::resize_);
  m.impl("set_.source_Storage_storage_offset", at::native::set_storage_cpu_);
  m.impl("set_.source_Storage", at::native::set_);
  m.impl("set_.source_Tensor", at::native::set_tensor_);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", at::native::view);
  m.impl("_reshape_alias", at::native::_reshape_alias);
  m.impl("unfold", at::native::unfold);
  m.impl("view_as_real", at::native::view_as_real);
  m.impl("view_as_complex", at::native::view_as_complex);
}

// A lazily conjugated or negated tensor is copied as what it stands for. Without these, torch resolves it by a copy.
TORCH_LIBRARY_IMPL(aten, Conjugate, m) { m.impl("_copy_from", torch::CppFunction::makeFallthrough()); }
TORCH_LIBRARY_IMPL(aten, Negative, m) { m.impl("_copy_from", torch::CppFunction::makeFallthrough()); }

// Autocast casts what it casts on CUDA: torch keeps these lists for every device.
TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }

TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
  using namespace at;  // the lists name types without it
#define LOWER(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, lower_precision_fp)
#define FLOAT(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32)
#define FLOAT_UNLESS_TOLD(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, fp32_set_opt_dtype)
#define WIDEST(...) KERNEL_PRIVATEUSEONE(__VA_ARGS__, promote)
  AT_FORALL_LOWER_PRECISION_FP(LOWER)
  AT_FORALL_FP32(FLOAT)
  AT_FORALL_FP32_SET_OPT_DTYPE(FLOAT_UNLESS_TOLD)
  AT_FORALL_DIFFERENT_REDISPATCH_SIGNATURE(KERNEL_DIFFERENT_REDISPATCH_SIGNATURE_PRIVATEUSEONE)
  AT_FORALL_PROMOTE(WIDEST)
  m.impl("binary_cross_entropy", refuse_autocast);
}

TORCH_LIBRARY(sim, m) {
  m.def("set_strict(bool on) -> ()", [](bool on) { strict = on; });
  m.def("register_hooks() -> ()", [] { at::RegisterPrivateUse1HooksInterface(new Hooks); });
}
