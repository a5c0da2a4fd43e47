// Attributes of a node as the file has them, before the op table gives them their kinds. Upgrades take some
// away and add others; `bind_attributes` turns the rest into those of the IR.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "ir/attributes.h"
#include "ir/base/error.h"
#include "ir/base/limits.h"
#include "ir/graph.h"
#include "ir/op.h"

namespace onnx {
class AttributeProto;
class GraphProto;
class NodeProto;
}  // namespace onnx

namespace gannet {

struct TensorSource;  // model_file.h

// What the file holds. monostate: an attribute without any value, as old files write an empty list.
using RawAttr =
    std::variant<std::monostate, int64_t, float, std::string, std::vector<int64_t>, std::vector<float>,
                 std::vector<std::string>, Tensor, std::vector<Tensor>, Type, const onnx::GraphProto*>;

struct NamedRawAttr {
  std::string name;
  RawAttr value;
  std::optional<Origin> origin;  // of a tensor
};

class RawAttributes {
 public:
  bool has(std::string_view name) const { return find(name) != nullptr; }
  const NamedRawAttr* find(std::string_view name) const;
  // What `name` holds when it is there and of this kind, else null.
  template <class T>
  const T* get(std::string_view name) const {
    const NamedRawAttr* attr = find(name);
    return attr ? std::get_if<T>(&attr->value) : nullptr;
  }
  void set(std::string_view name, RawAttr value);
  void add(NamedRawAttr attr) { entries_.push_back(std::move(attr)); }
  void erase(std::string_view name);
  void rename(std::string_view from, std::string_view to);
  const std::vector<NamedRawAttr>& entries() const { return entries_; }

  // Removes `name` and returns what it held; nothing when it is not there. An error when it holds another
  // kind.
  template <class T>
  Result<std::optional<T>> take(std::string_view name);
  template <class T>
  Result<T> take_or(std::string_view name, T otherwise) {
    auto found = take<T>(name);
    if (!found.ok()) return found.error();
    return found->has_value() ? std::move(**found) : std::move(otherwise);
  }

 private:
  std::vector<NamedRawAttr> entries_;
};

// "an int", "floats", ...
std::string_view kind_name(const RawAttr& value);

// Attributes that a function is called with, by name.
using AttrArguments = std::map<std::string, NamedRawAttr, std::less<>>;

// Reads one attribute; an error names it.
Result<NamedRawAttr> read_attribute(const onnx::AttributeProto& proto, const TensorSource& source,
                                    const Limits& limits);
// Reads the attributes of `node`; `arguments` are those that ref_attr_name refers to (null outside of
// functions).
Result<RawAttributes> read_attributes(const onnx::NodeProto& node, const TensorSource& source,
                                      const Limits& limits, const AttrArguments* arguments);

// The attributes of a node of `op`, except subgraphs. Errors: not declared, of another kind, required but
// absent. Harmless ones that `op` does not declare are named in `ignored`.
Result<Attributes> bind_attributes(const OpDef& op, const RawAttributes& raw,
                                   std::vector<std::string>& ignored);

}  // namespace gannet
