// The table of gradient cases: what is differentiated, at which operands. A family of ops adds its cases in a file of
// its own; table_test.cpp runs them all, and finds ops that none of them differentiates.
#pragma once

#include <string>
#include <vector>

#include "tests/support/gradient_check.h"
#include "tests/support/run_op.h"

namespace gannet::test {

using Operands = std::span<Value* const>;
using Ints = std::vector<int64_t>;

struct Case {
  std::string name;
  Model model;
  std::vector<Tensor> inputs;  // those of f64 are differentiated
  GradientCheck check;
};

// One op at operands drawn at random from [low, high).
struct OpCase {
  std::string op;
  Attributes attrs;
  std::vector<Ints> extents;  // of f64 operands
  std::vector<Tensor> rest;   // constant operands after them; an undefined one is absent
  GradientCheck check;
  double low = -1, high = 1;
};

class Cases {
 public:
  // Each case comes twice: as it is, and for the second order with integer extents.
  void add(std::string name, Model model, std::vector<Tensor> inputs, GradientCheck check = {});
  // Where there is no second derivative.
  void add_once(std::string name, Model model, std::vector<Tensor> inputs, GradientCheck check = {});
  void add(const std::vector<OpCase>& cases);
  const std::vector<Case>& all() const { return cases_; }

 private:
  std::vector<Case> cases_;
};

constexpr GradientCheck kTwice{.order = 2, .symbolic = true, .tolerance = 1e-5};
constexpr GradientCheck kStatic{.order = 1, .symbolic = false, .tolerance = 1e-6};
constexpr GradientCheck kFixed{.order = 1, .symbolic = true, .tolerance = 1e-6, .fixed_weights = true};
constexpr GradientCheck kFixedTwice{.order = 2, .symbolic = true, .tolerance = 1e-5, .fixed_weights = true};

inline Tensor list(const Ints& values) { return Tensor::of_ints(values); }
inline Tensor integer(int64_t value) { return Tensor::scalar<int64_t>(value); }
Attributes with(Attributes attrs, std::string_view name, Attr value);

void elementwise_cases(Cases& cases);
void contraction_cases(Cases& cases);
void pooling_cases(Cases& cases);
void movement_cases(Cases& cases);
void indexing_cases(Cases& cases);
void reduction_cases(Cases& cases);
void normalization_cases(Cases& cases);
void loss_cases(Cases& cases);
void attention_cases(Cases& cases);
void recurrent_cases(Cases& cases);
void spatial_cases(Cases& cases);
void signal_cases(Cases& cases);
void quantization_cases(Cases& cases);
void control_flow_cases(Cases& cases);
void sequence_cases(Cases& cases);

}  // namespace gannet::test
