// RNN, GRU and LSTM with every attribute; once, since their gradient ops have none of their own.
#include "tests/gradients/cases.h"

namespace gannet::test {
namespace {

using Names = std::vector<std::string>;

struct Layer {
  std::string op;
  Attributes attrs;
  std::string direction = "forward";
  bool batch_first = false, bias = true, lengths = false, initial = true, peepholes = false;
  std::vector<bool> used = {true, true, true};  // results that the loss depends on
  int64_t steps = 4, batch = 3, input = 2, hidden = 5;

  int64_t gates() const { return op == "LSTM" ? 4 : op == "GRU" ? 3 : 1; }
  int64_t directions() const { return direction == "bidirectional" ? 2 : 1; }
};

std::string describe(const Layer& l) {
  return fmt::format("{} {} layout {} bias {} lengths {} initial {} peepholes {}", l.op, l.direction, l.batch_first, l.bias, l.lengths,
                     l.initial, l.peepholes);
}

// Operands in ONNX's places; undefined ones are absent.
std::vector<Tensor> operands_of(const Layer& l) {
  const int64_t directions = l.directions(), rows = l.gates() * l.hidden;
  auto state = [&](uint64_t seed) {
    return random_tensor(l.batch_first ? std::vector<int64_t>{l.batch, directions, l.hidden} : std::vector<int64_t>{directions, l.batch, l.hidden},
                         seed);
  };
  std::vector<Tensor> operands = {
      random_tensor(l.batch_first ? std::vector<int64_t>{l.batch, l.steps, l.input} : std::vector<int64_t>{l.steps, l.batch, l.input}, 1),
      random_tensor({directions, rows, l.input}, 2),
      random_tensor({directions, rows, l.hidden}, 3),
      l.bias ? random_tensor({directions, 2 * rows}, 4) : Tensor(),
      l.lengths ? Tensor::from<int32_t>({3}, {2, 4, 0}) : Tensor(),
      l.initial ? state(5) : Tensor()};
  if (l.op != "LSTM") return operands;
  operands.push_back(l.initial ? state(6) : Tensor());
  operands.push_back(l.peepholes ? random_tensor({directions, 3 * l.hidden}, 7) : Tensor());
  return operands;
}

void add_layer(Cases& cases, const Layer& l) {
  const std::vector<Tensor> all = operands_of(l);
  Attributes attrs = l.attrs;
  attrs.set("direction", l.direction);
  attrs.set("layout", int64_t{l.batch_first});
  std::vector<Tensor> inputs;
  for (const Tensor& tensor : all) {
    if (tensor.defined()) inputs.push_back(tensor);
  }
  Model model = [l, all, attrs](GraphBuilder& b, Operands given) {
    std::vector<Value*> operands;
    size_t next = 0;
    for (const Tensor& tensor : all) operands.push_back(tensor.defined() ? given[next++] : nullptr);
    std::vector<Value*> results = b.op_n(l.op, operands, attrs, l.op == "LSTM" ? 3 : 2);
    Value* sum = nullptr;
    for (size_t i = 0; i < results.size(); ++i) {
      if (!l.used[i]) continue;
      Value* part = i > 0 && l.batch_first ? b.unsqueeze(results[i], {1}) : results[i];
      sum = sum ? b.add(b.mul(sum, b.number(0.7, sum)), part) : part;
    }
    return sum;
  };
  cases.add_once(describe(l), std::move(model), std::move(inputs));
}

std::vector<Layer> layers() {
  const Attributes linear = {{"linear_before_reset", int64_t{1}}}, couple = {{"input_forget", int64_t{1}}};
  return {{"RNN", {}}, {"GRU", {}}, {"GRU", linear}, {"LSTM", {}}, {"LSTM", couple}};
}

void add_directions_and_layouts(Cases& cases) {
  for (Layer l : layers()) {
    for (const char* direction : {"forward", "reverse", "bidirectional"}) {
      for (const bool batch_first : {false, true}) {
        l.direction = direction;
        l.batch_first = batch_first;
        l.peepholes = batch_first;
        add_layer(cases, l);
      }
    }
  }
}

void add_sequence_lengths(Cases& cases) {
  for (Layer l : layers()) {
    l.lengths = true;
    for (const char* direction : {"forward", "reverse", "bidirectional"}) {
      l.direction = direction;
      l.batch_first = !l.batch_first;
      l.peepholes = !l.batch_first;
      add_layer(cases, l);
    }
  }
}

void add_absent_operands(Cases& cases) {
  for (Layer l : layers()) {
    l.bias = false;
    add_layer(cases, l);
    l.initial = false;
    add_layer(cases, l);
    l.bias = true;
    l.direction = "bidirectional";
    add_layer(cases, l);
  }
}

void add_some_results(Cases& cases) {
  for (Layer l : layers()) {
    for (size_t i = 0; i < (l.op == "LSTM" ? 3 : 2); ++i) {
      l.used = {i == 0, i == 1, i == 2};
      add_layer(cases, l);
    }
  }
}

void add_functions_and_clip(Cases& cases) {
  const Names all = {"Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu", "Softsign", "Softplus"};
  for (size_t i = 0; i < all.size(); ++i) {
    for (Layer l : layers()) {
      const size_t functions = l.op == "LSTM" ? 3 : l.op == "GRU" ? 2 : 1;
      Names names;
      for (size_t k = 0; k < functions; ++k) names.push_back(all[(i + k) % all.size()]);
      l.attrs.set("activations", names);
      l.attrs.set("activation_alpha", std::vector<float>(functions, 0.6f));
      l.attrs.set("activation_beta", std::vector<float>(functions, 0.4f));
      if (i % 2 == 1) l.attrs.set("clip", 0.5f);
      l.peepholes = l.op == "LSTM";
      add_layer(cases, l);
    }
  }
}

void add_no_steps(Cases& cases) {
  for (Layer l : layers()) {
    l.steps = 0;
    l.used = {false, true, false};
    add_layer(cases, l);
  }
}

}  // namespace

void recurrent_cases(Cases& cases) {
  add_directions_and_layouts(cases);
  add_sequence_lengths(cases);
  add_absent_operands(cases);
  add_some_results(cases);
  add_functions_and_clip(cases);
  add_no_steps(cases);
}

}  // namespace gannet::test
