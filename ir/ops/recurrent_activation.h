// The functions inside of recurrent cells.
#pragma once

#include <cstdint>

namespace gannet {

enum class ActivationKind : uint8_t {
  kRelu,
  kTanh,
  kSigmoid,
  kAffine,
  kLeakyRelu,
  kThresholdedRelu,
  kScaledTanh,
  kHardSigmoid,
  kElu,
  kSoftsign,
  kSoftplus
};

struct Activation {
  ActivationKind kind = ActivationKind::kTanh;
  double alpha = 0;
  double beta = 0;
  double clip = 0;  // 0: none

  // Clips x and applies the function.
  template <class T>
  T operator()(T x) const;
  // Of that in x: 1 at the bounds of the clip, the slope of the left side at a kink (docs/numerics.md).
  template <class T>
  T derivative(T x) const;
  // Both at once.
  template <class T>
  void evaluate(T x, T& value, T& slope) const;
};

}  // namespace gannet
