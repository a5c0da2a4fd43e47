#include "backend/llvm/region_builder.h"

#include <algorithm>
#include <unordered_map>

#include "ir/base/check.h"

namespace gannet {

std::vector<Dim> dense_strides(std::span<const Dim> extents) {
  std::vector<Dim> strides(extents.size(), Dim(1));
  for (size_t i = extents.size(); i-- > 1;) strides[i - 1] = strides[i] * extents[i];
  return strides;
}

DType movement_type_of(DType dtype) {
  if (dtype == DType::kString || dtype == DType::kUndefined) return DType::kUndefined;
  switch (element_size(dtype)) {
    case 1: return DType::kU8;
    case 2: return DType::kU16;
    case 4: return DType::kU32;
    case 8: return DType::kU64;
    default: return DType::kUndefined;
  }
}

DType compute_type_of(DType storage) { return storage == DType::kF16 || storage == DType::kBF16 ? DType::kF32 : storage; }

bool has_kernel_type(DType dtype) {
  return is_float(dtype) || dtype == DType::kBool || (is_int(dtype) && element_bits(dtype) >= 8);
}

// A scalar body as instructions, with the types that ir/scalar_evaluate.cpp gives it.
class RegionBuilder::Translator {
 public:
  Translator(RegionBuilder& builder, std::vector<int32_t> operands, std::vector<DType> types)
      : builder_(builder), operands_(std::move(operands)), types_(std::move(types)) {}

  Result<int32_t> translate(const ScalarExpr& expr, DType wanted) {
    if (expr->op == ScalarOp::kNumber) {
      Instruction literal{.kind = InstructionKind::kNumber, .type = wanted};
      literal.number = expr->number;
      literal.integer = expr->integer;
      literal.is_integer = expr->is_integer;
      return builder_.emit(literal);
    }
    if (expr->op == ScalarOp::kArg) return operands_[static_cast<size_t>(expr->index)];
    if (const auto known = done_.find(expr.node()); known != done_.end()) return known->second;
    const DType type = TRY(type_of(expr));
    const int32_t result = TRY(combine(expr, type, type == DType::kUndefined ? wanted : DType::kUndefined));
    if (type != DType::kUndefined) done_[expr.node()] = result;
    return result;
  }

 private:
  Result<DType> type_of(const ScalarExpr& expr) {
    if (expr->op == ScalarOp::kNumber) return DType::kUndefined;
    return compute_type_of(TRY(result_type(expr, types_)));
  }

  Result<int32_t> combine(const ScalarExpr& expr, DType type, DType imposed) {
    const size_t first_typed = expr->op == ScalarOp::kSelect ? 1 : 0;
    DType joint = DType::kUndefined;
    for (size_t i = first_typed; i < expr->args.size() && joint == DType::kUndefined; ++i) joint = TRY(type_of(expr->args[i]));
    if (joint == DType::kUndefined && rule_of(expr->op) == ScalarRule::kLogical) joint = DType::kBool;
    if (joint == DType::kUndefined) joint = imposed == DType::kUndefined ? DType::kF64 : imposed;
    Instruction instruction{.kind = InstructionKind::kScalar, .type = type == DType::kUndefined ? joint : type, .op = expr->op};
    for (size_t i = 0; i < expr->args.size(); ++i) {
      DType wanted = joint;
      if (expr->op == ScalarOp::kSelect && i == 0) wanted = DType::kBool;
      if (expr->op == ScalarOp::kPow && i == 1) {
        const DType exponent = TRY(type_of(expr->args[1]));
        wanted = exponent != DType::kUndefined ? exponent : (is_float(joint) || expr->args[1]->is_integer ? joint : DType::kF64);
      }
      instruction.args[i] = TRY(translate(expr->args[i], wanted));
    }
    return builder_.emit(instruction);
  }

  RegionBuilder& builder_;
  std::vector<int32_t> operands_;
  std::vector<DType> types_;
  std::unordered_map<const ScalarNode*, int32_t> done_;
};

int32_t RegionBuilder::new_axis(const Dim& extent) {
  parents_.push_back(static_cast<int32_t>(parents_.size()));
  axis_extents_.push_back(extent);
  return parents_.back();
}

int32_t RegionBuilder::find(int32_t axis) const {
  while (parents_[static_cast<size_t>(axis)] != axis) axis = parents_[static_cast<size_t>(axis)];
  return axis;
}

// The loop's extent is the widest that one of its values has.
void RegionBuilder::merge(int32_t result, const Dim& result_extent, int32_t operand, const Dim& operand_extent) {
  result = find(result);
  operand = find(operand);
  if (result == operand) return;
  const Dim &a = axis_extents_[static_cast<size_t>(result)], &b = axis_extents_[static_cast<size_t>(operand)];
  if (a != b) {
    const bool operand_widest = result_extent == operand_extent && a == result_extent;
    const bool result_widest = b == operand_extent;
    if (operand_widest) axis_extents_[static_cast<size_t>(result)] = b;
    else if (!result_widest) ambiguous_ = true;
  }
  parents_[static_cast<size_t>(operand)] = result;
}

// Equal instructions are one.
int32_t RegionBuilder::emit(Instruction instruction) {
  auto& all = plan_.kernel.instructions;
  for (size_t i = 0; i < all.size(); ++i) {
    const Instruction& other = all[i];
    if (other.kind == instruction.kind && other.type == instruction.type && other.op == instruction.op && other.args == instruction.args &&
        other.operand == instruction.operand && other.storage == instruction.storage && other.size == instruction.size &&
        other.is_integer == instruction.is_integer && other.integer == instruction.integer && other.number == instruction.number &&
        instruction.number == instruction.number) {
      return static_cast<int32_t>(i);
    }
  }
  all.push_back(instruction);
  return static_cast<int32_t>(all.size() - 1);
}

int32_t RegionBuilder::number(DType type, double value) {
  Instruction literal{.kind = InstructionKind::kNumber, .type = type};
  literal.number = value;
  return emit(literal);
}

Element RegionBuilder::fresh(DType dtype, const Shape& extents) {
  Element element;
  element.dtype = dtype;
  element.extents = extents;
  for (const Dim& extent : extents) element.axes.push_back(new_axis(extent));
  return element;
}

Element RegionBuilder::viewed(OperandView view) {
  Element element = fresh(view.dtype, view.extents);
  element.view = std::move(view);
  return element;
}

Element RegionBuilder::input(const Value* value) {
  if (const Tensor* tensor = value->constant(); tensor && tensor->elements() == 1) return constant(*tensor);
  OperandView view;
  view.dtype = value->type.dtype;
  view.extents = *value->type.shape;
  view.strides = dense_strides(view.extents);
  for (size_t i = 0; i < plan_.inputs.size(); ++i) {
    if (plan_.inputs[i].value == value) view.source = static_cast<int32_t>(i);
  }
  if (view.source < 0) {
    view.source = static_cast<int32_t>(plan_.inputs.size());
    plan_.inputs.push_back({value, {}});
  }
  return viewed(std::move(view));
}

Element RegionBuilder::constant(const Tensor& tensor) {
  const Shape extents = to_shape(tensor.extents());
  if (tensor.elements() == 1 && has_kernel_type(tensor.dtype())) {
    Element element = fresh(tensor.dtype(), extents);
    Instruction literal{.kind = InstructionKind::kNumber, .type = compute_type_of(tensor.dtype())};
    literal.is_integer = !is_float(tensor.dtype());
    if (literal.is_integer) literal.integer = tensor.int_at(0);
    else literal.number = tensor.double_at(0);
    element.instruction = emit(literal);
    return element;
  }
  plan_.inputs.push_back({nullptr, tensor});
  return viewed({static_cast<int32_t>(plan_.inputs.size() - 1), tensor.dtype(), extents, dense_strides(extents), 0});
}

Element RegionBuilder::zeros(DType dtype, const Shape& extents) {
  Element element = fresh(dtype, extents);
  element.instruction = number(compute_type_of(dtype), 0);
  return element;
}

int32_t RegionBuilder::access_of(const OperandView& view, const std::vector<int32_t>& axes) {
  Access access;
  access.pointer = view.source;
  access.dtype = view.dtype;
  access.axes = axes;
  access.extents = view.extents;
  access.strides = view.strides;
  access.offset = view.offset;
  accesses_.push_back(std::move(access));
  return static_cast<int32_t>(accesses_.size() - 1);
}

int32_t RegionBuilder::read(Element& element) {
  if (element.instruction >= 0) return element.instruction;
  Instruction load{.kind = InstructionKind::kLoad, .type = compute_type_of(element.dtype)};
  load.operand = access_of(*element.view, element.axes);
  element.instruction = emit(load);
  return element.instruction;
}

Result<Element> RegionBuilder::map(const ScalarExpr& body, std::span<Element> operands, const Shape& extents) {
  std::vector<int32_t> arguments;
  std::vector<DType> types;
  for (Element& operand : operands) {
    arguments.push_back(read(operand));
    types.push_back(operand.dtype);
  }
  DType dtype = TRY(result_type(body, types));
  if (dtype == DType::kUndefined) dtype = DType::kF32;
  Element result = fresh(dtype, extents);
  for (const Element& operand : operands) {
    const size_t added = extents.size() - operand.extents.size();
    for (size_t i = 0; i < operand.extents.size(); ++i) {
      const Dim &from = operand.extents[i], &to = extents[added + i];
      if (from.is_constant(1) && !to.is_constant(1)) continue;
      if (from != to) plan_.conditions.push_back({from, to});
      merge(result.axes[added + i], to, operand.axes[i], from);
    }
  }
  result.instruction = TRY(Translator(*this, arguments, types).translate(body, compute_type_of(dtype)));
  spans_.push_back(result.axes);
  return result;
}

Element RegionBuilder::cast(Element& x, DType to) {
  Element result = x;
  result.view.reset();
  result.dtype = to;
  const int32_t from = read(x);
  result.instruction = from;
  if (x.dtype == to) return result;
  Instruction convert{.kind = InstructionKind::kConvert, .type = compute_type_of(to), .args = {from, -1, -1}};
  convert.storage = to;
  // A 16-bit float that is widened is what it was.
  if (compute_type_of(x.dtype) == to) return result;
  result.instruction = emit(convert);
  return result;
}

Element RegionBuilder::reduce(ReductionKind kind, Element& x, const std::vector<bool>& reduced) {
  const int32_t value = read(x);
  Element result = x;
  result.view.reset();
  std::vector<std::pair<int32_t, Dim>> axes;
  for (size_t i = 0; i < reduced.size(); ++i) {
    if (!reduced[i] || x.extents[i].is_constant(1)) continue;
    axes.emplace_back(x.axes[i], x.extents[i]);
    result.extents[i] = 1;
    result.axes[i] = new_axis(1);
  }
  if (axes.empty()) return result;
  spans_.push_back(x.axes);
  Instruction total{.kind = InstructionKind::kReduced, .type = plan_.kernel.instructions[static_cast<size_t>(value)].type};
  for (size_t r = 0; r < reduced_.size() && total.operand < 0; ++r) {
    const KernelReduction& other = plan_.kernel.reductions[r];
    if (other.kind == kind && other.value == value && reduced_[r] == axes) total.operand = static_cast<int32_t>(r);
  }
  if (total.operand < 0) {
    total.operand = static_cast<int32_t>(reduced_.size());
    plan_.kernel.reductions.push_back({kind, value});
    reduced_.push_back(std::move(axes));
  }
  result.instruction = emit(total);
  return result;
}

std::optional<Element> RegionBuilder::with_ones(const Element& x, const Shape& extents) const {
  Element result = x;
  result.extents = extents;
  result.axes.assign(extents.size(), -1);
  auto& self = const_cast<RegionBuilder&>(*this);
  size_t from = 0;
  std::vector<Dim> strides(extents.size(), Dim(0));
  for (size_t to = 0; to < extents.size(); ++to) {
    if (extents[to].is_constant(1)) {
      result.axes[to] = self.new_axis(1);
      continue;
    }
    while (from < x.extents.size() && x.extents[from].is_constant(1)) ++from;
    if (from == x.extents.size() || x.extents[from] != extents[to]) return std::nullopt;
    result.axes[to] = x.axes[from];
    if (x.view) strides[to] = x.view->strides[from];
    ++from;
  }
  for (; from < x.extents.size(); ++from) {
    if (!x.extents[from].is_constant(1)) return std::nullopt;
  }
  if (result.view) {
    result.view->extents = extents;
    result.view->strides = std::move(strides);
  }
  return result;
}

// `result` is what `access` reads, displaced by the instruction `position`.
Element RegionBuilder::displaced(Element result, Access access, int32_t position) {
  access.by_position = true;
  accesses_.push_back(std::move(access));
  Instruction load{.kind = InstructionKind::kLoad, .type = compute_type_of(result.dtype), .args = {position, -1, -1}};
  load.operand = static_cast<int32_t>(accesses_.size() - 1);
  result.instruction = emit(load);
  return result;
}

Element RegionBuilder::gather(const Element& data, size_t axis, Element& indices, const Shape& extents) {
  CHECK(data.view, "gathering from what is not in memory");
  const int32_t position = read(indices);
  Element result = fresh(data.dtype, extents);
  for (size_t i = 0; i < indices.extents.size(); ++i) merge(result.axes[axis + i], extents[axis + i], indices.axes[i], indices.extents[i]);
  Access access;
  access.pointer = data.view->source;
  access.dtype = data.dtype;
  access.offset = data.view->offset;
  access.position_stride = data.view->strides[axis];
  access.position_extent = data.view->extents[axis];
  for (size_t i = 0; i < data.extents.size(); ++i) {
    if (i == axis) continue;
    access.axes.push_back(result.axes[i < axis ? i : i - 1 + indices.extents.size()]);
    access.extents.push_back(data.view->extents[i]);
    access.strides.push_back(data.view->strides[i]);
  }
  return displaced(std::move(result), std::move(access), position);
}

Element RegionBuilder::gather_elements(const Element& data, size_t axis, Element& indices) {
  std::vector<bool> by_offset(data.extents.size(), false);
  by_offset[axis] = true;
  Element result = sample(data, indices, indices.extents, by_offset);
  accesses_.back().position_stride = data.view->strides[axis];
  accesses_.back().position_extent = data.view->extents[axis];
  return result;
}

Element RegionBuilder::sample(const Element& data, Element& offset, const Shape& extents, const std::vector<bool>& by_offset) {
  CHECK(data.view, "sampling what is not in memory");
  const int32_t position = read(offset);
  Element result = fresh(data.dtype, extents);
  for (size_t i = 0; i < extents.size(); ++i) {
    if (offset.extents[i] == extents[i]) merge(result.axes[i], extents[i], offset.axes[i], offset.extents[i]);
  }
  Access access;
  access.pointer = data.view->source;
  access.dtype = data.dtype;
  access.offset = data.view->offset;
  access.position_stride = 1;
  access.position_extent = 0;
  for (size_t i = 0; i < extents.size(); ++i) {
    if (by_offset[i]) continue;
    access.axes.push_back(result.axes[i]);
    access.extents.push_back(data.view->extents[i]);
    access.strides.push_back(data.view->strides[i]);
  }
  spans_.push_back(result.axes);
  return displaced(std::move(result), std::move(access), position);
}

Element RegionBuilder::positions(size_t rank, size_t axis, const Dim& extent) {
  OperandView view{kOwnPosition, DType::kI64, Shape(rank, Dim(1)), std::vector<Dim>(rank, Dim(0)), 0};
  view.extents[axis] = extent;
  view.strides[axis] = 1;
  return viewed(std::move(view));
}

Element RegionBuilder::random_words(Element& seed, int64_t stream, const Element& like) {
  Element result;
  result.dtype = DType::kU32;
  result.extents = like.extents;
  result.axes = like.axes;
  Instruction words{.kind = InstructionKind::kRandom, .type = DType::kU32, .args = {read(seed), -1, -1}};
  words.operand = access_of({kOwnPosition, DType::kU32, like.extents, dense_strides(like.extents), 0}, like.axes);
  words.integer = stream;
  words.is_integer = true;
  result.instruction = emit(words);
  return result;
}

Element RegionBuilder::size(const Dim& dim, DType dtype) {
  Element result = fresh(dtype, {});
  Instruction value{.kind = InstructionKind::kSize, .type = compute_type_of(dtype)};
  if (dim.is_constant()) value.size = {-1, dim.constant()};
  else value.size = argument(dim);
  result.instruction = emit(value);
  return result;
}

void RegionBuilder::store(Element& value, const Value* output, std::vector<Dim> strides, const Dim& offset) {
  const int32_t instruction = read(value);
  Access access;
  access.is_output = true;
  const auto known = std::ranges::find(plan_.outputs, output);
  access.pointer = static_cast<int32_t>(known - plan_.outputs.begin());
  if (known == plan_.outputs.end()) plan_.outputs.push_back(output);
  access.dtype = value.dtype;
  access.axes = value.axes;
  access.extents = value.extents;
  access.strides = std::move(strides);
  access.offset = offset;
  accesses_.push_back(std::move(access));
  plan_.kernel.stores.push_back({static_cast<int32_t>(accesses_.size() - 1), instruction});
  output_spans_.push_back(value.axes);
}

}  // namespace gannet
