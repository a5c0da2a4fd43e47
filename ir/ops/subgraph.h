// What the ops with subgraphs share. A subgraph is isolated: the last `captures` operands of the node are the last
// inputs of the graph. Its own symbols have no meaning outside, so result types get fresh ones in their place.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "ir/eval.h"
#include "ir/infer.h"

namespace gannet {

// The subgraph in attribute `name`, checked to have `inputs` inputs and at least `outputs` outputs.
Result<Graph*> checked_subgraph(const InferContext& c, std::string_view name, size_t inputs, size_t outputs);
// The number of captures, checked to leave at least `others` operands before them.
Result<size_t> capture_count(const InferContext& c, size_t others);
// Types of the last `captures` operands; an absent capture is an error.
Result<std::vector<Type>> capture_types(const InferContext& c, size_t captures);

// Output types of `graph` for these inputs; the contents of captured lists are stated inside as well. A node all of
// whose operands are data is being evaluated: then an inferred graph keeps its types, since evaluation must not write
// to graphs that several sessions share.
Result<std::vector<Type>> infer_body(const InferContext& c, Graph& graph, std::span<const Type> input_types, size_t captures);

// `type` as it is known outside of the subgraph.
Type outside_type(InferContext& c, const Type& type);
// A type that both are instances of: dimensions that differ become fresh, ranks that differ unknown. An error when
// kinds or element types differ.
Result<Type> common_type(InferContext& c, const Type& a, const Type& b);

// Values that a body passes to its next run. A dimension that changes on the way is loose: known only inside one run.
// A body may take an optional and give back what it holds.
struct CarriedTypes {
  std::vector<Type> types;
  std::vector<std::vector<bool>> loose;  // for each dimension of each type
};
// Infers the body on lead + carried + tail (which ends in the captures) until the carried types hold for every
// run; gives its output types, of which those of the carried values start at `first_carried`.
Result<std::vector<Type>> infer_repeated(InferContext& c, Graph& body, const std::vector<Type>& lead, CarriedTypes& carried,
                                         const std::vector<Type>& tail, size_t captures, size_t first_carried);

// Operands from `first` on.
std::vector<Datum> operands_from(const EvalContext& c, size_t first);
// Results of a body that are kept from run to run, a list for each.
struct CollectedPieces {
  explicit CollectedPieces(size_t count) : pieces(count) {}
  // Takes results[first], results[first + 1], ...; an error when they are no tensors or together beyond a limit.
  Status add(std::vector<Datum>& results, size_t first, const Limits& limits);

  std::vector<std::vector<Datum>> pieces;
  int64_t bytes = 0;
};
// The tensors joined along a new axis `axis` (from last to first when `backwards`); `piece` is their type where there
// are none.
Result<Tensor> stack_tensors(EvalContext& c, std::span<const Datum> pieces, const Type& piece, int64_t axis, bool backwards);

}  // namespace gannet
