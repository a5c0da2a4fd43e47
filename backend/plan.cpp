#include "backend/plan.h"

#include <algorithm>
#include <limits>
#include <map>
#include <set>
#include <utility>

namespace gannet {
namespace {

constexpr int32_t kForever = std::numeric_limits<int32_t>::max();

// Where a value stands: bytes from the start of another that has a buffer of its own.
struct Place {
  ValueId root = kNone;
  Dim offset = 0;
};

// What is known about a root: which memory it is in and the steps that use it or a part of it.
struct Root {
  BufferKind kind = BufferKind::kArena;
  int32_t index = 0;
  int32_t first = kForever;  // step that writes first
  int32_t last = -1;         // step that reads last
  bool written = false;
};

Dim byte_count(const Type& type) { return element_count(*type.shape) * Dim(element_size(type.dtype)); }

}  // namespace

class Planner {
 public:
  explicit Planner(ProgramBuilder& builder) : builder_(builder), program_(builder.program_) {}

  void plan() {
    add_state_copies();
    find_places();
    find_kinds();
    find_lifetimes();
    join_in_place();
    assign_outputs();
    make_buffers();
  }

 private:
  const Type& type_of(ValueId id) const { return program_.values[static_cast<size_t>(id)].type; }
  Root& root_of(ValueId id) { return roots_[static_cast<size_t>(place_of(id).root)]; }

  // Roots that have joined another since the place was found are followed, and chains of views shortened.
  const Place& place_of(ValueId id) {
    std::vector<ValueId> chain;
    for (ValueId at = id; places_[static_cast<size_t>(at)].root != at; at = places_[static_cast<size_t>(at)].root) chain.push_back(at);
    for (size_t i = chain.size(); i-- > 0;) {
      Place& place = places_[static_cast<size_t>(chain[i])];
      const Place outer = places_[static_cast<size_t>(place.root)];
      if (outer.root != place.root) place = {outer.root, place.offset + outer.offset};
    }
    return places_[static_cast<size_t>(id)];
  }

  ValueId add_copy(ValueId from, const std::string& what) {
    const Type& type = type_of(from);
    const ValueId to = builder_.temporary(what, type.dtype, *type.shape);
    Step copy;
    copy.name = what;
    copy.op = "Copy";
    copy.inputs = {from};
    copy.outputs = {to};
    copy.call = CopyCall{};
    builder_.add_step(std::move(copy));
    return to;
  }

  // The last steps: states take what was computed for them. One that takes the memory of another state is read before
  // any of them is written.
  void add_state_copies() {
    if (program_.states.empty()) return;
    find_last_reads();
    for (const ProgramBuilder::InPlace& in_place : builder_.in_place_) {
      const Step& step = program_.steps[in_place.step];
      const ValueId to = step.outputs[in_place.output];
      if (to != kNone && step.inputs[in_place.input] != kNone) in_place_of_state_[{step.inputs[in_place.input], to}] = &in_place;
    }
    std::set<ValueId> states;
    for (const ProgramState& state : program_.states) states.insert(state.in);
    std::vector<std::pair<size_t, ValueId>> moves;
    for (size_t i = 0; i < program_.states.size(); ++i) {
      const ProgramState& state = program_.states[i];
      if (state.out == kNone || runs_in_place_of_state(i)) continue;
      const bool reads_state = states.contains(builder_.base_of(state.out));
      moves.emplace_back(i, reads_state ? add_copy(state.out, state.name) : state.out);
    }
    std::set<ValueId> written;
    for (const auto& [i, from] : moves) written.insert(program_.states[i].in);
    for (ProgramOutput& output : program_.outputs) {
      if (written.contains(builder_.base_of(output.value))) output.value = add_copy(output.value, output.name);
    }
    for (const auto& [i, from] : moves) state_targets_[add_copy(from, program_.states[i].name)] = static_cast<int32_t>(i);
  }

  // Whether the step that computes a state's next value may write it over the present one.
  bool runs_in_place_of_state(size_t index) {
    const ProgramState& state = program_.states[index];
    const auto found = in_place_of_state_.find({state.in, state.out});
    if (found == in_place_of_state_.end() || builder_.aliases_.contains(state.out) || kept_.contains(state.in)) return false;
    const auto at = static_cast<int32_t>(found->second->step);
    const auto last = last_reads_.find(state.in);
    if (last != last_reads_.end() && last->second > at) return false;
    if (reads_twice(program_.steps[found->second->step], found->second->input)) return false;
    tell_step(*found->second);
    builder_.aliases_[state.out] = {state.in, 0};
    return true;
  }

  // Steps that read each state last, and the values that are still wanted after the last step: results, and what other
  // states take over unchanged.
  void find_last_reads() {
    for (size_t i = 0; i < program_.steps.size(); ++i) {
      for (const ValueId input : program_.steps[i].inputs) {
        if (input != kNone) last_reads_[builder_.base_of(input)] = static_cast<int32_t>(i);
      }
    }
    for (const ProgramOutput& output : program_.outputs) kept_.insert(builder_.base_of(output.value));
    for (const ProgramState& state : program_.states) {
      if (state.out != kNone) kept_.insert(builder_.base_of(state.out));
    }
  }

  // Whether another operand of the step than `input` lies in the same memory.
  bool reads_twice(const Step& step, size_t input) const {
    const ValueId base = builder_.base_of(step.inputs[input]);
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      if (i != input && step.inputs[i] != kNone && builder_.base_of(step.inputs[i]) == base) return true;
    }
    return false;
  }

  void find_places() {
    places_.resize(program_.values.size());
    for (size_t i = 0; i < places_.size(); ++i) places_[i].root = static_cast<ValueId>(i);
    for (const auto& [id, alias] : builder_.aliases_) {
      places_[static_cast<size_t>(id)] = {alias.base, alias.element_offset * Dim(element_size(type_of(id).dtype))};
    }
  }

  void set_kind(ValueId id, BufferKind kind, size_t index) {
    Root& root = roots_[static_cast<size_t>(id)];
    root.kind = kind;
    root.index = static_cast<int32_t>(index);
  }

  void find_kinds() {
    roots_.resize(program_.values.size());
    for (size_t i = 0; i < program_.values.size(); ++i) {
      const BufferId buffer = program_.values[i].buffer;
      if (buffer != kNone) set_kind(static_cast<ValueId>(i), BufferKind::kConstant, static_cast<size_t>(program_.buffers[static_cast<size_t>(buffer)].index));
    }
    for (const Step& step : program_.steps) {
      if (!std::holds_alternative<EvalCall>(step.call)) continue;
      for (const ValueId output : step.outputs) {
        if (output != kNone) set_kind(output, BufferKind::kBoxed, 0);
      }
    }
    for (size_t i = 0; i < program_.inputs.size(); ++i) set_kind(program_.inputs[i].value, BufferKind::kInput, i);
    for (size_t i = 0; i < program_.states.size(); ++i) set_kind(program_.states[i].in, BufferKind::kState, i);
    for (const auto& [value, state] : state_targets_) set_kind(value, BufferKind::kState, static_cast<size_t>(state));
  }

  void find_lifetimes() {
    for (size_t i = 0; i < program_.steps.size(); ++i) {
      const auto step = static_cast<int32_t>(i);
      for (const ValueId output : program_.steps[i].outputs) {
        if (output == kNone) continue;
        Root& root = root_of(output);
        root.first = std::min(root.first, step);
        root.last = std::max(root.last, step);
        root.written = true;
      }
      for (const ValueId input : program_.steps[i].inputs) {
        if (input == kNone) continue;
        Root& root = root_of(input);
        const bool made = root.written || (root.kind != BufferKind::kArena && root.kind != BufferKind::kBoxed);
        CHECK(made, "step {} ('{}') reads '{}', which nothing has written", i, program_.steps[i].op, program_.values[static_cast<size_t>(input)].name);
        root.last = std::max(root.last, step);
      }
    }
    for (const ProgramOutput& output : program_.outputs) root_of(output.value).last = kForever;
  }

  bool covers_root(ValueId id) {
    const Place& place = place_of(id);
    return place.offset == Dim(0) && byte_count(type_of(id)) == byte_count(type_of(place.root));
  }

  // A step writes over an operand of its own where that ends there: the two roots become one.
  void join_in_place() {
    for (const ProgramBuilder::InPlace& in_place : builder_.in_place_) {
      const Step& step = program_.steps[in_place.step];
      const ValueId x = step.inputs[in_place.input], y = step.outputs[in_place.output];
      if (x == kNone || y == kNone || place_of(y).root != y || place_of(x).root == y) continue;
      const ValueId base = place_of(x).root;
      Root &from = root_of(x), &to = root_of(y);
      const bool ends = from.last == static_cast<int32_t>(in_place.step) && to.first == from.last;
      if (from.kind != BufferKind::kArena || to.kind != BufferKind::kArena || !ends) continue;
      if (byte_count(type_of(x)) != byte_count(type_of(y)) || shares_operands(step, in_place.input)) continue;
      if (to.last == kForever && !covers_root(x)) continue;
      tell_step(in_place);
      from.last = to.last;
      places_[static_cast<size_t>(y)] = {base, place_of(x).offset};
    }
  }

  // A convolution must know that what it adds lies where its result goes.
  void tell_step(const ProgramBuilder::InPlace& in_place) {
    auto* primitive = std::get_if<PrimitiveCall>(&program_.steps[in_place.step].call);
    auto* convolution = primitive ? std::get_if<ConvolutionRecipe>(&primitive->recipe) : nullptr;
    if (!convolution) return;
    const auto added = std::ranges::find(convolution->epilogue, static_cast<int32_t>(in_place.input), &EpilogueStep::operand);
    convolution->in_place = static_cast<int32_t>(added - convolution->epilogue.begin());
  }

  // As reads_twice, with the places as they are by now.
  bool shares_operands(const Step& step, size_t input) {
    for (size_t i = 0; i < step.inputs.size(); ++i) {
      if (i != input && step.inputs[i] != kNone && place_of(step.inputs[i]).root == place_of(step.inputs[input]).root) return true;
    }
    return false;
  }

  // The first result that is all of an arena buffer makes it the result's memory.
  void assign_outputs() {
    for (size_t i = 0; i < program_.outputs.size(); ++i) {
      const ValueId value = program_.outputs[i].value;
      if (root_of(value).kind == BufferKind::kArena && covers_root(value)) set_kind(place_of(value).root, BufferKind::kOutput, i);
    }
  }

  void make_buffers() {
    std::vector<BufferId> buffers(program_.values.size(), kNone);
    const auto last_step = static_cast<int32_t>(program_.steps.size()) - 1;
    for (size_t i = 0; i < program_.values.size(); ++i) {
      const Place& place = place_of(static_cast<ValueId>(i));
      BufferId& buffer = buffers[static_cast<size_t>(place.root)];
      if (buffer == kNone) buffer = program_.values[static_cast<size_t>(place.root)].buffer;
      if (buffer == kNone) {
        const Root& root = roots_[static_cast<size_t>(place.root)];
        Buffer made{root.kind, root.index, kNone, root.first == kForever ? 0 : root.first, std::min(root.last, last_step)};
        const bool sized = root.kind == BufferKind::kArena || root.kind == BufferKind::kOutput;
        if (sized) made.bytes = builder_.size(byte_count(type_of(place.root)));
        if (!sized && root.kind != BufferKind::kBoxed) made.first_step = made.last_step = 0;
        program_.buffers.push_back(made);
        buffer = static_cast<BufferId>(program_.buffers.size() - 1);
      }
      program_.values[i].buffer = buffer;
      if (place.offset != Dim(0)) program_.values[i].offset = builder_.size(place.offset);
    }
  }

  ProgramBuilder& builder_;
  Program& program_;
  std::map<ValueId, int32_t> state_targets_;
  std::map<std::pair<ValueId, ValueId>, const ProgramBuilder::InPlace*> in_place_of_state_;  // by what it reads and writes
  std::map<ValueId, int32_t> last_reads_;  // of bases
  std::set<ValueId> kept_;                 // bases that are read after the last step
  std::vector<Place> places_;
  std::vector<Root> roots_;
};

Status plan_buffers(ProgramBuilder& builder) {
  Planner(builder).plan();
  return {};
}

}  // namespace gannet
