// Floating point operations of the ops that do more than one for each result; a multiply-add counts as two.
#pragma once

#include "ir/base/dim.h"

namespace gannet {

class Node;

Dim matmul_flops(const Node& node);          // operands a [.., m, k] and b
Dim gemm_flops(const Node& node);            // with transA, transB and the optional sum
Dim conv_flops(const Node& node);            // operands x, w [m, c/group, kernel...]
Dim conv_transpose_flops(const Node& node);  // operands x, w [c, m/group, kernel...]
Dim conv_input_gradient_flops(const Node& node);   // operands dy, w
Dim conv_weight_gradient_flops(const Node& node);  // operands x, dy; the result has the shape of w
Dim recurrent_flops(const Node& node);       // operands x [seq, batch, input], w, r
Dim recurrent_gradient_flops(const Node& node);  // the same operands first
Dim attention_flops(const Node& node);       // operands q, k, v of rank 3 or 4
// One for each element of operand 0: reductions, normalizations, pooling.
Dim one_per_operand_element(const Node& node);

}  // namespace gannet
