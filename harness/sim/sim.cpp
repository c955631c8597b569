// A second device for hosts without one: torch's PrivateUse1 key over host memory. The CPU's own kernels compute every
// operation, so values are real, but to torch the tensors are on another device. See README.md in this folder.

#include <ATen/EmptyTensor.h>
#include <ATen/NativeFunctions.h>
#include <ATen/Operators.h>
#include <ATen/autocast_mode.h>
#include <ATen/detail/PrivateUse1HooksInterface.h>
#include <ATen/native/CPUFallback.h>
#include <ATen/native/transformers/attention.h>
#include <c10/core/CPUAllocator.h>
#include <c10/core/impl/DeviceGuardImplInterface.h>
#include <torch/csrc/autograd/autograd_not_implemented_fallback.h>
#include <torch/library.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace {

constexpr auto SIM = c10::DeviceType::PrivateUse1;
const c10::Device DEVICE(SIM, 0);
const c10::DispatchKeySet KEYS(c10::DispatchKey::PrivateUse1);

bool strict = false;

// ---- a single device with host memory ----

// Not derived from torch's own no-op guard, which is final in 2.8 and 2.9.
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

// A storage of the device owns a CPU storage and points to the same memory.
using Host = c10::intrusive_ptr<c10::StorageImpl>;

void release(void* host) { Host::reclaim(static_cast<c10::StorageImpl*>(host)); }

c10::DataPtr own(Host host) {
  void* data = host->mutable_data();
  return {data, host.release(), &release, DEVICE};
}

Host host_storage(size_t bytes, c10::DataPtr data) {
  return c10::make_intrusive<c10::StorageImpl>(
      c10::StorageImpl::use_byte_size_t(), bytes, std::move(data), c10::GetCPUAllocator(), /*resizable=*/true);
}

struct Memory final : c10::Allocator {
  c10::DataPtr allocate(size_t bytes) override { return own(host_storage(bytes, c10::GetCPUAllocator()->allocate(bytes))); }
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
  // Copies are synchronous, so ordinary memory serves as well as pinned memory.
  c10::Allocator* getPinnedMemoryAllocator() const override { return c10::GetAllocator(c10::kCPU); }
};

// ---- operations that touch memory ----

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

// Returns the same tensor over another storage, on the device of that storage. autograd does not track it, but counts its
// writes.
at::Tensor over(const at::Tensor& tensor, c10::Storage storage) {
  const auto* impl = tensor.unsafeGetTensorImpl();
  auto other = impl->shallow_copy_and_detach(impl->version_counter(), /*allow_tensor_metadata_change=*/true);
  const auto device = storage.device();
  other->set_storage_keep_dtype(std::move(storage));
  other->_change_backend_component_keys(device);
  return at::Tensor(std::move(other));
}

// Returns a CPU tensor over the same memory.
at::Tensor on_host(const at::Tensor& tensor) {
  if (!tensor.defined() || tensor.device().type() != SIM) return tensor;
  const auto& data = tensor.storage().data_ptr();
  if (auto* host = data.cast_context<c10::StorageImpl>(&release)) return over(tensor, Host::reclaim_copy(host));
  // The storage was emptied, or torch lent it memory, as it does to save a tensor.
  return over(tensor, host_storage(tensor.storage().nbytes(), {data.get(), c10::kCPU}));
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

// ---- all other operations: check the devices, as a GPU's kernels do, and let the CPU compute on the same memory ----

// One operation and its tensors: those that the caller passed, and those that the CPU's kernel gets in their place.
class Call {
 public:
  explicit Call(const c10::OperatorHandle& op) : op_(op) {}

  bool needs_gradients() const {
    return std::any_of(given_.begin(), given_.end(), [](const auto& pair) { return pair.first.requires_grad(); });
  }

  at::Tensor to_host(const at::Tensor& tensor, bool anywhere = false) {
    if (!tensor.defined()) return tensor;
    const bool here = tensor.device().type() == SIM;
    sim_ |= here;
    // torch lets a CPU tensor without dimensions stand for a number on any device.
    cpu_ |= tensor.is_cpu() && tensor.dim() > 0 && !anywhere;
    TORCH_CHECK(!(sim_ && cpu_), "Expected all tensors to be on the same device, but found at least two devices, sim:0 and cpu! (",
        op_.schema().name(), ")");
    if (!here) return tensor;
    // A tensor that the caller passes twice must be one tensor to the kernel, which may resize it.
    for (const auto& [given, host] : given_) {
      if (given.is_same(tensor)) return host;
    }
    given_.emplace_back(tensor, on_host(tensor));
    return given_.back().second;
  }

  void to_host(c10::IValue& value) {
    if (value.isTensor()) {
      value = to_host(value.toTensor());
    } else if (value.isTensorList()) {
      c10::List<at::Tensor> list;
      for (const at::Tensor& tensor : value.toTensorList()) list.push_back(to_host(tensor));
      value = std::move(list);
    } else if (value.isOptionalTensorList()) {
      // As on CUDA, indices may be on the CPU.
      const auto& name = op_.schema().name();
      const bool indexing = name == "aten::index" || name == "aten::_index_put_impl_" || name == "aten::index_put_";
      c10::List<std::optional<at::Tensor>> list;
      for (const std::optional<at::Tensor>& tensor : value.toOptionalTensorList()) {
        list.push_back(tensor ? std::optional(to_host(*tensor, indexing)) : tensor);
      }
      value = std::move(list);
    } else if (value.isDevice()) {
      value = c10::Device(c10::kCPU);
    }
  }

  // Pass on every resize by the kernel, even if it failed afterwards, because the memory may have moved.
  void update() const {
    for (const auto& [tensor, host] : given_) {
      const auto& storage = host.storage();
      if (storage.data() != tensor.storage().data()) {
        tensor.storage().set_data_ptr_noswap(own(Host::reclaim_copy(storage.unsafeGetStorageImpl())));
        tensor.storage().set_nbytes(storage.nbytes());
      }
      if (host.sizes() != tensor.sizes() || host.strides() != tensor.strides()) {
        tensor.unsafeGetTensorImpl()->set_sizes_and_strides(host.sizes(), host.strides(), host.storage_offset());
      }
    }
  }

  at::Tensor to_device(at::Tensor result) const {
    if (!result.defined()) return result;
    if (!result.has_storage() || !result.key_set().has(c10::DispatchKey::CPU)) return result.to(DEVICE);
    const auto& storage = result.storage();
    for (const auto& [tensor, host] : given_) {
      if (result.is_same(host)) return tensor;
      if (storage.is_alias_of(host.storage())) return over(result, tensor.storage());
    }
    check(result.scalar_type(), std::nullopt);
    // Copy a result that something else also holds.
    if (result.use_count() > 1 || storage.use_count() > 1) return result.to(DEVICE);
    return over(result, c10::Storage(c10::Storage::use_byte_size_t(), storage.nbytes(),
        own(Host::reclaim_copy(storage.unsafeGetStorageImpl())), &memory, /*resizable=*/true));
  }

  void to_device(c10::IValue& value) const {
    if (value.isTensor()) {
      value = to_device(std::move(value).toTensor());
    } else if (value.isTensorList()) {
      auto list = value.toTensorList();
      for (size_t i = 0; i < list.size(); ++i) list.set(i, to_device(list.extract(i)));
    }
  }

 private:
  const c10::OperatorHandle& op_;
  c10::SmallVector<std::pair<at::Tensor, at::Tensor>, 6> given_;
  bool sim_ = false, cpu_ = false;
};

void fallback(const c10::OperatorHandle& op, torch::jit::Stack* stack) {
  const auto arguments = op.schema().arguments().size();
  if (c10::GradMode::is_enabled() && !c10::impl::tls_is_dispatch_key_excluded(c10::DispatchKey::AutogradFunctionality)) {
    // autograd has not recorded this operation: it comes from a library and defines no gradient. autograd can follow copies.
    Call call(op);
    for (c10::IValue value : torch::jit::last(*stack, arguments)) call.to_host(value);
    if (call.needs_gradients()) return at::native::cpu_fallback(op, stack, /*error_on_views=*/true);
  }
  Call call(op);
  for (auto value = stack->end() - arguments; value != stack->end(); ++value) call.to_host(*value);
  try {
    op.redispatchBoxed(c10::DispatchKeySet(c10::DispatchKey::CPU), stack);
  } catch (...) {
    call.update();
    throw;
  }
  call.update();
  for (auto value = stack->end() - op.schema().returns().size(); value != stack->end(); ++value) call.to_device(*value);
}

// Of an empty batch, torch takes the statistics in float64 on devices whose accumulate type it does not know. It knows those of
// CUDA, MPS and XPU, so do not be stricter than they are.
auto batch_norm(const at::Tensor& input, const std::optional<at::Tensor>& weight, const std::optional<at::Tensor>& bias,
    const std::optional<at::Tensor>& mean, const std::optional<at::Tensor>& variance, bool training, double momentum, double eps,
    bool cudnn) {
  struct Lenient {
    bool was;
    ~Lenient() { strict = was; }
  } const lenient{std::exchange(strict, strict && input.numel() > 0)};
  return at::native::_batch_norm_impl_index(input, weight, bias, mean, variance, training, momentum, eps, cudnn);
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
  // These use only sizes and strides, or the tensor's own allocator.
  m.impl("resize_", at::native::resize_);
  m.impl("set_.source_Storage_storage_offset", at::native::set_storage_cpu_);
  m.impl("set_.source_Storage", at::native::set_);
  m.impl("set_.source_Tensor", at::native::set_tensor_);
  m.impl("as_strided", at::native::as_strided_tensorimpl);
  m.impl("view", at::native::view);
  m.impl("_reshape_alias", at::native::_reshape_alias);
  m.impl("_batch_norm_impl_index", batch_norm);
}

// torch composes it of operations that autograd knows.
TORCH_LIBRARY_IMPL(aten, AutogradPrivateUse1, m) { m.impl("_batch_norm_impl_index", batch_norm); }

// On a device without a kernel for these, torch composes them from others. The CPU has a kernel, so leave the whole to it.
TORCH_LIBRARY_IMPL(aten, PrivateUse1, m) {
  using Key = c10::DispatchKey;
  auto& dispatcher = c10::Dispatcher::singleton();
  for (const auto& name : dispatcher.getAllOpNames()) {
    const auto op = dispatcher.findOp(name);
    const bool composed = op && name.name.rfind("aten::", 0) == 0 && op->hasKernelForDispatchKey(Key::CPU) &&
        (op->hasKernelForDispatchKey(Key::CompositeExplicitAutograd) ||
            op->hasKernelForDispatchKey(Key::CompositeExplicitAutogradNonFunctional));
    if (composed || name.name == "aten::convolution" || name.name == "aten::convolution_backward") {
      m.impl(toString(name).c_str(), torch::CppFunction::makeFromBoxedFunction<&fallback>());
    }
  }
}

// The same for attention.
namespace at::native {
REGISTER_PRIVATEUSE1_DISPATCH(_fused_sdp_choice_stub, &_fused_sdp_choice_cpp)
}

// torch 2.8 has no autograd fallback for a library's operations on this device.
TORCH_LIBRARY_IMPL(_, AutogradPrivateUse1, m) {
  if (!c10::Dispatcher::singleton().hasBackendFallbackForDispatchKey(c10::DispatchKey::AutogradPrivateUse1)) {
    m.fallback(torch::autograd::basicAutogradNotImplementedFallback());
  }
}

// Copying resolves a lazily conjugated or negated tensor. Without these, torch would resolve it with a copy first.
TORCH_LIBRARY_IMPL(aten, Conjugate, m) { m.impl("_copy_from", torch::CppFunction::makeFallthrough()); }
TORCH_LIBRARY_IMPL(aten, Negative, m) { m.impl("_copy_from", torch::CppFunction::makeFallthrough()); }

// Autocast casts the same operations as on CUDA: torch keeps these lists for every device.
TORCH_LIBRARY_IMPL(_, AutocastPrivateUse1, m) { m.fallback(torch::CppFunction::makeFallthrough()); }

TORCH_LIBRARY_IMPL(aten, AutocastPrivateUse1, m) {
  using namespace at;  // the lists name types without at::
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
