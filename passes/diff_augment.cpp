#include "passes/diff_augment.h"

namespace gannet {

namespace {

using E = ScalarExpr;

constexpr double kMoved = 0.125, kCut = 0.5;

// Column `index` of the draws, as [rows, 1, 1, 1].
Value* draw(GraphBuilder& b, Value* draws, int64_t index) {
  return b.reshape(b.slice(draws, {index}, {index + 1}, {1}), {(*draws->type.shape)[0], 1, 1, 1});
}

// 0, 1, ... along `axis` of rank 4.
Value* places(GraphBuilder& b, int64_t count, int64_t axis, DType dtype) {
  std::vector<int64_t> extents(4, 1);
  extents[static_cast<size_t>(axis)] = count;
  Tensor numbers = Tensor::zeros(DType::kF64, extents);
  for (int64_t i = 0; i < count; ++i) numbers.mutable_data<double>()[static_cast<size_t>(i)] = static_cast<double>(i);
  return b.cast(b.constant(std::move(numbers)), dtype);
}

Value* recolored(GraphBuilder& b, Value* x, Value* draws) {
  x = b.map(E::arg(0) + (E::arg(1) - 0.5), {x, draw(b, draws, 0)});
  const E scaled = (E::arg(0) - E::arg(1)) * E::arg(2) + E::arg(1);
  Value* gray = b.reduce_mean(x, {1}, true);
  x = b.map(scaled, {x, gray, b.map(E::arg(0) * 2.0, {draw(b, draws, 1)})});
  Value* mean = b.reduce_mean(x, {1, 2, 3}, true);
  return b.map(scaled, {x, mean, b.map(E::arg(0) + 0.5, {draw(b, draws, 2)})});
}

// A matrix [rows, 1, count, count] that is 1 where a picture's line i comes from line j = i + move; its product with the
// lines moves them, and lines from outside are 0.
Value* mover(GraphBuilder& b, Value* draws, int64_t index, int64_t count, bool along_columns) {
  const auto most = static_cast<double>(static_cast<int64_t>(static_cast<double>(count) * kMoved + 0.5));
  const DType dtype = draws->type.dtype;
  Value* move = b.map(scalar::floor(E::arg(0) * (2 * most + 1)) - most, {draw(b, draws, index)});
  Value* to = places(b, count, along_columns ? 3 : 2, dtype);
  Value* from = places(b, count, along_columns ? 2 : 3, dtype);
  return b.cast(b.map(E::arg(0) == E::arg(1) + E::arg(2), {from, to, move}), dtype);
}

Value* moved(GraphBuilder& b, Value* x, Value* draws, int64_t height, int64_t width) {
  return b.matmul(b.matmul(mover(b, draws, 3, height, false), x), mover(b, draws, 4, width, true));
}

// Whether a place along an axis lies in the part that is cut out: `size` places around one of [0, count + 1 - size % 2).
Value* inside(GraphBuilder& b, Value* draws, int64_t index, int64_t count, int64_t axis) {
  const auto size = static_cast<int64_t>(static_cast<double>(count) * kCut + 0.5);
  const auto choices = static_cast<double>(count + (1 - size % 2)), half = static_cast<double>(size / 2);
  Value* first = b.map(scalar::floor(E::arg(0) * choices) - half, {draw(b, draws, index)});
  const E place = E::arg(0), begin = E::arg(1);
  return b.map(place >= begin && place < begin + static_cast<double>(size),
               {places(b, count, axis, draws->type.dtype), first});
}

Value* cut_out(GraphBuilder& b, Value* x, Value* draws, int64_t height, int64_t width) {
  return b.map(select(E::arg(1) && E::arg(2), 0.0, E::arg(0)),
               {x, inside(b, draws, 5, height, 2), inside(b, draws, 6, width, 3)});
}

}  // namespace

Result<DiffAugmentOptions> parse_diff_augment(std::string_view text) {
  DiffAugmentOptions options;
  while (!text.empty()) {
    const size_t comma = text.find(',');
    const std::string_view part = text.substr(0, comma);
    if (part == "color") options.color = true;
    else if (part == "translation") options.translation = true;
    else if (part == "cutout") options.cutout = true;
    else return invalid_input(fmt::format("differentiable augmentation has color, translation and cutout, not '{}'", part));
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return options;
}

Value* diff_augment(GraphBuilder& b, const DiffAugmentOptions& options, Value* pictures, Value* draws) {
  if (!options.any()) return pictures;
  Value* x = options.channels_last ? b.transpose(pictures, {0, 3, 1, 2}) : pictures;
  const bool known = x->type.shape && x->type.rank() == 4 && (*x->type.shape)[2].is_constant() && (*x->type.shape)[3].is_constant();
  if (!known) {
    b.fail(invalid_input(fmt::format("differentiable augmentation needs pictures of known height and width, not {}",
                                     to_string(pictures->type))));
    return pictures;
  }
  const int64_t height = (*x->type.shape)[2].constant(), width = (*x->type.shape)[3].constant();
  if (options.color) x = recolored(b, x, draws);
  if (options.translation) x = moved(b, x, draws, height, width);
  if (options.cutout) x = cut_out(b, x, draws, height, width);
  return options.channels_last ? b.transpose(x, {0, 2, 3, 1}) : x;
}

}  // namespace gannet
