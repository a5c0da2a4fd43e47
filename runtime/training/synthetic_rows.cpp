#include "runtime/training/synthetic_rows.h"

#include <cstring>

#include "ir/base/check.h"

namespace gannet {

Result<std::map<int64_t, Image>> synthetic_pictures(const SyntheticRows& synthetic, int64_t files,
                                                    std::span<const int64_t> rows) {
  std::map<int64_t, Image> made;
  for (const int64_t row : rows) {
    if (row >= files) made.emplace(row, Image());
  }
  if (made.empty()) return made;
  CHECK(synthetic.pictures, "row {} of {}", made.begin()->first, files);
  std::vector<int64_t> places;
  for (const auto& [row, image] : made) places.push_back(row - files);
  std::vector<Image> images = TRY(synthetic.pictures->make(places));
  auto next = images.begin();
  for (auto& [row, image] : made) image = std::move(*next++);
  return made;
}

Tensor targets_of(const Tensor& target, const SyntheticRows& synthetic, const Tensor& of_class,
                  std::span<const int64_t> rows) {
  std::vector<int64_t> extents = target.extents();
  const int64_t files = extents[0], bytes = files > 0 ? target.bytes() / files : 0;
  extents[0] = static_cast<int64_t>(rows.size());
  Tensor result = Tensor::zeros(target.dtype(), std::move(extents));
  auto* out = static_cast<std::byte*>(result.mutable_raw());
  for (const int64_t row : rows) {
    const bool is_file = row < files;
    const Tensor& from = is_file ? target : of_class;
    CHECK(from.defined() && from.dtype() == target.dtype() && from.bytes() == from.extent(0) * bytes,
          "targets {} and {} for row {}", type_string(target),
          of_class.defined() ? type_string(of_class) : "none", row);
    const int64_t index = is_file ? row : synthetic.pictures->class_of(row - files);
    std::memcpy(out, static_cast<const std::byte*>(from.raw()) + index * bytes, static_cast<size_t>(bytes));
    out += bytes;
  }
  return result;
}

}  // namespace gannet
