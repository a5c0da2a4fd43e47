#include "runtime/kernels/integer_sums.h"

namespace gannet {
namespace {

// The numbers of a constant operand along `channels`, where it has no other extents; none for others.
std::vector<float> channel_factors(const EpilogueStep& step, const Preparation& p, size_t channels) {
  const auto operand = static_cast<size_t>(step.operand);
  const void* constant = operand < p.constants.size() ? p.constants[operand] : nullptr;
  const Layout layout = layout_at(step.layout, p.sizes);
  if (!constant || layout.dtype != DType::kF32) return {};
  for (size_t d = 0; d < layout.rank(); ++d) {
    if (d != channels && layout.extents[d] != 1) return {};
  }
  std::vector<float> factors;
  for (int64_t i = 0; i < layout.extents[channels]; ++i) {
    factors.push_back(static_cast<const float*>(constant)[i * layout.strides[channels]]);
  }
  return factors;
}

void take_scales(IntegerParts& parts, const Preparation& p, size_t channels) {
  if (parts.epilogue.empty()) return;
  EpilogueStep& first = parts.epilogue.front();
  if (first.kind == EpilogueKind::kLinear) {
    parts.sums.scales = {first.alpha};
    first.alpha = 1;
    if (first.beta != 0) return;
  } else if (first.kind == EpilogueKind::kMul) {
    parts.sums.scales = channel_factors(first, p, channels);
    if (parts.sums.scales.empty()) return;
  } else {
    return;
  }
  parts.epilogue.erase(parts.epilogue.begin());
}

}  // namespace

bool sums_integers(const TensorLayout& x) { return x.dtype == DType::kI8 || x.dtype == DType::kU8; }

template <class Recipe>
Result<IntegerParts> integer_parts(const Recipe& recipe, const Preparation& p, size_t channels) {
  if (!onednn::has_integer_products()) {
    return unsupported("the program multiplies integers of 8 bits, which needs AVX-512 VNNI; compile it with GANNET_ISA=x86-64-v3 for this machine");
  }
  IntegerParts parts{{}, recipe.x_zero, 0, recipe.x_zero_input, recipe.x.dtype, recipe.epilogue};
  if (!parts.epilogue.empty() && parts.epilogue.back().kind == EpilogueKind::kQuantize) {
    parts.y_zero = static_cast<int32_t>(parts.epilogue.back().beta);
    parts.epilogue.pop_back();
  }
  take_scales(parts, p, channels);
  parts.sums.has_x_zero = parts.x_zero != 0 || parts.x_zero_input >= 0;
  parts.sums.has_y_zero = parts.y_zero != 0;
  return parts;
}

template Result<IntegerParts> integer_parts(const ConvolutionRecipe&, const Preparation&, size_t);
template Result<IntegerParts> integer_parts(const MatmulRecipe&, const Preparation&, size_t);

Status add_zero_points(std::vector<CallSequence::Operand>& operands, const IntegerParts& parts, CallSequence& sequence) {
  using onednn::Argument;
  const onednn::MemoryDesc one({1}, dnnl::memory::data_type::s32, dnnl::memory::format_tag::x);
  auto kept = [&](int32_t value) {
    const auto memory = std::make_shared<int32_t>(value);
    return sequence.keep(std::shared_ptr<const void>(memory, memory.get()));
  };
  Place x_zero;
  if (parts.x_zero_input >= 0) {
    x_zero = sequence.reserve(one);
    const onednn::MemoryDesc narrow = TRY(memory_of({parts.x_dtype, {1}, {1}}));
    TRY(sequence.copy({Place::kPointer, parts.x_zero_input}, narrow, x_zero, one));
  } else if (parts.sums.has_x_zero) {
    x_zero = kept(parts.x_zero);
  }
  if (parts.sums.has_x_zero) operands.push_back({onednn::argument_id(Argument::kXZero), one, x_zero});
  if (parts.sums.has_y_zero) operands.push_back({onednn::argument_id(Argument::kYZero), one, kept(parts.y_zero)});
  return {};
}

}  // namespace gannet
