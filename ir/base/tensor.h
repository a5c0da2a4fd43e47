// A dense row-major tensor with a dtype and integer extents. Copies share the data; `mutable_data` copies first when
// it is shared (copy on write), so a Tensor behaves as a value. A Tensor can view memory it does not own, such as a
// mapped file, through an owner that keeps it alive.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/base/checked.h"
#include "ir/base/dim.h"
#include "ir/base/dtype.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"

namespace gannet {

class Tensor {
 public:
  Tensor() = default;

  // Zeroed storage (empty strings). Extents must be >= 0 and their product must not overflow (CHECK): use allocate
  // for sizes that come from a model or a user.
  static Tensor zeros(DType dtype, std::vector<int64_t> extents);
  // As zeros, but refuses negative extents, overflow and what `limits` forbids, and reports exhausted memory.
  // The contents are unspecified unless dtype is string.
  static Result<Tensor> allocate(DType dtype, std::vector<int64_t> extents, const Limits& limits = {});
  // A read-only view of `data` (element_size * elements bytes, aligned for its type); `owner` keeps it alive.
  static Tensor view(DType dtype, std::vector<int64_t> extents, const void* data, std::shared_ptr<const void> owner);
  template <class T>
  static Tensor from(std::vector<int64_t> extents, std::span<const T> values);
  template <class T>
  static Tensor from(std::vector<int64_t> extents, std::initializer_list<T> values) {
    return from<T>(std::move(extents), std::span<const T>(values.begin(), values.size()));
  }
  template <class T>
  static Tensor scalar(T value) { return from<T>({}, {value}); }
  // A 1-D i64 tensor.
  static Tensor of_ints(std::span<const int64_t> values) { return from<int64_t>({static_cast<int64_t>(values.size())}, values); }
  // A number converted to `dtype`, as a scalar (rank 0).
  static Tensor scalar_of(DType dtype, double value);

  bool defined() const { return dtype_ != DType::kUndefined; }
  DType dtype() const { return dtype_; }
  const std::vector<int64_t>& extents() const { return extents_; }
  int64_t extent(int64_t axis) const { return extents_[static_cast<size_t>(axis)]; }
  int64_t rank() const { return static_cast<int64_t>(extents_.size()); }
  int64_t elements() const { return elements_; }
  int64_t bytes() const { return elements_ * element_size(dtype_); }

  // Elements as T, which must be the storage type of dtype().
  template <class T>
  std::span<const T> data() const;
  template <class T>
  std::span<T> mutable_data();
  // Raw bytes; not for strings.
  const void* raw() const { return data_; }
  void* mutable_raw();

  // The same data with other extents; CHECKs that the element counts agree.
  Tensor reshaped(std::vector<int64_t> extents) const;
  // Element `index` of an integer or bool tensor.
  int64_t int_at(int64_t index) const;
  // Element `index` of any real tensor as f64.
  double double_at(int64_t index) const;
  // All elements of an integer or bool tensor.
  std::vector<int64_t> ints() const;
  // Same dtype, extents and bits (strings: same text).
  bool identical(const Tensor& other) const;

 private:
  Tensor(DType dtype, std::vector<int64_t> extents, int64_t elements, const void* data, std::shared_ptr<const void> owner,
         bool writable);

  DType dtype_ = DType::kUndefined;
  std::vector<int64_t> extents_;
  int64_t elements_ = 0;
  const void* data_ = nullptr;
  std::shared_ptr<const void> owner_;
  bool writable_ = false;  // the storage behind owner_ is ours to write when no other Tensor shares it
};

template <class T>
Tensor Tensor::from(std::vector<int64_t> extents, std::span<const T> values) {
  static_assert(dtype_of<T>() != DType::kUndefined);
  Tensor result = zeros(dtype_of<T>(), std::move(extents));
  CHECK(static_cast<int64_t>(values.size()) == result.elements(), "{} values for {} elements", values.size(), result.elements());
  std::copy(values.begin(), values.end(), result.mutable_data<T>().begin());
  return result;
}

template <class T>
std::span<const T> Tensor::data() const {
  CHECK(visit_dtype(dtype_, []<class U>(Tag<U>) { return std::is_same_v<T, U>; }), "the tensor holds {}", name_of(dtype_));
  return {static_cast<const T*>(data_), static_cast<size_t>(elements_)};
}

template <class T>
std::span<T> Tensor::mutable_data() {
  CHECK(visit_dtype(dtype_, []<class U>(Tag<U>) { return std::is_same_v<T, U>; }), "the tensor holds {}", name_of(dtype_));
  return {static_cast<T*>(mutable_raw()), static_cast<size_t>(elements_)};
}

// "f32[1, 3, 224, 224]"
std::string type_string(const Tensor& tensor);
// Converts every element to `dtype` as C++ does between the storage types (no saturation); not for strings or complex.
Result<Tensor> convert(const Tensor& tensor, DType dtype);
// Row-major strides in elements.
std::vector<int64_t> row_major_strides(std::span<const int64_t> extents);

}  // namespace gannet
