// GFLOP/s of the primitives that layers of known models become, through the library that programs use: what falls off
// the roof. Usage: bench_primitives [threads]
#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <vector>

#include "runtime/core/primitive.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

// The table of sizes that a recipe refers to.
class Sizes {
 public:
  SizeId add(int64_t value) {
    values_.push_back(value);
    return static_cast<SizeId>(values_.size() - 1);
  }
  TensorLayout layout(const std::vector<int64_t>& extents, const std::vector<int64_t>& strides) {
    TensorLayout result;
    for (int64_t extent : extents) result.extents.push_back(add(extent));
    for (int64_t stride : strides) result.strides.push_back(add(stride));
    return result;
  }
  TensorLayout channels_last(int64_t n, int64_t c, int64_t h, int64_t w) { return layout({n, c, h, w}, {h * w * c, 1, w * c, c}); }
  std::span<const int64_t> values() const { return values_; }

 private:
  std::vector<int64_t> values_;
};

// Least seconds of a run.
double seconds_of(const Primitive& primitive, void* const* pointers, Threads& threads) {
  using Clock = std::chrono::steady_clock;
  std::vector<char> scratch(static_cast<size_t>(primitive.scratch_bytes()) + 64);
  void* aligned = reinterpret_cast<void*>((reinterpret_cast<uintptr_t>(scratch.data()) + 63) / 64 * 64);
  double best = 1e9, total = 0;
  for (int run = 0; run < 200 && total < 0.3; ++run) {
    const auto start = Clock::now();
    if (!primitive.run(pointers, aligned, threads).ok()) return best;
    const double seconds = std::chrono::duration<double>(Clock::now() - start).count();
    if (run > 0) best = std::min(best, seconds);
    total += seconds;
  }
  return best;
}

void report(const std::string& name, const Recipe& recipe, const Sizes& sizes, const std::vector<int64_t>& elements, double flops,
            int thread_count) {
  std::vector<std::vector<float>> memory;
  std::vector<void*> pointers;
  for (int64_t count : elements) pointers.push_back(memory.emplace_back(static_cast<size_t>(count), 0.5f).data());
  std::vector<const void*> constants(pointers.size(), nullptr);
  constants[1] = pointers[1];
  Threads threads(thread_count);
  const auto library = make_onednn_library();
  const auto primitive = library->prepare(recipe, sizes.values(), thread_count, constants);
  if (!primitive.ok()) return fmt::print("{:<44} {}\n", name, primitive.error().message);
  const double seconds = seconds_of(**primitive, pointers.data(), threads);
  fmt::print("{:<44} {:8.1f} GFLOP/s {:9.3f} ms\n", name, flops / seconds * 1e-9, seconds * 1e3);
}

struct Layer {
  const char* model;
  int64_t batch, in, extent, out, kernel, stride, groups;
  bool transposed = false;
};

constexpr Layer kLayers[] = {
    {"ResNet-50 7x7/2", 1, 3, 224, 64, 7, 2, 1},         {"ResNet-50 3x3", 1, 64, 56, 64, 3, 1, 1},
    {"ResNet-50 1x1", 1, 64, 56, 256, 1, 1, 1},          {"ResNet-50 1x1", 1, 256, 56, 64, 1, 1, 1},
    {"ResNet-50 3x3", 1, 128, 28, 128, 3, 1, 1},         {"ResNet-50 3x3/2", 1, 128, 56, 128, 3, 2, 1},
    {"ResNet-50 3x3", 1, 256, 14, 256, 3, 1, 1},         {"ResNet-50 1x1", 1, 1024, 14, 256, 1, 1, 1},
    {"ResNet-50 1x1/2", 1, 1024, 14, 2048, 1, 2, 1},     {"ResNet-50 3x3", 1, 512, 7, 512, 3, 1, 1},
    {"ResNet-50 1x1", 1, 512, 7, 2048, 1, 1, 1},         {"MobileNetV2 3x3/2", 1, 3, 224, 32, 3, 2, 1},
    {"MobileNetV2 depthwise", 1, 32, 112, 32, 3, 1, 32}, {"MobileNetV2 1x1", 1, 16, 112, 96, 1, 1, 1},
    {"MobileNetV2 depthwise/2", 1, 96, 112, 96, 3, 2, 96}, {"MobileNetV2 1x1", 1, 96, 56, 24, 1, 1, 1},
    {"MobileNetV2 depthwise", 1, 384, 14, 384, 3, 1, 384}, {"MobileNetV2 depthwise", 1, 960, 7, 960, 3, 1, 960},
    {"MobileNetV2 1x1", 1, 160, 7, 960, 1, 1, 1},        {"DCGAN 4x4", 1, 100, 1, 512, 4, 1, 1, true},
    {"DCGAN 4x4/2", 1, 512, 4, 256, 4, 2, 1, true},      {"DCGAN 4x4/2", 1, 256, 8, 128, 4, 2, 1, true},
    {"DCGAN 4x4/2", 1, 128, 16, 64, 4, 2, 1, true},      {"DCGAN 4x4/2", 1, 64, 32, 3, 4, 2, 1, true},
    {"DCGAN 4x4/2", 16, 512, 4, 256, 4, 2, 1, true},     {"DCGAN 4x4/2", 16, 256, 8, 128, 4, 2, 1, true},
    {"DCGAN 4x4/2", 16, 128, 16, 64, 4, 2, 1, true},     {"DCGAN 4x4/2", 16, 64, 32, 3, 4, 2, 1, true}};

void report_layer(const Layer& l, int threads) {
  const int64_t pad = l.transposed ? (l.stride == 1 ? 0 : 1) : l.kernel / 2;
  const int64_t extent = l.transposed ? (l.extent - 1) * l.stride - 2 * pad + l.kernel : (l.extent + 2 * pad - l.kernel) / l.stride + 1;
  Sizes sizes;
  ConvolutionRecipe recipe;
  recipe.x = sizes.channels_last(l.batch, l.in, l.extent, l.extent);
  recipe.y = sizes.channels_last(l.batch, l.out, extent, extent);
  const int64_t first = l.transposed ? l.in : l.out, second = (l.transposed ? l.out : l.in) / l.groups, k = l.kernel;
  recipe.w = sizes.layout({first, second, k, k}, {second * k * k, k * k, k, 1});
  recipe.transposed = l.transposed;
  recipe.has_bias = true;
  recipe.constant_weights = true;
  recipe.groups = l.groups;
  recipe.strides = {l.stride, l.stride};
  recipe.dilations = {1, 1};
  const SizeId pad_size = sizes.add(pad);
  recipe.pads_begin = recipe.pads_end = {pad_size, pad_size};
  recipe.epilogue = {{EpilogueKind::kRelu, 0, 0, -1, {}}};
  const int64_t pixels = l.transposed ? l.extent * l.extent : extent * extent;
  const double flops = 2.0 * static_cast<double>(l.batch * pixels * first * second * k * k);
  report(fmt::format("{} {}x{}x{}x{} -> {}", l.model, l.batch, l.in, l.extent, l.extent, l.out), recipe, sizes,
         {l.batch * l.in * l.extent * l.extent, first * second * k * k, l.out, l.batch * l.out * extent * extent}, flops, threads);
}

struct Matrix {
  const char* model;
  int64_t batch, rows, columns, inner;
};

constexpr Matrix kMatrices[] = {{"BERT-base", 1, 128, 768, 768},    {"BERT-base", 1, 128, 3072, 768}, {"BERT-base", 1, 128, 768, 3072},
                                {"BERT-base QKV", 1, 128, 2304, 768}, {"BERT-base", 1, 32, 3072, 768},  {"BERT-base pooler", 1, 1, 768, 768},
                                {"BERT-base scores", 12, 128, 128, 64}, {"BERT-base mix", 12, 128, 64, 128}, {"ResNet-50 head", 1, 1, 1000, 2048}};

void report_matrix(const Matrix& m, int threads) {
  Sizes sizes;
  MatmulRecipe recipe;
  auto layout = [&](int64_t rows, int64_t columns) { return sizes.layout({m.batch, rows, columns}, {rows * columns, columns, 1}); };
  recipe.x = layout(m.rows, m.inner);
  recipe.w = layout(m.inner, m.columns);
  recipe.y = layout(m.rows, m.columns);
  recipe.constant_weights = m.batch == 1;
  report(fmt::format("{} {}x {}x{}x{}", m.model, m.batch, m.rows, m.columns, m.inner), recipe, sizes,
         {m.batch * m.rows * m.inner, m.batch * m.inner * m.columns, m.batch * m.rows * m.columns},
         2.0 * static_cast<double>(m.batch * m.rows * m.columns * m.inner), threads);
}

}  // namespace
}  // namespace gannet

int main(int argc, char** argv) {
  const int threads = argc > 1 ? std::atoi(argv[1]) : gannet::available_cores();
  for (const gannet::Layer& layer : gannet::kLayers) gannet::report_layer(layer, threads);
  for (const gannet::Matrix& matrix : gannet::kMatrices) gannet::report_matrix(matrix, threads);
}
