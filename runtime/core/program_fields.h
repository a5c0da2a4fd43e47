// The fields of a Program for archives (archive.h), each struct's listed once. Dimensions, types and scalar expressions
// are text; tensors that are not small, and code, stand in sections of their own.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "ir/op.h"
#include "runtime/core/archive.h"
#include "runtime/core/program.h"

namespace gannet {

// The largest value of each enumeration that is archived.
constexpr DType last_of(DType) { return static_cast<DType>(kDTypeCount - 1); }
constexpr BufferKind last_of(BufferKind) { return BufferKind::kBoxed; }
constexpr EpilogueKind last_of(EpilogueKind) { return EpilogueKind::kQuantize; }
constexpr PoolingKind last_of(PoolingKind) { return PoolingKind::kAverageWithoutPadding; }
constexpr ScatterReduction last_of(ScatterReduction) { return ScatterReduction::kMax; }
constexpr LossReduction last_of(LossReduction) { return LossReduction::kMean; }
constexpr RecurrentKind last_of(RecurrentKind) { return RecurrentKind::kLstm; }
constexpr ActivationKind last_of(ActivationKind) { return ActivationKind::kSoftplus; }

// What has a text of its own.
template <class A, class T, class Parse>
void text_field(A& a, T& value, const std::string& written, Parse parse) {
  std::string text = written;
  a(text);
  if constexpr (A::kReads) {
    if (a.failed()) return;
    auto parsed = parse(text);
    if (parsed.ok()) value = *std::move(parsed);
    else a.fail(parsed.error().message);
  }
}

template <class A>
void fields(A& a, Dim& dim) {
  text_field(a, dim, A::kReads ? std::string() : dim.to_string(), parse_dim);
}

template <class A>
void fields(A& a, Type& type) {
  bool known = type.kind != Type::Kind::kTensor || type.dtype != DType::kUndefined || type.shape;
  a(known);
  if (known) text_field(a, type, A::kReads ? std::string() : to_string(type), parse_type);
}

template <class A>
void fields(A& a, ScalarExpr& expr) {
  bool present = !expr.empty();
  a(present);
  if (present) text_field(a, expr, A::kReads ? std::string() : to_string(expr), parse_scalar);
}

void fields(ArchiveWriter& a, Tensor& tensor);
void fields(ArchiveReader& a, Tensor& tensor);
// A subgraph as a Program keeps it: inputs and outputs, no nodes but constants.
void fields(ArchiveWriter& a, std::shared_ptr<Graph>& graph);
void fields(ArchiveReader& a, std::shared_ptr<Graph>& graph);
void fields(ArchiveWriter& a, Attributes& attributes);
void fields(ArchiveReader& a, Attributes& attributes);
void fields(ArchiveWriter& a, std::shared_ptr<const CodeImage>& code);
void fields(ArchiveReader& a, std::shared_ptr<const CodeImage>& code);
void fields(ArchiveWriter& a, std::shared_ptr<const Program>& program);
void fields(ArchiveReader& a, std::shared_ptr<const Program>& program);

template <class A>
void fields(A& a, TensorLayout& layout) { a(layout.dtype, layout.extents, layout.strides); }
template <class A>
void fields(A& a, EpilogueStep& step) { a(step.kind, step.alpha, step.beta, step.operand, step.layout); }
template <class A>
void fields(A& a, ConvolutionRecipe& r) {
  a(r.x, r.w, r.y, r.transposed, r.has_bias, r.groups, r.strides, r.dilations, r.pads_begin, r.pads_end, r.constant_weights,
    r.x_zero, r.x_zero_input, r.epilogue, r.in_place);
}
template <class A>
void fields(A& a, WeightGradientRecipe& r) { a(r.x, r.w, r.y, r.groups, r.strides, r.dilations, r.pads_begin); }
template <class A>
void fields(A& a, ScatterRowsRecipe& r) { a(r.outer, r.count, r.rows, r.inner, r.positions); }
template <class A>
void fields(A& a, ScatterBlocksRecipe& r) { a(r.dtype, r.reduction, r.rows, r.block, r.extents); }
template <class A>
void fields(A& a, CumulativeRecipe& r) { a(r.dtype, r.outer, r.length, r.inner, r.product, r.exclusive, r.reverse); }
template <class A>
void fields(A& a, LikelihoodRecipe& r) { a(r.dtype, r.targets, r.samples, r.classes, r.pixels, r.reduction, r.ignores, r.ignored); }
template <class A>
void fields(A& a, AttentionRecipe& r) { a(r.q, r.k, r.v, r.y, r.scale, r.rounds, r.masks); }
template <class A>
void fields(A& a, MatmulRecipe& r) {
  a(r.x, r.w, r.y, r.has_bias, r.bias, r.alpha, r.constant_weights, r.x_zero, r.x_zero_input, r.epilogue);
}
template <class A>
void fields(A& a, PoolingRecipe& r) { a(r.kind, r.x, r.y, r.kernel, r.strides, r.dilations, r.pads_begin, r.pads_end, r.gradient); }
template <class A>
void fields(A& a, Activation& f) { a(f.kind, f.alpha, f.beta, f.clip); }
template <class A>
void fields(A& a, RecurrentRecipe& r) {
  a(r.kind, r.steps, r.batch, r.input_size, r.hidden_size, r.reversed, r.bidirectional, r.batch_first, r.linear_before_reset,
    r.input_forget, r.constant_weights, r.given_h, r.gives_y, r.gives_last_c, r.activations);
}
template <class A>
void fields(A& a, Buffer& b) { a(b.kind, b.index, b.bytes, b.first_step, b.last_step); }
template <class A>
void fields(A& a, ProgramValue& v) { a(v.name, v.type, v.buffer, v.offset, v.extents); }
template <class A>
void fields(A& a, KernelCall& c) { a(c.function, c.sizes, c.iterations, c.cost, c.scratch_bytes); }
template <class A>
void fields(A& a, PrimitiveCall& c) { a(c.recipe); }
template <class A>
void fields(A& a, SymbolBinding& b) { a(b.symbol, b.output, b.axis); }
template <class A>
void fields(A& a, EvalCall& c) {
  a(c.op, c.attrs, c.bodies, c.bindings);
  if constexpr (A::kReads) {
    if (const OpDef* op = find_op(c.op)) c.attrs.bind(op->attrs);
  }
}
template <class A>
void fields(A&, CopyCall&) {}
template <class A>
void fields(A& a, Step& s) { a(s.name, s.op, s.inputs, s.outputs, s.call, s.flops, s.flop_count); }
template <class A>
void fields(A& a, SizeCheck& c) { a(c.step, c.a, c.b, c.broadcast, c.what); }
template <class A>
void fields(A& a, ProgramInput& i) { a(i.name, i.type, i.value, i.index_bound); }
template <class A>
void fields(A& a, ProgramOutput& o) { a(o.name, o.type, o.value); }
template <class A>
void fields(A& a, ProgramState& s) { a(s.name, s.in, s.out, s.initial); }
template <class A>
void fields(A& a, Program& p) {
  a(p.name, p.inputs, p.outputs, p.states, p.sizes, p.constants, p.values, p.buffers, p.steps, p.checks, p.bodies, p.code, p.metadata);
}

}  // namespace gannet
