#include "tests/gradients/cases.h"

namespace gannet::test {

static void add_mat_mul(Cases& cases) {
  cases.add({
      {"MatMul", {}, {{2, 3}, {3, 4}}, {}, {}},
      {"MatMul", {}, {{5, 2, 3}, {5, 3, 4}}, {}, {}},
      {"MatMul", {}, {{5, 2, 3}, {3, 4}}, {}, {}},
      {"MatMul", {}, {{2, 3}, {5, 3, 4}}, {}, {}},
      {"MatMul", {}, {{6, 1, 2, 3}, {5, 3, 4}}, {}, {}},
      {"MatMul", {}, {{3}, {3, 4}}, {}, {}},
      {"MatMul", {}, {{2, 3}, {3}}, {}, {}},
      {"MatMul", {}, {{3}, {3}}, {}, {}},
      {"MatMul", {}, {{3}, {5, 3, 4}}, {}, {}},
      {"MatMul", {}, {{5, 2, 3}, {3}}, {}, {}},
      {"MatMul", {}, {{2, 3}, {3, 4}}, {}, kTwice},
      {"MatMul", {}, {{5, 2, 3}, {3, 4}}, {}, kTwice},
  });
}

static void add_gemm(Cases& cases) {
  Attributes scaled = {{"alpha", 0.5f}, {"beta", 2.f}};
  Attributes transposed = {{"transA", int64_t{1}}, {"transB", int64_t{1}}, {"alpha", 0.5f}};
  cases.add({
      {"Gemm", {}, {{2, 3}, {3, 4}}, {}, {}},
      {"Gemm", scaled, {{2, 3}, {3, 4}, {4}}, {}, {}},
      {"Gemm", scaled, {{2, 3}, {3, 4}, {2, 1}}, {}, {}},
      {"Gemm", scaled, {{2, 3}, {3, 4}, {}}, {}, {}},
      {"Gemm", transposed, {{3, 2}, {4, 3}, {2, 4}}, {}, {}},
      {"Gemm", {{"transA", int64_t{1}}}, {{3, 2}, {3, 4}}, {}, {}},
      {"Gemm", {{"transB", int64_t{1}}}, {{2, 3}, {4, 3}, {1, 4}}, {}, kTwice},
  });
}

static void add_conv(Cases& cases) {
  cases.add({
      {"Conv", {}, {{2, 3, 5, 5}, {4, 3, 3, 3}}, {}, kFixed},
      {"Conv", {}, {{2, 3, 5, 5}, {4, 3, 3, 3}, {4}}, {}, kFixed},
      {"Conv",
       {{"pads", Ints{1, 0, 2, 1}}, {"strides", Ints{2, 1}}},
       {{1, 2, 6, 5}, {3, 2, 3, 2}, {3}},
       {},
       kFixed},
      {"Conv", {{"strides", Ints{3, 2}}}, {{1, 2, 8, 8}, {2, 2, 2, 3}}, {}, kFixed},
      {"Conv", {{"dilations", Ints{2, 1}}, {"group", int64_t{2}}}, {{1, 4, 6, 5}, {6, 2, 2, 3}}, {}, kFixed},
      {"Conv",
       {{"group", int64_t{3}}, {"pads", Ints{1, 1, 1, 1}}},
       {{2, 3, 4, 4}, {3, 1, 3, 3}, {3}},
       {},
       kFixed},
      {"Conv",
       {{"auto_pad", std::string("SAME_UPPER")}, {"strides", Ints{2, 2}}},
       {{1, 2, 5, 6}, {2, 2, 3, 3}},
       {},
       kFixed},
      {"Conv", {{"auto_pad", std::string("SAME_LOWER")}}, {{1, 1, 5, 5}, {2, 1, 2, 2}}, {}, kFixed},
      {"Conv", {{"pads", Ints{1, 1}}}, {{2, 3, 7}, {4, 3, 3}, {4}}, {}, kFixed},
      {"Conv", {}, {{1, 2, 3, 4, 3}, {2, 2, 2, 2, 2}}, {}, kFixed},
      {"Conv", {}, {{1, 2, 4, 4}, {2, 2, 3, 3}}, {}, kFixedTwice},
      {"Conv",
       {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}},
       {{1, 2, 4, 4}, {2, 2, 3, 3}, {2}},
       {},
       kFixedTwice},
  });
}

static void add_conv_transpose(Cases& cases) {
  cases.add({
      {"ConvTranspose", {}, {{1, 2, 3, 3}, {2, 3, 3, 3}, {3}}, {}, kFixed},
      {"ConvTranspose",
       {{"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}},
       {{2, 2, 3, 4}, {2, 2, 4, 4}},
       {},
       kFixed},
      {"ConvTranspose",
       {{"strides", Ints{2, 2}}, {"output_padding", Ints{1, 1}}},
       {{1, 2, 3, 3}, {2, 1, 3, 3}},
       {},
       kFixed},
      {"ConvTranspose",
       {{"group", int64_t{2}}, {"dilations", Ints{2, 2}}},
       {{1, 4, 3, 3}, {4, 2, 2, 2}, {4}},
       {},
       kFixed},
      {"ConvTranspose", {{"strides", Ints{2}}}, {{1, 2, 4}, {2, 3, 3}}, {}, kFixed},
      // Results that reach beyond the last window.
      {"ConvTranspose", {{"strides", Ints{3, 2}}, {"output_shape", Ints{10, 8}}}, {{1, 1, 3, 3}, {1, 2, 3, 3}, {2}}, {}, kStatic},
      {"ConvTranspose", {{"strides", Ints{2, 2}}, {"dilations", Ints{3, 3}}, {"output_padding", Ints{2, 3}}}, {{1, 1, 2, 3}, {1, 2, 2, 2}}, {}, kFixed},
      {"ConvTranspose", {{"strides", Ints{2}}, {"pads", Ints{0, 1}}, {"output_padding", Ints{3}}}, {{1, 1, 3}, {1, 2, 2}}, {}, kFixed},
      {"ConvTranspose", {}, {{1, 2, 3, 3}, {2, 2, 2, 2}}, {}, kFixedTwice},
  });
}

static void add_whole_models(Cases& cases) {
  Model network = [](GraphBuilder& b, Operands x) {
    Value* h = b.op("Relu", {b.op("Conv", {x[0], x[1], x[2]}, {{"pads", Ints{1, 1, 1, 1}}})});
    h = b.op("MaxPool", {h}, {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}});
    h = b.op("Gemm", {b.op("Flatten", {h}), x[3], x[4]});
    return b.op("LogSoftmax", {h});
  };
  cases.add("network", network,
                   {random_tensor({2, 1, 4, 4}, 1), random_tensor({3, 1, 3, 3}, 2), random_tensor({3}, 3),
                    random_tensor({12, 5}, 4), random_tensor({5}, 5)},
                   kStatic);
  Model attention = [](GraphBuilder& b, Operands x) {
    Value* scores = b.op("Softmax", {b.matmul(x[0], b.transpose(x[1], {0, 2, 1}))});
    Value* mixed = b.add(b.matmul(scores, x[2]), x[0]);
    return b.op("LayerNormalization", {mixed, x[3], x[4]});
  };
  cases.add("attention", attention,
                   {random_tensor({2, 3, 4}, 1), random_tensor({2, 3, 4}, 2), random_tensor({2, 3, 4}, 3),
                    random_tensor({4}, 4), random_tensor({4}, 5)});
}

static void add_shared_values_accumulate(Cases& cases) {
  Model model = [](GraphBuilder& b, Operands x) {
    Value* y = b.op("Tanh", {b.matmul(x[0], x[1])});
    Value* z = b.add(b.matmul(y, x[1]), b.transpose(y, {1, 0}));
    return b.mul(b.add(z, y), b.op("Softmax", {z}));
  };
  cases.add("shared", model, {random_tensor({3, 3}, 1), random_tensor({3, 3}, 2)});
  cases.add("shared", model, {random_tensor({3, 3}, 1), random_tensor({3, 3}, 2)}, kTwice);
}

static void add_convolution_gradients(Cases& cases) {
  Attributes strided = {{"strides", Ints{2, 1}}, {"pads", Ints{1, 0, 0, 1}}};
  for (const Attributes& attrs : {Attributes{}, strided}) {
    const Ints dy = attrs.has("strides") ? Ints{1, 2, 2, 3} : Ints{1, 2, 2, 2};
    Model input = [=](GraphBuilder& b, Operands x) {
      Attributes all = attrs;
      return b.op("ConvInputGradient", {x[0], x[1], b.constant(random_tensor({1, 2, 3, 3}, 5))}, all);
    };
    cases.add("ConvInputGradient", input, {random_tensor(dy, 1), random_tensor({2, 2, 2, 2}, 2)}, kStatic);
    Model weights = [=](GraphBuilder& b, Operands x) { return b.op("ConvWeightGradient", {x[0], x[1]}, with(attrs, "kernel_shape", Ints{2, 2})); };
    cases.add("ConvWeightGradient", weights, {random_tensor({1, 2, 3, 3}, 1), random_tensor(dy, 2)}, kStatic);
  }
}

static void add_einsums(Cases& cases) {
  auto einsum = [&](const char* equation, std::vector<Ints> extents) {
    cases.add({{"Einsum", {{"equation", std::string(equation)}}, std::move(extents), {}, {}}});
  };
  einsum("ij,jk->ik", {{2, 3}, {3, 4}});
  einsum("bij,bjk->bki", {{2, 3, 2}, {2, 2, 4}});
  einsum("ij->ji", {{2, 3}});
  einsum("ij->", {{2, 3}});
  einsum("i,j->ij", {{2}, {3}});
  einsum("...ij,...jk->...ik", {{2, 3, 2}, {2, 2, 4}});
  einsum("ij,ij->i", {{2, 3}, {2, 3}});
  einsum("ij,jk,kl->il", {{2, 3}, {3, 2}, {2, 2}});
  // Diagonals.
  einsum("...ii->...i", {{2, 3, 3}});
  einsum("ii", {{3, 3}});
  einsum("iik,ij->jk", {{3, 3, 2}, {3, 2}});
  einsum("iji,j->i", {{2, 3, 2}, {3}});
  einsum("iiik->ki", {{2, 2, 2, 2}});
}

void contraction_cases(Cases& cases) {
  add_mat_mul(cases);
  add_gemm(cases);
  add_conv(cases);
  add_conv_transpose(cases);
  add_whole_models(cases);
  add_shared_values_accumulate(cases);
  add_convolution_gradients(cases);
  add_einsums(cases);
}

}  // namespace gannet::test
