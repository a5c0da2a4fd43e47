// The type of a value: a tensor with a dtype and a shape whose dimensions may be symbolic, a sequence, or an optional.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/dim.h"
#include "ir/base/dtype.h"

namespace gannet {

struct Type {
  enum class Kind { kTensor, kSequence, kOptional };

  Kind kind = Kind::kTensor;
  DType dtype = DType::kUndefined;     // of a tensor; kUndefined means not known
  std::optional<Shape> shape;          // of a tensor; empty means the rank is not known
  std::shared_ptr<const Type> element;  // of a sequence or optional

  static Type tensor(DType dtype, std::optional<Shape> shape = std::nullopt) {
    return {Kind::kTensor, dtype, std::move(shape), nullptr};
  }
  static Type sequence(Type element) {
    return {Kind::kSequence, DType::kUndefined, std::nullopt, std::make_shared<const Type>(std::move(element))};
  }
  static Type optional(Type element) {
    return {Kind::kOptional, DType::kUndefined, std::nullopt, std::make_shared<const Type>(std::move(element))};
  }

  bool is_tensor() const { return kind == Kind::kTensor; }
  bool has_rank() const { return shape.has_value(); }
  // The rank, or -1 where it is not known.
  int64_t rank() const { return shape ? static_cast<int64_t>(shape->size()) : -1; }
  bool is_static() const { return shape && gannet::is_static(*shape); }
};

bool operator==(const Type& a, const Type& b);
// "f32[batch, 3]", "f32" (rank unknown), "seq(f32[2])", "optional(i64)".
std::string to_string(const Type& type);
Result<Type> parse_type(std::string_view text);

}  // namespace gannet
