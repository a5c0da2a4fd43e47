// What a backend needs to turn nodes into steps: values, sizes and checks of the Program under construction. Buffers
// and lifetimes are decided afterwards (plan.h), from the steps alone.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

#include "ir/base/dim.h"

#include "ir/graph.h"
#include "runtime/core/program.h"

namespace gannet {

// A tensor that can lie in plain memory: element type and rank are known, and it holds no strings.
bool is_dense(const Type& type);

class ProgramBuilder {
 public:
  // `outside`: symbols that whoever runs the program has bound, as for the body of a Loop.
  explicit ProgramBuilder(std::string name, std::span<const std::string> outside = {});

  // The signature, in order.
  void add_input(const std::string& name, const Value* value);
  void add_state(const State& state);
  void add_output(const std::string& name, const Value* value);
  // After the last node: what each state holds afterwards.
  void finish_states(std::span<const State> states);

  // The Program's value for a value of the graph (kNone for null), made when first asked for.
  ValueId value(const Value* value);
  // From now on `value` stands for what `id` is.
  void bind(const Value* value, ValueId id);
  // A further tensor that no value of the graph stands for: partial sums, a copy in another layout.
  ValueId temporary(const std::string& name, DType dtype, const Shape& shape);
  // A constant tensor; equal tensors at one address are one.
  ValueId constant(const Tensor& tensor);
  // Whether all symbols of `dim` are bound when the next step runs.
  bool known(const Dim& dim) const;
  // Symbols bound so far.
  std::vector<std::string> known_symbols() const;
  // Position of a dimension expression in Program::sizes.
  SizeId size(const Dim& dim);
  std::vector<SizeId> sizes(std::span<const Dim> shape);

  // `result` is `source` under another shape: from `element_offset` on, the same memory.
  void alias(ValueId result, ValueId source, const Dim& element_offset = 0);
  // `part` is to be written inside `whole`, at `element_offset`; false when that cannot be: it has a place already, or
  // is not written by generated code or a primitive, or the extents of `whole` are not known by then.
  bool place_inside(ValueId part, ValueId whole, const Dim& element_offset);
  // Step `step` may write output `output` over input `input`, which ends there: same bytes, and element by element.
  void may_run_in_place(size_t step, size_t input, size_t output);

  // Appends a step and gives its position. Symbols that it binds are known from then on.
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
  ValueId add_value(const std::string& name, const Type& type);
  // What `id` is a view or part of, in the end.
  ValueId base_of(ValueId id) const;
  // The first step that writes `whole` or a part of it; kNone when none does.
  int32_t first_writer(ValueId whole) const;

  std::map<std::string, int32_t, std::less<>> known_;  // symbol -> first step that may use it
  std::vector<int32_t> producers_;                     // of each value: its step, or kNone
  std::unordered_map<const Value*, ValueId> values_;
  std::unordered_map<const void*, ValueId> constants_;
  std::map<Dim, SizeId> sizes_;
  std::map<ValueId, Alias> aliases_;
  std::vector<InPlace> in_place_;
};

}  // namespace gannet
