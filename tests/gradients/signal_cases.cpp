#include "tests/gradients/cases.h"

namespace gannet::test {

void signal_cases(Cases& cases) {
  for (const Tensor& length : {Tensor(), list({4}), list({7})}) {
    cases.add({
        {"DFT", {}, {{1, 6, 2}}, {length, integer(1)}, kStatic},
        {"DFT", {}, {{2, 5, 1}}, {length, integer(1)}, {}},
        {"DFT", {{"inverse", int64_t{1}}}, {{1, 6, 2}}, {length, integer(1)}, kStatic},
        {"DFT", {{"onesided", int64_t{1}}}, {{1, 6, 1}}, {length, integer(1)}, {}},
        {"DFT", {{"onesided", int64_t{1}}}, {{5, 2, 1}}, {length, integer(0)}, {}},
        {"DFT", {{"onesided", int64_t{1}}, {"inverse", int64_t{1}}}, {{1, 4, 2}}, {length, integer(1)}, kStatic},
        {"DFT", {{"onesided", int64_t{1}}, {"inverse", int64_t{1}}}, {{3, 2, 2}}, {length, integer(0)}, kStatic},
    });
  }
  cases.add({{"DFT", {}, {{1, 4, 3, 2}}, {}, kStatic}, {"DFT", {}, {{1, 4, 3, 2}}, {Tensor(), integer(-3)}, kStatic}});
  for (int64_t onesided : {0, 1}) {
    Attributes attrs = {{"onesided", onesided}};
    cases.add({{"STFT", attrs, {{2, 8, 1}}, {integer(2), Tensor(), integer(4)}, {}}});
    Model windowed = [=](GraphBuilder& b, Operands x) { return b.op("STFT", {x[0], b.constant(integer(3)), x[1]}, attrs); };
    cases.add("STFT with a window", windowed, {random_tensor({1, 9, 1}, 1), random_tensor({4}, 2)});
  }
  cases.add({{"STFT", {{"onesided", int64_t{0}}}, {{1, 6, 2}}, {integer(1), Tensor(), integer(3)}, kStatic}});
}

}  // namespace gannet::test
