#include "tests/gradients/cases.h"

namespace gannet::test {

static void add_softmax(Cases& cases) {
  for (const char* op : {"Softmax", "LogSoftmax"}) {
    cases.add({
        {op, {}, {{2, 5}}, {}, {}},
        {op, {{"axis", int64_t{1}}}, {{2, 3, 4}}, {}, {}},
        {op, {{"axis", int64_t{0}}}, {{3}}, {}, {}},
        {op, {}, {{2, 3}}, {}, kTwice},
    });
  }
  cases.add({{"LpNormalization", {{"p", int64_t{2}}}, {{2, 3}}, {}, {}},
                {"LpNormalization", {{"p", int64_t{1}}, {"axis", int64_t{0}}}, {{3, 2}}, {}, {}}});
}

static void add_normalizations(Cases& cases) {
  cases.add({
      {"LayerNormalization", {}, {{2, 3, 4}, {4}, {4}}, {}, {}},
      {"LayerNormalization", {{"axis", int64_t{1}}, {"epsilon", 0.1f}}, {{2, 3, 4}, {3, 4}}, {}, {}},
      {"LayerNormalization", {}, {{2, 4}, {4}, {4}}, {}, kTwice},
      {"RMSNormalization", {}, {{2, 3, 4}, {4}}, {}, {}},
      {"RMSNormalization", {{"axis", int64_t{-2}}}, {{2, 3, 4}, {3, 4}}, {}, {}},
      {"InstanceNormalization", {}, {{2, 3, 4, 2}, {3}, {3}}, {}, {}},
      {"InstanceNormalization", {}, {{2, 3, 5}, {3}, {3}}, {}, {}},
      {"GroupNormalization", {{"num_groups", int64_t{2}}}, {{2, 4, 3, 2}, {4}, {4}}, {}, {}},
      {"MeanVarianceNormalization", {}, {{2, 3, 4, 2}}, {}, {}},
  });
}

// Mean and the inverse of the deviation are results as well.
static void add_statistics(Cases& cases) {
  for (int64_t axis : {1, -1}) {
    for (int64_t last : {1, 2, 3}) {
      Model model = [=](GraphBuilder& b, Operands x) {
        auto results = b.op_n("LayerNormalization", {x[0], x[1]}, {{"axis", axis}, {"epsilon", 0.1f}, {"stash_type", int64_t{11}}}, 3);
        if (last < 3) return results[static_cast<size_t>(last)];
        return b.add(results[0], b.mul(results[1], results[2]));
      };
      cases.add("LayerNormalization, its statistics", model, {random_tensor({2, 3, 4}, 1), random_tensor(axis == 1 ? Ints{3, 4} : Ints{4}, 2)});
    }
  }
}

static void add_batch_normalization(Cases& cases) {
  Tensor mean = random_tensor({3}, 5), variance = Tensor::from<double>({3}, {0.5, 1, 2});
  cases.add({{"BatchNormalization", {}, {{2, 3, 4}, {3}, {3}}, {mean, variance}, {}}});
  cases.add({{"BatchNormalization", {}, {{5, 3}, {3}, {3}}, {mean, variance}, {}}});
  Model training = [=](GraphBuilder& b, Operands x) {
    return b.op_n("BatchNormalization", {x[0], x[1], x[2], b.constant(mean), b.constant(variance)},
                  {{"training_mode", int64_t{1}}}, 3)[0];
  };
  std::vector<Tensor> inputs = {random_tensor({4, 3, 2}, 1), random_tensor({3}, 2), random_tensor({3}, 3)};
  cases.add("BatchNormalization in training", training, inputs);
}

static void add_dropout(Cases& cases) {
  cases.add({{"Dropout", {}, {{4, 3}}, {}, {}}});
  Attributes seeded = {{"seed", int64_t{5}}};
  Model training = [=](GraphBuilder& b, Operands x) {
    return b.op_n("Dropout", {x[0], b.constant(Tensor::scalar(0.5)), b.constant(Tensor::scalar(true))},
                  seeded, 2)[0];
  };
  cases.add("Dropout in training", training, {random_tensor({4, 3}, 1)});
  cases.add({{"SeededDropout", {{"ratio", 0.4f}, {"stream", int64_t{2}}}, {{4, 3}}, {integer(5)}, {}}});
}

static void add_local_responses(Cases& cases) {
  for (int64_t size : {1, 2, 3, 5}) {
    Attributes attrs = {{"size", size}, {"alpha", 0.5f}, {"beta", 0.6f}, {"bias", 1.5f}};
    cases.add({{"LRN", attrs, {{2, 4, 3}}, {}, {}}, {"LRN", attrs, {{1, 3, 2, 2}}, {}, {}}});
  }
  for (int64_t p : {1, 2}) {
    for (int64_t axis : {0, 1, -1}) cases.add({{"LpNormalization", {{"p", p}, {"axis", axis}}, {{3, 2, 2}}, {}, {}}});
  }
  // The mask is asked for where the node does not give it.
  Model dropped = [](GraphBuilder& b, Operands x) {
    return b.op("Dropout", {x[0], b.constant(Tensor::scalar(0.25)), b.constant(Tensor::scalar(true))}, {{"seed", int64_t{7}}});
  };
  cases.add("Dropout without its mask", dropped, {random_tensor({4, 3}, 1)});
}

void normalization_cases(Cases& cases) {
  add_softmax(cases);
  add_normalizations(cases);
  add_statistics(cases);
  add_batch_normalization(cases);
  add_dropout(cases);
  add_local_responses(cases);
}

}  // namespace gannet::test
