#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kMaxRoiAttrs[] = {required_attr("pooled_shape", AttrKind::kInts),
                                    float_attr("spatial_scale", 1.0f)};
constexpr AttrDef kRoiAlignAttrs[] = {string_attr("coordinate_transformation_mode", "half_pixel"),
                                      string_attr("mode", "avg"),
                                      int_attr("output_height", 1),
                                      int_attr("output_width", 1),
                                      int_attr("sampling_ratio", 0),
                                      float_attr("spatial_scale", 1.0f)};

Status expect_columns(const InferContext& c, size_t i, int64_t columns) {
  TRY(expect_rank(c, i, 2, "rois"));
  const Shape* shape = c.shape(i);
  if (!shape || !(*shape)[1].is_constant() || (*shape)[1].is_constant(columns)) return {};
  return invalid_model(fmt::format("a region has {} numbers, got {}", columns, (*shape)[1].to_string()));
}

Status set_pooled(InferContext& c, int64_t height, int64_t width) {
  if (height < 1 || width < 1)
    return invalid_model(fmt::format("a pooled size of {} by {} is empty", height, width));
  TRY(expect_rank(c, 0, 4, "input"));
  const Dim regions = c.shape(1) ? (*c.shape(1))[0] : c.fresh("regions");
  const Dim channels = c.shape(0) ? (*c.shape(0))[1] : c.fresh("channels");
  c.set_tensor(0, c.dtype(0), Shape{regions, channels, Dim(height), Dim(width)});
  return {};
}

Status infer_max_roi_pool(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_float(c, 0, "input"));
  TRY(expect_same_dtype(c, 0, 1));
  TRY(expect_columns(c, 1, 5));
  const std::vector<int64_t>& size = c.attrs().integers("pooled_shape");
  if (size.size() != 2) return invalid_model(fmt::format("pooled_shape has {} entries, not 2", size.size()));
  return set_pooled(c, size[0], size[1]);
}

// The picture that a region lies in.
Result<int64_t> batch_of(double index, int64_t batches, int64_t region) {
  if (index >= 0 && index < static_cast<double>(batches)) return static_cast<int64_t>(index);
  return invalid_input(fmt::format("region {} is in picture {} of {}", region, index, batches));
}

// Pixels [begin, end) of bin i of `bins` over a region that starts at `start`, kept inside [0, extent).
struct Bin {
  int64_t begin = 0, end = 0;
};
Bin bin_of(int64_t i, int64_t bins, double start, double length, int64_t extent) {
  const double size = length / static_cast<double>(bins), limit = static_cast<double>(extent);
  const double begin = std::clamp(std::floor(static_cast<double>(i) * size) + start, 0.0, limit);
  const double end = std::clamp(std::ceil(static_cast<double>(i + 1) * size) + start, 0.0, limit);
  return {static_cast<int64_t>(begin), static_cast<int64_t>(end)};
}

// A corner of a region in pixels; what is not finite or far away is as good as the nearest pixel outside.
double pixel(float coordinate, float scale) {
  const double value = std::round(static_cast<double>(coordinate) * scale);
  return std::isnan(value) ? 0 : std::clamp(value, -1e9, 1e9);
}

// With the place of each maximum among all elements of the input, -1 for an empty bin, where `places` is given.
Result<Tensor> max_roi_pool(EvalContext& c, int64_t* places) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0))), rois = TRY(as_dtype(c.tensor(1), DType::kF32));
  Tensor y = TRY(c.allocate(x.dtype(), static_extents(*c.output_type(0).shape)));
  const int64_t channels = x.extent(1), height = x.extent(2), width = x.extent(3), rows = y.extent(2),
                columns = y.extent(3);
  const float scale = c.attrs().number("spatial_scale");
  auto pool = [&]<class T>(Tag<T>) -> Status {
    T* out = y.mutable_data<T>().data();
    for (int64_t region = 0; region < y.extent(0); ++region) {
      const float* roi = rois.data<float>().data() + region * 5;
      const int64_t batch = TRY(batch_of(roi[0], x.extent(0), region));
      const double left = pixel(roi[1], scale), top = pixel(roi[2], scale);
      const double across = std::max(pixel(roi[3], scale) - left + 1, 1.0),
                   down = std::max(pixel(roi[4], scale) - top + 1, 1.0);
      for (int64_t channel = 0; channel < channels; ++channel) {
        const T* plane = x.data<T>().data() + (batch * channels + channel) * height * width;
        for (int64_t i = 0; i < rows * columns; ++i) {
          const Bin v = bin_of(i / columns, rows, top, down, height),
                    h = bin_of(i % columns, columns, left, across, width);
          const bool empty = v.begin >= v.end || h.begin >= h.end;
          T largest = empty ? T(0) : -std::numeric_limits<T>::infinity();
          int64_t place = -1;
          for (int64_t row = v.begin; row < v.end; ++row) {
            for (int64_t column = h.begin; column < h.end; ++column) {
              const int64_t at = row * width + column;
              if (place < 0 || plane[at] > largest) place = at;
              largest = std::max(largest, plane[at]);
            }
          }
          *out++ = largest;
          if (places) *places++ = place < 0 ? -1 : (batch * channels + channel) * height * width + place;
        }
      }
    }
    return {};
  };
  TRY(visit_compute(dtype, pool));
  return as_dtype(y, dtype);
}

Status eval_max_roi_pool(EvalContext& c) {
  c.set(TRY(max_roi_pool(c, nullptr)));
  return {};
}

Status infer_max_roi_pool_places(InferContext& c) {
  TRY(infer_max_roi_pool(c));
  const std::optional<Shape> shape = c.types()[0].shape;
  c.set_tensor(0, DType::kI64, shape);
  return {};
}

Status eval_max_roi_pool_places(EvalContext& c) {
  Tensor places = TRY(c.allocate());
  TRY(max_roi_pool(c, places.mutable_data<int64_t>().data()));
  c.set(std::move(places));
  return {};
}

Status infer_roi_align(InferContext& c) {
  TRY(expect_tensors(c, 3));
  TRY(expect_float(c, 0, "input"));
  TRY(expect_same_dtype(c, 0, 1));
  TRY(expect_columns(c, 1, 4));
  TRY(expect_dtype(c, 2, DType::kI64, "batch indices"));
  TRY(expect_list(c, 2, "batch indices"));
  TRY(expect_choice(c, "coordinate_transformation_mode", {"half_pixel", "output_half_pixel"}));
  TRY(expect_choice(c, "mode", {"avg", "max"}));
  if (c.shape(1) && c.shape(2)) TRY(same_dim((*c.shape(1))[0], (*c.shape(2))[0], 0));
  const int64_t ratio = c.attrs().integer("sampling_ratio");
  if (ratio < 0) return invalid_model(fmt::format("sampling_ratio {} is negative", ratio));
  return set_pooled(c, c.attrs().integer("output_height"), c.attrs().integer("output_width"));
}

// A point of a bin: four pixels and their weights.
struct Sample {
  int64_t pixels[4] = {};
  double weights[4] = {};
};

Sample sample_at(double y, double x, int64_t height, int64_t width) {
  Sample sample;
  if (!(y >= -1 && y <= static_cast<double>(height) && x >= -1 && x <= static_cast<double>(width)))
    return sample;
  auto split = [](double at, int64_t extent, int64_t& low, int64_t& high) {
    at = std::max(at, 0.0);
    low = std::min(static_cast<int64_t>(at), extent - 1);
    high = std::min(low + 1, extent - 1);
    return low == extent - 1 ? 0.0 : at - static_cast<double>(low);
  };
  int64_t top = 0, bottom = 0, left = 0, right = 0;
  const double v = split(y, height, top, bottom), h = split(x, width, left, right);
  const int64_t rows[4] = {top, top, bottom, bottom}, columns[4] = {left, right, left, right};
  const double weights[4] = {(1 - v) * (1 - h), (1 - v) * h, v * (1 - h), v * h};
  for (int i = 0; i < 4; ++i) {
    sample.pixels[i] = rows[i] * width + columns[i];
    sample.weights[i] = weights[i];
  }
  return sample;
}

// A region in pixels, and how many points a bin takes along each side.
struct Region {
  double top = 0, left = 0, bin_height = 0, bin_width = 0;
  int64_t grid_rows = 0, grid_columns = 0;
};

Result<Region> region_of(const Attributes& attrs, const float* roi, int64_t index) {
  const double scale = static_cast<double>(attrs.number("spatial_scale"));
  const bool half_pixel = attrs.text("coordinate_transformation_mode") == "half_pixel";
  const double offset = half_pixel ? 0.5 : 0;
  Region region;
  region.left = roi[0] * scale - offset;
  region.top = roi[1] * scale - offset;
  double width = roi[2] * scale - offset - region.left, height = roi[3] * scale - offset - region.top;
  if (!half_pixel) width = std::max(width, 1.0), height = std::max(height, 1.0);
  region.bin_height = height / static_cast<double>(attrs.integer("output_height"));
  region.bin_width = width / static_cast<double>(attrs.integer("output_width"));
  const int64_t ratio = attrs.integer("sampling_ratio");
  const double rows = ratio > 0 ? static_cast<double>(ratio) : std::max(0.0, std::ceil(region.bin_height));
  const double columns = ratio > 0 ? static_cast<double>(ratio) : std::max(0.0, std::ceil(region.bin_width));
  constexpr double kMostSamples = 1 << 20;
  if (!(rows * columns <= kMostSamples) || !(rows <= kMostSamples) || !(columns <= kMostSamples)) {
    return invalid_input(fmt::format("region {} takes {} by {} samples in each bin, more than {}", index,
                                     rows, columns, kMostSamples));
  }
  region.grid_rows = static_cast<int64_t>(rows);
  region.grid_columns = static_cast<int64_t>(columns);
  return region;
}

void sample_bin(const Region& region, int64_t row, int64_t column, int64_t height, int64_t width,
                std::vector<Sample>& samples) {
  samples.clear();
  for (int64_t i = 0; i < region.grid_rows; ++i) {
    const double y =
        region.top + static_cast<double>(row) * region.bin_height +
        (static_cast<double>(i) + 0.5) * region.bin_height / static_cast<double>(region.grid_rows);
    for (int64_t j = 0; j < region.grid_columns; ++j) {
      const double x =
          region.left + static_cast<double>(column) * region.bin_width +
          (static_cast<double>(j) + 0.5) * region.bin_width / static_cast<double>(region.grid_columns);
      samples.push_back(sample_at(y, x, height, width));
    }
  }
}

// The mean of the samples, or the largest weighted pixel of all samples.
template <class T>
T pool_samples(const std::vector<Sample>& samples, const T* plane, bool average) {
  if (samples.empty()) return T(0);
  double sum = 0, largest = -std::numeric_limits<double>::infinity();
  for (const Sample& sample : samples) {
    for (int i = 0; i < 4; ++i) {
      const double value = sample.weights[i] * static_cast<double>(plane[sample.pixels[i]]);
      sum += value;
      largest = std::max(largest, value);
    }
  }
  return static_cast<T>(average ? sum / static_cast<double>(samples.size()) : largest);
}

// The adjoint of the mean in `dy`, or of taking the first largest weighted pixel.
template <class T>
void give_back(const std::vector<Sample>& samples, const T* plane, bool average, T dy, T* dx) {
  if (samples.empty()) return;
  const double share = static_cast<double>(dy) / static_cast<double>(samples.size());
  double largest = -std::numeric_limits<double>::infinity(), weight = 0;
  int64_t place = -1;
  for (const Sample& sample : samples) {
    for (int i = 0; i < 4; ++i) {
      if (average) dx[sample.pixels[i]] += static_cast<T>(share * sample.weights[i]);
      const double value = sample.weights[i] * static_cast<double>(plane[sample.pixels[i]]);
      if (average || (place >= 0 && !(value > largest))) continue;
      largest = value, weight = sample.weights[i], place = sample.pixels[i];
    }
  }
  if (place >= 0) dx[place] += static_cast<T>(weight * static_cast<double>(dy));
}

// How the pixels that `x` chooses weigh in the other operand.
template <class T>
T chosen(const std::vector<Sample>& samples, const T* plane, bool average, const T* other) {
  if (average) return pool_samples(samples, other, true);
  double largest = -std::numeric_limits<double>::infinity(), result = 0;
  for (const Sample& sample : samples) {
    for (int i = 0; i < 4; ++i) {
      const double value = sample.weights[i] * static_cast<double>(plane[sample.pixels[i]]);
      if (!(value > largest)) continue;
      largest = value;
      result = sample.weights[i] * static_cast<double>(other[sample.pixels[i]]);
    }
  }
  return static_cast<T>(result);
}

// Calls visit(samples, plane, bin) for each channel of each bin: where the plane starts in the input, and which element of
// the pooled tensor it is.
template <class Visit>
Status for_each_bin(const EvalContext& c, const std::vector<int64_t>& input, const std::vector<int64_t>& pooled, Visit visit) {
  const Tensor rois = TRY(as_dtype(c.tensor(1), DType::kF32));
  const int64_t channels = input[1], height = input[2], width = input[3], bins = pooled[2] * pooled[3];
  if (height == 0 || width == 0)
    return invalid_input(fmt::format("pictures of {} by {} pixels have no regions", height, width));
  std::vector<Sample> samples;
  for (int64_t r = 0; r < pooled[0]; ++r) {
    const int64_t batch = TRY(
        batch_of(static_cast<double>(c.tensor(2).data<int64_t>()[static_cast<size_t>(r)]), input[0], r));
    const Region region = TRY(region_of(c.attrs(), rois.data<float>().data() + r * 4, r));
    for (int64_t bin = 0; bin < bins; ++bin) {
      sample_bin(region, bin / pooled[3], bin % pooled[3], height, width, samples);
      for (int64_t channel = 0; channel < channels; ++channel) {
        visit(samples, (batch * channels + channel) * height * width, (r * channels + channel) * bins + bin);
      }
    }
  }
  return {};
}

bool averages(const EvalContext& c) { return c.attrs().text("mode") == "avg"; }

Status eval_roi_align(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0)));
  Tensor y = TRY(c.allocate(x.dtype(), static_extents(*c.output_type(0).shape)));
  TRY(visit_compute(dtype, [&]<class T>(Tag<T>) {
    return for_each_bin(c, x.extents(), y.extents(), [&](const std::vector<Sample>& samples, int64_t plane, int64_t bin) {
      y.mutable_data<T>()[static_cast<size_t>(bin)] = pool_samples(samples, x.data<T>().data() + plane, averages(c));
    });
  }));
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

// Operands: those of RoiAlign, and the gradient of its result.
Status infer_roi_align_gradient(InferContext& c) {
  TRY(expect_tensors(c, 4));
  TRY(infer_roi_align(c));
  TRY(expect_same_dtype(c, 0, 3));
  if (c.shape(3) && c.types()[0].shape) TRY(merge_shapes(*c.shape(3), *c.types()[0].shape));
  c.set(0, c.type(0));
  return {};
}

Status eval_roi_align_gradient(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0))), dy = TRY(widened(c.tensor(3)));
  Tensor dx = TRY(c.allocate(x.dtype(), x.extents()));
  TRY(visit_compute(dtype, [&]<class T>(Tag<T>) {
    T* out = dx.mutable_data<T>().data();
    std::fill_n(out, dx.elements(), T(0));
    return for_each_bin(c, x.extents(), dy.extents(), [&](const std::vector<Sample>& samples, int64_t plane, int64_t bin) {
      give_back(samples, x.data<T>().data() + plane, averages(c), dy.data<T>()[static_cast<size_t>(bin)], out + plane);
    });
  }));
  c.set(TRY(as_dtype(dx, dtype)));
  return {};
}

// Operands: those of RoiAlign, and another input, pooled as the first one says.
Status infer_roi_align_chosen(InferContext& c) {
  TRY(expect_tensors(c, 4));
  TRY(infer_roi_align(c));
  TRY(expect_same_dtype(c, 0, 3));
  if (c.shape(3) && c.shape(0)) TRY(merge_shapes(*c.shape(3), *c.shape(0)));
  return {};
}

Status eval_roi_align_chosen(EvalContext& c) {
  const DType dtype = c.tensor(0).dtype();
  const Tensor x = TRY(widened(c.tensor(0))), other = TRY(widened(c.tensor(3)));
  Tensor y = TRY(c.allocate(x.dtype(), static_extents(*c.output_type(0).shape)));
  TRY(visit_compute(dtype, [&]<class T>(Tag<T>) {
    return for_each_bin(c, x.extents(), y.extents(), [&](const std::vector<Sample>& samples, int64_t plane, int64_t bin) {
      y.mutable_data<T>()[static_cast<size_t>(bin)] = chosen(samples, x.data<T>().data() + plane, averages(c), other.data<T>().data() + plane);
    });
  }));
  c.set(TRY(as_dtype(y, dtype)));
  return {};
}

// Regions are settings of the pooling and get no gradient, as in PyTorch.
Status roi_align_vjp(VjpContext& c) {
  if (c.wants(0)) c.set(0, c.b.op("RoiAlignGradient", {c.operand(0), c.operand(1), c.operand(2), c.gradient()}, c.attrs()));
  return c.b.status();
}

Status roi_align_gradient_vjp(VjpContext& c) {
  c.set(3, c.b.op("RoiAlignChosen", {c.operand(0), c.operand(1), c.operand(2), c.gradient()}, c.attrs()));
  return c.b.status();
}

Status roi_align_chosen_vjp(VjpContext& c) {
  c.set(3, c.b.op("RoiAlignGradient", {c.operand(0), c.operand(1), c.operand(2), c.gradient()}, c.attrs()));
  return c.b.status();
}

// Each bin gives its gradient to the first of its largest elements; an empty one, whose place is -1, to none.
Status max_roi_pool_vjp(VjpContext& c) {
  if (!c.wants(0)) return {};
  const Shape shape = TRY(known_shape(c.operand(0), "the input"));
  Value* places = c.b.op("MaxRoiPoolPlaces", {c.operand(0), c.operand(1)}, c.attrs());
  ScalarExpr place = ScalarExpr::arg(0), g = ScalarExpr::arg(1);
  Value* dy = c.b.map(select(place < 0, 0, g), {places, c.gradient()});
  const Dim bins = element_count(TRY(known_shape(dy, "the result")));
  Value* flat = c.b.op("GatherGradient", {c.b.reshape(dy, {bins}), c.b.reshape(places, {bins}), c.b.dims({element_count(shape)})});
  c.set(0, c.b.reshape(flat, shape));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::MaxRoiPool = {.inputs = {2, 2},
                                                .outputs = {1, 1},
                                                .attrs = kMaxRoiAttrs,
                                                .infer = infer_max_roi_pool,
                                                .eval = eval_max_roi_pool};
constinit const GradientRule gradients::MaxRoiPool = {.vjp = max_roi_pool_vjp};
constinit const StructuredOp ops::MaxRoiPoolPlaces = {.inputs = {2, 2},
                                                      .outputs = {1, 1},
                                                      .attrs = kMaxRoiAttrs,
                                                      .infer = infer_max_roi_pool_places,
                                                      .eval = eval_max_roi_pool_places,
                                                      .no_gradient = "positions are integers"};
constinit const StructuredOp ops::RoiAlign = {.inputs = {3, 3},
                                              .outputs = {1, 1},
                                              .attrs = kRoiAlignAttrs,
                                              .infer = infer_roi_align,
                                              .eval = eval_roi_align};
constinit const GradientRule gradients::RoiAlign = {.vjp = roi_align_vjp};
constinit const StructuredOp ops::RoiAlignGradient = {.inputs = {4, 4},
                                                      .outputs = {1, 1},
                                                      .attrs = kRoiAlignAttrs,
                                                      .infer = infer_roi_align_gradient,
                                                      .eval = eval_roi_align_gradient};
constinit const GradientRule gradients::RoiAlignGradient = {.vjp = roi_align_gradient_vjp};
constinit const StructuredOp ops::RoiAlignChosen = {.inputs = {4, 4},
                                                    .outputs = {1, 1},
                                                    .attrs = kRoiAlignAttrs,
                                                    .infer = infer_roi_align_chosen,
                                                    .eval = eval_roi_align_chosen};
constinit const GradientRule gradients::RoiAlignChosen = {.vjp = roi_align_chosen_vjp};

}  // namespace gannet
