#include "tests/gradients/cases.h"

namespace gannet::test {

static void add_reductions(Cases& cases) {
  Attributes drop = {{"keepdims", int64_t{0}}}, noop = {{"noop_with_empty_axes", int64_t{1}}};
  for (const char* op : {"ReduceSum", "ReduceMean", "ReduceMax", "ReduceMin", "ReduceL1", "ReduceL2",
                         "ReduceLogSumExp", "ReduceSumSquare"}) {
    cases.add({
        {op, {}, {{2, 3, 4}}, {list({1})}, {}},
        {op, drop, {{2, 3, 4}}, {list({0, -1})}, {}},
        {op, drop, {{2, 3}}, {}, {}},
        {op, {}, {{2, 3}}, {}, {}},
        {op, noop, {{2, 3}}, {}, {}},
    });
  }
  cases.add(
      {{"ReduceProd", {}, {{2, 3, 4}}, {list({1})}, {}}, {"ReduceProd", drop, {{2, 3}}, {list({-1})}, {}}});
  for (const char* op : {"ReduceSumSquare", "ReduceL2", "ReduceLogSumExp"})
    cases.add({{op, drop, {{2, 3}}, {list({1})}, kTwice}});
  Model logarithm = [](GraphBuilder& b, Operands x) {
    return b.reduce("ReduceLogSum", b.op("Exp", {x[0]}), {1}, false);
  };
  cases.add("ReduceLogSum", logarithm, {random_tensor({2, 3}, 1)});
}

static void add_a_cumulative_sum(Cases& cases) {
  for (int64_t exclusive : {0, 1}) {
    for (int64_t reverse : {0, 1}) {
      Attributes attrs = {{"exclusive", exclusive}, {"reverse", reverse}};
      cases.add({{"CumSum", attrs, {{3, 4}}, {Tensor::scalar<int64_t>(1)}, {}}});
      cases.add({{"CumSum", attrs, {{3, 4}}, {Tensor::scalar<int64_t>(-2)}, {}}});
    }
  }
}

static void add_means_of_several(Cases& cases) {
 cases.add({{"Mean", {}, {{2, 3}, {3}, {2, 1}}, {}, {}}}); 
}

static Tensor with_zeros(const Ints& extents, const Ints& places) {
  Tensor x = random_tensor(extents, 3);
  for (int64_t place : places) x.mutable_data<double>()[static_cast<size_t>(place)] = 0;
  return x;
}

// Products with none, one and two zeros in a line.
static void add_products(Cases& cases) {
  Attributes drop = {{"keepdims", int64_t{0}}};
  cases.add({{"ReduceProd", drop, {{2, 3, 2}}, {list({0, 2})}, {}}, {"ReduceProd", {}, {{2, 3}}, {}, {}},
             {"ReduceProd", drop, {{2, 3, 2}}, {list({0, 1, 2})}, {}}});
  for (const Ints& places : {Ints{1}, Ints{0, 2}, Ints{3, 4, 5}}) {
    Model reduce = [](GraphBuilder& b, Operands x) { return b.reduce("ReduceProd", x[0], {1}, false); };
    cases.add("ReduceProd of zeros", reduce, {with_zeros({2, 4}, places)});
    for (int64_t exclusive : {0, 1}) {
      Model cumulate = [=](GraphBuilder& b, Operands x) {
        return b.op("CumProd", {x[0], b.constant(integer(1))}, {{"exclusive", exclusive}, {"reverse", exclusive}});
      };
      cases.add("CumProd of zeros", cumulate, {with_zeros({2, 4}, places)});
    }
  }
  for (int64_t exclusive : {0, 1}) {
    for (int64_t reverse : {0, 1}) {
      Attributes attrs = {{"exclusive", exclusive}, {"reverse", reverse}};
      cases.add({{"CumProd", attrs, {{3, 4}}, {integer(1)}, {}}, {"CumProd", attrs, {{3, 4}}, {integer(-2)}, {}}});
    }
    Attributes reverse = {{"reverse", exclusive}};
    cases.add({{"LinearRecurrence", reverse, {{3, 4}, {3, 4}}, {integer(0)}, {}}, {"LinearRecurrence", reverse, {{2, 4}, {2, 4}}, {integer(-1)}, {}}});
  }
}

static void add_determinants(Cases& cases) {
  cases.add({{"Det", {}, {{3, 3}}, {}, {}}, {"Det", {}, {{2, 2, 2}}, {}, {}}, {"Det", {}, {{2, 1, 4, 4}}, {}, {}}, {"Det", {}, {{1, 1}}, {}, {}},
             {"Cofactors", {}, {{3, 3}}, {}, {}}, {"Cofactors", {}, {{2, 2, 2}}, {}, {}}});
  Model det = [](GraphBuilder& b, Operands x) { return b.op("Det", {x[0]}); };
  cases.add_once("Det of a singular matrix", det, {Tensor::from<double>({3, 3}, {1, 2, 3, 2, 4, 6, 1, 0, 1})});
}

void reduction_cases(Cases& cases) {
  add_reductions(cases);
  add_a_cumulative_sum(cases);
  add_means_of_several(cases);
  add_products(cases);
  add_determinants(cases);
}

}  // namespace gannet::test
