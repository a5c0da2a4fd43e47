#include "tests/gradients/cases.h"

namespace gannet::test {

static void add_gathers(Cases& cases) {
  Tensor repeated = Tensor::from<int64_t>({2, 2}, {0, 2, 2, -1});
  cases.add({
      {"Gather", {}, {{4, 3}}, {repeated}, {}},
      {"Gather", {{"axis", int64_t{1}}}, {{2, 4, 3}}, {repeated}, {}},
      {"Gather", {{"axis", int64_t{-1}}}, {{2, 4}}, {Tensor::scalar<int64_t>(-2)}, {}},
      {"Gather", {}, {{4, 3}}, {repeated}, kTwice},
      {"Gather", {}, {{4, 3}}, {Tensor::from<int32_t>({3}, {1, 1, 1})}, {}},
  });
}

static void add_gathered_elements(Cases& cases) {
  Tensor indices = Tensor::from<int64_t>({2, 3}, {0, 2, 1, -1, 0, 0}), tuples = Tensor::from<int64_t>({2, 2}, {0, 1, 2, -1});
  cases.add({
      {"GatherElements", {{"axis", int64_t{1}}}, {{2, 3}}, {indices}, {}},
      {"GatherElements", {}, {{4, 3}}, {indices}, {}},
      {"GatherElements", {{"axis", int64_t{-1}}}, {{2, 4}}, {Tensor::from<int32_t>({1, 5}, {0, 3, 3, 1, -4})}, {}},
      {"GatherND", {}, {{3, 4}}, {tuples}, {}},
      {"GatherND", {}, {{3, 4, 2}}, {tuples}, {}},
      {"GatherND", {}, {{3, 2}}, {Tensor::from<int64_t>({2, 2, 1}, {0, 2, 2, 1})}, {}},
      {"GatherND", {{"batch_dims", int64_t{1}}}, {{2, 3, 2}}, {Tensor::from<int64_t>({2, 2, 1}, {0, 2, 2, 2})}, {}},
      {"GatherND", {{"batch_dims", int64_t{2}}}, {{2, 3, 4}}, {Tensor::from<int64_t>({2, 3, 1}, {0, 2, 2, 1, 3, 3})}, {}},
      {"GatherGradient", {}, {{2, 3}}, {list({1, 1}), list({4, 3})}, {}},
  });
}

static void add_scatters(Cases& cases) {
  Tensor distinct = Tensor::from<int64_t>({2, 2}, {0, 2, 1, -1}), repeated = Tensor::from<int64_t>({2, 2}, {0, 0, 1, -2});
  Tensor rows = Tensor::from<int64_t>({2, 1}, {2, 0}), cells = Tensor::from<int64_t>({3, 2}, {2, 0, 0, 1, 2, 0});
  for (const char* reduction : {"none", "add", "mul", "max", "min"}) {
    Attributes attrs = {{"reduction", std::string(reduction)}};
    auto scatter = [&](const char* op, Attributes all, Ints data, const Tensor& indices, Ints updates) {
      Model model = [=](GraphBuilder& b, Operands x) { return b.op(op, {x[0], b.constant(indices), x[1]}, all); };
      cases.add(std::string(op) + " " + reduction, model, {random_tensor(data, 1), random_tensor(updates, 2)});
    };
    scatter("ScatterElements", with(attrs, "axis", int64_t{1}), {2, 3}, distinct, {2, 2});
    scatter("ScatterElements", attrs, {3, 2}, Tensor::from<int64_t>({2, 2}, {0, 2, -1, 1}), {2, 2});
    scatter("ScatterND", attrs, {3, 4}, rows, {2, 4});
    scatter("ScatterND", attrs, {3, 2}, Tensor::from<int64_t>({2, 2}, {2, 0, 0, 1}), {2});
    if (std::string(reduction) == "none") continue;
    scatter("ScatterElements", with(attrs, "axis", int64_t{1}), {2, 3}, repeated, {2, 2});
    scatter("ScatterND", attrs, {3, 2}, cells, {3});
  }
  for (const char* mode : {"linear", "circular"}) {
    for (const Tensor& first : {Tensor(), list({1, 2})}) {
      Attributes attrs = {{"mode", std::string(mode)}};
      Model model = [=](GraphBuilder& b, Operands x) {
        return b.op("TensorScatter", {x[0], x[1], first.defined() ? b.constant(first) : nullptr}, attrs);
      };
      cases.add(std::string("TensorScatter ") + mode, model, {random_tensor({2, 4, 3}, 1), random_tensor({2, 2, 3}, 2)});
    }
  }
}

static void add_selections(Cases& cases) {
  Tensor condition = Tensor::from<bool>({3}, {true, false, true});
  cases.add({{"Compress", {{"axis", int64_t{0}}}, {{3, 2}}, {condition}, {}},
             {"Compress", {{"axis", int64_t{-1}}}, {{2, 4}}, {condition}, {}},
             {"Compress", {}, {{2, 4}}, {condition}, {}}});
  for (int64_t largest : {0, 1}) {
    cases.add({{"TopK", {{"largest", largest}}, {{2, 5}}, {list({3})}, {}}, {"TopK", {{"largest", largest}, {"axis", int64_t{0}}}, {{4, 3}}, {list({2})}, {}}});
  }
  Model with_indices = [](GraphBuilder& b, Operands x) { return b.op_n("TopK", {x[0], b.ints({2})}, {}, 2)[0]; };
  cases.add("TopK with indices", with_indices, {random_tensor({3, 4}, 1)});
  for (int64_t axis : {-1, 0}) {
    Model hot = [=](GraphBuilder& b, Operands x) {
      return b.op("OneHot", {b.constant(Tensor::from<int64_t>({2, 2}, {0, 2, -1, 7})), b.ints({4}), x[0]}, {{"axis", axis}});
    };
    cases.add("OneHot", hot, {random_tensor({2}, 1)});
  }
}

void indexing_cases(Cases& cases) {
  add_gathers(cases);
  add_gathered_elements(cases);
  add_scatters(cases);
  add_selections(cases);
}

}  // namespace gannet::test
