// Recurrent layers as primitives, against the reference evaluator.
#include <fmt/format.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <random>

#include "tests/backend/onednn_fixture.h"

namespace gannet::test {
namespace {

using Names = std::vector<std::string>;

struct RecurrentCase {
  std::string op;
  std::string direction = "forward";
  int64_t steps = 4, batch = 2, input = 3, hidden = 5;
  Attributes attrs;  // besides direction and layout
  bool batch_first = false, bias = true, lengths = false, initial = true, peepholes = false;
  bool constant = true, symbolic = false;
  std::vector<bool> wanted = {true, true, true};
};

std::string describe(const RecurrentCase& c) {
  return fmt::format("{} {} steps {} batch {} input {} hidden {} layout {} bias {} lengths {} initial {} peepholes {} constant {} symbolic {}",
                     c.op, c.direction, c.steps, c.batch, c.input, c.hidden, c.batch_first, c.bias, c.lengths, c.initial, c.peepholes,
                     c.constant, c.symbolic);
}

// Weights of such size that a state neither dies nor turns chaotic, where rounding would grow from step to step.
Tensor weights(std::vector<int64_t> extents, uint64_t seed) {
  const float scale = 1.5f / std::sqrt(static_cast<float>(std::max<int64_t>(extents.back(), 1)));
  Tensor tensor = uniform(std::move(extents), seed);
  for (float& element : tensor.mutable_data<float>()) element *= scale;
  return tensor;
}

void expect_recurrent(const RecurrentCase& c) {
  SCOPED_TRACE(describe(c));
  const int64_t directions = c.direction == "bidirectional" ? 2 : 1, gates = c.op == "LSTM" ? 4 : c.op == "GRU" ? 3 : 1;
  OnednnNode node{c.op, c.attrs, {}, c.wanted};
  node.attrs.set("direction", c.direction);
  node.attrs.set("layout", int64_t{c.batch_first});
  node.wanted.resize(c.op == "LSTM" ? 3 : 2);
  const auto state = c.batch_first ? std::vector<int64_t>{c.batch, directions, c.hidden} : std::vector<int64_t>{directions, c.batch, c.hidden};
  node.operands = {uniform(c.batch_first ? std::vector<int64_t>{c.batch, c.steps, c.input} : std::vector<int64_t>{c.steps, c.batch, c.input}, 1),
                   weights({directions, gates * c.hidden, c.input}, 2), weights({directions, gates * c.hidden, c.hidden}, 3),
                   c.bias ? uniform({directions, 2 * gates * c.hidden}, 4) : Tensor(), Tensor(), c.initial ? uniform(state, 5) : Tensor()};
  if (c.lengths) {
    std::vector<int32_t> lengths;
    for (int64_t row = 0; row < c.batch; ++row) lengths.push_back(static_cast<int32_t>((row * 5 + 2) % (c.steps + 1)));
    node.operands[4] = Tensor::from<int32_t>({c.batch}, lengths);
  }
  if (c.op == "LSTM") {
    node.operands.push_back(c.initial ? uniform(state, 6) : Tensor());
    node.operands.push_back(c.peepholes ? uniform({directions, 3 * c.hidden}, 7) : Tensor());
  }
  expect_onednn_node(node, c.constant, c.symbolic);
}

// Each cell with the attributes that change its formula.
std::vector<RecurrentCase> cells() {
  std::vector<RecurrentCase> all(5);
  all[0].op = "RNN";
  all[1].op = "GRU";
  all[2].op = "GRU";
  all[2].attrs.set("linear_before_reset", int64_t{1});
  all[3].op = "LSTM";
  all[4].op = "LSTM";
  all[4].attrs.set("input_forget", int64_t{1});
  all[4].peepholes = true;
  return all;
}

TEST(OnednnRecurrent, DirectionsAndLayouts) {
  for (RecurrentCase c : cells()) {
    for (const char* direction : {"forward", "reverse", "bidirectional"}) {
      for (const bool batch_first : {false, true}) {
        c.direction = direction;
        c.batch_first = batch_first;
        expect_recurrent(c);
      }
    }
  }
}

TEST(OnednnRecurrent, SizesAroundVectorsAndTiles) {
  for (RecurrentCase c : cells()) {
    for (const int64_t hidden : {1, 8, 9, 16, 17, 33}) {
      for (const int64_t batch : {1, 5, 7, 13}) {
        c.hidden = hidden;
        c.batch = batch;
        c.input = hidden / 2 + 1;
        c.direction = batch == 5 ? "bidirectional" : "forward";
        expect_recurrent(c);
      }
    }
  }
}

// Where whole vectors of states are results, they are made there.
TEST(OnednnRecurrent, StatesInResults) {
  for (RecurrentCase c : cells()) {
    for (const char* direction : {"forward", "reverse", "bidirectional"}) {
      for (const std::vector<bool>& wanted : std::vector<std::vector<bool>>{{true, true, true}, {true, false, false}, {false, true, true}, {true, true, false}}) {
        for (const bool initial : {false, true}) {
          c.direction = direction;
          c.wanted = wanted;
          c.initial = initial;
          c.hidden = 32;
          c.batch = 4;
          c.lengths = c.batch_first = initial == wanted[1];
          expect_recurrent(c);
        }
      }
    }
  }
}

TEST(OnednnRecurrent, LargeOnesAreSharedOut) {
  for (RecurrentCase c : cells()) {
    c.hidden = 272;  // one row: the steps are shared out over panels
    c.batch = 1;
    c.input = 100;
    c.steps = 9;
    expect_recurrent(c);
    c.hidden = 64;  // rows in blocks, and more steps than a chunk of projections holds
    c.batch = 21;
    c.steps = 40;
    c.lengths = true;
    expect_recurrent(c);
  }
}

TEST(OnednnRecurrent, NoElements) {
  for (RecurrentCase c : cells()) {
    c.steps = 0;
    expect_recurrent(c);
    c.steps = 2;
    c.batch = 0;
    expect_recurrent(c);
    c.batch = 2;
    c.input = 0;
    expect_recurrent(c);
  }
}

TEST(OnednnRecurrent, Functions) {
  const Names all = {"Relu", "Tanh", "Sigmoid", "Affine", "LeakyRelu", "ThresholdedRelu", "ScaledTanh", "HardSigmoid", "Elu", "Softsign", "Softplus"};
  for (size_t i = 0; i < all.size(); ++i) {
    for (RecurrentCase c : cells()) {
      const size_t functions = c.op == "LSTM" ? 3 : c.op == "GRU" ? 2 : 1;
      Names names;
      for (size_t k = 0; k < 2 * functions; ++k) names.push_back(all[(i + k) % all.size()]);
      c.attrs.set("activations", names);
      c.direction = "bidirectional";
      if (i % 2 == 1) c.attrs.set("clip", 0.4f);
      c.steps = 2;
      expect_recurrent(c);
    }
  }
}

TEST(OnednnRecurrent, RandomConfigurations) {
  std::mt19937 random(7);
  auto below = [&](int64_t n) { return static_cast<int64_t>(random() % static_cast<uint32_t>(n)); };
  for (int i = 0; i < 200; ++i) {
    const std::vector<RecurrentCase> all = cells();
    RecurrentCase c = all[static_cast<size_t>(below(static_cast<int64_t>(all.size())))];
    c.direction = Names{"forward", "reverse", "bidirectional"}[static_cast<size_t>(below(3))];
    c.steps = below(12);
    c.batch = 1 + below(15);
    c.input = 1 + below(40);
    c.hidden = 1 + below(70);
    c.batch_first = below(2) == 1;
    c.bias = below(3) > 0;
    c.lengths = below(3) == 0;
    c.initial = below(2) == 1;
    c.peepholes = c.op == "LSTM" && below(2) == 1;
    c.constant = below(2) == 1;
    c.symbolic = below(2) == 1;
    if (below(4) == 0) c.attrs.set("clip", 0.3f);
    for (size_t k = 0; k < 3; ++k) c.wanted[k] = below(3) > 0;
    if (!c.wanted[1]) c.wanted[0] = true;
    expect_recurrent(c);
    if (HasFailure()) return;
  }
}

TEST(OnednnRecurrent, NaNAndInfinityPassThrough) {
  Tensor x = uniform({3, 2, 4}, 1);
  x.mutable_data<float>()[5] = std::numeric_limits<float>::quiet_NaN();
  x.mutable_data<float>()[18] = std::numeric_limits<float>::infinity();
  for (const char* op : {"RNN", "LSTM"}) {
    const int64_t gates = std::string_view(op) == "LSTM" ? 4 : 1;
    const OnednnNode node{op, {}, {x, uniform({1, gates * 20, 4}, 2), uniform({1, gates * 20, 20}, 3)}, {true}};
    expect_onednn_node(node, true, false);
  }
}

TEST(OnednnRecurrent, SaysWhatItDoesNotTake) {
  const auto lstm = [](const char* type) {
    return fmt::format("graph \"main\"(%x: {0}[2, 3, 4], %w: {0}[1, 20, 4], %r: {0}[1, 20, 5]) {{\n  %y = LSTM(%x, %w, %r)\n  return %y as \"y\"\n}}",
                       type);
  };
  EXPECT_EQ(refusal_of(lstm("f64"), "LSTM"), "onednn: f64");
  EXPECT_EQ(refusal_of("graph \"main\"(%x: f32[2, 3, 4], %w: f32[1, n, 4], %r: f32[1, n, m]) {\n  %y = GRU(%x, %w, %r)\n  return %y as \"y\"\n}",
                       "GRU"),
            "onednn: a state of m units");
}

}  // namespace
}  // namespace gannet::test
