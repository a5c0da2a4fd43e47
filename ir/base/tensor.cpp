#include "ir/base/tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>
#include <cstring>
#include <limits>
#include <new>

#include "ir/base/large_pages.h"

namespace gannet {
namespace {

constexpr size_t kAlignment = 64;

struct Storage {
  std::shared_ptr<const void> owner;
  void* data = nullptr;
};

// Memory for `bytes` bytes at a multiple of kAlignment; null where the system has none. Zeroed memory comes
// from calloc, which leaves the pages of large blocks untouched until they are used.
Storage allocate_bytes(int64_t bytes, bool zeroed) {
  const size_t size = std::max<size_t>(static_cast<size_t>(bytes), 1) + kAlignment - 1;
  void* block = zeroed ? std::calloc(size, 1) : std::malloc(size);
  if (!block) return {};
  if (!zeroed) prefer_large_pages(block, size);
  const auto address = reinterpret_cast<uintptr_t>(block);
  void* data = reinterpret_cast<void*>((address + kAlignment - 1) & ~uintptr_t{kAlignment - 1});
  return {std::shared_ptr<const void>(block, [](const void* p) { std::free(const_cast<void*>(p)); }), data};
}

Storage allocate_strings(int64_t elements) {
  auto* strings = new (std::nothrow) std::string[static_cast<size_t>(elements)];
  if (!strings) return {};
  return {std::shared_ptr<const void>(strings,
                                      [](const void* p) { delete[] static_cast<const std::string*>(p); }),
          strings};
}

Storage allocate_storage(DType dtype, int64_t elements, bool zeroed) {
  if (dtype == DType::kString) return allocate_strings(elements);
  return allocate_bytes(elements * element_size(dtype), zeroed);
}

// Bytes of one element of the storage, strings included.
int64_t storage_size(DType dtype) {
  return dtype == DType::kString ? static_cast<int64_t>(sizeof(std::string)) : element_size(dtype);
}

template <class T>
constexpr bool is_complex_type =
    std::is_same_v<T, std::complex<float>> || std::is_same_v<T, std::complex<double>>;

template <class T>
constexpr bool is_number_type = !is_complex_type<T> && !std::is_same_v<T, std::string>;

template <class T>
constexpr bool is_narrow_int = false;
template <int width, bool is_signed>
constexpr bool is_narrow_int<NarrowInt<width, is_signed>> = true;

// Integers and bool in their own arithmetic type; every float as double, which holds each of them exactly.
template <class T>
auto widen(const T& value) {
  if constexpr (std::is_integral_v<T>)
    return value;
  else if constexpr (is_narrow_int<T>)
    return static_cast<int64_t>(static_cast<int>(value));
  else if constexpr (std::is_same_v<T, double>)
    return value;
  else
    return static_cast<double>(static_cast<float>(value));
}

// The integer part as 64 bits, two's complement; where it does not fit, the bits that x86 gives.
uint64_t truncate_to_bits(double value) {
  if (value >= -0x1p63 && value < 0x1p63) return static_cast<uint64_t>(static_cast<int64_t>(value));
  if (value >= 0x1p63 && value < 0x1p64) return static_cast<uint64_t>(value);
  return static_cast<uint64_t>(std::numeric_limits<int64_t>::min());
}

template <class To, class Wide>
To narrow(Wide value) {
  if constexpr (std::is_same_v<To, bool>) {
    return value != 0;
  } else if constexpr (std::is_integral_v<To> || is_narrow_int<To>) {
    if constexpr (std::is_floating_point_v<Wide>) {
      const uint64_t bits = truncate_to_bits(value);
      if constexpr (is_narrow_int<To>)
        return To(static_cast<int64_t>(bits));
      else
        return static_cast<To>(bits);
    } else if constexpr (is_narrow_int<To>) {
      return To(static_cast<int64_t>(value));
    } else {
      return static_cast<To>(value);
    }
  } else if constexpr (is_complex_type<To>) {
    return To(static_cast<typename To::value_type>(value));
  } else if constexpr (std::is_floating_point_v<To>) {
    return static_cast<To>(value);
  } else {
    return To(double_to_float_odd(static_cast<double>(value)));
  }
}

template <class From, class To>
void convert_elements(std::span<const From> from, std::span<To> to) {
  for (size_t i = 0; i < from.size(); ++i) to[i] = narrow<To>(widen(from[i]));
}

std::string not_convertible(DType from, DType to) {
  return fmt::format("cannot convert {} to {}", name_of(from), name_of(to));
}

}  // namespace

Tensor::Tensor(DType dtype, std::vector<int64_t> extents, int64_t elements, const void* data,
               std::shared_ptr<const void> owner, bool writable)
    : dtype_(dtype),
      extents_(std::move(extents)),
      elements_(elements),
      data_(data),
      owner_(std::move(owner)),
      writable_(writable) {}

Tensor Tensor::zeros(DType dtype, std::vector<int64_t> extents) {
  const std::optional<int64_t> elements = checked_product(extents);
  CHECK(elements && dtype != DType::kUndefined, "a tensor of {}{}", name_of(dtype),
        to_string(std::span<const int64_t>(extents)));
  CHECK(checked_mul(*elements, storage_size(dtype)), "{} elements of {}", *elements, name_of(dtype));
  Storage storage = allocate_storage(dtype, *elements, true);
  CHECK(storage.data, "no memory for {} elements of {}", *elements, name_of(dtype));
  return Tensor(dtype, std::move(extents), *elements, storage.data, std::move(storage.owner), true);
}

Result<Tensor> Tensor::allocate(DType dtype, std::vector<int64_t> extents, const Limits& limits) {
  if (dtype == DType::kUndefined || !is_known_dtype(static_cast<int64_t>(dtype))) {
    return invalid_model("a tensor without an element type");
  }
  const auto name = [&] {
    return std::string(name_of(dtype)) + to_string(std::span<const int64_t>(extents));
  };
  if (static_cast<int64_t>(extents.size()) > limits.rank) {
    return unsupported(
        fmt::format("a tensor of rank {} is beyond the limit rank={}", extents.size(), limits.rank));
  }
  for (int64_t extent : extents) {
    if (extent < 0) return invalid_model(fmt::format("tensor {} has the negative extent {}", name(), extent));
  }
  const std::optional<int64_t> elements = checked_product(extents);
  if (!elements) return unsupported(fmt::format("the element count of tensor {} overflows", name()));
  if (*elements > limits.elements) {
    return unsupported(fmt::format("tensor {} has {} elements, beyond the limit elements={}", name(),
                                   *elements, limits.elements));
  }
  const std::optional<int64_t> bytes = checked_mul(*elements, storage_size(dtype));
  if (!bytes || *bytes > limits.tensor_bytes) {
    return unsupported(fmt::format("tensor {} takes {} bytes, beyond the limit tensor-bytes={}", name(),
                                   bytes ? std::to_string(*bytes) : "too many", limits.tensor_bytes));
  }
  Storage storage = allocate_storage(dtype, *elements, false);
  if (!storage.data) return io_error(fmt::format("no memory for tensor {} of {} bytes", name(), *bytes));
  return Tensor(dtype, std::move(extents), *elements, storage.data, std::move(storage.owner), true);
}

Tensor Tensor::view(DType dtype, std::vector<int64_t> extents, const void* data,
                    std::shared_ptr<const void> owner) {
  const std::optional<int64_t> elements = checked_product(extents);
  CHECK(elements && dtype != DType::kUndefined, "a view of {}{}", name_of(dtype),
        to_string(std::span<const int64_t>(extents)));
  CHECK(data || *elements == 0, "a view of {} elements at no address", *elements);
  if (*elements == 0) return zeros(dtype, std::move(extents));
  return Tensor(dtype, std::move(extents), *elements, data, std::move(owner), false);
}

Tensor Tensor::scalar_of(DType dtype, double value) {
  CHECK(dtype != DType::kString, "a number as a string tensor");
  Tensor result = zeros(dtype, {});
  visit_dtype(dtype, [&]<class T>(Tag<T>) {
    if constexpr (!std::is_same_v<T, std::string>) result.mutable_data<T>()[0] = narrow<T>(value);
  });
  return result;
}

void* Tensor::mutable_raw() {
  CHECK(defined(), "writing to an undefined tensor");
  if (writable_ && owner_.use_count() == 1) return const_cast<void*>(data_);
  Storage storage = allocate_storage(dtype_, elements_, false);
  CHECK(storage.data, "no memory to copy {}", type_string(*this));
  if (dtype_ == DType::kString) {
    const auto* strings = static_cast<const std::string*>(data_);
    std::copy(strings, strings + elements_, static_cast<std::string*>(storage.data));
  } else {
    std::memcpy(storage.data, data_, static_cast<size_t>(bytes()));
  }
  data_ = storage.data;
  owner_ = std::move(storage.owner);
  writable_ = true;
  return storage.data;
}

Tensor Tensor::reshaped(std::vector<int64_t> extents) const {
  const std::optional<int64_t> elements = checked_product(extents);
  CHECK(elements == elements_, "{} reshaped to {}", type_string(*this),
        to_string(std::span<const int64_t>(extents)));
  Tensor result = *this;
  result.extents_ = std::move(extents);
  return result;
}

int64_t Tensor::int_at(int64_t index) const {
  CHECK(index >= 0 && index < elements_, "element {} of {}", index, elements_);
  CHECK(is_int(dtype_) || dtype_ == DType::kBool, "an integer of {}", name_of(dtype_));
  return visit_dtype(dtype_, [&]<class T>(Tag<T>) -> int64_t {
    if constexpr (std::is_integral_v<T> || is_narrow_int<T>) {
      return static_cast<int64_t>(static_cast<const T*>(data_)[index]);
    } else {
      return 0;
    }
  });
}

double Tensor::double_at(int64_t index) const {
  CHECK(index >= 0 && index < elements_, "element {} of {}", index, elements_);
  CHECK(dtype_ != DType::kString && !is_complex(dtype_), "a real number of {}", name_of(dtype_));
  return visit_dtype(dtype_, [&]<class T>(Tag<T>) -> double {
    if constexpr (is_number_type<T>) {
      return static_cast<double>(widen(static_cast<const T*>(data_)[index]));
    } else {
      return 0;
    }
  });
}

std::vector<int64_t> Tensor::ints() const {
  std::vector<int64_t> values;
  values.reserve(static_cast<size_t>(elements_));
  for (int64_t i = 0; i < elements_; ++i) values.push_back(int_at(i));
  return values;
}

bool Tensor::identical(const Tensor& other) const {
  if (dtype_ != other.dtype_ || extents_ != other.extents_) return false;
  if (elements_ == 0 || data_ == other.data_) return true;
  if (dtype_ == DType::kString) return std::ranges::equal(data<std::string>(), other.data<std::string>());
  return std::memcmp(data_, other.data_, static_cast<size_t>(bytes())) == 0;
}

std::string type_string(const Tensor& tensor) {
  return std::string(name_of(tensor.dtype())) + to_string(std::span<const int64_t>(tensor.extents()));
}

Result<Tensor> convert(const Tensor& tensor, DType dtype) {
  if (tensor.dtype() == dtype) return tensor;
  const auto is_number = [](DType t) {
    return t != DType::kUndefined && t != DType::kString && !is_complex(t);
  };
  if (!is_number(tensor.dtype()) || !is_number(dtype))
    return invalid_input(not_convertible(tensor.dtype(), dtype));
  constexpr int64_t kUnlimited = std::numeric_limits<int64_t>::max();
  Limits limits;
  limits.tensor_bytes = limits.elements = limits.rank = kUnlimited;
  Tensor result = TRY(Tensor::allocate(dtype, tensor.extents(), limits));
  visit_dtype(tensor.dtype(), [&]<class From>(Tag<From>) {
    visit_dtype(dtype, [&]<class To>(Tag<To>) {
      if constexpr (is_number_type<From> && is_number_type<To>) {
        convert_elements<From, To>(tensor.data<From>(), result.mutable_data<To>());
      }
    });
  });
  return result;
}

std::vector<int64_t> row_major_strides(std::span<const int64_t> extents) {
  std::vector<int64_t> strides(extents.size(), 1);
  for (size_t axis = extents.size(); axis-- > 1;) {
    // Beside an extent of 0 the others may be of any size; such strides are never used, and may wrap.
    const uint64_t stride = static_cast<uint64_t>(strides[axis]) * static_cast<uint64_t>(extents[axis]);
    strides[axis - 1] = static_cast<int64_t>(stride);
  }
  return strides;
}

}  // namespace gannet
