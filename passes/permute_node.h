// How an op computes with permuted operands: the same op with its axes renumbered. What moves Transposes past nodes
// asks here and nowhere else.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "ir/base/error.h"
#include "ir/base/tensor.h"
#include "ir/graph.h"

namespace gannet {

// As the attribute of Transpose: dimension i of the result is dimension p[i] of the operand.
using Permutation = std::vector<int64_t>;

Permutation inverse(const Permutation& p);
// Transposing by `first`, then by `second`.
Permutation compose(const Permutation& first, const Permutation& second);
bool is_identity(const Permutation& p);
// True when the dimensions of `shape` other than 1 keep their order, so that no element moves.
bool moves_nothing(const Shape& shape, const Permutation& p);
Shape permuted(const Shape& shape, const Permutation& p);
// The elements moved; an error where there is no memory for them.
Result<Tensor> permuted(const Tensor& tensor, const Permutation& p);
// That of a Transpose node, also where it is left to its default; nothing where the rank is not known.
std::optional<Permutation> permutation_of(const Node& node);

// An extent for comparing costs: symbols count as 97.
int64_t estimated(const Dim& dim);

// A permutation for each operand and result of a node; empty for one that stays as it is. An operand of lower rank
// that broadcasts counts as if it had dimensions of 1 in front.
struct NodeLayouts {
  std::vector<Permutation> operands;
  std::vector<Permutation> results;
};

// The layouts with which `node` computes what it does now when its operand `index` (or its result, if `of_result`)
// comes permuted by `p`. Nothing where it cannot.
std::optional<NodeLayouts> permuted_layouts(const Node& node, bool of_result, size_t index, const Permutation& p);

// Adds a node before `node` that computes with `layouts`; `operands` are those of `node`, permuted already.
Result<Node*> add_permuted_node(Graph& graph, Node& node, const NodeLayouts& layouts, std::vector<Value*> operands);

}  // namespace gannet
