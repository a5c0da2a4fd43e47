#include "tests/gradients/cases.h"

namespace gannet::test {

static void add_rotary_embedding(Cases& cases) {
  for (int64_t interleaved : {0, 1}) {
    Tensor cosines = random_tensor({2, 3, 2}, 8), sines = random_tensor({2, 3, 2}, 9);
    cases.add({{"RotaryEmbedding", {{"interleaved", interleaved}}, {{2, 5, 3, 4}}, {cosines, sines}, {}}});
  }
}

static void add_attentions(Cases& cases) {
  const Ints q = {1, 2, 3, 4}, k = {1, 2, 5, 4}, v = {1, 2, 5, 3};
  auto attend = [&](Attributes attrs, std::vector<Ints> extents, Tensor mask = {}) {
    cases.add({{"Attention", std::move(attrs), std::move(extents), mask.defined() ? std::vector<Tensor>{mask} : std::vector<Tensor>{}, kStatic}});
  };
  attend({}, {q, k, v});
  attend({{"scale", 0.3f}}, {q, k, v});
  attend({{"is_causal", int64_t{1}}}, {q, k, v});
  attend({{"softcap", 2.f}}, {q, k, v});
  attend({}, {{1, 4, 3, 2}, {1, 2, 5, 2}, {1, 2, 5, 3}});
  attend({}, {q, k, v}, Tensor::from<bool>({3, 5}, {1, 0, 1, 1, 1, 1, 1, 0, 0, 1, 1, 1, 1, 1, 0}));
  attend({}, {q, k, v, {3, 5}});
  attend({{"q_num_heads", int64_t{2}}, {"kv_num_heads", int64_t{2}}}, {{2, 3, 4}, {2, 5, 4}, {2, 5, 6}});
}

void attention_cases(Cases& cases) {
  add_rotary_embedding(cases);
  add_attentions(cases);
}

}  // namespace gannet::test
