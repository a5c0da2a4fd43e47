#include "tests/gradients/cases.h"

#include "ir/base/random.h"

namespace gannet::test {
namespace {

std::string describe(const OpCase& c) {
  std::string text = c.op;
  for (const auto& [name, value] : c.attrs.entries()) {
    if (const auto* number = std::get_if<int64_t>(&value)) text += fmt::format(" {}={}", name, *number);
    if (const auto* string = std::get_if<std::string>(&value)) text += fmt::format(" {}={}", name, *string);
    if (const auto* numbers = std::get_if<Ints>(&value)) text += fmt::format(" {}={}", name, to_string(std::span<const int64_t>(*numbers)));
  }
  for (const Ints& extents : c.extents) text += " " + to_string(std::span<const int64_t>(extents));
  return text;
}

Tensor drawn(const Ints& extents, uint64_t seed, double low, double high) {
  Tensor tensor = random_tensor(extents, seed);
  for (double& value : tensor.mutable_data<double>()) value = low + (value + 1) / 2 * (high - low);
  return tensor;
}

}  // namespace

void Cases::add(std::string name, Model model, std::vector<Tensor> inputs, GradientCheck check) {
  cases_.push_back({name, model, inputs, check});
  if (check.order != 1) return;
  GradientCheck second = check;
  second.order = 2;
  second.symbolic = false;
  second.tolerance = std::max(check.tolerance, 1e-5);
  cases_.push_back({std::move(name), std::move(model), std::move(inputs), second});
}

void Cases::add_once(std::string name, Model model, std::vector<Tensor> inputs, GradientCheck check) {
  cases_.push_back({std::move(name), std::move(model), std::move(inputs), check});
}

void Cases::add(const std::vector<OpCase>& cases) {
  for (const OpCase& c : cases) {
    Model model = [op = c.op, attrs = c.attrs, rest = c.rest](GraphBuilder& b, Operands x) {
      std::vector<Value*> operands(x.begin(), x.end());
      for (const Tensor& tensor : rest) operands.push_back(tensor.defined() ? b.constant(tensor) : nullptr);
      return b.op(op, operands, attrs);
    };
    std::vector<Tensor> inputs;
    for (size_t i = 0; i < c.extents.size(); ++i) inputs.push_back(drawn(c.extents[i], 21 + i, c.low, c.high));
    add(describe(c), std::move(model), std::move(inputs), c.check);
  }
}

Attributes with(Attributes attrs, std::string_view name, Attr value) {
  attrs.set(name, std::move(value));
  return attrs;
}

}  // namespace gannet::test
