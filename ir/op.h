// The op table: what each op is called, what it takes, what it means.
//
// ops.def has one row an op. An elementwise row carries its scalar body and needs nothing more. A structured row names
// a StructuredOp defined in ir/ops/<family>.cpp. Ops have the meaning of the newest ONNX opset; older forms exist only
// in the importer.
#pragma once

#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "ir/attributes.h"
#include "ir/base/error.h"
#include "ir/scalar.h"

namespace gannet {

class Node;              // graph.h
class InferContext;      // infer.h
class EvalContext;       // eval.h
class DecomposeContext;  // builder.h

using InferFn = Status (*)(InferContext&);
using EvalFn = Status (*)(EvalContext&);
using DecomposeFn = Status (*)(DecomposeContext&);
// Floating point operations of a node whose types are inferred; a multiply-add counts as two.
using FlopsFn = Dim (*)(const Node&);

inline constexpr int kVariadic = -1;
struct Arity {
  int min = 1;
  int max = 1;  // kVariadic: any number
};

// The definition of an op that is not elementwise. `infer` and `eval` may be left out when `decompose` is given: then
// both follow from the composition. Every op answers for its gradient: by a GradientRule
// (gradient_rule.h), by `decompose`, or by the reason in `no_gradient`.
struct StructuredOp {
  Arity inputs;
  Arity outputs;
  std::span<const AttrDef> attrs;
  InferFn infer = nullptr;
  EvalFn eval = nullptr;
  DecomposeFn decompose = nullptr;
  std::string_view no_gradient = {};  // why the result does not depend differentiably on any operand
  FlopsFn flops = nullptr;            // null: none, as for ops that move data
  bool random = false;                // two equal nodes may give different results
};

// Element types that an elementwise op accepts.
enum ScalarTypes : uint8_t { kFloats = 1, kInts = 2, kBools = 4, kStrings = 8, kComplexes = 16, kNumbers = 3, kAny = 31 };

// What the body of an elementwise op may ask for: its operands (absent ones are empty) and attributes.
struct BodyArgs {
  std::span<const ScalarExpr> operands;
  const Attributes& attrs;
};
using BodyFn = ScalarExpr (*)(const BodyArgs&);

struct OpDef {
  std::string_view name;
  int since = 1;  // the opset whose meaning this is
  Arity inputs;
  Arity outputs;
  std::span<const AttrDef> attrs;
  InferFn infer = nullptr;  // never null
  EvalFn eval = nullptr;    // never null
  DecomposeFn decompose = nullptr;
  std::string_view no_gradient = {};  // the reason
  FlopsFn flops = nullptr;
  BodyFn body = nullptr;    // of an elementwise op
  uint8_t types = kAny;     // that an elementwise op accepts
  bool random = false;
};

// The row named `name`, or null.
const OpDef* find_op(std::string_view name);
// As find_op, for names that Gannet itself writes (CHECK).
const OpDef& op_named(std::string_view name);
std::span<const OpDef> all_ops();
// Names of ops closest to `name`, for hints.
std::string nearest_op(std::string_view name);

// Floating point operations of `node`: what its op says; one for each result of an elementwise op; none for the rest,
// which moves data. Nothing where shapes are not known.
std::optional<Dim> flops_of(const Node& node);

// The scalar body of an elementwise op applied to `operand_count` operands, of which `present[i]` says whether
// operand i is given; operands are numbered densely among those present.
ScalarExpr body_of(const OpDef& op, const Attributes& attrs, std::span<const bool> present);

}  // namespace gannet
