#include "backend/program_builder.h"

#include <algorithm>

#include "ir/op.h"

namespace gannet {
namespace {

// The step that gives a Dims leaf as data.
Step dims_step(const Node& node, ValueId result) {
  Step step;
  step.name = node.name;
  step.op = node.op().name;
  step.outputs = {result};
  EvalCall call;
  call.op = node.op().name;
  call.attrs = node.attrs;
  step.call = std::move(call);
  return step;
}

}  // namespace

bool is_dense(const Type& type) {
  return type.is_tensor() && type.dtype != DType::kUndefined && type.dtype != DType::kString && type.shape.has_value();
}

ProgramBuilder::ProgramBuilder(std::string name, std::span<const std::string> outside) {
  program_.name = std::move(name);
  for (const std::string& symbol : outside) known_[symbol] = 0;
}

void ProgramBuilder::add_input(const std::string& name, const Value* value) {
  const ValueId id = add_value(name, value->type);
  values_[value] = id;
  program_.inputs.push_back({.name = name, .type = value->type, .value = id});
  if (!value->type.shape) return;
  for (const Dim& dim : *value->type.shape) {
    if (const std::optional<std::string> symbol = dim.symbol_name()) known_[*symbol] = 0;
  }
}

void ProgramBuilder::add_state(const State& state) {
  const ValueId id = add_value(state.name, state.in->type);
  values_[state.in] = id;
  program_.states.push_back({state.name, id, kNone, static_cast<int32_t>(program_.constants.size())});
  program_.constants.push_back(state.initial);
}

void ProgramBuilder::add_output(const std::string& name, const Value* given) {
  program_.outputs.push_back({name, given->type, value(given)});
}

void ProgramBuilder::finish_states(std::span<const State> states) {
  for (size_t i = 0; i < states.size(); ++i) {
    if (states[i].out && states[i].out != states[i].in) program_.states[i].out = value(states[i].out);
  }
}

ValueId ProgramBuilder::add_value(const std::string& name, const Type& type) {
  ProgramValue made;
  made.name = name;
  made.type = type;
  if (is_dense(type)) made.extents = sizes(*type.shape);
  program_.values.push_back(std::move(made));
  producers_.push_back(kNone);
  return static_cast<ValueId>(program_.values.size() - 1);
}

ValueId ProgramBuilder::value(const Value* given) {
  if (!given) return kNone;
  if (const auto found = values_.find(given); found != values_.end()) return found->second;
  if (const Tensor* tensor = given->constant()) return values_[given] = constant(*tensor);
  const ValueId id = values_[given] = add_value(given->name, given->type);
  if (given->producer() && given->producer()->op().name == "Dims") add_step(dims_step(*given->producer(), id));
  return id;
}

void ProgramBuilder::bind(const Value* given, ValueId id) { values_[given] = id; }

ValueId ProgramBuilder::temporary(const std::string& name, DType dtype, const Shape& shape) {
  return add_value(name, Type::tensor(dtype, shape));
}

ValueId ProgramBuilder::constant(const Tensor& tensor) {
  if (const auto found = constants_.find(tensor.raw()); found != constants_.end()) {
    const ProgramValue& value = program_.values[static_cast<size_t>(found->second)];
    if (value.type == Type::tensor(tensor.dtype(), to_shape(tensor.extents()))) return found->second;
  }
  const ValueId id = add_value("", Type::tensor(tensor.dtype(), to_shape(tensor.extents())));
  const auto index = static_cast<int32_t>(program_.constants.size());
  program_.constants.push_back(tensor);
  program_.buffers.push_back({BufferKind::kConstant, index});
  program_.values.back().buffer = static_cast<BufferId>(program_.buffers.size() - 1);
  if (tensor.elements() > 0) constants_[tensor.raw()] = id;
  return id;
}

bool ProgramBuilder::known(const Dim& dim) const {
  std::vector<std::string> symbols;
  dim.collect_symbols(symbols);
  return std::ranges::all_of(symbols, [&](const std::string& symbol) { return known_.contains(symbol); });
}

std::vector<std::string> ProgramBuilder::known_symbols() const {
  std::vector<std::string> symbols;
  for (const auto& [symbol, step] : known_) symbols.push_back(symbol);
  return symbols;
}

SizeId ProgramBuilder::size(const Dim& dim) {
  const auto [entry, is_new] = sizes_.try_emplace(dim, static_cast<SizeId>(program_.sizes.size()));
  if (is_new) program_.sizes.push_back(dim);
  return entry->second;
}

std::vector<SizeId> ProgramBuilder::sizes(std::span<const Dim> shape) {
  std::vector<SizeId> result;
  for (const Dim& dim : shape) result.push_back(size(dim));
  return result;
}

void ProgramBuilder::alias(ValueId result, ValueId source, const Dim& element_offset) {
  CHECK(!aliases_.contains(result), "'{}' has a place already", program_.values[static_cast<size_t>(result)].name);
  CHECK(result != source, "a value cannot be a view of itself");
  aliases_[result] = {source, element_offset};
}

bool ProgramBuilder::place_inside(ValueId part, ValueId whole, const Dim& element_offset) {
  const int32_t producer = first_writer(part);
  if (aliases_.contains(part) || producer == kNone || base_of(whole) == part) return false;
  if (std::holds_alternative<EvalCall>(program_.steps[static_cast<size_t>(producer)].call)) return false;
  std::vector<std::string> symbols;
  for (const Dim& dim : *program_.values[static_cast<size_t>(whole)].type.shape) dim.collect_symbols(symbols);
  element_offset.collect_symbols(symbols);
  for (const std::string& symbol : symbols) {
    const auto ready = known_.find(symbol);
    if (ready == known_.end() || ready->second > producer) return false;
  }
  aliases_[part] = {whole, element_offset};
  return true;
}

ValueId ProgramBuilder::base_of(ValueId id) const {
  for (auto found = aliases_.find(id); found != aliases_.end(); found = aliases_.find(id)) id = found->second.base;
  return id;
}

int32_t ProgramBuilder::first_writer(ValueId whole) const {
  int32_t first = producers_[static_cast<size_t>(whole)];
  for (const auto& [part, alias] : aliases_) {
    const int32_t producer = producers_[static_cast<size_t>(part)];
    if (producer != kNone && (first == kNone || producer < first) && base_of(part) == whole) first = producer;
  }
  return first;
}

void ProgramBuilder::may_run_in_place(size_t step, size_t input, size_t output) { in_place_.push_back({step, input, output}); }

size_t ProgramBuilder::add_step(Step step) {
  const size_t position = program_.steps.size();
  for (const ValueId output : step.outputs) {
    if (output != kNone) producers_[static_cast<size_t>(output)] = static_cast<int32_t>(position);
  }
  if (const auto* call = std::get_if<EvalCall>(&step.call)) {
    for (const SymbolBinding& binding : call->bindings) known_.try_emplace(binding.symbol, static_cast<int32_t>(position) + 1);
  }
  program_.steps.push_back(std::move(step));
  return position;
}

void ProgramBuilder::check(const Dim& a, const Dim& b, bool broadcast, std::string what) {
  if (a == b || (broadcast && (a.is_constant(1) || b.is_constant(1)))) return;
  SizeCheck made;
  made.step = static_cast<int32_t>(program_.steps.size());
  made.a = size(a);
  made.b = size(b);
  made.broadcast = broadcast;
  made.what = std::move(what);
  program_.checks.push_back(std::move(made));
}

}  // namespace gannet
