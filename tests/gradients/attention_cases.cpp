#include "tests/gradients/cases.h"

namespace gannet::test {

static void add_rotary_embedding(Cases& cases) {
  for (int64_t interleaved : {0, 1}) {
    Tensor cosines = random_tensor({2, 3, 2}, 8), sines = random_tensor({2, 3, 2}, 9);
    cases.add({{"RotaryEmbedding", {{"interleaved", interleaved}}, {{2, 5, 3, 4}}, {cosines, sines}, {}}});
  }
}

void attention_cases(Cases& cases) {
  add_rotary_embedding(cases);
}

}  // namespace gannet::test
