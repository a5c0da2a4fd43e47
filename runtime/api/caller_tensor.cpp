#include "runtime/api/caller_tensor.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstdint>
#include <optional>
#include <span>
#include <utility>
#include <vector>

#include "ir/base/checked.h"

namespace gannet {

namespace {

bool is_aligned(const void* data, DType dtype) {
  return reinterpret_cast<uintptr_t>(data) %
             static_cast<uintptr_t>(std::min<int64_t>(element_size(dtype), 8)) ==
         0;
}

// Whether the C struct says something that a tensor can be.
Status check_tensor(const gannet_tensor& tensor, const std::string& what) {
  if (tensor.type < 0 || static_cast<int>(tensor.type) >= kDTypeCount)
    return invalid_input(fmt::format("{} has type {}", what, static_cast<int>(tensor.type)));
  if (tensor.type == GANNET_STRING)
    return unsupported(what + " is of strings, which this interface does not take");
  if (tensor.rank < 0 || tensor.rank > GANNET_MAX_RANK)
    return invalid_input(fmt::format("{} has rank {}", what, tensor.rank));
  return {};
}

// Whether `byte` holds a number of a type of less than a byte.
bool is_number(DType dtype, uint8_t byte) {
  const int most = 1 << element_bits(dtype);
  if (!is_signed_int(dtype)) return byte < most;
  const int value = static_cast<int8_t>(byte);
  return value >= -most / 2 && value < most / 2;
}

Result<Tensor> input_tensor(DType dtype, std::vector<int64_t> extents, std::span<const uint8_t> bytes,
                            const std::string& what) {
  Tensor view = Tensor::view(dtype, std::move(extents), bytes.data(), nullptr);
  if (dtype == DType::kBool && std::ranges::any_of(bytes, [](uint8_t byte) { return byte > 1; })) {
    // Any other value in a bool is undefined behaviour.
    Tensor copy = TRY(Tensor::allocate(dtype, view.extents()));
    std::ranges::transform(bytes, static_cast<uint8_t*>(copy.mutable_raw()),
                           [](uint8_t byte) { return static_cast<uint8_t>(byte != 0); });
    return copy;
  }
  if (element_bits(dtype) >= 8 || dtype == DType::kBool) return view;
  const auto wrong = std::ranges::find_if_not(bytes, [&](uint8_t byte) { return is_number(dtype, byte); });
  if (wrong == bytes.end()) return view;
  return invalid_input(fmt::format("{}: element {} is the byte {}, which is no {}", what,
                                   wrong - bytes.begin(), *wrong, name_of(dtype)));
}

}  // namespace

Result<Datum> input_datum(const gannet_tensor& tensor, const std::string& name) {
  const std::string what = fmt::format("input '{}'", name);
  TRY(check_tensor(tensor, what));
  const auto dtype = static_cast<DType>(tensor.type);
  if (dtype == DType::kUndefined) return Datum();
  std::vector<int64_t> extents(tensor.extents, tensor.extents + tensor.rank);
  const std::optional<int64_t> elements = checked_product(extents);
  const std::optional<int64_t> bytes = elements ? checked_mul(*elements, element_size(dtype)) : std::nullopt;
  if (!bytes || std::ranges::any_of(extents, [](int64_t extent) { return extent < 0; })) {
    return invalid_input(
        fmt::format("{} has extents {}", what, to_string(std::span<const int64_t>(extents))));
  }
  if (static_cast<size_t>(*bytes) != tensor.bytes) {
    return invalid_input(fmt::format("{} has {} bytes, {} are {}", what, tensor.bytes,
                                     to_string(std::span<const int64_t>(extents)), *bytes));
  }
  if (*bytes > 0 && !tensor.data) return invalid_input(what + " has no data");
  if (!is_aligned(tensor.data, dtype)) return invalid_input(what + " is not aligned to its elements");
  return Datum(TRY(input_tensor(dtype, std::move(extents),
                                {static_cast<const uint8_t*>(tensor.data), tensor.bytes}, what)));
}

}  // namespace gannet
