// The cache of prepared primitives.
#include <algorithm>
#include <bit>
#include <list>
#include <unordered_map>
#include <unordered_set>

#include "runtime/core/program.h"
#include "runtime/kernels/onednn_library.h"
#include "runtime/kernels/prepare.h"
#include "runtime/kernels/program_library.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

// Everything that a primitive depends on, as bytes: equal keys, equal primitives.
class Key {
 public:
  explicit Key(std::span<const int64_t> sizes) : sizes_(sizes) {}

  Key& number(int64_t value) {
    text_.append(reinterpret_cast<const char*>(&value), sizeof value);
    return *this;
  }
  Key& size(SizeId id) { return number(sizes_[static_cast<size_t>(id)]); }
  Key& numbers(std::span<const int64_t> values) {
    number(static_cast<int64_t>(values.size()));
    for (int64_t value : values) number(value);
    return *this;
  }
  Key& sizes(std::span<const SizeId> ids) {
    number(static_cast<int64_t>(ids.size()));
    for (SizeId id : ids) size(id);
    return *this;
  }
  Key& layout(const TensorLayout& layout) { return number(static_cast<int64_t>(layout.dtype)).sizes(layout.extents).sizes(layout.strides); }
  Key& epilogue(const std::vector<EpilogueStep>& steps) {
    number(static_cast<int64_t>(steps.size()));
    for (const EpilogueStep& step : steps) {
      number(static_cast<int64_t>(step.kind)).number(std::bit_cast<int32_t>(step.alpha)).number(std::bit_cast<int32_t>(step.beta));
      number(step.operand).layout(step.layout);
    }
    return *this;
  }
  std::string take() { return std::move(text_); }

 private:
  std::span<const int64_t> sizes_;
  std::string text_;
};

void add(Key& key, const ConvolutionRecipe& r) {
  key.layout(r.x).layout(r.w).layout(r.y).number(r.transposed).number(r.has_bias).number(r.groups).numbers(r.strides).numbers(r.dilations);
  key.sizes(r.pads_begin).sizes(r.pads_end).number(r.constant_weights).number(r.x_zero).number(r.x_zero_input).epilogue(r.epilogue);
  key.number(r.in_place);
}

void add(Key& key, const WeightGradientRecipe& r) {
  key.layout(r.x).layout(r.w).layout(r.y).number(r.groups).numbers(r.strides).numbers(r.dilations).sizes(r.pads_begin);
}

void add(Key& key, const ScatterRowsRecipe& r) {
  key.size(r.outer).size(r.count).size(r.rows).size(r.inner).number(static_cast<int64_t>(r.positions));
}

void add(Key& key, const ScatterBlocksRecipe& r) {
  key.number(static_cast<int64_t>(r.dtype)).number(static_cast<int64_t>(r.reduction)).size(r.rows).size(r.block).sizes(r.extents);
}

void add(Key& key, const CumulativeRecipe& r) {
  key.number(static_cast<int64_t>(r.dtype)).size(r.outer).size(r.length).size(r.inner).number(r.product).number(r.exclusive).number(r.reverse);
}

void add(Key& key, const LikelihoodRecipe& r) {
  key.number(static_cast<int64_t>(r.dtype)).number(static_cast<int64_t>(r.targets)).size(r.samples).size(r.classes).size(r.pixels);
  key.number(static_cast<int64_t>(r.reduction)).number(r.ignores).number(r.ignored);
}

void add(Key& key, const AttentionRecipe& r) {
  key.layout(r.q).layout(r.k).layout(r.v).layout(r.y).number(std::bit_cast<int32_t>(r.scale)).number(r.rounds);
  key.number(static_cast<int64_t>(r.masks.size()));
  for (const TensorLayout& mask : r.masks) key.layout(mask);
}

void add(Key& key, const MatmulRecipe& r) {
  key.layout(r.x).layout(r.w).layout(r.y).number(r.has_bias).layout(r.bias).number(std::bit_cast<int32_t>(r.alpha));
  key.number(r.constant_weights).number(r.x_zero).number(r.x_zero_input).epilogue(r.epilogue);
}

void add(Key& key, const PoolingRecipe& r) {
  key.number(static_cast<int64_t>(r.kind)).layout(r.x).layout(r.y).numbers(r.kernel).numbers(r.strides).numbers(r.dilations);
  key.sizes(r.pads_begin).sizes(r.pads_end).number(r.gradient);
}

void add(Key& key, const RecurrentRecipe& r) {
  key.number(static_cast<int64_t>(r.kind)).size(r.steps).size(r.batch).size(r.input_size).number(r.hidden_size);
  for (bool flag : {r.reversed, r.bidirectional, r.batch_first, r.linear_before_reset, r.input_forget, r.constant_weights, r.given_h, r.gives_y,
                    r.gives_last_c}) key.number(flag);
  for (const Activation& f : r.activations) {
    key.number(static_cast<int64_t>(f.kind)).number(std::bit_cast<int64_t>(f.alpha)).number(std::bit_cast<int64_t>(f.beta));
    key.number(std::bit_cast<int64_t>(f.clip));
  }
}

Result<std::shared_ptr<const Primitive>> prepare_recipe(const ConvolutionRecipe& r, const Preparation& p) { return prepare_convolution(r, p); }
Result<std::shared_ptr<const Primitive>> prepare_recipe(const WeightGradientRecipe& r, const Preparation& p) { return prepare_weight_gradient(r, p); }
Result<std::shared_ptr<const Primitive>> prepare_recipe(const ScatterRowsRecipe& r, const Preparation& p) { return prepare_scatter_rows(r, p); }
Result<std::shared_ptr<const Primitive>> prepare_recipe(const ScatterBlocksRecipe& r, const Preparation& p) { return prepare_scatter_blocks(r, p); }
Result<std::shared_ptr<const Primitive>> prepare_recipe(const CumulativeRecipe& r, const Preparation& p) { return prepare_cumulative(r, p); }
Result<std::shared_ptr<const Primitive>> prepare_recipe(const LikelihoodRecipe& r, const Preparation& p) { return prepare_likelihood(r, p); }
Result<std::shared_ptr<const Primitive>> prepare_recipe(const AttentionRecipe& r, const Preparation& p) { return prepare_attention(r, p); }
Result<std::shared_ptr<const Primitive>> prepare_recipe(const MatmulRecipe& r, const Preparation& p) { return prepare_matmul(r, p); }
Result<std::shared_ptr<const Primitive>> prepare_recipe(const PoolingRecipe& r, const Preparation& p) { return prepare_pooling(r, p); }
Result<std::shared_ptr<const Primitive>> prepare_recipe(const RecurrentRecipe& r, const Preparation& p) { return prepare_recurrent(r, p); }

// Whether kernels of our own compute the recipe.
template <class R>
constexpr bool kOwn = std::is_same_v<R, RecurrentRecipe> || std::is_same_v<R, ScatterRowsRecipe> || std::is_same_v<R, ScatterBlocksRecipe> ||
                      std::is_same_v<R, CumulativeRecipe> || std::is_same_v<R, LikelihoodRecipe>;

bool needs_onednn(const Recipe& recipe) {
  return std::visit([]<class R>(const R&) { return !kOwn<R>; }, recipe);
}

// Those whose preparation was asked for least recently go when there are more than `capacity`; a plan that knows its primitives
// does not ask.
class OnednnLibrary final : public PrimitiveLibrary {
 public:
  explicit OnednnLibrary(size_t capacity) : capacity_(capacity) {}
  OnednnLibrary(size_t capacity, const Program& program) : capacity_(capacity) {
    collect_open(program);
    is_ahead_ = true;
    if (!open_.empty() && onednn::has_row_kernels()) pack_open(program);
    is_ahead_ = false;
  }

  Result<std::shared_ptr<const Primitive>> prepare(const Recipe& recipe, std::span<const int64_t> sizes, int threads,
                                                   std::span<const void* const> constants) override {
    Key writer(sizes);
    writer.number(static_cast<int64_t>(recipe.index())).number(threads);
    std::visit([&](const auto& r) { add(writer, r); }, recipe);
    for (const void* constant : constants) writer.number(static_cast<int64_t>(reinterpret_cast<intptr_t>(constant)));
    const std::string key = writer.take();
    if (std::shared_ptr<const Primitive> known = find(key)) return known;
    if (needs_onednn(recipe)) TRY(load_onednn());
    const Preparation preparation{sizes, threads, constants, packed_, calls_, open_.contains(&recipe), is_ahead_};
    std::shared_ptr<const Primitive> made = TRY(std::visit([&](const auto& r) { return prepare_recipe(r, preparation); }, recipe));
    insert(key, made);
    return made;
  }

 private:
  using Entry = std::pair<std::string, std::shared_ptr<const Primitive>>;

  std::shared_ptr<const Primitive> find(const std::string& key) {
    const std::scoped_lock lock(mutex_);
    const auto found = positions_.find(key);
    if (found == positions_.end()) return nullptr;
    entries_.splice(entries_.begin(), entries_, found->second);
    return found->second->second;
  }

  void insert(const std::string& key, std::shared_ptr<const Primitive> primitive) {
    const std::scoped_lock lock(mutex_);
    if (positions_.contains(key)) return;
    entries_.emplace_front(key, std::move(primitive));
    positions_[key] = entries_.begin();
    while (entries_.size() > capacity_) {
      positions_.erase(entries_.back().first);
      entries_.pop_back();
    }
  }

  // Products whose rows are not known before a run.
  void collect_open(const Program& program) {
    for (const Step& step : program.steps) {
      const auto* call = std::get_if<PrimitiveCall>(&step.call);
      const auto* product = call ? std::get_if<MatmulRecipe>(&call->recipe) : nullptr;
      if (!product) continue;
      const std::span rows(product->y.extents.data(), product->y.extents.size() - 1);
      if (std::ranges::any_of(rows, [&](SizeId id) { return !program.sizes[static_cast<size_t>(id)].is_constant(); })) open_.insert(&call->recipe);
    }
    for (const auto& body : program.bodies) collect_open(*body);
  }

  // Weights of these products have one layout for all numbers of rows, so they are packed before the first run, in which
  // that would take longer than all else. What cannot be prepared is reported by the run that needs it.
  void pack_open(const Program& program) {
    constexpr int64_t kExtent = 64;
    std::vector<std::string> symbols;
    for (const Dim& size : program.sizes) size.collect_symbols(symbols);
    SymbolValues values;
    for (const std::string& symbol : symbols) values[symbol] = kExtent;
    std::vector<int64_t> sizes;
    for (const Dim& size : program.sizes) {
      const Result<int64_t> value = size.evaluate(values);
      sizes.push_back(value.ok() ? *value : -1);
    }
    for (const Step& step : program.steps) {
      const auto* call = std::get_if<PrimitiveCall>(&step.call);
      if (!call || !open_.contains(&call->recipe) || !std::get<MatmulRecipe>(call->recipe).constant_weights) continue;
      // A model may need longer inputs than this.
      const auto is_positive = [&](SizeId id) { return sizes[static_cast<size_t>(id)] > 0; };
      if (!std::ranges::all_of(std::get<MatmulRecipe>(call->recipe).y.extents, is_positive)) continue;
      Result<std::shared_ptr<const Primitive>> made = prepare(call->recipe, sizes, available_cores(), constants_of(program, step, sizes));
      if (made.ok()) packed_ahead_.push_back(*std::move(made));
    }
    for (const auto& body : program.bodies) pack_open(*body);
  }

  static std::vector<const void*> constants_of(const Program& program, const Step& step, std::span<const int64_t> sizes) {
    std::vector<const void*> constants;
    for (const ValueId id : step.inputs) {
      const ProgramValue* value = id == kNone ? nullptr : &program.values[static_cast<size_t>(id)];
      const Buffer* buffer = value ? &program.buffers[static_cast<size_t>(value->buffer)] : nullptr;
      const bool constant = buffer && buffer->kind == BufferKind::kConstant;
      const auto* base = constant ? static_cast<const std::byte*>(program.constants[static_cast<size_t>(buffer->index)].raw()) : nullptr;
      constants.push_back(base && value->offset != kNone ? base + sizes[static_cast<size_t>(value->offset)] : base);
    }
    return constants;
  }

  const size_t capacity_;
  std::unordered_set<const Recipe*> open_;
  std::vector<std::shared_ptr<const Primitive>> packed_ahead_;  // hold the packed weights
  bool is_ahead_ = false;  // while the library is made
  PackedConstants packed_;
  SharedCalls calls_;
  std::mutex mutex_;
  std::list<Entry> entries_;
  std::unordered_map<std::string, std::list<Entry>::iterator> positions_;
};

}  // namespace

std::shared_ptr<PrimitiveLibrary> make_onednn_library(int64_t capacity) {
  return std::make_shared<OnednnLibrary>(static_cast<size_t>(capacity));
}

bool needs_onednn(const Program& program) {
  const auto needs = [](const Step& step) {
    const auto* call = std::get_if<PrimitiveCall>(&step.call);
    return call && needs_onednn(call->recipe);
  };
  return std::ranges::any_of(program.steps, needs) || std::ranges::any_of(program.bodies, [](const auto& body) { return needs_onednn(*body); });
}

Result<std::shared_ptr<PrimitiveLibrary>> make_program_library(const Program& program) {
  constexpr size_t kCapacity = 1024;
  if (needs_onednn(program)) TRY(load_onednn());
  return std::shared_ptr<PrimitiveLibrary>(std::make_shared<OnednnLibrary>(kCapacity, program));
}

}  // namespace gannet
