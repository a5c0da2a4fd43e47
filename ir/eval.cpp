#include "ir/eval.h"

#include <new>

#include "ir/infer.h"

namespace gannet {

EvalContext::EvalContext(const OpDef& op, const Attributes& attrs, std::span<const Datum> operands,
                         std::span<const Type> output_types, EvalServices& services)
    : op_(op), attrs_(attrs), operands_(operands), output_types_(output_types), services_(services),
      outputs_(output_types.size()) {}

const Datum& EvalContext::datum(size_t i) const {
  CHECK(has(i), "operand {} of {} is absent", i, op_.name);
  return operands_[i];
}

Result<Tensor> EvalContext::allocate(size_t i) {
  const Type& type = output_types_[i];
  CHECK(type.is_tensor() && type.is_static(), "output {} of {} is {}", i, op_.name, to_string(type));
  return allocate(type.dtype, static_extents(*type.shape));
}

Result<Tensor> EvalContext::allocate(DType dtype, std::vector<int64_t> extents) {
  return Tensor::allocate(dtype, std::move(extents), services_.limits());
}

void EvalContext::set(size_t i, Datum value) {
  if (i < outputs_.size()) outputs_[i] = std::move(value);
}

Result<std::vector<Datum>> eval_op(const OpDef& op, const Attributes& attrs, std::span<const Datum> operands,
                                   size_t output_count, EvalServices& services) {
  std::vector<Type> types;
  types.reserve(operands.size());
  for (const Datum& datum : operands) types.push_back(datum.present() ? datum.type() : Type());
  std::vector<InferOperand> facts;
  for (size_t i = 0; i < operands.size(); ++i) {
    if (!operands[i].present()) facts.push_back({});
    else facts.push_back({&types[i], operands[i].is_tensor() ? &operands[i].tensor() : nullptr, nullptr});
  }
  Symbols symbols;
  InferContext inference(op, attrs, facts, output_count, symbols, /*evaluating=*/true);
  TRY(infer(inference));
  EvalContext context(op, attrs, operands, inference.types(), services);
  try {
    TRY(op.eval(context));
  } catch (const std::bad_alloc&) {
    return invalid_input("memory is exhausted");
  }
  return std::move(context.outputs());
}

}  // namespace gannet
