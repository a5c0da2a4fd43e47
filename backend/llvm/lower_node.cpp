#include "backend/llvm/lower_node.h"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <map>
#include <unordered_map>

#include "backend/llvm/lower_resize.h"
#include "backend/llvm/lower_views.h"
#include "backend/llvm/region_builder.h"
#include "ir/infer.h"
#include "ir/op.h"
#include "ir/view.h"

namespace gannet {
namespace {

ScalarExpr arg(int i) { return ScalarExpr::arg(i); }

class RegionLowering {
 public:
  explicit RegionLowering(Isa isa) : builder_(isa) {}

  Result<KernelPlan> node(const Node& node) {
    for (const Value* operand : node.inputs()) {
      if (operand) values_[operand] = builder_.input(operand);
    }
    TRY(lower(node));
    for (const Value* output : node.outputs()) {
      if (output) builder_.store(values_.at(output), output);
    }
    return builder_.finish();
  }

  Result<KernelPlan> body(const Node& fused) {
    const Graph& body = *fused.attrs.graph("body");
    for (size_t i = 0; i < body.inputs().size(); ++i) {
      const Value* outside = fused.inputs()[i];
      if (outside) values_[body.inputs()[i]] = builder_.input(outside);
    }
    for (const auto& inner : body.nodes()) {
      if (inner->op().name == "Constant") continue;
      for (const Value* operand : inner->inputs()) {
        if (operand && operand->constant() && !values_.contains(operand) && has_kernel_type(operand->type.dtype)) {
          values_[operand] = builder_.constant(*operand->constant());
        }
      }
      const Status lowered = lower(*inner);
      if (!lowered.ok()) return with_prefix(describe(*inner), lowered.error());
    }
    for (size_t i = 0; i < body.outputs.size(); ++i) {
      if (!fused.output(i)) continue;
      const auto found = values_.find(body.outputs[i].value);
      if (found == values_.end()) return unsupported("a result that the region does not compute");
      builder_.store(found->second, fused.output(i));
    }
    return builder_.finish();
  }

 private:
  using Lower = Status (RegionLowering::*)(const Node&);

  Status lower(const Node& node) {
    for (const Value* output : node.outputs()) {
      if (!output) continue;
      if (!output->type.is_tensor() || !output->type.shape) return unsupported("a result of unknown rank");
      if (!has_kernel_type(output->type.dtype)) return unsupported(fmt::format("{} elements", name_of(output->type.dtype)));
    }
    if (node.op().body || node.op().name == "Map") return elementwise(node);
    static const std::map<std::string_view, Lower> kRules = {
        {"Cast", &RegionLowering::cast}, {"CastLike", &RegionLowering::cast},
        {"ReduceSum", &RegionLowering::reduction}, {"ReduceMean", &RegionLowering::reduction},
        {"ReduceMax", &RegionLowering::reduction}, {"ReduceMin", &RegionLowering::reduction},
        {"ReduceProd", &RegionLowering::reduction}, {"ReduceL1", &RegionLowering::reduction},
        {"ReduceL2", &RegionLowering::reduction}, {"ReduceSumSquare", &RegionLowering::reduction},
        {"ReduceLogSum", &RegionLowering::reduction}, {"ReduceLogSumExp", &RegionLowering::reduction},
        {"Softmax", &RegionLowering::softmax}, {"LogSoftmax", &RegionLowering::softmax},
        {"LayerNormalization", &RegionLowering::layer_norm}, {"RMSNormalization", &RegionLowering::rms_norm},
        {"InstanceNormalization", &RegionLowering::instance_norm}, {"GroupNormalization", &RegionLowering::group_norm},
        {"Gather", &RegionLowering::gather}, {"GatherElements", &RegionLowering::gather_elements},
        {"ArgMax", &RegionLowering::arg_extreme}, {"ArgMin", &RegionLowering::arg_extreme}, {"OneHot", &RegionLowering::one_hot}, {"Resize", &RegionLowering::resize}, {"Range", &RegionLowering::none},
        {"SeededDropout", &RegionLowering::seeded_dropout}};
    const auto rule = kRules.find(node.op().name);
    if (rule != kRules.end()) return (this->*rule->second)(node);
    return movement(node);
  }

  Status none(const Node&) { return unsupported("no rule"); }

  Result<Element*> operand(const Value* value) {
    const auto found = values_.find(value);
    if (found == values_.end()) return unsupported("an operand from elsewhere");
    return &found->second;
  }
  Result<Element*> number(const Value* value) {
    Element* element = TRY(operand(value));
    if (!has_kernel_type(element->dtype)) return unsupported(fmt::format("{} elements", name_of(element->dtype)));
    return element;
  }

  Status elementwise(const Node& node) {
    std::vector<Element> operands;
    std::vector<char> given;
    for (const Value* value : node.inputs()) {
      given.push_back(value != nullptr);
      if (!value) continue;
      Element* element = TRY(number(value));
      read(*element);
      operands.push_back(*element);
    }
    ScalarExpr body;
    if (node.op().body) {
      const std::vector<bool> bits(given.begin(), given.end());
      const auto present = std::make_unique<bool[]>(given.size());
      for (size_t i = 0; i < given.size(); ++i) present[i] = given[i];
      body = body_of(node.op(), node.attrs, {present.get(), given.size()});
    } else {
      body = node.attrs.scalar("body");
    }
    Element result = TRY(builder_.map(body, operands, *node.output()->type.shape));
    result.dtype = node.output()->type.dtype;
    values_[node.output()] = std::move(result);
    return {};
  }

  // Loads it once, however many use it.
  void read(Element& element) {
    if (element.instruction < 0) element = builder_.cast(element, element.dtype);
  }

  Status cast(const Node& node) {
    Element* x = TRY(number(node.input(0)));
    values_[node.output()] = builder_.cast(*x, node.output()->type.dtype);
    return {};
  }

  // Shorthand for compositions.
  Result<Element> map(const ScalarExpr& body, std::vector<Element> operands) {
    Shape extents = operands[0].extents;
    for (const Element& operand : operands) extents = TRY(broadcast_shapes(extents, operand.extents));
    return builder_.map(body, operands, extents);
  }
  Element widened(Element& x) { return builder_.cast(x, compute_type_of(x.dtype)); }

  static Dim count_of(const Element& x, const std::vector<bool>& reduced) {
    Dim count = 1;
    for (size_t i = 0; i < reduced.size(); ++i) {
      if (reduced[i]) count = count * x.extents[i];
    }
    return count;
  }

  Result<Element> mean(Element& x, const std::vector<bool>& reduced) {
    Element sum = builder_.reduce(ReductionKind::kSum, x, reduced);
    const Dim count = count_of(x, reduced);
    return map(arg(0) / arg(1), {sum, builder_.size(count, sum.dtype)});
  }

  static std::vector<bool> trailing(const Element& x, int64_t first) {
    std::vector<bool> reduced(x.extents.size(), false);
    for (size_t i = static_cast<size_t>(first); i < reduced.size(); ++i) reduced[i] = true;
    return reduced;
  }

  Status reduction(const Node& node) {
    Element& x = *TRY(number(node.input(0)));
    std::vector<int64_t> axes;
    if (node.input(1)) {
      const auto known = constant_ints(node.input(1));
      if (!known) return unsupported("axes that are not constant");
      axes = *known;
    }
    std::vector<bool> reduced(x.extents.size(), false);
    if (axes.empty() && node.attrs.integer("noop_with_empty_axes") == 0) reduced.assign(x.extents.size(), true);
    for (int64_t axis : TRY(normalize_axes(axes, static_cast<int64_t>(x.extents.size())))) reduced[static_cast<size_t>(axis)] = true;
    Element y = TRY(reduced_value(node.op().name, x, reduced));
    const auto shaped = builder_.with_ones(y, *node.output()->type.shape);
    if (!shaped) return unsupported("a shape that does not follow from the operand's");
    values_[node.output()] = builder_.cast(y = *shaped, node.output()->type.dtype);
    return {};
  }

  Result<Element> reduced_value(std::string_view op, Element& given, const std::vector<bool>& reduced) {
    if (op == "ReduceMax") return builder_.reduce(ReductionKind::kMax, given, reduced);
    if (op == "ReduceMin") return builder_.reduce(ReductionKind::kMin, given, reduced);
    const bool integral = is_int(given.dtype);
    // Sums of integers wrap at 64 bits.
    Element x = integral ? builder_.cast(given, is_signed_int(given.dtype) ? DType::kI64 : DType::kU64) : widened(given);
    if (op == "ReduceSum") return builder_.reduce(ReductionKind::kSum, x, reduced);
    if (op == "ReduceProd") return builder_.reduce(ReductionKind::kProduct, x, reduced);
    if (op == "ReduceMean") return mean(x, reduced);
    if (op == "ReduceL1") x = TRY(map(scalar::abs(arg(0)), {x}));
    if (op == "ReduceSumSquare" || op == "ReduceL2") x = TRY(map(arg(0) * arg(0), {x}));
    if (op == "ReduceL1" || op == "ReduceSumSquare") return builder_.reduce(ReductionKind::kSum, x, reduced);
    if (integral) return unsupported(fmt::format("{} elements", name_of(given.dtype)));
    if (op == "ReduceL2") return map(scalar::sqrt(arg(0)), {builder_.reduce(ReductionKind::kSum, x, reduced)});
    if (op == "ReduceLogSum") return map(scalar::log(arg(0)), {builder_.reduce(ReductionKind::kSum, x, reduced)});
    // log(sum(exp(x - m))) + m, with the largest element for m where that is finite.
    Element m = builder_.reduce(ReductionKind::kMax, x, reduced);
    m = TRY(map(select(scalar::abs(arg(0)) < std::numeric_limits<double>::infinity(), arg(0), 0.0), {m}));
    Element e = TRY(map(scalar::exp(arg(0) - arg(1)), {x, m}));
    return map(scalar::log(arg(0)) + arg(1), {builder_.reduce(ReductionKind::kSum, e, reduced), m});
  }

  // The first position of the largest element, or of NaN where there is one.
  Status arg_extreme(const Node& node) {
    Element x = widened(*TRY(number(node.input(0))));
    const auto axis = static_cast<size_t>(TRY(normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(x.extents.size()))));
    if (node.attrs.integer("select_last_index") != 0) return unsupported("the last position");
    std::vector<bool> reduced(x.extents.size(), false);
    reduced[axis] = true;
    builder_.require_equal(min(x.extents[axis], Dim(1)), Dim(1));  // of nothing there is no largest
    Element best = builder_.reduce(node.op().name == "ArgMax" ? ReductionKind::kMax : ReductionKind::kMin, x, reduced);
    const ScalarExpr hit = arg(0) == arg(1) || arg(0) != arg(0);
    const Element positions = builder_.positions(x.extents.size(), axis, x.extents[axis]);
    Element position = TRY(map(select(hit, arg(2), arg(3)), {x, best, positions, builder_.size(x.extents[axis], DType::kI64)}));
    const auto shaped = builder_.with_ones(builder_.reduce(ReductionKind::kMin, position, reduced), *node.output()->type.shape);
    if (!shaped) return unsupported("a shape that does not follow from the operand's");
    values_[node.output()] = *shaped;
    return {};
  }

  // As ir/ops/seeded_dropout.cpp.
  Status seeded_dropout(const Node& node) {
    Element x = widened(*TRY(number(node.input(0))));
    std::optional<Element> seed = builder_.with_ones(*TRY(number(node.input(1))), {});
    if (!seed) return unsupported("a seed that is no single number");
    const auto ratio = static_cast<double>(node.attrs.number("ratio"));
    const Element word = builder_.random_words(*seed, node.attrs.integer("stream"), x);
    const ScalarExpr bound = ScalarExpr::integer(static_cast<int64_t>(ratio * 0x1p32));
    Element y = TRY(map(select(arg(1) < bound, 0.0, arg(0) * (1 / (1 - ratio))), {x, word}));
    values_[node.output()] = builder_.cast(y, node.output()->type.dtype);
    return {};
  }

  Status softmax(const Node& node) {
    Element x = widened(*TRY(number(node.input(0))));
    std::vector<bool> reduced(x.extents.size(), false);
    reduced[static_cast<size_t>(TRY(normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(x.extents.size()))))] = true;
    Element m = builder_.reduce(ReductionKind::kMax, x, reduced);
    Element shifted = TRY(map(arg(0) - arg(1), {x, m}));
    Element e = TRY(map(scalar::exp(arg(0)), {shifted}));
    Element sum = builder_.reduce(ReductionKind::kSum, e, reduced);
    Element y;
    if (node.op().name == "Softmax") y = TRY(map(arg(0) * arg(1), {e, TRY(map(scalar::reciprocal(arg(0)), {sum}))}));
    else y = TRY(map(arg(0) - arg(1), {shifted, TRY(map(scalar::log(arg(0)), {sum}))}));
    values_[node.output()] = builder_.cast(y, node.output()->type.dtype);
    return {};
  }

  struct Standard {
    Element normalized, mean, deviation_inverse;
  };
  Result<Standard> standardize(Element& x, const std::vector<bool>& reduced, double epsilon, bool centered) {
    Standard s;
    Element deviation = x;
    if (centered) {
      s.mean = TRY(mean(x, reduced));
      deviation = TRY(map(arg(0) - arg(1), {x, s.mean}));
    }
    Element square = TRY(map(arg(0) * arg(0), {deviation}));
    s.deviation_inverse = TRY(map(scalar::reciprocal(scalar::sqrt(arg(0) + epsilon)), {TRY(mean(square, reduced))}));
    s.normalized = TRY(map(arg(0) * arg(1), {deviation, s.deviation_inverse}));
    return s;
  }
  // y * scale [+ bias], where the parameters have the dimensions of y or fewer.
  Result<Element> scaled(const Element& y, Element& scale, Element* bias) {
    Element s = builder_.cast(scale, y.dtype);
    if (!bias) return map(arg(0) * arg(1), {y, s});
    return map(arg(0) * arg(1) + arg(2), {y, s, builder_.cast(*bias, y.dtype)});
  }
  static double epsilon_of(const Node& node) { return static_cast<double>(node.attrs.number("epsilon")); }

  Status layer_norm(const Node& node) {
    Element x = widened(*TRY(number(node.input(0))));
    const std::vector<bool> reduced = trailing(x, TRY(normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(x.extents.size()))));
    Standard s = TRY(standardize(x, reduced, epsilon_of(node), true));
    Element* bias = node.input(2) ? TRY(number(node.input(2))) : nullptr;
    Element y = TRY(scaled(s.normalized, *TRY(number(node.input(1))), bias));
    values_[node.output()] = builder_.cast(y, node.output()->type.dtype);
    if (node.output(1)) values_[node.output(1)] = builder_.cast(s.mean, node.output(1)->type.dtype);
    if (node.output(2)) values_[node.output(2)] = builder_.cast(s.deviation_inverse, node.output(2)->type.dtype);
    return {};
  }

  Status rms_norm(const Node& node) {
    Element x = widened(*TRY(number(node.input(0))));
    const std::vector<bool> reduced = trailing(x, TRY(normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(x.extents.size()))));
    Standard s = TRY(standardize(x, reduced, epsilon_of(node), false));
    Element y = TRY(scaled(s.normalized, *TRY(number(node.input(1))), nullptr));
    values_[node.output()] = builder_.cast(y, node.output()->type.dtype);
    return {};
  }

  // A parameter of each channel beside x [batch, channels, pixels...].
  Result<Element> channel_parameter(const Value* value, size_t pixels) {
    Element& p = *TRY(number(value));
    Shape extents = p.extents;
    extents.insert(extents.end(), pixels, Dim(1));
    const auto shaped = builder_.with_ones(p, extents);
    if (!shaped) return unsupported("a parameter that is no vector");
    return *shaped;
  }

  Status instance_norm(const Node& node) {
    Element x = widened(*TRY(number(node.input(0))));
    Standard s = TRY(standardize(x, trailing(x, 2), epsilon_of(node), true));
    Element scale = TRY(channel_parameter(node.input(1), x.extents.size() - 2));
    Element bias = TRY(channel_parameter(node.input(2), x.extents.size() - 2));
    Element y = TRY(scaled(s.normalized, scale, &bias));
    values_[node.output()] = builder_.cast(y, node.output()->type.dtype);
    return {};
  }

  // x as [batch, groups, channels of a group, pixels...]; the parameters as [groups, channels of a group, 1...].
  Status group_norm(const Node& node) {
    Element& given = *TRY(number(node.input(0)));
    if (!given.view) return unsupported("groups of a value that is computed here");
    const int64_t groups = node.attrs.integer("num_groups");
    const Dim channels = floordiv(given.extents[1], Dim(groups));
    const auto split = [&](Element& p, size_t axis) -> Result<Element> {
      if (!p.view) return unsupported("groups of a value that is computed here");
      OperandView view = *p.view;
      view.extents[axis] = channels;
      view.extents.insert(view.extents.begin() + static_cast<std::ptrdiff_t>(axis), Dim(groups));
      view.strides.insert(view.strides.begin() + static_cast<std::ptrdiff_t>(axis), view.strides[axis] * channels);
      return builder_.viewed(std::move(view));
    };
    const size_t pixels = given.extents.size() - 2;
    std::vector<Element> parameters;
    for (size_t i = 1; i <= 2; ++i) {
      Element p = TRY(split(*TRY(number(node.input(i))), 0));
      p.view->extents.insert(p.view->extents.end(), pixels, Dim(1));
      p.view->strides.insert(p.view->strides.end(), pixels, Dim(0));
      parameters.push_back(builder_.viewed(*p.view));
    }
    Element grouped = TRY(split(given, 1));
    Element x = widened(grouped);
    Standard s = TRY(standardize(x, trailing(x, 2), epsilon_of(node), true));
    Element y = TRY(scaled(s.normalized, parameters[0], &parameters[1]));
    values_[node.output()] = builder_.cast(y, node.output()->type.dtype);
    return {};
  }

  Status gather(const Node& node) {
    Element& data = *TRY(number(node.input(0)));
    if (!data.view) return unsupported("an operand that is no memory");
    const auto axis = static_cast<size_t>(TRY(normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(data.extents.size()))));
    Element& indices = *TRY(number(node.input(1)));
    values_[node.output()] = builder_.gather(data, axis, indices, *node.output()->type.shape);
    return {};
  }

  // Each element of the result must exist in the operand, along every axis but the one that is indexed.
  Status gather_elements(const Node& node) {
    Element& data = *TRY(number(node.input(0)));
    if (!data.view) return unsupported("an operand that is no memory");
    const auto axis = static_cast<size_t>(TRY(normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(data.extents.size()))));
    Element& indices = *TRY(number(node.input(1)));
    for (size_t i = 0; i < data.extents.size(); ++i) {
      const Dim &all = data.extents[i], &some = indices.extents[i];
      const bool fits = i == axis || all == some || (all.is_constant() && some.is_constant() && some.constant() <= all.constant());
      if (!fits) return unsupported("indices of which it is not known that they have fewer rows than the operand");
    }
    values_[node.output()] = builder_.gather_elements(data, axis, indices);
    return {};
  }

  Status one_hot(const Node& node) {
    Element &given = *TRY(number(node.input(0))), &values = *TRY(number(node.input(2)));
    if (given.dtype == DType::kU64) return unsupported("u64 indices");
    if (!values.view) return unsupported("values that are no memory");
    const Shape& shape = *node.output()->type.shape;
    const auto axis = static_cast<size_t>(TRY(normalize_axis(node.attrs.integer("axis"), static_cast<int64_t>(shape.size()))));
    Shape extents = given.extents;
    extents.insert(extents.begin() + static_cast<std::ptrdiff_t>(axis), Dim(1));
    const auto shaped = builder_.with_ones(given, extents);
    if (!shaped) return unsupported("indices of another shape");
    Element whole = *shaped;
    Element index = builder_.cast(whole, DType::kI64);
    const auto value = [&](int64_t which) {
      OperandView view = *values.view;
      view.offset = view.offset + view.strides[0] * which;
      view.extents = Shape(shape.size(), Dim(1));
      view.strides.assign(shape.size(), Dim(0));
      return builder_.viewed(std::move(view));
    };
    Element depth = builder_.size(shape[axis], DType::kI64);
    Element hit = TRY(map(select(arg(0) < 0, arg(0) + arg(1), arg(0)) == arg(2), {index, depth, builder_.positions(shape.size(), axis, shape[axis])}));
    values_[node.output()] = TRY(map(select(arg(0), arg(2), arg(1)), {hit, value(0), value(1)}));
    return {};
  }

  Status resize(const Node& node) {
    Element y = TRY(resize_by_tables(builder_, node, *TRY(number(node.input(0)))));
    values_[node.output()] = builder_.cast(y, node.output()->type.dtype);
    return {};
  }

  // Views: of memory, or changes of shape that keep the elements where they are.
  Status movement(const Node& node) {
    Element& x = *TRY(operand(node.input(0)));
    const Shape& extents = *node.output()->type.shape;
    if (is_view(node)) {
      if (const auto shaped = builder_.with_ones(x, extents)) {
        values_[node.output()] = *shaped;
        return {};
      }
    }
    if (!x.view) return unsupported("moves what is computed here");
    for (size_t i = 0; i < node.outputs().size(); ++i) {
      if (!node.output(i)) continue;
      OperandView view = TRY(view_of_output(node, i, *x.view));
      if (view.extents != *node.output(i)->type.shape) return unsupported("moves elements between others");
      values_[node.output(i)] = builder_.viewed(std::move(view));
    }
    return {};
  }

  RegionBuilder builder_;
  std::unordered_map<const Value*, Element> values_;
};

Result<KernelPlan> plan_movement(const Node& node, Isa isa) {
  const Value* x = node.input(0);
  RegionBuilder builder(isa);
  const DType dtype = movement_type_of(x->type.dtype);
  if (dtype == DType::kUndefined) return unsupported(fmt::format("{} elements", name_of(x->type.dtype)));
  OperandView source{0, dtype, *x->type.shape, dense_strides(*x->type.shape), 0};
  builder.add_source(x);
  for (size_t i = 0; i < node.outputs().size(); ++i) {
    if (!node.output(i)) continue;
    Element element = builder.viewed(TRY(view_of_output(node, i, source)));
    builder.store(element, node.output(i));
  }
  return builder.finish();
}

}  // namespace

Result<KernelPlan> plan_node(const Node& node, Isa isa) {
  for (const Value* operand : node.inputs()) {
    if (operand && (!operand->type.is_tensor() || !operand->type.shape)) return unsupported("an operand of unknown rank");
  }
  RegionLowering lowering(isa);
  if (node.op().name == "Fused") return lowering.body(node);
  if (!is_movement(node)) return lowering.node(node);
  Result<KernelPlan> moved = plan_movement(node, isa);
  return moved.ok() || node.op().name != "Resize" ? std::move(moved) : lowering.node(node);
}

Result<KernelPlan> plan_copy(const CopyWindow& from, const CopyWindow& to, const Shape& extents, Isa isa) {
  const DType dtype = movement_type_of(from.value->type.dtype);
  if (dtype == DType::kUndefined) {
    return unsupported(fmt::format("{} elements", name_of(from.value->type.dtype)));
  }
  RegionBuilder builder(isa);
  builder.add_source(from.value);
  Element element = builder.viewed({0, dtype, extents, from.strides, from.offset});
  builder.store(element, to.value, to.strides, to.offset);
  return builder.finish();
}

Result<KernelPlan> plan_fill(const Value* to, const Value* filler, Isa isa) {
  const DType dtype = movement_type_of(to->type.dtype);
  if (dtype == DType::kUndefined) return unsupported(fmt::format("{} elements", name_of(to->type.dtype)));
  RegionBuilder builder(isa);
  Element element;
  if (filler) {
    builder.add_source(filler);
    element = builder.viewed({0, dtype, *to->type.shape, std::vector<Dim>(to->type.shape->size(), Dim(0)), 0});
  } else {
    element = builder.zeros(dtype, *to->type.shape);
  }
  builder.store(element, to);
  return builder.finish();
}

}  // namespace gannet
