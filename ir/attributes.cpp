#include "ir/attributes.h"

#include <algorithm>

#include "ir/print.h"

namespace gannet {

namespace {

auto entry_position(auto& entries, std::string_view name) {
  return std::lower_bound(entries.begin(), entries.end(), name,
                          [](const auto& entry, std::string_view wanted) { return entry.first < wanted; });
}

bool same_value(const Attr& a, const Attr& b) {
  if (a.index() != b.index()) return false;
  if (const auto* tensor = std::get_if<Tensor>(&a)) return tensor->identical(std::get<Tensor>(b));
  if (const auto* tensors = std::get_if<std::vector<Tensor>>(&a)) {
    const auto& others = std::get<std::vector<Tensor>>(b);
    return std::equal(tensors->begin(), tensors->end(), others.begin(), others.end(),
                      [](const Tensor& x, const Tensor& y) { return x.identical(y); });
  }
  if (const auto* graph = std::get_if<std::shared_ptr<Graph>>(&a)) {
    const auto& other = std::get<std::shared_ptr<Graph>>(b);
    return *graph == other || (*graph && other && print_graph(**graph) == print_graph(*other));
  }
  if (const auto* scalar = std::get_if<ScalarExpr>(&a)) return same_expression(*scalar, std::get<ScalarExpr>(b));
  if (const auto* number = std::get_if<float>(&a)) {
    float other = std::get<float>(b);
    return *number == other || (*number != *number && other != other);
  }
  if (const auto* value = std::get_if<int64_t>(&a)) return *value == std::get<int64_t>(b);
  if (const auto* value = std::get_if<std::string>(&a)) return *value == std::get<std::string>(b);
  if (const auto* value = std::get_if<std::vector<int64_t>>(&a)) return *value == std::get<std::vector<int64_t>>(b);
  if (const auto* value = std::get_if<std::vector<float>>(&a)) return *value == std::get<std::vector<float>>(b);
  if (const auto* value = std::get_if<std::vector<std::string>>(&a)) return *value == std::get<std::vector<std::string>>(b);
  if (const auto* value = std::get_if<DType>(&a)) return *value == std::get<DType>(b);
  if (const auto* value = std::get_if<Shape>(&a)) return *value == std::get<Shape>(b);
  return std::get<Type>(a) == std::get<Type>(b);
}

}  // namespace

Attributes::Attributes(std::initializer_list<std::pair<std::string, Attr>> values) {
  for (const auto& [name, value] : values) set(name, value);
}

const Attr* Attributes::find(std::string_view name) const {
  auto position = entry_position(entries_, name);
  return position != entries_.end() && position->first == name ? &position->second : nullptr;
}

void Attributes::set(std::string_view name, Attr value) {
  auto position = entry_position(entries_, name);
  if (position != entries_.end() && position->first == name) position->second = std::move(value);
  else entries_.emplace(position, std::string(name), std::move(value));
}

void Attributes::erase(std::string_view name) {
  auto position = entry_position(entries_, name);
  if (position != entries_.end() && position->first == name) entries_.erase(position);
}

const AttrDef& Attributes::def_of(std::string_view name, AttrKind kind) const {
  for (const AttrDef& def : defs_) {
    if (def.name != name) continue;
    CHECK(def.kind == kind, "attribute '{}' is declared with another kind", name);
    return def;
  }
  CHECK(false, "attribute '{}' is not declared", name);
  __builtin_unreachable();
}

template <class T>
const T& Attributes::value_or_empty(std::string_view name, AttrKind kind) const {
  static const T empty{};
  def_of(name, kind);
  const Attr* attr = find(name);
  if (attr == nullptr) return empty;
  const T* value = std::get_if<T>(attr);
  CHECK(value != nullptr, "attribute '{}' holds another kind than declared", name);
  return *value;
}

int64_t Attributes::integer(std::string_view name) const {
  const AttrDef& def = def_of(name, AttrKind::kInt);
  return has(name) ? value_or_empty<int64_t>(name, AttrKind::kInt) : def.default_int;
}

float Attributes::number(std::string_view name) const {
  const AttrDef& def = def_of(name, AttrKind::kFloat);
  return has(name) ? value_or_empty<float>(name, AttrKind::kFloat) : def.default_float;
}

std::string_view Attributes::text(std::string_view name) const {
  const AttrDef& def = def_of(name, AttrKind::kString);
  return has(name) ? std::string_view(value_or_empty<std::string>(name, AttrKind::kString)) : def.default_string;
}

DType Attributes::dtype(std::string_view name) const {
  const AttrDef& def = def_of(name, AttrKind::kDType);
  return has(name) ? value_or_empty<DType>(name, AttrKind::kDType) : static_cast<DType>(def.default_int);
}

const std::vector<int64_t>& Attributes::integers(std::string_view name) const {
  return value_or_empty<std::vector<int64_t>>(name, AttrKind::kInts);
}
const std::vector<float>& Attributes::numbers(std::string_view name) const {
  return value_or_empty<std::vector<float>>(name, AttrKind::kFloats);
}
const std::vector<std::string>& Attributes::texts(std::string_view name) const {
  return value_or_empty<std::vector<std::string>>(name, AttrKind::kStrings);
}
const Tensor& Attributes::tensor(std::string_view name) const { return value_or_empty<Tensor>(name, AttrKind::kTensor); }
const std::shared_ptr<Graph>& Attributes::graph(std::string_view name) const {
  return value_or_empty<std::shared_ptr<Graph>>(name, AttrKind::kGraph);
}
const Shape& Attributes::dims(std::string_view name) const { return value_or_empty<Shape>(name, AttrKind::kDims); }
const Type& Attributes::type(std::string_view name) const { return value_or_empty<Type>(name, AttrKind::kType); }
const ScalarExpr& Attributes::scalar(std::string_view name) const {
  return value_or_empty<ScalarExpr>(name, AttrKind::kScalar);
}
const std::vector<Tensor>& Attributes::tensors(std::string_view name) const {
  return value_or_empty<std::vector<Tensor>>(name, AttrKind::kTensors);
}

bool operator==(const Attributes& a, const Attributes& b) {
  return std::equal(a.entries().begin(), a.entries().end(), b.entries().begin(), b.entries().end(),
                    [](const auto& x, const auto& y) { return x.first == y.first && same_value(x.second, y.second); });
}

}  // namespace gannet
