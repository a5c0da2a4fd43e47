// If and Loop.
#include <fmt/format.h>

#include <algorithm>
#include <limits>

#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"
#include "ir/ops/subgraph.h"
#include "ir/ops/subgraph_gradient.h"

namespace gannet {
namespace {

constexpr AttrDef kIfAttrs[] = {required_attr("then_branch", AttrKind::kGraph), required_attr("else_branch", AttrKind::kGraph),
                                int_attr("captures", 0)};
constexpr AttrDef kLoopAttrs[] = {required_attr("body", AttrKind::kGraph), int_attr("captures", 0), int_attr("saved", 0)};

Status expect_condition(const InferContext& c, size_t i) {
  if (!c.type(i).is_tensor()) return invalid_model(fmt::format("input {} (cond) must be a tensor, got {}", i, to_string(c.type(i))));
  TRY(expect_dtype(c, i, DType::kBool, "cond"));
  return expect_single(c, i, "cond");
}

// The only element of a bool tensor.
Result<bool> condition(const Datum& datum) {
  if (!datum.is_tensor() || datum.tensor().dtype() != DType::kBool || datum.tensor().elements() != 1) {
    return invalid_input(fmt::format("a condition must be one bool, got {}", to_string(datum.type())));
  }
  return datum.tensor().data<bool>()[0];
}

// A branch that does not fit these shapes is no error while the other one does: shapes are often what the condition
// asks about, and a branch that runs in spite of it reports its own error.
Status infer_if(InferContext& c) {
  TRY(expect_condition(c, 0));
  const size_t captures = TRY(capture_count(c, 1));
  if (captures + 1 != c.operand_count()) return invalid_model(fmt::format("takes 1 input and {} captures, got {}", captures, c.operand_count()));
  const std::vector<Type> types = TRY(capture_types(c, captures));
  Graph* then_branch = TRY(checked_subgraph(c, "then_branch", captures, c.output_count()));
  Graph* else_branch = TRY(checked_subgraph(c, "else_branch", captures, c.output_count()));
  const Result<std::vector<Type>> then_types = infer_body(c, *then_branch, types, captures);
  const Result<std::vector<Type>> else_types = infer_body(c, *else_branch, types, captures);
  if (!then_types.ok() && !else_types.ok()) return with_prefix("then_branch: ", then_types.error());
  for (size_t i = 0; i < c.output_count(); ++i) {
    if (!then_types.ok() || !else_types.ok()) {
      c.set(i, outside_type(c, then_types.ok() ? (*then_types)[i] : (*else_types)[i]));
      continue;
    }
    Result<Type> common = common_type(c, (*then_types)[i], (*else_types)[i]);
    if (!common.ok()) return with_prefix(fmt::format("output {} of the branches: ", i), common.error());
    c.set(i, outside_type(c, *common));
  }
  return {};
}

Status eval_if(EvalContext& c) {
  const bool chosen = TRY(condition(c.datum(0)));
  const Graph& branch = *c.attrs().graph(chosen ? "then_branch" : "else_branch");
  std::vector<Datum> results = TRY(c.services().run(branch, operands_from(c, 1)));
  for (size_t i = 0; i < results.size(); ++i) c.set(i, std::move(results[i]));
  return {};
}

// Whether the body gives back the condition it got, or true.
bool never_stops(const Graph& body) {
  const Value* value = body.outputs[0].value;
  while (value->producer() && value->producer()->op().name == "Identity") value = value->producer()->input(0);
  if (value == body.inputs()[1]) return true;
  const Tensor* constant = value->constant();
  return constant && constant->dtype() == DType::kBool && constant->elements() == 1 && constant->data<bool>()[0];
}

// How often the body runs, where that is known beforehand.
std::optional<Dim> known_trips(const InferContext& c, const Graph& body) {
  const Tensor* start = c.constant(1);
  if (c.has(1) && (!start || start->elements() != 1)) return std::nullopt;
  if (start && !start->data<bool>()[0]) return Dim(0);
  const std::optional<std::vector<Dim>> trips = short_contents(c, 0);
  if (!trips || trips->size() != 1 || !never_stops(body)) return std::nullopt;
  return max(trips->front(), Dim(0));
}

Status infer_loop(InferContext& c) {
  if (c.has(0)) {
    if (!c.type(0).is_tensor()) return invalid_model(fmt::format("input 0 (M) must be a tensor, got {}", to_string(c.type(0))));
    TRY(expect_dtype(c, 0, DType::kI64, "M"));
    TRY(expect_single(c, 0, "M"));
  }
  if (c.has(1)) TRY(expect_condition(c, 1));
  const size_t captures = TRY(capture_count(c, std::min<size_t>(2, c.operand_count())));
  const size_t count = c.operand_count() < 2 ? 0 : c.operand_count() - 2 - captures;
  Graph* body = TRY(checked_subgraph(c, "body", 2 + count + captures, 1 + std::max(count, c.output_count())));
  CarriedTypes carried;
  for (size_t i = 0; i < count; ++i) {
    if (!c.has(2 + i)) return invalid_model(fmt::format("input {}, a carried value, is absent", 2 + i));
    carried.types.push_back(c.type(2 + i));
  }
  const std::vector<Type> tail = TRY(capture_types(c, captures));
  const std::vector<Type> lead = {Type::tensor(DType::kI64, Shape{}), Type::tensor(DType::kBool, Shape{})};
  const std::vector<Type> outputs = TRY(infer_repeated(c, *body, lead, carried, tail, captures, 1));
  const std::optional<Dim> trips = known_trips(c, *body);
  const Dim stacked = trips ? *trips : c.fresh("trips");
  for (size_t i = 0; i < c.output_count(); ++i) {
    if (i < count) {
      c.set(i, outside_type(c, outputs[1 + i].kind == carried.types[i].kind ? carried.types[i] : outputs[1 + i]));
      continue;
    }
    Type type = outside_type(c, outputs[1 + i]);
    if (!type.is_tensor()) return invalid_model(fmt::format("scan output {} must be a tensor, got {}", i - count, to_string(type)));
    if (type.shape) type.shape->insert(type.shape->begin(), stacked);
    c.set(i, std::move(type));
  }
  return {};
}

Status eval_loop(EvalContext& c) {
  const Graph& body = *c.attrs().graph("body");
  const auto captures = static_cast<size_t>(c.attrs().integer("captures"));
  const size_t count = c.operand_count() < 2 ? 0 : c.operand_count() - 2 - captures;
  const Limits& limits = c.services().limits();
  const int64_t trips = c.has(0) ? c.tensor(0).int_at(0) : std::numeric_limits<int64_t>::max();
  bool running = !c.has(1) || TRY(condition(c.datum(1)));
  if (running && trips > limits.loop_trips && never_stops(body)) {
    if (!c.has(0)) {
      return unsupported(fmt::format("the loop exceeds the limit loop-trips={}: it has no trip count and its condition stays true", limits.loop_trips));
    }
    return unsupported(fmt::format("the loop takes {} iterations, beyond the limit loop-trips={}", trips, limits.loop_trips));
  }
  std::vector<Datum> carried = operands_from(c, std::min<size_t>(2, c.operand_count()));
  const std::vector<Datum> captured(carried.begin() + static_cast<ptrdiff_t>(count), carried.end());
  carried.resize(count);
  CollectedPieces collected(body.outputs.size() - 1 - count);
  for (int64_t i = 0; running && i < trips; ++i) {
    if (i >= limits.loop_trips) return unsupported(fmt::format("the loop exceeds the limit loop-trips={}", limits.loop_trips));
    std::vector<Datum> inputs = {Tensor::scalar<int64_t>(i), Tensor::scalar<bool>(true)};
    inputs.insert(inputs.end(), std::make_move_iterator(carried.begin()), std::make_move_iterator(carried.end()));
    inputs.insert(inputs.end(), captured.begin(), captured.end());
    std::vector<Datum> results = TRY(c.services().run(body, std::move(inputs)));
    running = TRY(condition(results[0]));
    for (size_t k = 0; k < count; ++k) carried[k] = std::move(results[1 + k]);
    TRY(collected.add(results, 1 + count, limits));
  }
  for (size_t i = 0; i < std::min(count, c.output_count()); ++i) {
    Datum& value = carried[i];
    // The body gives what the optional holds, but has not run.
    if (value.kind() == Datum::Kind::kOptional && c.output_type(i).kind != Type::Kind::kOptional) {
      if (!value.has_element()) return invalid_input(fmt::format("carried value {} is an empty optional after no iteration", i));
      c.set(i, Datum(value.element()));
    } else {
      c.set(i, std::move(value));
    }
  }
  for (size_t i = 0; i < collected.pieces.size() && count + i < c.output_count(); ++i) {
    c.set(count + i, TRY(stack_tensors(c, collected.pieces[i], body.outputs[1 + count + i].value->type, 0, false)));
  }
  return {};
}

}  // namespace

constinit const StructuredOp ops::If = {
    .inputs = {1, kVariadic}, .outputs = {0, kVariadic}, .attrs = kIfAttrs, .infer = infer_if, .eval = eval_if};
constinit const GradientRule gradients::If = {.vjp = if_vjp};
constinit const StructuredOp ops::Loop = {.inputs = {0, kVariadic}, .outputs = {0, kVariadic}, .attrs = kLoopAttrs,
    .infer = infer_loop, .eval = eval_loop};
constinit const GradientRule gradients::Loop = {.vjp = loop_vjp, .for_gradient = loop_for_gradient};

}  // namespace gannet
