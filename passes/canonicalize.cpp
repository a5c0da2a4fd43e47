// One form for what can be said in several ways, so that later passes and backends see few forms:
// what does nothing is gone, chains are merged, shapes are stated where they are known, constants stand on
// the right, and shorthand layers (Gemm, global pooling, variadic Sum) are spelled out.
#include "passes/canonicalize_rules.h"
#include "passes/pass.h"

namespace gannet {

Result<bool> canonicalize(Graph& graph, PassContext&) {
  std::vector<RewriteRow> rules;
  for (std::span<const RewriteRow> family : {arithmetic_rules(), movement_rules(), layer_rules()}) {
    rules.insert(rules.end(), family.begin(), family.end());
  }
  return rewrite_graph(graph, rules);
}

}  // namespace gannet
