#include "tests/gradients/cases.h"

namespace gannet::test {

static void add_pooling(Cases& cases) {
  Attributes two = {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}};
  Attributes padded = {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}};
  Attributes ceiled = {{"kernel_shape", Ints{2, 3}}, {"strides", Ints{2, 2}}, {"ceil_mode", int64_t{1}}};
  Attributes counted = padded;
  counted.set("count_include_pad", int64_t{1});
  cases.add({
      {"MaxPool", two, {{2, 3, 4, 6}}, {}, {}},
      {"MaxPool", padded, {{1, 2, 5, 6}}, {}, {}},
      {"MaxPool", ceiled, {{1, 2, 5, 6}}, {}, {}},
      {"MaxPool", {{"kernel_shape", Ints{2, 2}}, {"dilations", Ints{2, 1}}}, {{1, 2, 5, 4}}, {}, {}},
      {"MaxPool", {{"kernel_shape", Ints{3}}}, {{1, 2, 7}}, {}, {}},
      {"AveragePool", two, {{2, 3, 4, 6}}, {}, {}},
      {"AveragePool", padded, {{1, 2, 5, 6}}, {}, {}},
      {"AveragePool", counted, {{1, 2, 5, 6}}, {}, {}},
      {"AveragePool", ceiled, {{1, 2, 5, 6}}, {}, {}},
      {"AveragePool",
       {{"kernel_shape", Ints{2, 2}}, {"auto_pad", std::string("SAME_UPPER")}},
       {{1, 2, 5, 4}},
       {},
       {}},
      {"GlobalAveragePool", {}, {{2, 3, 4, 5}}, {}, {}},
      {"GlobalMaxPool", {}, {{2, 3, 4, 5}}, {}, {}},
      {"GlobalAveragePool", {}, {{2, 3, 4}}, {}, {}},
  });
}

// Every choice of padding, strides, dilations and rounding.
static void add_windows(Cases& cases) {
  const std::vector<Attributes> windows = {
      {{"kernel_shape", Ints{2, 2}}},
      {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}},
      {{"kernel_shape", Ints{3, 2}}, {"pads", Ints{1, 0, 1, 1}}},
      {{"kernel_shape", Ints{2, 3}}, {"strides", Ints{2, 2}}, {"ceil_mode", int64_t{1}}},
      {{"kernel_shape", Ints{3, 3}}, {"strides", Ints{2, 2}}, {"pads", Ints{1, 1, 1, 1}}, {"ceil_mode", int64_t{1}}},
      {{"kernel_shape", Ints{2, 2}}, {"dilations", Ints{2, 1}}},
      {{"kernel_shape", Ints{2, 2}}, {"auto_pad", std::string("SAME_UPPER")}},
      {{"kernel_shape", Ints{3, 2}}, {"auto_pad", std::string("SAME_LOWER")}, {"strides", Ints{2, 1}}},
      {{"kernel_shape", Ints{2, 2}}, {"auto_pad", std::string("VALID")}},
  };
  for (const Attributes& window : windows) {
    cases.add({{"MaxPool", window, {{1, 2, 5, 6}}, {}, {}}, {"AveragePool", window, {{1, 2, 5, 6}}, {}, {}},
               {"AveragePool", with(window, "count_include_pad", int64_t{1}), {{1, 2, 5, 6}}, {}, {}},
               {"LpPool", window, {{1, 2, 5, 6}}, {}, {}}});
    for (int64_t p : {1, 3}) cases.add({{"LpPool", with(window, "p", p), {{1, 1, 5, 6}}, {}, {}, 0.2, 1}});
  }
  for (int64_t p : {1, 2, 3, 4}) cases.add({{"GlobalLpPool", {{"p", p}}, {{2, 3, 2, 2}}, {}, {}}});
  cases.add({{"LpPool", {{"kernel_shape", Ints{3}}}, {{1, 2, 7}}, {}, {}}, {"MaxPool", {{"kernel_shape", Ints{2, 2, 2}}}, {{1, 1, 3, 3, 3}}, {}, {}}});
  // The gradients themselves are ops that have gradients.
  Attributes two = {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}};
  cases.add({{"MaxPoolGradient", two, {{1, 2, 4, 4}, {1, 2, 2, 2}}, {}, {}}, {"AveragePoolGradient", two, {{1, 2, 4, 4}, {1, 2, 2, 2}}, {}, {}}});
}

static void add_unpooling(Cases& cases) {
  Attributes two = {{"kernel_shape", Ints{2, 2}}, {"strides", Ints{2, 2}}};
  Tensor indices = Tensor::from<int64_t>({1, 1, 2, 2}, {5, 7, 8, 15});
  cases.add({{"MaxUnpool", two, {{1, 1, 2, 2}}, {indices}, {}}, {"MaxUnpool", two, {{1, 1, 2, 2}}, {indices, list({1, 1, 5, 6})}, {}}});
}

void pooling_cases(Cases& cases) {
  add_pooling(cases);
  add_windows(cases);
  add_unpooling(cases);
}

}  // namespace gannet::test
