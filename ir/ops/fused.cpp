// Fused: the nodes of a subgraph as one unit of work, formed late by fusion passes. Its meaning is that of its body.
#include "ir/builder.h"
#include "ir/eval.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "ir/ops/flops.h"
#include "ir/ops/ops.h"
#include "ir/ops/subgraph.h"
#include "ir/vjp.h"

namespace gannet {
namespace {

// `kind` says which fusion formed it, for whoever lowers it ("region", "convolution", "matmul", ...).
constexpr AttrDef kAttrs[] = {required_attr("body", AttrKind::kGraph), string_attr("kind", "region")};

Status infer_fused(InferContext& c) {
  Graph* body = TRY(checked_subgraph(c, "body", c.operand_count(), c.output_count()));
  std::vector<Type> operands;
  for (size_t i = 0; i < c.operand_count(); ++i) operands.push_back(c.type(i));
  const std::vector<Type> results = TRY(infer_body(c, *body, operands, 0));
  for (size_t i = 0; i < c.output_count(); ++i) c.set(i, results[i]);
  return {};
}

Status eval_fused(EvalContext& c) {
  std::vector<Datum> operands;
  for (size_t i = 0; i < c.operand_count(); ++i) operands.push_back(c.datum(i));
  std::vector<Datum> results = TRY(c.services().run(*c.attrs().graph("body"), std::move(operands)));
  for (size_t i = 0; i < results.size(); ++i) c.set(i, std::move(results[i]));
  return {};
}

Dim flops_fused(const Node& node) {
  Dim total = 0;
  for (const auto& inner : node.attrs.graph("body")->nodes()) {
    if (std::optional<Dim> flops = flops_of(*inner)) total = total + *flops;
  }
  return total;
}

}  // namespace

namespace ops {

// The body's symbols are those of the graph around it, so its result types hold outside as well.
constinit const StructuredOp Fused = {.inputs = {0, kVariadic}, .outputs = {1, kVariadic}, .attrs = kAttrs,
                                      .infer = infer_fused, .eval = eval_fused, .flops = flops_fused};

}  // namespace ops

constinit const GradientRule gradients::Fused = {.vjp = missing_gradient};
}  // namespace gannet
