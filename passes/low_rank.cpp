#include "passes/low_rank.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <set>
#include <string_view>

#include "ir/base/random.h"
#include "ir/builder.h"
#include "ir/op.h"
#include "passes/weights_to_state.h"

namespace gannet {

namespace {

// A weight on its way to a layer: transposed, or rounded to the numbers of codes.
bool passes_weight(const Node& node) {
  constexpr std::array<std::string_view, 4> kOps = {"Transpose", "Cast", "QuantizeLinear", "DequantizeLinear"};
  return std::ranges::find(kOps, node.op().name) != kOps.end();
}

const Value* weight_behind(const Value* value) {
  while (value->producer() && passes_weight(*value->producer())) value = value->producer()->input(0);
  return value;
}

// Whether the value is what a linear layer multiplies by, as it is or transposed.
bool is_linear(const Value& value) {
  if (value.type.rank() != 2 || value.uses().empty()) return false;
  return std::ranges::all_of(value.uses(), [](const Use& use) {
    const std::string_view op = use.node->op().name;
    if (passes_weight(*use.node)) return use.index == 0 && is_linear(*use.node->output());
    return (op == "MatMul" || op == "Gemm") && use.index == 1;
  });
}

bool matches(const State& state, const Value& value, std::string_view pattern) {
  if (matches_pattern(pattern, state.name)) return true;
  return std::ranges::any_of(value.uses(), [&](const Use& use) {
    if (passes_weight(*use.node)) return matches(state, *use.node->output(), pattern);
    return matches_pattern(pattern, use.node->name);
  });
}

// States of the last layer with a matrix before the output, its bias among them.
std::set<const Value*> last_layer(const Graph& graph, const std::string& output) {
  std::set<const Value*> states, found;
  for (const State& state : graph.states) states.insert(state.in);
  const Value* at = nullptr;
  for (const GraphOutput& candidate : graph.outputs) {
    const Type& type = candidate.value->type;
    const bool wanted = output.empty() ? type.is_tensor() && is_float(type.dtype) : candidate.name == output;
    if (wanted && !at) at = candidate.value;
  }
  for (bool matrix = false; at && at->producer() && !matrix;) {
    const Value* next = nullptr;
    for (const Value* operand : at->producer()->inputs()) {
      if (operand == nullptr) continue;
      const Value* weight = weight_behind(operand);
      if (states.contains(weight)) {
        found.insert(weight);
        matrix |= weight->type.rank() > 1;
      } else if (!next && !operand->constant()) {
        next = operand;
      }
    }
    at = next;
  }
  return found;
}

class LowRank {
 public:
  LowRank(Graph& graph, const LowRankOptions& options)
      : graph_(graph), options_(options), last_(last_layer(graph, options.output)) {}

  Result<std::vector<LowRankWeight>> make() {
    const std::vector<size_t> chosen = TRY(choose());
    std::vector<State> kept, added;
    for (size_t i = 0; i < graph_.states.size(); ++i) {
      State& state = graph_.states[i];
      const bool targeted = std::ranges::find(chosen, i) != chosen.end();
      if (!targeted && last_.contains(state.in)) {
        kept.push_back(state);
        continue;
      }
      Value* base = graph_.add_constant(state.initial, state.in->name, graph_.nodes().front().get());
      base->origin = state.origin;
      graph_.replace_uses(state.in, base);
      if (targeted) TRY(insert(state, base, added));
    }
    std::ranges::move(added, std::back_inserter(kept));
    graph_.states = std::move(kept);
    return std::move(made_);
  }

 private:
  Result<std::vector<size_t>> choose() const {
    std::vector<size_t> linear, chosen;
    for (size_t i = 0; i < graph_.states.size(); ++i) {
      const State& state = graph_.states[i];
      if (is_linear(*state.in) && !last_.contains(state.in)) linear.push_back(i);
    }
    if (linear.empty()) return invalid_input("the model has no linear layers but its last for low ranks");
    std::vector<bool> used(options_.targets.size());
    for (const size_t i : linear) {
      const State& state = graph_.states[i];
      bool asked = used.empty();
      for (size_t k = 0; k < used.size(); ++k) {
        if (!matches(state, *state.in, options_.targets[k])) continue;
        asked = used[k] = true;
      }
      if (asked) chosen.push_back(i);
    }
    for (size_t k = 0; k < used.size(); ++k) {
      if (!used[k])
        return invalid_input(fmt::format("no weight of a linear layer matches '{}'", options_.targets[k]));
    }
    return chosen;
  }

  Value* add_state(const std::string& name, Tensor initial, std::vector<State>& added) {
    const Shape shape = {Dim(initial.extent(0)), Dim(initial.extent(1))};
    Value* in = graph_.add_state_value(name, Type::tensor(initial.dtype(), shape));
    added.push_back({name, in, nullptr, std::move(initial), std::nullopt});
    return in;
  }

  Status insert(const State& state, Value* base, std::vector<State>& added) {
    const DType dtype = state.initial.dtype();
    const int64_t rows = state.initial.extent(0), columns = state.initial.extent(1);
    LowRankWeight made = {state.name,
                          state.initial,
                          state.origin,
                          "lora.down/" + state.name,
                          "lora.up/" + state.name,
                          options_.alpha / static_cast<double>(options_.rank)};
    Tensor start = Tensor::zeros(DType::kF32, {rows, options_.rank});
    Random random(options_.seed, made_.size() + 1);
    const double bound = 1 / std::sqrt(static_cast<double>(rows));
    random.fill_uniform(start.mutable_data<float>(), -bound, bound);
    Value* down = add_state(made.down, TRY(convert(start, dtype)), added);
    Value* up = add_state(made.up, Tensor::zeros(dtype, {options_.rank, columns}), added);
    const std::vector<Use> uses(base->uses().begin(), base->uses().end());
    for (const Use& use : uses) TRY(insert_at(use, base, down, up, made.scale));
    made_.push_back(std::move(made));
    return {};
  }

  // Behind a product the thin ones are applied one after the other, which is less than to form their own
  // product.
  Status insert_at(const Use& use, Value* base, Value* down, Value* up, double scale) {
    Node* node = use.node;
    if (node->op().name != "MatMul") {
      GraphBuilder b(graph_, node, "lora/" + node->name);
      Value* weight = b.add(base, b.mul(b.matmul(down, up), b.number(scale, base)));
      TRY(Status(b.status()));
      graph_.set_operand(node, static_cast<size_t>(use.index), weight);
      return {};
    }
    GraphBuilder b(graph_, node, "lora/" + node->name);
    Value* product = node->output();
    Value* thin = b.matmul(b.matmul(node->input(0), down), up);
    Value* own = b.matmul(node->input(0), base);
    Value* sum = b.add(own, b.mul(thin, b.number(scale, base)));
    TRY(Status(b.status()));
    graph_.replace_uses(product, sum);
    graph_.erase(node);
    return {};
  }

  Graph& graph_;
  const LowRankOptions& options_;
  std::set<const Value*> last_;
  std::vector<LowRankWeight> made_;
};

}  // namespace

Result<std::vector<LowRankWeight>> make_low_rank(Graph& graph, const LowRankOptions& options) {
  CHECK(options.rank > 0, "a rank of {}", options.rank);
  return LowRank(graph, options).make();
}

Tensor merge_low_rank(const LowRankWeight& weight, const Tensor& down, const Tensor& up) {
  const auto converted = [](const Tensor& tensor, DType dtype) {
    Result<Tensor> result = convert(tensor, dtype);
    CHECK(result.ok(), "a weight of {}", name_of(tensor.dtype()));
    return *std::move(result);
  };
  const auto rows = static_cast<size_t>(weight.base.extent(0)), columns = static_cast<size_t>(weight.base.extent(1));
  const auto rank = static_cast<size_t>(down.extent(1));
  const Tensor wide_down = converted(down, DType::kF64), wide_up = converted(up, DType::kF64);
  const std::span<const double> left = wide_down.data<double>(), right = wide_up.data<double>();
  Tensor result = converted(weight.base, DType::kF64);
  const std::span<double> out = result.mutable_data<double>();
  for (size_t row = 0; row < rows; ++row) {
    for (size_t k = 0; k < rank; ++k) {
      const double factor = weight.scale * left[row * rank + k];
      for (size_t column = 0; column < columns; ++column) out[row * columns + column] += factor * right[k * columns + column];
    }
  }
  return converted(result, weight.base.dtype());
}

}  // namespace gannet
