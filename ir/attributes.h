// Attributes of a node: compile-time parameters by name. What an op declares (AttrDef) gives each its kind and
// default, so reading an attribute that a node does not carry gives the default of the op table.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

#include "ir/base/tensor.h"
#include "ir/base/type.h"
#include "ir/scalar.h"

namespace gannet {

class Graph;

enum class AttrKind : uint8_t {
  kInt, kFloat, kString, kInts, kFloats, kStrings, kTensor, kDType, kGraph, kDims, kType, kScalar, kTensors
};

// The alternatives are in the order of AttrKind. Floats are f32 as in ONNX.
using Attr = std::variant<int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                          std::vector<std::string>, Tensor, DType, std::shared_ptr<Graph>, Shape, Type, ScalarExpr,
                          std::vector<Tensor>>;

// One declared attribute. Lists, tensors, graphs and types have no default but "absent".
struct AttrDef {
  std::string_view name;
  AttrKind kind = AttrKind::kInt;
  bool required = false;
  bool has_default = false;
  int64_t default_int = 0;
  float default_float = 0;
  std::string_view default_string = {};
};

constexpr AttrDef int_attr(std::string_view name, int64_t value) { return {name, AttrKind::kInt, false, true, value, 0, {}}; }
constexpr AttrDef float_attr(std::string_view name, float value) { return {name, AttrKind::kFloat, false, true, 0, value, {}}; }
constexpr AttrDef string_attr(std::string_view name, std::string_view value) {
  return {name, AttrKind::kString, false, true, 0, 0, value};
}
constexpr AttrDef dtype_attr(std::string_view name, DType value) {
  return {name, AttrKind::kDType, false, true, static_cast<int64_t>(value), 0, {}};
}
constexpr AttrDef optional_attr(std::string_view name, AttrKind kind) { return {name, kind, false, false, 0, 0, {}}; }
constexpr AttrDef required_attr(std::string_view name, AttrKind kind) { return {name, kind, true, false, 0, 0, {}}; }

class Attributes {
 public:
  Attributes() = default;
  Attributes(std::initializer_list<std::pair<std::string, Attr>> values);

  // The declarations that supply kinds and defaults; kept by whoever owns the op table.
  void bind(std::span<const AttrDef> defs) { defs_ = defs; }
  std::span<const AttrDef> defs() const { return defs_; }

  // True when the node itself carries `name`; has_value also counts a declared default.
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const Attr* find(std::string_view name) const;
  void set(std::string_view name, Attr value);
  void erase(std::string_view name);
  // What the node carries, sorted by name.
  const std::vector<std::pair<std::string, Attr>>& entries() const { return entries_; }

  // Values by kind. CHECKs that the op declares `name` with that kind; absent lists are empty, absent numbers and
  // strings are the declared default (0 or "" when there is none: ask `has` first where that matters).
  int64_t integer(std::string_view name) const;
  float number(std::string_view name) const;
  std::string_view text(std::string_view name) const;
  const std::vector<int64_t>& integers(std::string_view name) const;
  const std::vector<float>& numbers(std::string_view name) const;
  const std::vector<std::string>& texts(std::string_view name) const;
  const Tensor& tensor(std::string_view name) const;
  DType dtype(std::string_view name) const;
  const std::shared_ptr<Graph>& graph(std::string_view name) const;
  const Shape& dims(std::string_view name) const;
  const Type& type(std::string_view name) const;
  const ScalarExpr& scalar(std::string_view name) const;
  const std::vector<Tensor>& tensors(std::string_view name) const;

 private:
  const AttrDef& def_of(std::string_view name, AttrKind kind) const;
  template <class T>
  const T& value_or_empty(std::string_view name, AttrKind kind) const;

  std::vector<std::pair<std::string, Attr>> entries_;
  std::span<const AttrDef> defs_;
};

// Same entries with equal values; tensors by bits, subgraphs by identity of their printed form.
bool operator==(const Attributes& a, const Attributes& b);

}  // namespace gannet
