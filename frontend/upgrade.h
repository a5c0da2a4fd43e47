// Older and foreign forms of ops rewritten to the newest ONNX form, which is all the op table knows. Each row
// of upgrade.def is one small function for one op and the opsets before a version; the rows of an op run in
// order.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "frontend/import_attributes.h"
#include "ir/builder.h"
#include "ir/graph.h"

namespace gannet {

// A node on its way into the IR. An upgrade changes `op`, `attrs` and `operands` in place, or builds the
// results itself with `b` and says so with `set`.
class UpgradeContext {
 public:
  UpgradeContext(Graph& graph, std::string node_name) : b(graph, nullptr, std::move(node_name)) {}

  std::string op;
  int64_t opset = 0;  // of the op's domain
  RawAttributes attrs;
  std::vector<Value*> operands;  // null: absent
  std::vector<bool> wanted;      // by output
  std::vector<std::string> notes;
  GraphBuilder b;
  // Applied to each result of the node that `op` becomes; empty: they are the results as they are.
  std::function<Value*(Value*)> finish;

  Value* operand(size_t i) const { return i < operands.size() ? operands[i] : nullptr; }
  bool wants(size_t i) const { return i < wanted.size() && wanted[i]; }
  // The shape of operand i, or null where it is absent or its rank is not known.
  const Shape* shape(size_t i) const;
  // Operand i as known integers.
  std::optional<std::vector<int64_t>> ints(size_t i) const;
  // Makes `value` operand i.
  void set_operand(size_t i, Value* value);
  // A rank-0 constant of the dtype of `like` (f32 when that is not known); null, with the builder failed,
  // when that is no real type.
  Value* number(double value, const Value* like);

  // Result i is this value: no node is made of `op`.
  void set(size_t i, Value* value);
  bool done() const { return done_; }
  const std::vector<Value*>& results() const { return results_; }

 private:
  bool done_ = false;
  std::vector<Value*> results_;
};

using UpgradeFn = Status (*)(UpgradeContext&);

struct Upgrade {
  std::string_view domain;  // "" is ai.onnx
  std::string_view op;
  int64_t before = 0;  // for opsets below this
  UpgradeFn apply = nullptr;
};

// Opsets without an upper bound: the op is not ONNX's own, or exporters use the form with every opset.
inline constexpr int64_t kEveryOpset = INT64_MAX;

// The upgrades of an op in the order in which they run; empty where there are none.
std::span<const Upgrade> upgrades_of(std::string_view domain, std::string_view op);
// Applies those for the node's opset until one has set the results.
Status upgrade(std::string_view domain, UpgradeContext& context);

}  // namespace gannet
