#include <fmt/format.h>

#include <algorithm>

#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kAttrs[] = {int_attr("center_point_box", 0)};

Status check_equal(const Dim& a, const Dim& b, std::string_view what) {
  if (!a.is_constant() || !b.is_constant() || a == b) return {};
  return invalid_model(
      fmt::format("the boxes have {} {}, the scores {}", a.to_string(), what, b.to_string()));
}

Status infer_nms(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_dtype(c, 0, DType::kF32, "boxes"));
  TRY(expect_dtype(c, 1, DType::kF32, "scores"));
  TRY(expect_rank(c, 0, 3, "boxes"));
  TRY(expect_rank(c, 1, 3, "scores"));
  const Shape *boxes = c.shape(0), *scores = c.shape(1);
  if (boxes && (*boxes)[2].is_constant() && !(*boxes)[2].is_constant(4)) {
    return invalid_model(fmt::format("a box has 4 numbers, got {}", (*boxes)[2].to_string()));
  }
  if (boxes && scores) {
    TRY(check_equal((*boxes)[0], (*scores)[0], "batches"));
    TRY(check_equal((*boxes)[1], (*scores)[2], "boxes"));
  }
  if (c.has(2)) TRY(expect_dtype(c, 2, DType::kI64, "max_output_boxes_per_class"));
  if (c.has(3)) TRY(expect_dtype(c, 3, DType::kF32, "iou_threshold"));
  if (c.has(4)) TRY(expect_dtype(c, 4, DType::kF32, "score_threshold"));
  for (size_t i = 2; i < 5; ++i) {
    if (c.has(i)) TRY(expect_single(c, i, "limit"));
  }
  c.set_tensor(0, DType::kI64, Shape{c.fresh("selected"), Dim(3)});
  return {};
}

struct Box {
  float y1 = 0, x1 = 0, y2 = 0, x2 = 0;
  float area() const { return (y2 - y1) * (x2 - x1); }
};

Box read_box(const float* data, bool centred) {
  if (centred) {
    const float x = data[0], y = data[1], half_width = data[2] / 2, half_height = data[3] / 2;
    return {y - half_height, x - half_width, y + half_height, x + half_width};
  }
  return {std::min(data[0], data[2]), std::min(data[1], data[3]), std::max(data[0], data[2]),
          std::max(data[1], data[3])};
}

bool overlap(const Box& a, const Box& b, float threshold) {
  const float height = std::min(a.y2, b.y2) - std::max(a.y1, b.y1),
              width = std::min(a.x2, b.x2) - std::max(a.x1, b.x1);
  if (!(height > 0) || !(width > 0)) return false;
  const float shared = height * width, both = a.area() + b.area() - shared;
  return a.area() > 0 && b.area() > 0 && both > 0 && shared / both > threshold;
}

struct Selection {
  int64_t most = 0;
  float overlap_threshold = 0;
  std::optional<float> score_threshold;
};

// Indices of the boxes of one class that stay, best first; of equal scores the earlier box.
std::vector<int64_t> select(const std::vector<Box>& boxes, const float* scores, const Selection& selection) {
  std::vector<int64_t> candidates, kept;
  for (size_t i = 0; i < boxes.size(); ++i) {
    const bool taken =
        selection.score_threshold ? scores[i] > *selection.score_threshold : scores[i] == scores[i];
    if (taken) candidates.push_back(static_cast<int64_t>(i));
  }
  std::stable_sort(candidates.begin(), candidates.end(),
                   [&](int64_t a, int64_t b) { return scores[a] > scores[b]; });
  for (int64_t candidate : candidates) {
    if (static_cast<int64_t>(kept.size()) >= selection.most) break;
    const Box& box = boxes[static_cast<size_t>(candidate)];
    const bool suppressed = std::any_of(kept.begin(), kept.end(), [&](int64_t other) {
      return overlap(box, boxes[static_cast<size_t>(other)], selection.overlap_threshold);
    });
    if (!suppressed) kept.push_back(candidate);
  }
  return kept;
}

Status eval_nms(EvalContext& c) {
  const Tensor &boxes = c.tensor(0), &scores = c.tensor(1);
  Selection selection;
  if (c.has(2) && c.tensor(2).elements() > 0) selection.most = c.tensor(2).int_at(0);
  if (c.has(3) && c.tensor(3).elements() > 0) selection.overlap_threshold = c.tensor(3).data<float>()[0];
  if (c.has(4) && c.tensor(4).elements() > 0) selection.score_threshold = c.tensor(4).data<float>()[0];
  const int64_t batches = boxes.extent(0), count = boxes.extent(1), classes = scores.extent(1);
  const bool centred = c.attrs().integer("center_point_box") != 0;
  std::vector<int64_t> selected;
  std::vector<Box> decoded(static_cast<size_t>(count));
  for (int64_t batch = 0; batch < batches && count > 0; ++batch) {
    const float* from = boxes.data<float>().data() + batch * count * 4;
    for (int64_t i = 0; i < count; ++i) decoded[static_cast<size_t>(i)] = read_box(from + i * 4, centred);
    for (int64_t k = 0; k < classes; ++k) {
      const float* row = scores.data<float>().data() + (batch * classes + k) * count;
      for (int64_t box : select(decoded, row, selection)) selected.insert(selected.end(), {batch, k, box});
    }
  }
  Tensor y = TRY(c.allocate(DType::kI64, {static_cast<int64_t>(selected.size()) / 3, 3}));
  std::copy(selected.begin(), selected.end(), y.mutable_data<int64_t>().begin());
  c.set(std::move(y));
  return {};
}

}  // namespace

constinit const StructuredOp ops::NonMaxSuppression = {.inputs = {2, 5},
                                                       .outputs = {1, 1},
                                                       .attrs = kAttrs,
                                                       .infer = infer_nms,
                                                       .eval = eval_nms,
                                                       .no_gradient = "positions are integers"};

}  // namespace gannet
