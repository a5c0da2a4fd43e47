// Convolutions in both directions. Channels-last operands are used as they stand; in other layouts the library's own
// are several times as fast as what it has for those, also with the copies. A transposed convolution is the library's
// gradient of a convolution's input; its bias and epilogue are a pass of their own, as oneDNN 2.6.3 has them an element
// at a time.
#include <algorithm>

#include "runtime/kernels/integer_sums.h"
#include "runtime/kernels/prepare.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

using onednn::Argument;
using onednn::MemoryDesc;

bool is_channels_last(const Layout& layout) { return layout.strides[1] == 1; }

// What a convolution is made of, with numbers.
struct Parts {
  Layout x, w, y;
  std::vector<Layout> operands;  // of the epilogue, a layout a step
  MemoryDesc x_memory, w_memory, y_memory, bias_memory;
  std::vector<int64_t> strides, dilations, pads_begin;  // per spatial axis
  onednn::ConvolutionSpec spec;
};

bool has_extent_one(const Parts& parts, size_t axis) {
  return parts.x.extents[axis] == 1 && parts.y.extents[axis] == 1 && parts.w.extents[axis + parts.w.rank() - parts.x.rank()] == 1;
}

// The library's kernels take several pixels of the last axis at once, so an axis of one pixel does not stay there.
void put_long_axis_last(Parts& parts) {
  const size_t spatial = parts.strides.size();
  for (size_t turn = 1; turn < spatial && has_extent_one(parts, spatial + 1) && parts.pads_begin.back() == 0; ++turn) {
    auto rotate = [&](auto& list) { std::rotate(list.end() - static_cast<std::ptrdiff_t>(spatial), list.end() - 1, list.end()); };
    auto rotate_layout = [&](Layout& layout) {
      if (layout.rank() < spatial) return;
      rotate(layout.extents);
      rotate(layout.strides);
    };
    for (Layout* layout : {&parts.x, &parts.w, &parts.y}) rotate_layout(*layout);
    for (Layout& operand : parts.operands) rotate_layout(operand);
    rotate(parts.strides);
    rotate(parts.dilations);
    rotate(parts.pads_begin);
  }
}

Result<Parts> parts_of(const ConvolutionRecipe& recipe, std::span<const int64_t> sizes) {
  Parts parts;
  parts.x = layout_at(recipe.x, sizes);
  parts.y = layout_at(recipe.y, sizes);
  parts.w = library_weights(layout_at(recipe.w, sizes), recipe.groups);
  for (const EpilogueStep& step : recipe.epilogue) parts.operands.push_back(layout_at(step.layout, sizes));
  parts.strides = recipe.strides;
  parts.dilations = recipe.dilations;
  parts.pads_begin = values_at(recipe.pads_begin, sizes);
  put_long_axis_last(parts);
  return parts;
}

Status complete(Parts& parts, const ConvolutionRecipe& recipe) {
  parts.x_memory = TRY(memory_of(parts.x));
  parts.y_memory = TRY(memory_of(parts.y));
  parts.w_memory = TRY(memory_of(parts.w));
  onednn::ConvolutionSpec& spec = parts.spec;
  spec.transposed = recipe.transposed;
  spec.strides = parts.strides;
  spec.dilations = parts.dilations;
  spec.pads_begin = parts.pads_begin;
  spec.w = onednn::any_layout(parts.w_memory);
  if (recipe.has_bias) {
    parts.bias_memory = TRY(memory_of({DType::kF32, {parts.y.extents[1]}, {1}}));
    spec.bias = parts.bias_memory;
  }
  for (size_t d = 0; d < parts.strides.size(); ++d) {
    const int64_t x = parts.x.extents[d + 2], y = parts.y.extents[d + 2];
    const int64_t small = recipe.transposed ? x : y, large = recipe.transposed ? y : x;
    const int64_t span = (parts.w.extents[parts.w.rank() - parts.strides.size() + d] - 1) * parts.dilations[d] + 1;
    const int64_t needed = (small - 1) * parts.strides[d] + span - large - spec.pads_begin[d];
    // What a window does not reach needs no padding, unless another window would fit there.
    spec.pads_end.push_back(needed > -parts.strides[d] ? std::max<int64_t>(needed, 0) : needed);
  }
  for (size_t i = 0; i < recipe.epilogue.size(); ++i) {
    const EpilogueStep& step = recipe.epilogue[i];
    onednn::PostOp op{step.kind, step.alpha, step.beta, {}};
    if (step.operand >= 0) op.operand = TRY(memory_of(parts.operands[i]));
    spec.post_ops.push_back(op);
  }
  return {};
}

// The same for operands that are f32 in memory of the library.
void widen(onednn::ConvolutionSpec& spec) {
  for (MemoryDesc* desc : {&spec.x, &spec.w, &spec.y}) *desc = onednn::wide_layout(*desc);
}

// The fastest form that the library has: with operands as they stand, or in layouts that it chooses. Where all it has for bf16
// is its definition, operands are copied to f32.
Result<onednn::Made> best_form(Parts& parts) {
  const bool full_operand =
      std::ranges::any_of(parts.operands, [&](const Layout& o) { return o.rank() > 0 && o.elements() > parts.y.extents[1]; });
  const bool as_given_first = is_channels_last(parts.x) && is_channels_last(parts.y);
  std::optional<onednn::Made> fallback;
  Error error;
  for (const bool as_given : {as_given_first, !as_given_first}) {
    if (!as_given && full_operand) continue;
    parts.spec.x = as_given ? parts.x_memory : onednn::any_layout(parts.x_memory);
    parts.spec.y = as_given ? parts.y_memory : onednn::any_layout(parts.y_memory);
    Result<onednn::Made> made = onednn::make_convolution(parts.spec);
    if (!made.ok()) {
      error = made.error();
      continue;
    }
    if (!made->is_reference()) return std::move(*made);
    if (!fallback) fallback = std::move(*made);
  }
  if (parts.x.dtype == DType::kBF16) {
    onednn::ConvolutionSpec spec = parts.spec;
    widen(spec);
    Result<onednn::Made> made = onednn::make_convolution(spec);
    if (made.ok() && (!fallback || !made->is_reference())) return std::move(*made);
  }
  if (fallback) return std::move(*fallback);
  return error;
}

// With what is added in place as the library's own sum, which reads y before partial results go there. Where it has no
// fast form with that, the operand is an operand like others, and must be saved before y is written.
Result<onednn::Made> best_form_in_place(Parts& parts, const ConvolutionRecipe& recipe) {
  if (recipe.in_place < 0) return best_form(parts);
  onednn::PostOp& sum = parts.spec.post_ops[static_cast<size_t>(recipe.in_place)];
  sum.in_place = true;
  Result<onednn::Made> made = best_form(parts);
  if (made.ok() && !made->is_reference() && made->y == parts.y_memory) return made;
  sum.in_place = false;
  return best_form(parts);
}

double flops_of(const Parts& parts) {
  const double pixels = static_cast<double>(parts.spec.transposed ? parts.x.elements() : parts.y.elements());
  const auto channels = static_cast<double>(parts.spec.transposed ? parts.x.extents[1] : parts.y.extents[1]);
  return 2 * pixels / channels * static_cast<double>(parts.w.elements());
}

// `added` is where the operand that is added in place has been saved to.
void add_post_op_operands(std::vector<CallSequence::Operand>& operands, const ConvolutionRecipe& recipe,
                          const std::vector<onednn::PostOp>& post_ops, std::optional<Place> added = std::nullopt) {
  const std::vector<size_t> positions = onednn::post_op_positions(post_ops);
  for (size_t i = 0; i < post_ops.size(); ++i) {
    if (recipe.epilogue[i].operand < 0 || post_ops[i].in_place) continue;
    const Place given{Place::kPointer, recipe.epilogue[i].operand};
    const bool saved = added && static_cast<int32_t>(i) == recipe.in_place;
    operands.push_back({onednn::post_op_argument(positions[i]), post_ops[i].operand, saved ? *added : given});
  }
}

// y = post_ops(y + bias); without a bias zeros are added.
Status finish_transposed(CallSequence& sequence, const Parts& parts, const ConvolutionRecipe& recipe,
                         const std::vector<onednn::PostOp>& post_ops, Place y) {
  Layout bias{DType::kF32, std::vector<int64_t>(parts.y.rank(), 1), std::vector<int64_t>(parts.y.rank(), 1)};
  bias.extents[1] = bias.strides[0] = parts.y.extents[1];
  const MemoryDesc bias_memory = TRY(memory_of(bias));
  Place place{Place::kPointer, 2};
  if (!recipe.has_bias) {
    const auto zeros = std::make_shared<std::vector<float>>(static_cast<size_t>(parts.y.extents[1]));
    place = sequence.keep(std::shared_ptr<const void>(zeros, zeros->data()));
  }
  const onednn::Made made = TRY(onednn::make_sum(parts.y_memory, bias_memory, post_ops));
  std::vector<CallSequence::Operand> operands = {{onednn::argument_id(Argument::kX), made.x, y},
                                                 {onednn::argument_id(Argument::kOther), bias_memory, place},
                                                 {onednn::argument_id(Argument::kY), made.y, y},
                                                 {onednn::argument_id(Argument::kScratch), made.scratch, sequence.reserve(made.scratch)}};
  add_post_op_operands(operands, recipe, post_ops);
  sequence.add(made.primitive, std::move(operands));
  return {};
}

// The same as a product over the channels of each pixel, where windows are single pixels; nothing for others. An extent of
// the kernel, which is 1, serves wherever an extent or a stride of 1 is wanted.
std::optional<MatmulRecipe> product_of_pixels(const ConvolutionRecipe& recipe, std::span<const int64_t> sizes) {
  const Layout x = layout_at(recipe.x, sizes), w = layout_at(recipe.w, sizes), y = layout_at(recipe.y, sizes);
  auto all = [](std::span<const int64_t> list, int64_t wanted) { return std::ranges::all_of(list, [&](int64_t value) { return value == wanted; }); };
  if (recipe.transposed || recipe.groups != 1 || recipe.in_place >= 0 || !is_channels_last(x) || !is_channels_last(y)) return std::nullopt;
  if (!all(std::span(w.extents).subspan(2), 1) || !all(recipe.strides, 1) || !all(values_at(recipe.pads_begin, sizes), 0)) return std::nullopt;
  if (!std::equal(x.extents.begin() + 2, x.extents.end(), y.extents.begin() + 2)) return std::nullopt;
  auto channels_last = [](TensorLayout layout) {
    for (auto* list : {&layout.extents, &layout.strides}) std::rotate(list->begin() + 1, list->begin() + 2, list->end());
    return layout;
  };
  MatmulRecipe product;
  product.x = channels_last(recipe.x);
  product.y = channels_last(recipe.y);
  product.w = recipe.w;
  for (auto* list : {&product.w.extents, &product.w.strides}) {
    std::rotate(list->begin(), list->begin() + 2, list->end());
    std::swap(list->end()[-1], list->end()[-2]);
  }
  const SizeId one = recipe.w.extents[2];
  product.has_bias = recipe.has_bias;
  if (recipe.has_bias) {
    product.bias = {DType::kF32, std::vector<SizeId>(y.rank(), one), std::vector<SizeId>(y.rank(), one)};
    product.bias.extents.back() = recipe.y.extents[1];
  }
  product.constant_weights = recipe.constant_weights;
  product.x_zero = recipe.x_zero;
  product.x_zero_input = recipe.x_zero_input;
  product.epilogue = recipe.epilogue;
  for (EpilogueStep& step : product.epilogue) {
    if (step.operand < 0) continue;
    if (step.layout.extents.size() != y.rank()) return std::nullopt;
    step.layout = channels_last(step.layout);
  }
  return product;
}

// The product in place of a small convolution, which has scratch memory of 8 KiB and more in the library's kernel; null
// where it cannot be or takes no less. It is not for what several threads would share, so that the choice does not depend on
// how many there are.
std::shared_ptr<const Primitive> smaller_product(const ConvolutionRecipe& recipe, const Parts& parts, const Preparation& p, int64_t scratch_bytes) {
  Preparation two = p;
  two.threads = 2;
  const double bytes = 4.0 * static_cast<double>(parts.x.elements() + parts.w.elements() + parts.y.elements());
  if (two.threads_for(flops_of(parts), bytes, speed_of(recipe.x)) > 1) return nullptr;
  const std::optional<MatmulRecipe> product = product_of_pixels(recipe, p.sizes);
  if (!product) return nullptr;
  Result<std::shared_ptr<const Primitive>> made = prepare_matmul(*product, p);
  return made.ok() && (*made)->scratch_bytes() < scratch_bytes ? *std::move(made) : nullptr;
}

}  // namespace

Layout library_weights(const Layout& w, int64_t groups) {
  if (groups == 1) return w;
  Layout result = w;
  const int64_t each = w.extents[0] / groups;
  result.extents[0] = each;
  result.extents.insert(result.extents.begin(), groups);
  result.strides.insert(result.strides.begin(), each * w.strides[0]);
  return result;
}

Result<std::shared_ptr<const Primitive>> prepare_convolution(const ConvolutionRecipe& given, const Preparation& p) {
  ConvolutionRecipe recipe = given;
  IntegerParts integers;
  const bool of_integers = sums_integers(given.x);
  if (of_integers) {
    integers = TRY(integer_parts(given, p, 1));
    recipe.epilogue = integers.epilogue;
  }
  Parts parts = TRY(parts_of(recipe, p.sizes));
  const size_t output = input_count(given);
  if (parts.y.elements() == 0) return make_nothing();
  if (of_integers && parts.x.elements() == 0) return unsupported("a convolution of integers over nothing");
  if (parts.x.elements() == 0 || parts.w.elements() == 0) {
    std::optional<Layout> bias;
    if (recipe.has_bias) {
      bias = Layout{DType::kF32, std::vector<int64_t>(parts.y.rank(), 1), std::vector<int64_t>(parts.y.rank(), 1)};
      bias->extents[1] = parts.y.extents[1];
    }
    return make_fill(parts.y, bias, recipe.epilogue, parts.operands, output);
  }
  if (std::shared_ptr<const Primitive> made = TRY(prepare_winograd(given, p))) return made;
  TRY(complete(parts, recipe));
  const double bytes = 4.0 * static_cast<double>(parts.x.elements() + parts.y.elements());
  const int threads = p.threads_for(flops_of(parts), bytes, speed_of(given.x));
  const LibraryThreads library_threads(threads);
  std::vector<onednn::PostOp> later;
  if (recipe.transposed) {
    later.swap(parts.spec.post_ops);
    parts.spec.bias.reset();
  }
  if (of_integers) {
    // With few channels the library's form that knows zero points is several times as fast as its others.
    const int64_t channels = parts.x.extents[1] / recipe.groups;
    const bool depthwise = recipe.groups > 1 && channels == 1;
    integers.sums.has_x_zero |= channels < 16 && !depthwise;
    parts.spec.sums = integers.sums;
  }
  auto sequence = std::make_shared<CallSequence>(threads);
  const Place x{Place::kPointer, 0}, w{Place::kPointer, 1}, result{Place::kPointer, static_cast<int64_t>(output)};
  // What is done to a result after it has been stored is done in f32.
  const bool finishes = recipe.transposed && (recipe.has_bias || !later.empty());
  const MemoryDesc result_memory = parts.y_memory;
  Place y = result;
  if (finishes && parts.y.dtype == DType::kBF16) {
    parts.y.dtype = DType::kF32;
    parts.y_memory = TRY(memory_of(parts.y));
    y = sequence->reserve(parts.y_memory);
  }
  const onednn::Made made = TRY(best_form_in_place(parts, recipe));
  std::optional<Place> added;
  if (recipe.in_place >= 0 && !parts.spec.post_ops[static_cast<size_t>(recipe.in_place)].in_place) {
    added = sequence->reserve(parts.y_memory);
    TRY(sequence->copy(y, parts.y_memory, *added, parts.y_memory));
  }
  const Place x_used = TRY(sequence->converted(x, parts.x_memory, made.x));
  Place w_used;
  if (recipe.constant_weights && p.constants.size() > 1 && p.constants[1]) {
    w_used = sequence->keep(TRY(p.packed.pack(p.constants[1], parts.w_memory, made.w)));
  } else {
    w_used = TRY(sequence->converted(w, parts.w_memory, made.w));
  }
  const bool in_place = made.y == parts.y_memory;
  const Place y_used = in_place ? y : sequence->reserve(made.y);
  std::vector<CallSequence::Operand> operands = {{onednn::argument_id(recipe.transposed ? Argument::kYGradient : Argument::kX), made.x, x_used},
                                                 {onednn::argument_id(Argument::kW), made.w, w_used},
                                                 {onednn::argument_id(recipe.transposed ? Argument::kXGradient : Argument::kY), made.y, y_used},
                                                 {onednn::argument_id(Argument::kScratch), made.scratch, sequence->reserve(made.scratch)}};
  if (parts.spec.bias) operands.push_back({onednn::argument_id(Argument::kBias), parts.bias_memory, {Place::kPointer, 2}});
  add_post_op_operands(operands, recipe, parts.spec.post_ops, added);
  if (of_integers) TRY(add_zero_points(operands, integers, *sequence));
  sequence->add(made.primitive, std::move(operands));
  if (!in_place) TRY(sequence->copy(y_used, made.y, y, parts.y_memory));
  if (finishes) TRY(finish_transposed(*sequence, parts, recipe, later, y));
  if (parts.y_memory != result_memory) TRY(sequence->copy(y, parts.y_memory, result, result_memory));
  if (made.implementation.starts_with("brg")) {
    if (std::shared_ptr<const Primitive> product = smaller_product(given, parts, p, sequence->scratch_bytes())) return product;
  }
  return std::shared_ptr<const Primitive>(std::move(sequence));
}

}  // namespace gannet
