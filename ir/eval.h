// The meaning of ops: `eval` computes a node's results from its operands, written to be read. The reference evaluator
// (evaluate.h) and every step that no backend takes run these.
#pragma once

#include <functional>
#include <span>
#include <vector>

#include "ir/base/datum.h"
#include "ir/base/limits.h"
#include "ir/graph.h"

namespace gannet {

// What an evaluation may ask of whoever runs it.
class EvalServices {
 public:
  virtual ~EvalServices() = default;
  // Runs a subgraph on these operands.
  virtual Result<std::vector<Datum>> run(const Graph& graph, std::vector<Datum> inputs) = 0;
  // Values of the symbols bound so far.
  virtual const SymbolValues& symbols() const = 0;
  virtual const Limits& limits() const = 0;
  // A number that differs for each draw and follows from the run's seed: random ops start their generators from it.
  virtual uint64_t next_random_seed() = 0;
};

class EvalContext {
 public:
  EvalContext(const OpDef& op, const Attributes& attrs, std::span<const Datum> operands,
              std::span<const Type> output_types, EvalServices& services);

  const OpDef& op() const { return op_; }
  const Attributes& attrs() const { return attrs_; }
  size_t operand_count() const { return operands_.size(); }
  bool has(size_t i) const { return i < operands_.size() && operands_[i].present(); }
  const Datum& datum(size_t i) const;
  // Operand i as a tensor (CHECKs; infer has verified the kinds).
  const Tensor& tensor(size_t i) const { return datum(i).tensor(); }

  size_t output_count() const { return outputs_.size(); }
  // The type that infer gave output i for these operands. Dimensions that depend on data are symbols.
  const Type& output_type(size_t i) const { return output_types_[i]; }
  // Storage for output i as inferred; an error when a limit forbids it. Its type must be static.
  Result<Tensor> allocate(size_t i = 0);
  Result<Tensor> allocate(DType dtype, std::vector<int64_t> extents);
  // Sets output i; ignored when fewer outputs are wanted.
  void set(size_t i, Datum value);
  void set(Datum value) { set(0, std::move(value)); }

  EvalServices& services() { return services_; }
  std::vector<Datum>& outputs() { return outputs_; }

 private:
  const OpDef& op_;
  const Attributes& attrs_;
  std::span<const Datum> operands_;
  std::span<const Type> output_types_;
  EvalServices& services_;
  std::vector<Datum> outputs_;
};

// Infers and evaluates one op on concrete operands: the whole meaning of a node.
Result<std::vector<Datum>> eval_op(const OpDef& op, const Attributes& attrs, std::span<const Datum> operands,
                                   size_t output_count, EvalServices& services);

}  // namespace gannet
