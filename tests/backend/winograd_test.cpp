// Convolutions of 3x3 windows by Winograd's method against sums in f64, with the same bits on any number of threads.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>

#include "ir/base/float_formats.h"
#include "runtime/kernels/prepare.h"
#include "runtime/kernels/winograd_tiles.h"
#include "runtime/threads/threads.h"
#include "tests/backend/onednn_fixture.h"

namespace gannet::test {
namespace {

constexpr const char* kNeedsAvx2 = "Gannet needs a CPU with AVX2";

EpilogueStep step_of(EpilogueKind kind, float alpha = 0, float beta = 0) { return {kind, alpha, beta, -1, {}}; }

struct Case {
  int64_t batch = 1, rows = 0, columns = 0, in = 0, out = 0;
  int64_t top = 1, left = 1, bottom = 1, right = 1;
  bool has_bias = true;
  std::vector<EpilogueStep> epilogue = {};   // kAdd: y itself, its memory holds the operand; kMul: a number a channel
  int64_t pitch = 0;                    // channels from pixel to pixel of x, 0: its own
  bool is_bf16 = false;                 // x, w, y and what is added

  int64_t out_rows() const { return rows + top + bottom - 2; }
  int64_t out_columns() const { return columns + left + right - 2; }
};

// Sizes of a program, each once.
class Sizes {
 public:
  SizeId operator()(int64_t value) {
    const auto [known, is_new] = ids_.try_emplace(value, static_cast<SizeId>(values.size()));
    if (is_new) values.push_back(value);
    return known->second;
  }
  TensorLayout layout(const std::vector<int64_t>& extents, const std::vector<int64_t>& strides) {
    TensorLayout layout;
    for (int64_t extent : extents) layout.extents.push_back((*this)(extent));
    for (int64_t stride : strides) layout.strides.push_back((*this)(stride));
    return layout;
  }
  std::vector<int64_t> values;

 private:
  std::map<int64_t, SizeId> ids_;
};

// A picture of `channels`, channels last, `pitch` from pixel to pixel.
TensorLayout pictures(Sizes& sizes, int64_t batch, int64_t channels, int64_t rows, int64_t columns, int64_t pitch) {
  return sizes.layout({batch, channels, rows, columns}, {rows * columns * pitch, 1, columns * pitch, pitch});
}

ConvolutionRecipe recipe_of(const Case& c, Sizes& sizes) {
  ConvolutionRecipe recipe;
  recipe.x = pictures(sizes, c.batch, c.in, c.rows, c.columns, std::max(c.pitch, c.in));
  recipe.y = pictures(sizes, c.batch, c.out, c.out_rows(), c.out_columns(), c.out);
  recipe.w = sizes.layout({c.out, c.in, 3, 3}, {c.in * 9, 9, 3, 1});
  recipe.has_bias = c.has_bias;
  recipe.strides = recipe.dilations = {1, 1};
  recipe.pads_begin = {sizes(c.top), sizes(c.left)};
  recipe.pads_end = {sizes(c.bottom), sizes(c.right)};
  recipe.constant_weights = true;
  recipe.epilogue = c.epilogue;
  if (c.is_bf16) recipe.x.dtype = recipe.w.dtype = recipe.y.dtype = DType::kBF16;
  for (size_t i = 0; i < c.epilogue.size(); ++i) {
    EpilogueStep& step = recipe.epilogue[i];
    if (step.kind == EpilogueKind::kAdd) {
      step.operand = 4;
      step.layout = recipe.y;
      recipe.in_place = static_cast<int32_t>(i);
    }
    if (step.kind == EpilogueKind::kMul) {
      step.operand = 3;
      step.layout = sizes.layout({1, c.out, 1, 1}, {c.out, 1, 1, 1});
    }
  }
  return recipe;
}

double finished(const EpilogueStep& step, double v, double added, double factor) {
  using enum EpilogueKind;
  const double a = step.alpha, b = step.beta;
  switch (step.kind) {
    case kRelu: return std::max(v, 0.0);
    case kLeakyRelu: return v > 0 ? v : a * v;
    case kSigmoid: return 1 / (1 + std::exp(-v));
    case kSwish: return v / (1 + std::exp(-a * v));
    case kHardSwish: return v * std::clamp(v / 6 + 0.5, 0.0, 1.0);
    case kHardSigmoid: return std::clamp(a * v + b, 0.0, 1.0);
    case kClip: return std::clamp(v, a, b);
    case kLinear: return a * v + b;
    case kAbs: return std::abs(v);
    case kSquare: return v * v;
    case kAdd: return v + added;
    case kMul: return v * factor;
    default: ADD_FAILURE() << "a step that the test does not know"; return v;
  }
}

// Numbers in memory, f32 or rounded to bf16, and the numbers that they are.
struct Memory {
  std::vector<float> values;
  std::vector<BFloat16> rounded;

  Memory(const Tensor& tensor, bool is_bf16) {
    for (int64_t i = 0; i < tensor.elements(); ++i) values.push_back(static_cast<float>(tensor.double_at(i)));
    if (!is_bf16) return;
    for (float& value : values) {
      rounded.push_back(BFloat16(value));
      value = static_cast<float>(rounded.back());
    }
  }
  void* raw() { return rounded.empty() ? static_cast<void*>(values.data()) : rounded.data(); }
  std::vector<float> read() const { return rounded.empty() ? values : std::vector<float>(rounded.begin(), rounded.end()); }
};

std::vector<double> sums_of(const Case& c, const float* x, const float* w, const float* bias, const float* added, const float* factors) {
  const int64_t pitch = std::max(c.pitch, c.in);
  std::vector<double> y;
  for (int64_t n = 0; n < c.batch; ++n) {
    for (int64_t i = 0; i < c.out_rows(); ++i) {
      for (int64_t j = 0; j < c.out_columns(); ++j) {
        for (int64_t o = 0; o < c.out; ++o) {
          double v = c.has_bias ? bias[o] : 0;
          for (int64_t window = 0; window < 9; ++window) {
            const int64_t row = i - c.top + window / 3, column = j - c.left + window % 3;
            if (row < 0 || row >= c.rows || column < 0 || column >= c.columns) continue;
            for (int64_t k = 0; k < c.in; ++k) {
              v += static_cast<double>(x[((n * c.rows + row) * c.columns + column) * pitch + k]) * w[(o * c.in + k) * 9 + window];
            }
          }
          for (const EpilogueStep& step : c.epilogue) v = finished(step, v, added[y.size()], factors[o]);
          y.push_back(v);
        }
      }
    }
  }
  return y;
}

// By tiles of 2x2 and of 4x4, whatever is faster.
void expect_both(const Case& c) {
  ASSERT_TRUE(winograd_kernels()) << kNeedsAvx2;
  Memory x(uniform({c.batch, c.rows, c.columns, std::max(c.pitch, c.in)}, 1), c.is_bf16), w(uniform({c.out, c.in, 3, 3}, 2), c.is_bf16);
  Memory bias(uniform({c.out}, 3), false), factors(uniform({c.out}, 4), false);
  const Memory added(uniform({c.batch, c.out_rows(), c.out_columns(), c.out}, 5), c.is_bf16);
  const std::vector<double> expected =
      sums_of(c, x.values.data(), w.values.data(), bias.values.data(), added.values.data(), factors.values.data());
  double largest = 0;
  for (double v : expected) largest = std::max(largest, std::abs(v));
  for (const int64_t tile : {2, 4}) {
    SCOPED_TRACE(testing::Message() << c.batch << "x" << c.in << "x" << c.rows << "x" << c.columns << " to " << c.out << ", tiles of " << tile);
    std::vector<std::vector<float>> results;
    for (const int threads : {1, 2, 3}) {
      Sizes sizes;
      const ConvolutionRecipe recipe = recipe_of(c, sizes);
      PackedConstants packed;
      SharedCalls calls;
      const void* const constants[] = {nullptr, w.raw(), nullptr, nullptr, nullptr};
      const auto made = prepare_winograd(recipe, {sizes.values, threads, constants, packed, calls}, tile);
      ASSERT_TRUE(made.ok()) << made.error().message;
      ASSERT_TRUE(*made);
      Memory y = added;
      std::vector<std::byte> scratch(static_cast<size_t>((*made)->scratch_bytes()) + 64, std::byte{0xFF});
      void* const aligned = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
      std::vector<void*> pointers = {x.raw(), w.raw(), bias.raw(), factors.raw(), y.raw()};
      pointers.resize(input_count(recipe));
      pointers.push_back(y.raw());
      Threads pool(threads);
      ASSERT_TRUE((*made)->run(pointers.data(), aligned, pool).ok());
      results.push_back(y.read());
    }
    EXPECT_EQ(results[0], results[1]) << "other bits on two threads";
    EXPECT_EQ(results[0], results[2]) << "other bits on three threads";
    for (size_t i = 0; i < expected.size(); ++i) {
      const double rounding = c.is_bf16 ? std::abs(expected[i]) / 256 : 0;
      ASSERT_NEAR(results[0][i], expected[i], 5e-6 * largest + rounding) << "at " << i;
    }
  }
}

TEST(Winograd, ExtentsThatFillTilesVectorsAndPanelsAndNot) {
  expect_both({.rows = 8, .columns = 8, .in = 16, .out = 32});
  expect_both({.rows = 7, .columns = 9, .in = 5, .out = 3});
  expect_both({.batch = 3, .rows = 6, .columns = 13, .in = 40, .out = 70});
  expect_both({.rows = 1, .columns = 1, .in = 1, .out = 1});
  expect_both({.rows = 2, .columns = 31, .in = 17, .out = 33});
}

TEST(Winograd, SeveralChunks) {
  expect_both({.batch = 2, .rows = 40, .columns = 37, .in = 70, .out = 24});
  expect_both({.rows = 30, .columns = 30, .in = 260, .out = 16});
}

TEST(Winograd, Pads) {
  expect_both({.rows = 9, .columns = 10, .in = 16, .out = 16, .top = 0, .left = 0, .bottom = 0, .right = 0});
  expect_both({.rows = 9, .columns = 10, .in = 16, .out = 16, .top = 0, .left = 2, .bottom = 1, .right = 0});
  expect_both({.rows = 3, .columns = 4, .in = 16, .out = 16, .top = 5, .left = 4, .bottom = 6, .right = 7});
}

TEST(Winograd, PartsOfWiderPixels) { expect_both({.rows = 9, .columns = 10, .in = 16, .out = 16, .pitch = 50}); }

TEST(Winograd, NumbersOfBf16) {
  expect_both({.rows = 9, .columns = 10, .in = 40, .out = 35, .is_bf16 = true});
  expect_both({.rows = 9, .columns = 10, .in = 16, .out = 48, .epilogue = {step_of(EpilogueKind::kMul), step_of(EpilogueKind::kAdd)}, .is_bf16 = true});
}

TEST(Winograd, FinishesResults) {
  using enum EpilogueKind;
  std::vector<EpilogueStep> steps = {step_of(kLeakyRelu, 0.2f), step_of(kSwish, 1.5f), step_of(kHardSigmoid, 0.3f, 0.4f), step_of(kClip, -1, 2),
                                     step_of(kLinear, 0.5f, 3)};
  for (const EpilogueKind kind : {kRelu, kSigmoid, kHardSwish, kAbs, kSquare, kAdd, kMul}) steps.push_back(step_of(kind));
  for (const EpilogueStep& step : steps) {
    ASSERT_TRUE(finishes_tiles(step.kind));
    expect_both({.rows = 6, .columns = 7, .in = 6, .out = 21, .epilogue = {step}});
  }
  expect_both({.rows = 6, .columns = 7, .in = 16, .out = 48, .has_bias = false, .epilogue = {step_of(kMul), step_of(kAdd), step_of(kRelu)}});
}

// A summand and a factor for each channel, of which one is no number.
TEST(Winograd, LargestAndLeastKeepWhatIsNoNumber) {
  const WinogradKernels* kernels = winograd_kernels();
  ASSERT_TRUE(kernels) << kNeedsAvx2;
  std::vector<float> products(static_cast<size_t>(16 * 2 * kernels->lanes), 1), z(static_cast<size_t>(kernels->lanes), 3), y(z.size());
  z[1] = std::numeric_limits<float>::quiet_NaN();
  for (const EpilogueKind kind : {EpilogueKind::kMax, EpilogueKind::kMin}) {
    const TileStep steps[] = {{kind, 0, 0, {reinterpret_cast<const std::byte*>(z.data())}, 0, 0, false}};
    TileResult result;
    result.y.first = reinterpret_cast<std::byte*>(y.data());
    result.rows = result.columns = 1;
    result.channels = kernels->lanes;
    result.steps = steps;
    kernels->two.output(products.data(), 2 * kernels->lanes, result);
    EXPECT_EQ(y[0], kind == EpilogueKind::kMax ? 9 : 3);  // of nine products
    EXPECT_TRUE(std::isnan(y[1]));
  }
}

TEST(Winograd, OtherConvolutionsAreLeftToTheLibrary) {
  const auto refuses = [](auto change, int64_t tile = 4) {
    Sizes sizes;
    Case c{.rows = 28, .columns = 28, .in = 64, .out = 64};
    ConvolutionRecipe recipe = recipe_of(c, sizes);
    change(recipe, sizes);
    const Tensor w = uniform({64, 64, 3, 3}, 2);
    PackedConstants packed;
    SharedCalls calls;
    const void* const constants[] = {nullptr, w.raw(), nullptr};
    const auto made = prepare_winograd(recipe, {sizes.values, 1, constants, packed, calls}, tile);
    return made.ok() && !*made;
  };
  ASSERT_TRUE(winograd_kernels()) << kNeedsAvx2;
  EXPECT_FALSE(refuses([](auto&, auto&) {}));
  EXPECT_FALSE(refuses([](auto&, auto&) {}, 0)) << "64 channels at 28 x 28 gain";
  EXPECT_TRUE(refuses([](ConvolutionRecipe& r, auto&) { r.strides = {2, 2}; }));
  EXPECT_TRUE(refuses([](ConvolutionRecipe& r, auto&) { r.dilations = {1, 2}; }));
  EXPECT_TRUE(refuses([](ConvolutionRecipe& r, auto&) { r.groups = 2; }));
  EXPECT_TRUE(refuses([](ConvolutionRecipe& r, auto&) { r.transposed = true; }));
  EXPECT_TRUE(refuses([](ConvolutionRecipe& r, auto&) { r.constant_weights = false; }));
  EXPECT_TRUE(refuses([](ConvolutionRecipe& r, auto&) { r.x.dtype = DType::kU8; }));
  EXPECT_TRUE(refuses([](ConvolutionRecipe& r, Sizes& sizes) { r.w.extents[2] = sizes(5); }));
  EXPECT_TRUE(refuses([](ConvolutionRecipe& r, Sizes& sizes) { r.x = sizes.layout({1, 64, 28, 28}, {64 * 784, 784, 28, 1}); }));
  EXPECT_TRUE(refuses([](ConvolutionRecipe& r, auto&) { r.epilogue.push_back(step_of(EpilogueKind::kGeluErf)); }));
}

}  // namespace
}  // namespace gannet::test
