// What a backend needs to turn nodes into steps: values, sizes and checks of the Program under construction. Buffers
// and lifetimes are decided afterwards (plan.h), from the steps alone.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/graph.h"
#include "runtime/core/program.h"

namespace gannet {

class ProgramBuilder {
 public:
  explicit ProgramBuilder(std::string name);

  // The Program's value for a value of the graph (kNone for null), made when first asked for.
  ValueId value(const Value* value);
  // A further tensor that no value of the graph stands for: partial sums, a copy in another layout.
  ValueId temporary(const std::string& name, DType dtype, const Shape& shape);
  // A constant tensor; equal tensors at one address are one.
  ValueId constant(const Tensor& tensor);
  // Position of a dimension expression in Program::sizes.
  SizeId size(const Dim& dim);
  std::vector<SizeId> sizes(std::span<const Dim> shape);

  // `result` is `source` under another shape: from `element_offset` on, the same memory.
  void alias(ValueId result, ValueId source, const Dim& element_offset = 0);
  // `part` is to be written inside `whole`, at `element_offset`; false when it has a place already.
  bool place_inside(ValueId part, ValueId whole, const Dim& element_offset);
  // Step `step` may write output `output` over input `input`, which ends there: same bytes, and element by element.
  void may_run_in_place(size_t step, size_t input, size_t output);

  // Appends a step and gives its position.
  size_t add_step(Step step);
  // A condition for the next step: equal extents, or one of them 1 where `broadcast`. Nothing when it always holds.
  void check(const Dim& a, const Dim& b, bool broadcast, std::string what);

  Program& program() { return program_; }

 private:
  friend class Planner;
  struct Alias {
    ValueId base = kNone;
    Dim element_offset;
  };
  struct InPlace {
    size_t step = 0, input = 0, output = 0;
  };

  Program program_;
  std::unordered_map<const Value*, ValueId> values_;
  std::unordered_map<const void*, ValueId> constants_;
  std::map<Dim, SizeId> sizes_;
  std::map<ValueId, Alias> aliases_;
  std::vector<InPlace> in_place_;
};

}  // namespace gannet
