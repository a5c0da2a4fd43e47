#include "ir/vjp.h"

namespace gannet {

Value* map_elements(GraphBuilder& b, std::vector<Value*> sequences,
                        const std::function<Value*(GraphBuilder&, const std::vector<Value*>&)>& make) {
  auto body = std::make_shared<Graph>("body", b.graph().symbols());
  std::vector<Value*> elements;
  for (const Value* sequence : sequences) {
    elements.push_back(body->add_input("x", sequence->type.element ? *sequence->type.element : Type::tensor(DType::kUndefined)));
  }
  GraphBuilder inner(*body);
  body->outputs = {{"y", make(inner, elements)}};
  if (!inner.status().ok()) b.fail(inner.status().error());
  return b.op("SequenceMap", std::move(sequences), {{"body", body}});
}

bool carries_gradient(const Type& type) {
  if (!type.is_tensor()) return type.element && carries_gradient(*type.element);
  const DType t = type.dtype;
  return is_float(t) || t == DType::kUndefined || is_small_float(t) || (is_int(t) && element_bits(t) <= 16);
}

Value* zeros_like(GraphBuilder& b, Value* x) {
  if (x->type.kind == Type::Kind::kSequence) {
    return map_elements(b, {x}, [](GraphBuilder& inner, const std::vector<Value*>& e) { return zeros_like(inner, e[0]); });
  }
  if (x->type.shape) return b.full(*x->type.shape, x->type.dtype, 0);
  return b.op("ConstantOfShape", {b.op("Shape", {x})}, {{"value", Tensor::zeros(x->type.dtype, {1})}});
}

Value* sum_of_gradients(GraphBuilder& b, Value* x, Value* y) {
  if (x->type.kind != Type::Kind::kSequence) return b.add(x, y);
  return map_elements(b, {x, y}, [](GraphBuilder& inner, const std::vector<Value*>& e) { return inner.add(e[0], e[1]); });
}

}  // namespace gannet
