// What the gradient rules of ops with subgraphs share: a copy of a body, its inputs exchanged for those of the gradient's
// body, behind which the gradient is appended. The copy computes what the body computed once more, so nothing but the
// values that enter a run is kept.
#pragma once

#include <memory>
#include <vector>

#include "ir/vjp.h"

namespace gannet {

// A result of a body by its number, and its gradient.
struct ResultGradient {
  size_t result = 0;
  Value* gradient = nullptr;
};

class BodyGradient {
 public:
  // An error when the body draws random numbers, which would differ the second time.
  static Result<BodyGradient> of(const Graph& body);

  Graph& graph() { return *graph_; }
  const std::shared_ptr<Graph>& shared() const { return graph_; }
  // For nodes in front of those of the body.
  GraphBuilder& before() { return before_; }
  // The inputs of the body, in its order.
  const std::vector<Value*>& old_inputs() const { return old_; }
  // A further input, which stays; the old ones must all be replaced.
  Value* add_input(const Type& type) { return graph_->add_input("x", type); }
  void replace(size_t old_input, Value* value) { graph_->replace_uses(old_[old_input], value); }
  // Drops the old inputs, infers the body again, and gives the gradients as VjpContext::backpropagate does.
  Result<std::vector<Value*>> run(VjpContext& c, const std::vector<ResultGradient>& given, std::vector<Value*> variables);
  // The results of the gradient's body; nodes that none of them needs go.
  void finish(std::vector<Value*> results);

 private:
  explicit BodyGradient(std::shared_ptr<Graph> graph);

  std::shared_ptr<Graph> graph_;
  std::vector<Value*> old_;
  GraphBuilder before_;
};

Status if_vjp(VjpContext& c);
// Loop and Scan keep the carried values of each run in further scan outputs, of which the attribute `saved` tells the
// number.
Status loop_for_gradient(DecomposeContext& c);
Status loop_vjp(VjpContext& c);
Status scan_for_gradient(DecomposeContext& c);
Status scan_vjp(VjpContext& c);
Status sequence_map_vjp(VjpContext& c);

}  // namespace gannet
