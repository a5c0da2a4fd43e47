// Convolutions of f32 or bf16, 3x3 windows with constant weights, by Winograd's minimal filtering (winograd_tiles.h): 2.25 or 4 times
// fewer multiplications for transforms of the operands. Tiles are taken in chunks whose transforms stay in cache; chunks, and the order
// in which a number is summed, follow from the extents alone, so results do not depend on the number of threads.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <limits>
#include <optional>
#include <vector>

#include "ir/base/round_up.h"
#include "ir/target.h"
#include "runtime/kernels/prepare.h"
#include "runtime/kernels/winograd_tiles.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

constexpr int64_t kWindow = 3;

// A convolution as these kernels see it: x and y are [batch, rows, columns, channels].
struct Problem {
  Layout x, w, y;
  std::vector<Layout> operands;  // of the epilogue
  int64_t pad_top = 0, pad_left = 0;

  int64_t in() const { return x.extents[1]; }
  int64_t out() const { return y.extents[1]; }
  double pixels() const { return static_cast<double>(y.extents[0] * y.extents[2] * y.extents[3]); }
  double flops() const { return 2.0 * kWindow * kWindow * pixels() * static_cast<double>(in() * out()); }
};

// How the results are cut: tiles of m x m in groups of `rows`, and those in chunks.
struct Cut {
  int64_t m = 0, lanes = 0;
  int64_t down = 0, across = 0, tiles = 0;  // tiles of a picture along its axes, and of all pictures
  int64_t rows = 0, groups = 0, chunk = 0;  // tiles of a group, groups of all tiles, and of a chunk
  int64_t blocks = 0, panels = 0;
  bool is_shared = false;                   // all threads work on one chunk, else each on its own

  int64_t positions() const { return (m + 2) * (m + 2); }
  // Elements from position to position of a chunk's transformed pixels, and those of all of a chunk. A further block keeps
  // positions from lying in the same lines of a cache.
  int64_t position() const { return (chunk * rows * blocks + 1) * lanes; }
  int64_t transformed() const { return positions() * position(); }
  int64_t weights(int64_t in) const { return panels * positions() * in * 2 * lanes; }
};

Cut cut_of(const Problem& p, int64_t m, int threads, const WinogradKernels& kernels) {
  constexpr int64_t kOwnCache = int64_t{1} << 17, kSharedCache = int64_t{3} << 17;  // elements of a chunk: 0.5 and 1.5 MiB
  constexpr int64_t kWeights = int64_t{1} << 21;  // elements that each thread may read for each chunk
  Cut cut{m, kernels.lanes};
  cut.down = quotient_up(p.y.extents[2], m);
  cut.across = quotient_up(p.y.extents[3], m);
  cut.tiles = p.y.extents[0] * cut.down * cut.across;
  cut.blocks = quotient_up(p.in(), cut.lanes);
  cut.panels = quotient_up(p.out(), 2 * cut.lanes);
  cut.rows = rounded_up(quotient_up(cut.tiles, quotient_up(cut.tiles, kernels.most_rows)), 2);
  cut.groups = quotient_up(cut.tiles, cut.rows);
  const int64_t group = cut.positions() * cut.rows * cut.blocks * cut.lanes;
  constexpr int64_t kFewestGroups = 4;  // of a thread
  cut.is_shared = cut.weights(p.in()) > kWeights || cut.groups < kFewestGroups * threads;
  const int64_t most = std::max<int64_t>((cut.is_shared ? kSharedCache : kOwnCache) / group, 2);
  cut.chunk = quotient_up(cut.groups, quotient_up(cut.groups, most));
  return cut;
}

// Nanoseconds of one core, roughly: what decides is how the forms compare.
struct Speed {
  double flops, bytes;  // a nanosecond
};
constexpr Speed kWide{105, 12}, kNarrow{50, 10};

const Speed& speed_of(const WinogradKernels& kernels) { return kernels.lanes == 16 ? kWide : kNarrow; }

double direct_cost(const Problem& p, const Speed& speed) {
  const bool is_fast = p.x.dtype == DType::kBF16 && host_target().bf16_products;
  const double products = p.flops() / (is_fast ? 2 * speed.flops : speed.flops);
  const double weights = static_cast<double>(p.w.elements() * element_size(p.w.dtype)) / speed.bytes;
  return std::max(products, weights) + 0.3 * std::min(products, weights);
}

// The same for all numbers of threads, so that these do not decide how results are rounded.
double cost_of(const Problem& p, const Cut& cut, const Speed& speed) {
  const double tiles = static_cast<double>(cut.groups * cut.rows), positions = static_cast<double>(cut.positions());
  const double in = static_cast<double>(rounded_up(p.in(), cut.lanes)), out = static_cast<double>(cut.panels * 2 * cut.lanes);
  const double products = 2 * tiles * positions * static_cast<double>(p.in()) * out / (0.85 * speed.flops);
  // Each element of a tile is read, added to about six others and written.
  const double transforms = tiles * positions * (in + out) * 10 / speed.flops + 8 * tiles * positions * (in + out) / (4 * speed.bytes);
  const double weights = 4.0 * static_cast<double>(cut.weights(p.in())) / speed.bytes;
  constexpr double kStart = 2000;
  return kStart + transforms + std::max(products, weights) + 0.3 * std::min(products, weights);
}

NumbersRead numbers_at(const Layout& layout, const void* memory) { return {static_cast<const std::byte*>(memory), layout.dtype == DType::kBF16}; }

class Winograd final : public Primitive {
 public:
  Winograd(Problem problem, const Cut& cut, const ConvolutionRecipe& recipe, std::shared_ptr<const void> weights, int threads)
      : p_(std::move(problem)), cut_(cut), steps_(recipe.epilogue), has_bias_(recipe.has_bias), output_(input_count(recipe)),
        weights_(std::move(weights)), threads_(threads), zeros_(sizeof(float) * static_cast<size_t>(p_.in())) {}

  int64_t scratch_bytes() const override {
    return int64_t{sizeof(float)} * ((cut_.is_shared ? 1 : threads_) * cut_.transformed() + threads_ * products());
  }

  Status run(void* const* pointers, void* scratch, Threads& threads) const override {
    auto* memory = static_cast<float*>(scratch);
    if (cut_.is_shared) {
      for (int64_t first = 0; first < cut_.groups; first += cut_.chunk) {
        run_shared({first, std::min(cut_.chunk, cut_.groups - first)}, pointers, memory, threads);
      }
      return {};
    }
    threads.parallel_for(cut_.groups, threads_, [&](int64_t begin, int64_t end, int thread) {
      float* const own = memory + thread * (cut_.transformed() + products());
      for (int64_t first = begin; first < end; first += cut_.chunk) {
        const Chunk chunk{first, std::min(cut_.chunk, end - first)};
        for (int64_t i = 0; i < chunk.groups * cut_.rows; ++i) transform(pointers, chunk, i, own);
        for (int64_t panel = 0; panel < cut_.panels; ++panel) finish(pointers, panel, 0, chunk.groups, chunk, own, own + cut_.transformed());
      }
    });
    return {};
  }

 private:
  struct Tile {
    int64_t picture, top, left;  // the first pixel of the result
  };
  struct Chunk {
    int64_t first, groups;
  };

  void run_shared(const Chunk& chunk, void* const* pointers, float* transformed, const Threads& threads) const {
    float* const all_products = transformed + cut_.transformed();
    threads.parallel_for(chunk.groups * cut_.rows, threads_, [&](int64_t begin, int64_t end, int) {
      for (int64_t i = begin; i < end; ++i) transform(pointers, chunk, i, transformed);
    });
    threads.parallel_for(cut_.panels * parts(), threads_, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t task = begin; task < end; ++task) {
        const int64_t first = task % parts() * groups_of_part(), last = std::min(first + groups_of_part(), chunk.groups);
        if (first < last) finish(pointers, task / parts(), first, last, chunk, transformed, all_products + thread * products());
      }
    });
  }

  // A chunk of all threads is cut into parts where there are few panels.
  int64_t parts() const {
    const int64_t tasks = std::max(8, 4 * threads_);
    return cut_.is_shared ? std::min(cut_.chunk, quotient_up(tasks, cut_.panels)) : 1;
  }
  int64_t groups_of_part() const { return quotient_up(cut_.chunk, parts()); }
  // Elements of the products of a part and a panel.
  int64_t products() const { return cut_.positions() * (groups_of_part() * cut_.rows + 1) * 2 * cut_.lanes; }
  const WinogradKernels::Transforms& transforms() const { return cut_.m == 2 ? kernels_.two : kernels_.four; }

  Tile tile_at(int64_t number) const {
    const int64_t picture = cut_.down * cut_.across, within = number % picture;
    return {number / picture, within / cut_.across * cut_.m, within % cut_.across * cut_.m};
  }

  // Tile `i` of the chunk; zeros where there is none.
  void transform(void* const* pointers, const Chunk& chunk, int64_t i, float* transformed) const {
    constexpr size_t kMostPixels = 36;
    const std::byte* pixels[kMostPixels];
    const NumbersRead x = numbers_at(p_.x, pointers[0]);
    const int64_t t = cut_.m + 2;
    const int64_t number = chunk.first * cut_.rows + i;
    const bool exists = number < cut_.tiles;
    const Tile tile = exists ? tile_at(number) : Tile{0, 0, 0};
    size_t n = 0;
    for (int64_t row = tile.top - p_.pad_top; row < tile.top - p_.pad_top + t; ++row) {
      const bool inside = exists && row >= 0 && row < p_.x.extents[2];
      for (int64_t column = tile.left - p_.pad_left; column < tile.left - p_.pad_left + t; ++column) {
        const bool there = inside && column >= 0 && column < p_.x.extents[3];
        pixels[n++] = there ? x.at(tile.picture * p_.x.strides[0] + row * p_.x.strides[2] + column * p_.x.strides[3]).first : zeros_.data();
      }
    }
    const int64_t block = cut_.rows * cut_.lanes;
    float* const place = transformed + i / cut_.rows * (cut_.blocks * block) + i % cut_.rows * cut_.lanes;
    transforms().input(pixels, x.is_bf16, p_.in(), place, cut_.position(), block);
  }

  // The results of a panel's channels in groups [begin, end) of the chunk.
  void finish(void* const* pointers, int64_t panel, int64_t begin, int64_t end, const Chunk& chunk, const float* transformed, float* products) const {
    const int64_t width = 2 * cut_.lanes, group = cut_.rows * cut_.blocks * cut_.lanes;
    const int64_t position = ((end - begin) * cut_.rows + 1) * width;
    for (int64_t q = 0; q < cut_.positions(); ++q) {
      const float* u = static_cast<const float*>(weights_.get()) + (panel * cut_.positions() + q) * p_.in() * width;
      for (int64_t g = begin; g < end; ++g) {
        kernels_.multiply(cut_.rows, transformed + q * cut_.position() + g * group, u, p_.in(), products + q * position + (g - begin) * cut_.rows * width);
      }
    }
    TileResult result;
    result.channels = std::min(width, p_.out() - panel * width);
    if (has_bias_) result.bias = static_cast<const float*>(pointers[2]) + panel * width;
    std::array<TileStep, kMostEpilogueTerms> steps;
    result.steps = {steps.data(), steps_.size()};
    const int64_t first = chunk.first * cut_.rows;
    for (int64_t i = begin * cut_.rows; i < std::min(end * cut_.rows, cut_.tiles - first); ++i) {
      place(result, {steps.data(), steps_.size()}, pointers, tile_at(first + i), panel * width);
      transforms().output(products + (i - begin * cut_.rows) * width, position, result);
    }
  }

  void place(TileResult& result, std::span<TileStep> steps, void* const* pointers, const Tile& tile, int64_t channel) const {
    const auto at = [&](const Layout& layout) {
      int64_t offset = 0;
      const int64_t index[] = {tile.picture, channel, tile.top, tile.left};
      for (size_t d = 0; d < 4; ++d) offset += layout.extents[d] == 1 ? 0 : index[d] * layout.strides[d];
      return offset;
    };
    result.y = NumbersWritten{static_cast<std::byte*>(pointers[output_]), p_.y.dtype == DType::kBF16}.at(at(p_.y));
    result.row = p_.y.strides[2];
    result.column = p_.y.strides[3];
    result.rows = std::min(cut_.m, p_.y.extents[2] - tile.top);
    result.columns = std::min(cut_.m, p_.y.extents[3] - tile.left);
    for (size_t s = 0; s < steps.size(); ++s) {
      steps[s] = {steps_[s].kind, steps_[s].alpha, steps_[s].beta, {}};
      if (steps_[s].operand < 0) continue;
      const Layout& z = p_.operands[s];
      steps[s].z = numbers_at(z, pointers[steps_[s].operand]).at(at(z));
      steps[s].row = z.extents[2] == 1 ? 0 : z.strides[2];
      steps[s].column = z.extents[3] == 1 ? 0 : z.strides[3];
      steps[s].is_single = z.extents[1] == 1;
    }
  }

  const Problem p_;
  const Cut cut_;
  const std::vector<EpilogueStep> steps_;
  const bool has_bias_;
  const size_t output_;
  const std::shared_ptr<const void> weights_;
  const int threads_;
  const std::vector<std::byte> zeros_;  // a pixel of the padding
  const WinogradKernels& kernels_ = *winograd_kernels();
};

// The convolution where these kernels can compute it.
std::optional<Problem> problem_of(const ConvolutionRecipe& recipe, const Preparation& p) {
  auto all_ones = [](std::span<const int64_t> list) { return std::ranges::all_of(list, [](int64_t value) { return value == 1; }); };
  Problem problem{layout_at(recipe.x, p.sizes), layout_at(recipe.w, p.sizes), layout_at(recipe.y, p.sizes), {}};
  const bool constant = recipe.constant_weights && p.constants.size() > 1 && p.constants[1];
  if (recipe.transposed || recipe.groups != 1 || !constant || problem.x.rank() != 4) return std::nullopt;
  if (recipe.epilogue.size() > kMostEpilogueTerms) return std::nullopt;
  if (problem.w.extents[2] != kWindow || problem.w.extents[3] != kWindow) return std::nullopt;
  if (!all_ones(recipe.strides) || !all_ones(recipe.dilations)) return std::nullopt;
  auto has_numbers = [](const Layout& layout) { return layout.dtype == DType::kF32 || layout.dtype == DType::kBF16; };
  if (!has_numbers(problem.x) || !has_numbers(problem.w) || !has_numbers(problem.y)) return std::nullopt;
  auto is_last = [](const Layout& layout) { return layout.strides[1] == 1 || layout.extents[1] == 1; };
  if (!is_last(problem.x) || !is_last(problem.y)) return std::nullopt;
  for (const EpilogueStep& step : recipe.epilogue) {
    problem.operands.push_back(layout_at(step.layout, p.sizes));
    if (!finishes_tiles(step.kind)) return std::nullopt;
    if (step.operand < 0) continue;
    const Layout& z = problem.operands.back();
    if (z.rank() != 4 || !has_numbers(z) || !is_last(z)) return std::nullopt;
  }
  const std::vector<int64_t> pads = values_at(recipe.pads_begin, p.sizes);
  problem.pad_top = pads[0];
  problem.pad_left = pads[1];
  return problem;
}

Result<std::shared_ptr<const void>> transformed_weights(const Problem& problem, const Cut& cut, const WinogradKernels& kernels, const Preparation& p) {
  const auto& transforms = cut.m == 2 ? kernels.two : kernels.four;
  const NumbersRead w = numbers_at(problem.w, p.constants[1]);
  const std::vector<int64_t>& strides = problem.w.strides;
  std::string key = fmt::format("winograd {} {} {}", fmt::ptr(p.constants[1]), static_cast<int>(problem.w.dtype), cut.m);
  for (const std::vector<int64_t>* numbers : {&problem.w.extents, &strides}) {
    for (const int64_t number : *numbers) key += fmt::format(" {}", number);
  }
  return p.packed.keep(key, int64_t{sizeof(float)} * cut.weights(problem.in()), [&](void* memory) -> Status {
    Threads(p.threads).parallel_for(cut.panels, p.threads, [&](int64_t begin, int64_t end, int) {
      const int64_t width = 2 * cut.lanes, position = problem.in() * width;
      for (int64_t panel = begin; panel < end; ++panel) {
        for (int64_t c = 0; c < problem.in(); ++c) {
          transforms.weights(w.at(panel * width * strides[0] + c * strides[1]), strides[0], strides[2], strides[3],
                             std::min(width, problem.out() - panel * width),
                             static_cast<float*>(memory) + panel * cut.positions() * position + c * width, position);
        }
      }
    });
    return {};
  });
}

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_winograd(const ConvolutionRecipe& recipe, const Preparation& p, int64_t tile) {
  const std::shared_ptr<const Primitive> none;
  const WinogradKernels* kernels = winograd_kernels();
  std::optional<Problem> problem = problem_of(recipe, p);
  if (!kernels || !problem) return none;
  constexpr double kGain = 0.9;  // of the time that it takes otherwise, at most
  double least = tile == 0 ? kGain * direct_cost(*problem, speed_of(*kernels)) : std::numeric_limits<double>::infinity();
  const double bytes = 4.0 * static_cast<double>(problem->x.elements() + problem->y.elements());
  const int threads = p.threads_for(problem->flops() / 2, bytes);
  std::optional<Cut> best;
  for (const int64_t m : {2, 4}) {
    if (tile != 0 && m != tile) continue;
    const Cut cut = cut_of(*problem, m, threads, *kernels);
    const double cost = cost_of(*problem, cut, speed_of(*kernels));
    if (cost < least) best = cut;
    least = std::min(least, cost);
  }
  if (!best) return none;
  std::shared_ptr<const void> weights = TRY(transformed_weights(*problem, *best, *kernels, p));
  return std::shared_ptr<const Primitive>(std::make_shared<Winograd>(std::move(*problem), *best, recipe, std::move(weights), threads));
}

}  // namespace gannet
