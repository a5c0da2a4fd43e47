// Gradients of convolution weights. oneDNN 2.6.3 splits their sums by the number of threads, so the work is cut into
// pieces that follow from the shapes alone, each done on one thread: pieces of the batch, whose partial sums are added in
// order, or, where weights are many and pixels few, pieces of the output channels, whose gradients are complete.
#include <algorithm>
#include <atomic>

#include "ir/base/round_up.h"
#include "runtime/kernels/prepare.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

using onednn::Argument;
using onednn::MemoryDesc;

struct Parts {
  Layout x, w, y;
  int64_t groups = 1;
  onednn::ConvolutionSpec spec;  // without memory
};

// How much of the batch, or of the output channels, one piece does.
struct Cut {
  int64_t extent = 0, total = 0;
  bool channels = false;

  int64_t pieces() const { return (total + extent - 1) / extent; }
};

// Large gradients are not summed more often than two threads need.
Cut cut_of_batch(const Parts& parts) {
  constexpr int64_t kMostPieces = 8, kLargeElements = 1 << 18;
  const int64_t batch = parts.y.extents[0], pieces = std::min(batch, parts.w.elements() >= kLargeElements ? 2 : kMostPieces);
  return {(batch + pieces - 1) / pieces, batch};
}

// The library computes 16 channels at a time, in a layout of its own; a piece stays in the cache until it is copied.
Cut cut_of_channels(const Parts& parts) {
  constexpr int64_t kBlock = 16, kBytes = 5 << 17, kPieces = 8;
  const int64_t channels = parts.w.extents[0], blocks = channels / kBlock;
  const int64_t block_bytes = parts.w.elements() / channels * kBlock * static_cast<int64_t>(sizeof(float));
  return {std::clamp<int64_t>(kBytes / block_bytes, 1, std::max<int64_t>(blocks / kPieces, 1)) * kBlock, channels, true};
}

// The cut that moves fewer elements. Partial sums are written and read; their sum is written, and copied to its layout.
// Every piece of the channels reads all of x.
Cut cut_of(const Parts& parts) {
  const Cut batch = cut_of_batch(parts);
  if (parts.groups != 1 || parts.w.extents[0] < 32 || parts.w.extents[0] % 16 != 0) return batch;
  const Cut channels = cut_of_channels(parts);
  const int64_t w = parts.w.elements();
  const int64_t by_batch = batch.pieces() > 1 ? (2 * batch.pieces() + 3) * w : 2 * w;
  const int64_t by_channels = channels.pieces() * parts.x.elements() + 2 * parts.y.elements() + w;
  return by_channels < by_batch ? channels : batch;
}

struct Piece {
  std::shared_ptr<CallSequence> calls;  // of x, y and w at their first elements
  MemoryDesc w;                         // what it writes
};

// A piece of `extent`. With several pieces of the batch it writes a partial sum, in the layout `w` where that is given.
Result<Piece> make_piece(Parts parts, const Cut& cut, int64_t extent, const MemoryDesc* w) {
  const bool partial = cut.pieces() > 1 && !cut.channels;
  if (cut.channels) parts.y.extents[1] = parts.w.extents[0] = extent;
  else parts.x.extents[0] = parts.y.extents[0] = extent;
  const MemoryDesc x_memory = TRY(memory_of(parts.x)), y_memory = TRY(memory_of(parts.y));
  const MemoryDesc w_memory = TRY(memory_of(library_weights(parts.w, parts.groups)));
  onednn::ConvolutionSpec& spec = parts.spec;
  spec.w = w ? *w : onednn::any_layout(w_memory);
  const bool as_given = parts.x.strides[1] == 1 && parts.y.strides[1] == 1;
  std::optional<onednn::Made> made;
  Error error;
  auto offer = [&](const MemoryDesc& x, const MemoryDesc& y) {
    if (made && !made->is_reference()) return;
    spec.x = x;
    spec.y = y;
    Result<onednn::Made> candidate = onednn::make_weight_gradient(spec);
    if (!candidate.ok()) error = candidate.error();
    else if (!made || !candidate->is_reference()) made = std::move(*candidate);
  };
  for (const bool given : {as_given, !as_given}) {
    offer(given ? x_memory : onednn::any_layout(x_memory), given ? y_memory : onednn::any_layout(y_memory));
  }
  // Where all the library has for bf16 is its definition, operands are copied to f32.
  if (parts.x.dtype == DType::kBF16) offer(onednn::wide_layout(x_memory), onednn::wide_layout(y_memory));
  if (!made) return error;
  Piece piece{std::make_shared<CallSequence>(1), made->w};
  CallSequence& calls = *piece.calls;
  const Place x = TRY(calls.converted({Place::kPointer, 0}, x_memory, made->x));
  const Place y = TRY(calls.converted({Place::kPointer, 1}, y_memory, made->y));
  const Place result{Place::kPointer, 2};
  const bool in_place = partial || made->w == w_memory;
  const Place w_used = in_place ? result : calls.reserve(made->w);
  calls.add(made->primitive, {{onednn::argument_id(Argument::kX), made->x, x},
                              {onednn::argument_id(Argument::kYGradient), made->y, y},
                              {onednn::argument_id(Argument::kWGradient), made->w, w_used},
                              {onednn::argument_id(Argument::kScratch), made->scratch, calls.reserve(made->scratch)}});
  if (!in_place) TRY(calls.copy(w_used, made->w, result, w_memory));
  return piece;
}

class WeightGradient final : public Primitive {
 public:
  struct Plan {
    std::shared_ptr<const CallSequence> whole, last;
    int64_t pieces = 1;
    int64_t x_step = 0, y_step = 0, w_step = 0;  // bytes from piece to piece
    int64_t partial_bytes = 0;                   // of a partial sum; 0: pieces write the result
    std::shared_ptr<const CallSequence> finish;  // from the sum to the result
    int threads = 1;
  };

  explicit WeightGradient(Plan plan) : plan_(std::move(plan)) {
    each_ = rounded_up(std::max(plan_.whole->scratch_bytes(), plan_.last->scratch_bytes()), 64);
    sums_ = each_ * plan_.threads;
    rest_ = sums_ + plan_.pieces * rounded_up(plan_.partial_bytes, 64);
  }

  int64_t scratch_bytes() const override { return rest_ + (plan_.finish ? plan_.finish->scratch_bytes() : 0); }

  Status run(void* const* pointers, void* scratch, Threads& threads) const override {
    std::atomic<bool> failed = false;
    auto* memory = static_cast<char*>(scratch);
    threads.parallel_for(plan_.pieces, plan_.threads, [&](int64_t begin, int64_t end, int thread) {
      for (int64_t i = begin; i < end; ++i) {
        void* const own[] = {static_cast<char*>(pointers[0]) + i * plan_.x_step, static_cast<char*>(pointers[1]) + i * plan_.y_step,
                             plan_.finish ? partial(memory, i) : static_cast<char*>(pointers[2]) + i * plan_.w_step};
        const CallSequence& calls = i + 1 == plan_.pieces ? *plan_.last : *plan_.whole;
        if (!calls.run(own, memory + thread * each_, threads).ok()) failed = true;
      }
    });
    if (failed) return unsupported("a weight gradient of oneDNN failed");
    if (!plan_.finish) return {};
    add_partials(memory, threads);
    void* const ends[] = {partial(memory, 0), pointers[2]};
    return plan_.finish->run(ends, memory + rest_, threads);
  }

 private:
  char* partial(char* memory, int64_t piece) const { return memory + sums_ + piece * rounded_up(plan_.partial_bytes, 64); }

  void add_partials(char* memory, Threads& threads) const {
    constexpr int64_t kBlock = 4096;
    const int64_t elements = plan_.partial_bytes / static_cast<int64_t>(sizeof(float)), blocks = quotient_up(elements, kBlock);
    threads.parallel_for(blocks, threads.workers_for(elements * plan_.pieces / 8), [&](int64_t begin, int64_t end, int) {
      auto* sum = reinterpret_cast<float*>(partial(memory, 0));
      for (int64_t piece = 1; piece < plan_.pieces; ++piece) {
        const auto* more = reinterpret_cast<const float*>(partial(memory, piece));
        for (int64_t i = begin * kBlock; i < std::min(end * kBlock, elements); ++i) sum[i] += more[i];
      }
    });
  }

  Plan plan_;
  int64_t each_ = 0, sums_ = 0, rest_ = 0;
};

Parts parts_of(const WeightGradientRecipe& recipe, std::span<const int64_t> sizes) {
  Parts parts{layout_at(recipe.x, sizes), layout_at(recipe.w, sizes), layout_at(recipe.y, sizes), recipe.groups, {}};
  parts.spec.strides = recipe.strides;
  parts.spec.dilations = recipe.dilations;
  parts.spec.pads_begin = values_at(recipe.pads_begin, sizes);
  for (size_t d = 0; d < recipe.strides.size(); ++d) {
    const int64_t span = (parts.w.extents[d + 2] - 1) * recipe.dilations[d] + 1;
    const int64_t needed = (parts.y.extents[d + 2] - 1) * recipe.strides[d] + span - parts.x.extents[d + 2] - parts.spec.pads_begin[d];
    parts.spec.pads_end.push_back(std::max<int64_t>(needed, 0));
  }
  return parts;
}

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_weight_gradient(const WeightGradientRecipe& recipe, const Preparation& p) {
  const Parts parts = parts_of(recipe, p.sizes);
  if (parts.w.elements() == 0) return make_nothing();
  if (parts.x.elements() == 0 || parts.y.elements() == 0) return make_fill(parts.w, std::nullopt, {}, {}, 2);
  const Cut cut = cut_of(parts);
  const double flops = 2.0 * static_cast<double>(parts.y.elements()) * static_cast<double>(parts.w.elements() / parts.w.extents[0]);
  const LibraryThreads one(1);
  const Piece whole = TRY(make_piece(parts, cut, std::min(cut.extent, cut.total), nullptr));
  const bool partial = cut.pieces() > 1 && !cut.channels;
  const Piece last = TRY(make_piece(parts, cut, cut.total - (cut.pieces() - 1) * cut.extent, partial ? &whole.w : nullptr));
  WeightGradient::Plan plan;
  plan.whole = whole.calls;
  plan.last = last.calls;
  plan.pieces = cut.pieces();
  plan.threads = static_cast<int>(std::min<int64_t>(plan.pieces, p.threads_for(flops, 4.0 * static_cast<double>(parts.x.elements()), speed_of(recipe.x))));
  const int64_t size = element_size(parts.x.dtype);
  plan.x_step = cut.channels ? 0 : cut.extent * parts.x.strides[0] * size;
  plan.y_step = cut.extent * parts.y.strides[cut.channels ? 1 : 0] * size;
  plan.w_step = cut.channels ? cut.extent * parts.w.strides[0] * element_size(parts.w.dtype) : 0;
  if (partial) {
    auto finish = std::make_shared<CallSequence>(plan.threads);
    plan.partial_bytes = onednn::bytes_of(whole.w);
    const MemoryDesc w_memory = TRY(memory_of(library_weights(parts.w, parts.groups)));
    TRY(finish->copy({Place::kPointer, 0}, whole.w, {Place::kPointer, 1}, w_memory));
    plan.finish = std::move(finish);
  }
  return std::shared_ptr<const Primitive>(std::make_shared<WeightGradient>(std::move(plan)));
}

}  // namespace gannet
