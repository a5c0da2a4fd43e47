#include "passes/linear_code.h"

#include <fmt/format.h>

#include <algorithm>

#include "ir/op.h"
#include "ir/ops/float_compute.h"
#include "ir/quantize_scalar.h"
#include "passes/permute_node.h"
#include "passes/rewrite.h"

namespace gannet {
namespace {

// So far from the ends of f32 that no code times the scale leaves its range.
bool is_scale(double scale) { return scale > 1e-30 && scale < 1e30; }

// The number of `zero` point i, 0 where there is none.
double zero_at(const Tensor* zero, int64_t i) { return zero ? zero->double_at(zero->elements() == 1 ? 0 : i) : 0; }

// The codes less their zero points, which must be numbers of 8 bits again.
Result<Tensor> centred(const Tensor& codes, const Tensor* zero, const AxisView& view) {
  Tensor result = TRY(Tensor::allocate(DType::kI8, codes.extents()));
  const std::span<int8_t> out = result.mutable_data<int8_t>();
  for (int64_t i = 0; i < codes.elements(); ++i) {
    const int64_t index = view.length == 0 ? 0 : i / view.inner % view.length;
    const int64_t element = codes.int_at(i) - static_cast<int64_t>(zero_at(zero, index));
    if (element < -128 || element > 127) return unsupported("weights less their zero point need more than 8 bits");
    out[static_cast<size_t>(i)] = static_cast<int8_t>(element);
  }
  return result;
}

Result<CodedConstant> decoded(const Node& node, int64_t axis) {
  const Tensor *codes = node.input(0)->constant(), *scale = node.input(1)->constant();
  const Tensor* zero = node.input(2) ? node.input(2)->constant() : nullptr;
  if (!codes || !scale || (node.input(2) && !zero)) return unsupported("weights that are not constant");
  if (codes->dtype() != DType::kI8 && codes->dtype() != DType::kU8) return unsupported(fmt::format("weights in {}", name_of(codes->dtype())));
  if (scale->dtype() != DType::kF32 || node.output()->type.dtype != DType::kF32) return unsupported("weights that are not f32");
  if (node.attrs.integer("block_size") != 0) return unsupported("weights quantized in blocks");
  CodedConstant constant;
  for (int64_t i = 0; i < scale->elements(); ++i) constant.scales.push_back(scale->double_at(i));
  if (!std::ranges::all_of(constant.scales, is_scale)) return unsupported("a scale of weights is not above 0");
  const auto rank = static_cast<int64_t>(codes->extents().size());
  const int64_t own = rank == 1 ? 0 : node.attrs.integer("axis") + (node.attrs.integer("axis") < 0 ? rank : 0);
  const bool each = constant.scales.size() > 1;
  if (each && own != axis) return unsupported("scales along another axis than that of the results");
  constant.elements = TRY(centred(*codes, zero, each ? view_axis(codes->extents(), axis) : AxisView{1, 1, codes->elements()}));
  return constant;
}

}  // namespace

std::optional<LinearCode> linear_code_of(const Node& node) {
  const bool encodes = node.op().name == "QuantizeLinear";
  if (!encodes && node.op().name != "DequantizeLinear") return std::nullopt;
  const Type &codes = encodes ? node.output()->type : node.input(0)->type, &reals = encodes ? node.input(0)->type : node.output()->type;
  const Tensor* scale = node.input(1)->constant();
  const Tensor* zero = node.input(2) ? node.input(2)->constant() : nullptr;
  if (!is_quantized_integer(codes.dtype) || reals.dtype != DType::kF32 || node.attrs.integer("block_size") != 0) return std::nullopt;
  if (!scale || scale->dtype() != DType::kF32 || scale->elements() != 1) return std::nullopt;
  if (node.input(2) && (!zero || zero->elements() != 1)) return std::nullopt;
  if (encodes && node.attrs.dtype("precision") != DType::kUndefined && node.attrs.dtype("precision") != DType::kF32) return std::nullopt;
  if (!is_scale(scale->double_at(0))) return std::nullopt;
  return LinearCode{codes.dtype, static_cast<float>(scale->double_at(0)), zero_at(zero, 0)};
}

Node* decoder_of(const Value* value) {
  Node* node = producer_of(value, "DequantizeLinear");
  return node && linear_code_of(*node) ? node : nullptr;
}

Result<CodedConstant> coded_constant(const Value* value, int64_t axis) {
  if (Node* node = producer_of(value, "DequantizeLinear")) {
    const Node* before = producer_of(node->input(0), "Transpose");
    if (!before || !before->input(0)->constant() || !permutation_of(*before)) return decoded(*node, axis);
    const Tensor codes = TRY(permuted(*before->input(0)->constant(), *permutation_of(*before)));
    Graph scratch("constant");
    std::vector<Value*> operands = {scratch.add_constant(codes)};
    for (size_t i = 1; i < node->inputs().size(); ++i) {
      if (node->input(i) && !node->input(i)->constant()) return unsupported("weights that are not constant");
      operands.push_back(node->input(i) ? scratch.add_constant(*node->input(i)->constant()) : nullptr);
    }
    GraphBuilder b(scratch);
    Value* y = b.op("DequantizeLinear", operands, node->attrs);
    TRY(b.status());
    return decoded(*y->producer(), axis);
  }
  if (Node* transpose = producer_of(value, "Transpose")) {
    const std::optional<Permutation> order = permutation_of(*transpose);
    if (!order) return unsupported("weights of unknown rank");
    CodedConstant constant = TRY(coded_constant(transpose->input(0), (*order)[static_cast<size_t>(axis)]));
    constant.elements = TRY(permuted(constant.elements, *order));
    return constant;
  }
  return unsupported("weights that are not quantized");
}

}  // namespace gannet
