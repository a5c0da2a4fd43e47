#include "tests/gradients/cases.h"

namespace gannet::test {
namespace {

// Rounding has no slope, so differences say nothing about what passes straight through it (quantization_gradient_test.cpp
// does); here codes are fixed.
void add_scales(Cases& cases) {
  Tensor codes = Tensor::from<int8_t>({2, 4}, {1, -3, 5, 100, -128, 127, 0, 7});
  auto dequantize = [&](const char* name, Attributes attrs, Ints scale, Tensor zero) {
    Model model = [=](GraphBuilder& b, Operands x) { return b.op("DequantizeLinear", {b.constant(codes), x[0], zero.defined() ? b.constant(zero) : nullptr}, attrs); };
    cases.add(name, model, {random_tensor(scale, 1)});
  };
  dequantize("DequantizeLinear", {}, {}, {});
  dequantize("DequantizeLinear with a zero point", {}, {1}, Tensor::from<int8_t>({1}, {3}));
  dequantize("DequantizeLinear along an axis", {{"axis", int64_t{1}}}, {4}, Tensor::from<int8_t>({4}, {1, 2, 3, 4}));
  dequantize("DequantizeLinear along rows", {{"axis", int64_t{-2}}}, {2}, {});
  dequantize("DequantizeLinear in blocks", {{"axis", int64_t{1}}, {"block_size", int64_t{2}}}, {2, 2}, {});
  dequantize("DequantizeLinear in blocks", {{"axis", int64_t{1}}, {"block_size", int64_t{3}}}, {2, 2}, {});
}

}  // namespace

void quantization_cases(Cases& cases) { add_scales(cases); }

}  // namespace gannet::test
