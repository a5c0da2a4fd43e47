// Graphs whose contractions oneDNN computes, against the reference evaluator.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "backend/backend.h"
#include "ir/attributes.h"
#include "ir/base/tensor.h"
#include "runtime/core/session.h"

namespace gannet::test {

// f32 in (-1, 1), the same for the same seed.
Tensor uniform(std::vector<int64_t> extents, uint64_t seed);

// A session with oneDNN's primitives.
std::unique_ptr<Session> session_on(const CompiledProgram& compiled, int threads);

struct OnednnCase {
  // All nodes must become one primitive by fuse_contractions alone or, in a graph whose operands and results are
  // channels-last and that has Transposes, by that after channels_last and move_transposes.
  bool one_step = false;
  double tolerance = 2e-5;  // of the largest magnitude of a result
};

// Runs the graph on `inputs`: as it is and after passes that fuse, with all inputs but the first as constants and not, on one
// and two threads (same bits) and twice. Every contraction must have become a primitive.
void expect_onednn(std::string_view text, const std::vector<Tensor>& inputs, const OnednnCase& options = {});
// Several inputs of other extents through one session.
void expect_onednn_over_shapes(std::string_view text, const std::vector<std::vector<Tensor>>& runs);
// Several first inputs of other extents, with the other inputs as constants.
void expect_onednn_with_weights(std::string_view text, const std::vector<Tensor>& weights, const std::vector<Tensor>& runs);
// The same for one node whose operands are given as tensors (undefined: absent) and of which the results `wanted` are used. With
// `symbolic`, extents of the inputs are symbols of their own.
struct OnednnNode {
  std::string op;
  Attributes attrs;
  std::vector<Tensor> operands;
  std::vector<bool> wanted;
};
void expect_onednn_node(const OnednnNode& node, bool constant_weights, bool symbolic, double tolerance = 2e-5);
// The most scratch memory of a step of the graph after the passes for channels-last operands, with all inputs but the first as
// constants, on two threads.
int64_t scratch_of(std::string_view text, const std::vector<Tensor>& inputs);
// Why the backend does not take the node named `op` of the graph.
std::string refusal_of(std::string_view text, std::string_view op);

}  // namespace gannet::test
