// A small quantized model for the tests of this folder.
#pragma once

#include "tests/frontend/import_test_model.h"

namespace gannet::test {

// x [n, 8] -> Gemm of i8 codes with a scale for each unit -> Relu -> MatMul of a float weight through codes
// -> Softmax, with codes between all of them. The scale of activations is `activation_scale`.
TestModel quantized_mlp(float activation_scale = 0.05f);

}  // namespace gannet::test
