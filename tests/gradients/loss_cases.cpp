#include "tests/gradients/cases.h"

namespace gannet::test {

static void add_losses(Cases& cases) {
  Tensor labels = Tensor::from<int64_t>({2, 3}, {0, 3, 1, 2, 2, 1});
  for (const char* op : {"SoftmaxCrossEntropyLoss", "NegativeLogLikelihoodLoss"}) {
    for (const char* reduction : {"mean", "sum", "none"}) {
      Attributes attrs = {{"reduction", std::string(reduction)}};
      Attributes ignoring = attrs;
      ignoring.set("ignore_index", int64_t{2});
      cases.add({
          {op, attrs, {{2, 4, 3}}, {labels}, {}},
          {op, ignoring, {{2, 4, 3}}, {labels}, {}},
          {op, ignoring, {{2, 4, 3}}, {labels, Tensor::from<double>({4}, {0.5, 1, 2, 3})}, {}},
          {op, attrs, {{3, 4}}, {list({1, 0, 3})}, {}},
      });
    }
  }
  cases.add({{"SoftmaxCrossEntropyLoss", {}, {{3, 4}}, {list({1, 0, 3})}, kTwice}});
}

void loss_cases(Cases& cases) {
  add_losses(cases);
}

}  // namespace gannet::test
