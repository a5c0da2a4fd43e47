#include "tests/gradients/cases.h"

namespace gannet::test {

static void add_movement(Cases& cases) {
  cases.add({
      {"Identity", {}, {{2, 3}}, {}, {}},
      {"Reshape", {}, {{2, 6}}, {list({3, 4})}, kStatic},
      {"Reshape", {}, {{2, 3, 4}}, {list({0, -1})}, {}},
      {"Flatten", {{"axis", int64_t{2}}}, {{2, 3, 4}}, {}, {}},
      {"Flatten", {{"axis", int64_t{0}}}, {{2, 3, 4}}, {}, {}},
      {"Squeeze", {}, {{2, 1, 3, 1}}, {list({1, -1})}, {}},
      {"Squeeze", {}, {{2, 1, 3, 1}}, {}, kStatic},
      {"Unsqueeze", {}, {{2, 3}}, {list({0, -1})}, {}},
      {"Transpose", {{"perm", Ints{2, 0, 1}}}, {{2, 3, 4}}, {}, {}},
      {"Transpose", {}, {{2, 3, 4}}, {}, {}},
      {"DepthToSpace", {{"blocksize", int64_t{2}}}, {{1, 8, 2, 3}}, {}, {}},
      {"DepthToSpace", {{"blocksize", int64_t{2}}, {"mode", std::string("CRD")}}, {{1, 8, 2, 3}}, {}, {}},
      {"SpaceToDepth", {{"blocksize", int64_t{2}}}, {{1, 2, 4, 6}}, {}, {}},
      {"Concat", {{"axis", int64_t{1}}}, {{2, 3}, {2, 1}, {2, 4}}, {}, {}},
      {"Concat", {{"axis", int64_t{-2}}}, {{2, 3}, {5, 3}}, {}, {}},
      {"Concat", {{"axis", int64_t{0}}}, {{2}, {2}}, {}, kTwice},
      {"Expand", {}, {{3, 1}}, {list({2, 3, 4})}, {}},
      {"Expand", {}, {{3, 4}}, {list({1, 1})}, {}},
      {"SumTo", {}, {{2, 3, 4}}, {list({3, 1})}, {}},
      {"SumTo", {}, {{2, 3, 4}}, {list({})}, {}},
      {"Tile", {}, {{2, 3}}, {list({3, 2})}, {}},
      {"Tile", {}, {{2, 3}}, {list({1, 1})}, {}},
      {"Trilu", {}, {{2, 4, 4}}, {}, {}},
      {"Trilu", {{"upper", int64_t{0}}}, {{4, 3}}, {Tensor::scalar<int64_t>(-1)}, {}},
      {"ReverseSequence", {}, {{4, 2, 3}}, {list({3, 4})}, kStatic},
      {"Cast", {{"to", DType::kF64}}, {{3}}, {}, {}},
  });
}

static void add_slices_and_pads(Cases& cases) {
  cases.add({
      {"Slice", {}, {{5, 6}}, {list({1, 0}), list({4, 6})}, kStatic},
      {"Slice", {}, {{5, 6}}, {list({-1}), list({-100}), list({1}), list({-1})}, kStatic},
      {"Slice", {}, {{7, 3}}, {list({1}), list({1000}), list({0}), list({2})}, kStatic},
      {"Slice", {}, {{7, 3}}, {list({6}), list({0}), list({-2}), list({-3})}, kStatic},
      {"Slice", {}, {{7}}, {list({1}), list({5}), list({0}), list({3})}, kTwice},
      {"Slice", {}, {{7}}, {list({5}), list({5})}, {}},
      {"Pad", {}, {{3, 4}}, {list({1, 0, 2, 3})}, {}},
      {"Pad", {}, {{3, 4}}, {list({-1, 0, 1, -2})}, {}},
      {"Pad", {}, {{3, 4}}, {list({1, 2}), Tensor(), list({1})}, {}},
  });
  // The value that fills has a gradient as well.
  Model filled = [](GraphBuilder& b, Operands x) { return b.op("Pad", {x[0], b.ints({1, 2}), x[1]}); };
  cases.add("Pad value", filled, {random_tensor({3}, 1), random_tensor({}, 2)});
}

static void add_split_gives_each_part_its_share(Cases& cases) {
  for (int64_t axis : {0, 1}) {
    Model model = [=](GraphBuilder& b, Operands x) {
      auto parts = b.op_n("Split", {x[0], b.ints({1, 3})}, {{"axis", axis}}, 2);
      return b.add(b.reduce_sum(parts[1], {axis}, true), parts[0]);
    };
    cases.add("Split", model, {random_tensor({4, 4}, 1)}, kStatic);
    Model half = [=](GraphBuilder& b, Operands x) {
      return b.op_n("Split", {x[0], b.ints({1, 3})}, {{"axis", axis}}, 2)[1];
    };
    cases.add("Split, one part", half, {random_tensor({4, 4}, 1)}, kStatic);
  }
  Model counted = [](GraphBuilder& b, Operands x) {
    auto parts = b.op_n("Split", {x[0]}, {{"num_outputs", int64_t{3}}}, 3);
    return b.concat({parts[2], parts[0]}, 0);
  };
  cases.add("Split by count", counted, {random_tensor({5, 2}, 1)}, kStatic);
}

static void add_a_branch_that_is_not_floating_point_stops(Cases& cases) {
  Model model = [](GraphBuilder& b, Operands x) {
    Value* rounded = b.cast(b.cast(x[0], DType::kI64), DType::kF64);
    return b.mul(b.add(rounded, x[0]), b.cast(b.op("Shape", {x[0]}), DType::kF64));
  };
  cases.add("mixed", model, {random_tensor({3}, 1)});
}

static void add_repeating_pads(Cases& cases) {
  for (const char* mode : {"reflect", "edge", "wrap"}) {
    Attributes attrs = {{"mode", std::string(mode)}};
    cases.add({{"Pad", attrs, {{3, 4}}, {list({1, 0, 2, 3})}, {}},
               {"Pad", attrs, {{5}}, {list({-1, 3})}, {}},
               {"Pad", attrs, {{2, 3}}, {list({5, 4}), Tensor(), list({-1})}, {}},
               {"Pad", attrs, {{3, 4}}, {list({0, 1, 0, 0})}, {}}});
  }
}

static void add_cropping(Cases& cases) {
  for (const Ints& shape : {Ints{2, 7}, Ints{5, 3}, Ints{6, 5}}) {
    cases.add({{"CenterCropPad", {}, {{4, 5}}, {list(shape)}, {}}, {"CenterCropPad", {{"axes", Ints{-1, 0}}}, {{4, 3, 5}}, {list(shape)}, {}}});
  }
  Attributes strided = {{"strides", Ints{2, 1}}, {"pads", Ints{1, 0, 0, 1}}, {"dilations", Ints{1, 2}}};
  cases.add({{"Col2Im", {}, {{1, 4, 6}}, {list({3, 4}), list({2, 2})}, {}},
             {"Col2Im", strided, {{2, 8, 6}}, {list({4, 4}), list({2, 2})}, kStatic},
             {"Im2Col", {}, {{1, 2, 3, 4}}, {list({2, 2})}, {}},
             {"Im2Col", strided, {{2, 2, 4, 4}}, {list({2, 2})}, {}},
             {"Im2Col", {{"strides", Ints{2}}}, {{1, 2, 7}}, {list({3})}, {}},
             {"CastLike", {}, {{3}}, {Tensor::scalar(1.0)}, {}}});
}

void movement_cases(Cases& cases) {
  add_movement(cases);
  add_slices_and_pads(cases);
  add_split_gives_each_part_its_share(cases);
  add_a_branch_that_is_not_floating_point_stops(cases);
  add_repeating_pads(cases);
  add_cropping(cases);
}

}  // namespace gannet::test
