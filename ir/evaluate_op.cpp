#include "ir/evaluate_op.h"

#include "ir/builder.h"
#include "ir/evaluate.h"

namespace gannet {

Result<Tensor> evaluate_op(std::string_view op, std::span<const Tensor> operands, const Attributes& attrs) {
  Graph scratch("constant");
  std::vector<Value*> values;
  for (const Tensor& tensor : operands) values.push_back(tensor.defined() ? scratch.add_constant(tensor) : nullptr);
  GraphBuilder b(scratch);
  scratch.outputs.push_back({"y", b.op(op, std::move(values), attrs)});
  TRY(Status(b.status()));
  const EvaluateResult result = TRY(evaluate(scratch, {}));
  if (!result.outputs[0].is_tensor()) return unsupported("a result that is no tensor");
  return result.outputs[0].tensor();
}

}  // namespace gannet
