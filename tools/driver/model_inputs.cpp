#include "tools/driver/model_inputs.h"

#include <algorithm>

#include "frontend/pb_file.h"
#include "ir/infer.h"
#include "ir/op.h"

namespace gannet {
namespace {

// The largest number that may be used as an index through this input: the smallest table it selects from.
int64_t index_bound(const Value& value, int depth = 0) {
  constexpr int kDeepest = 8;
  int64_t bound = 0;
  auto tighten = [&](int64_t other) {
    if (other > 0) bound = bound == 0 ? other : std::min(bound, other);
  };
  if (depth > kDeepest) return 0;
  for (const Use& use : value.uses()) {
    const Node& node = *use.node;
    const Value* table = node.input(0);
    if (node.op().name == "Gather" && use.index == 1 && table->type.shape) {
      Result<int64_t> axis = normalize_axis(node.attrs.integer("axis"), table->type.rank());
      if (axis.ok() && (*table->type.shape)[static_cast<size_t>(*axis)].is_constant()) {
        tighten((*table->type.shape)[static_cast<size_t>(*axis)].constant());
      }
    } else if (node.op().name == "Cast" || node.op().name == "Identity" || node.op().name == "Reshape" ||
               node.op().name == "Unsqueeze" || node.op().name == "Squeeze" || node.op().name == "Flatten") {
      if (use.index == 0 && is_int(node.output()->type.dtype)) tighten(index_bound(*node.output(), depth + 1));
    }
  }
  return bound == 0 && depth == 0 ? kUnknownIndexBound : bound;
}

}  // namespace

std::vector<InputSpec> input_specs(const Graph& graph) {
  std::vector<InputSpec> specs;
  for (const Value* input : graph.inputs()) specs.push_back({input->name, input->type, index_bound(*input)});
  return specs;
}

Result<Datum> read_pb_input(const std::string& path, const Type& type, const Limits& limits) { return read_pb(path, &type, limits); }

}  // namespace gannet
