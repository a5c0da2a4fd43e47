// Recurrent layers by our own kernels. The library's primitives for them (2.6.3) know neither sequence lengths, clips, other
// functions nor a coupled forget gate.
//
// The inputs of a chunk of steps are projected together, then the steps run one after the other. Directions and blocks of
// rows are independent and run on different threads; a single one shares out its projection, and its steps where the
// weights are large.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "ir/base/check.h"
#include "runtime/kernels/prepare.h"
#include "runtime/kernels/recurrent_weights.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

enum Operand : size_t { kX = 0, kW, kR, kB, kLengths, kInitialH, kInitialC, kP, kOperandCount };
enum ResultPlace : size_t { kY = kOperandCount, kLastH, kLastC };

struct Geometry {
  int64_t steps = 0, batch = 0, directions = 1;
  bool reversed = false, batch_first = false;
  bool given_h = false;                            // initial_h is an operand
  bool states_in_y = false, cells_in_last_c = false;  // they are made where they are results
  RecurrentWeightsLayout weights;

  bool is_gated() const { return weights.kind == CellKind::kGru; }  // has what passes from `step` to `finish`
  // How often states of a block are in scratch memory.
  int64_t scratch_states() const {
    const int64_t states = !states_in_y ? 2 : given_h ? 0 : 1;
    return states + (weights.kind == CellKind::kLstm && !cells_in_last_c) + 2 * is_gated();
  }

  int64_t gate_units() const { return gates_of(weights.kind) * weights.units(); }
  int64_t input_at(int64_t time, int64_t row) const {
    return (batch_first ? row * steps + time : time * batch + row) * weights.input;
  }
  int64_t output_at(int64_t time, int64_t direction, int64_t row) const {
    const int64_t place = batch_first ? (row * steps + time) * directions + direction : (time * directions + direction) * batch + row;
    return place * weights.hidden;
  }
  int64_t state_at(int64_t direction, int64_t row) const {
    return (batch_first ? row * directions + direction : direction * batch + row) * weights.hidden;
  }
};

// Addresses of one run.
struct Arguments {
  const float *x = nullptr, *initial_h = nullptr, *initial_c = nullptr;
  const int32_t* lengths = nullptr;
  float *y = nullptr, *last_h = nullptr, *last_c = nullptr;
};

// A direction over a block of rows while it runs.
class Block {
 public:
  Block(const Geometry& g, const Arguments& a, const CellKernels& kernels, const CellWeights& weights, int64_t direction, int64_t first_row,
        int64_t rows, int64_t chunk, float* scratch)
      : g_(g), a_(a), weights_(weights), direction_(direction), first_row_(first_row), rows_(rows), chunk_(chunk) {
    const auto kind = static_cast<size_t>(g.weights.kind);
    project_ = &kernels.project[kind];
    step_ = &kernels.step[kind];
    finish_ = g.is_gated() ? &kernels.finish : nullptr;
    auto take = [&](float*& part, bool wanted) {
      if (wanted) part = std::exchange(scratch, scratch + rows * g.weights.units());
    };
    take(states_[0], !(g.states_in_y && g.given_h));
    take(states_[1], !g.states_in_y);
    take(cells_, g.weights.kind == CellKind::kLstm && !g.cells_in_last_c);
    take(updates_, g.is_gated());
    take(resets_, g.is_gated());
    projected_ = scratch;
  }

  static int64_t scratch_floats(const Geometry& g, int64_t rows, int64_t chunk) {
    return rows * (g.scratch_states() * g.weights.units() + chunk * g.gate_units());
  }

  // Runs all steps. With `threads`, `project_workers` and `step_workers` of them share the work.
  void run(const Threads* threads, int project_workers, int step_workers) {
    load_states();
    for (int64_t begin = 0; begin < g_.steps; begin += chunk_) {
      const int64_t end = std::min(begin + chunk_, g_.steps);
      project_all(begin, end, threads, project_workers);
      for (int64_t step = begin; step < end; ++step) {
        over_panels(threads, step_workers, [&](int64_t first, int64_t last) { run_step(*step_, begin, step, first, last); });
        if (finish_) over_panels(threads, step_workers, [&](int64_t first, int64_t last) { run_step(*finish_, begin, step, first, last); });
        if (a_.y) write_output(step);
      }
    }
    store_states();
  }

 private:
  int64_t length(int64_t row) const { return a_.lengths ? a_.lengths[first_row_ + row] : g_.steps; }
  int64_t time_of(int64_t step, int64_t row) const {
    return g_.reversed || direction_ == 1 ? length(row) - 1 - step : step;
  }
  float* output(int64_t step, int64_t row) const { return a_.y + g_.output_at(time_of(step, row), direction_, first_row_ + row); }

  // The state of a row before `step`, and where that after it goes.
  const float* state(int64_t step, int64_t row) const {
    if (!g_.states_in_y) return states_[step % 2] + row * g_.weights.units();
    if (step > 0) return output(step - 1, row);
    return g_.given_h ? a_.initial_h + g_.state_at(direction_, first_row_ + row) : states_[0] + row * g_.weights.units();
  }
  float* next(int64_t step, int64_t row) const {
    return g_.states_in_y ? output(step, row) : states_[(step + 1) % 2] + row * g_.weights.units();
  }
  float* cell(int64_t row) const {
    if (g_.cells_in_last_c) return a_.last_c + g_.state_at(direction_, first_row_ + row);
    return cells_ ? cells_ + row * g_.weights.units() : nullptr;
  }

  template <class Body>
  void over_panels(const Threads* threads, int workers, const Body& body) const {
    if (!threads || workers <= 1) return body(0, g_.weights.panels());
    threads->parallel_for(g_.weights.panels(), workers, [&](int64_t first, int64_t end, int) { body(first, end); });
  }

  void load_states() {
    for (int64_t row = 0; row < rows_; ++row) {
      if (states_[0]) load_state(a_.initial_h, row, states_[0] + row * g_.weights.units());
      if (cell(row)) load_state(a_.initial_c, row, cell(row));
    }
  }

  void load_state(const float* initial, int64_t row, float* target) const {
    const int64_t hidden = g_.weights.hidden;
    if (initial) std::copy_n(initial + g_.state_at(direction_, first_row_ + row), hidden, target);
    std::fill(target + (initial ? hidden : 0), target + g_.weights.units(), 0.0f);
  }

  // The projections of steps [begin, end): cut by rows where there are many, else by panels.
  void project_all(int64_t begin, int64_t end, const Threads* threads, int workers) {
    const int64_t count = (end - begin) * rows_;
    if (!threads || workers <= 1) return project(begin, 0, count, 0, g_.weights.panels());
    if (count < int64_t{4} * project_->rows * workers) {
      return over_panels(threads, workers, [&](int64_t first, int64_t last) { project(begin, 0, count, first, last); });
    }
    const int64_t tiles = (count + project_->rows - 1) / project_->rows;
    threads->parallel_for(tiles, workers, [&](int64_t first, int64_t last, int) {
      project(begin, first * project_->rows, std::min(last * project_->rows, count), 0, g_.weights.panels());
    });
  }

  // Positions [first, end) of the chunk from step `begin` on; position is step, then row.
  void project(int64_t begin, int64_t first, int64_t end, int64_t first_panel, int64_t end_panel) {
    CellTile tile;
    for (int64_t position = first; position < end; ++position) {
      const int64_t step = begin + position / rows_, row = position % rows_;
      if (step >= length(row)) continue;
      const auto at = static_cast<size_t>(tile.rows++);
      tile.x[at] = a_.x + g_.input_at(time_of(step, row), first_row_ + row);
      tile.projected[at] = projected_ + position * g_.gate_units();
      if (tile.rows == project_->rows) flush(*project_, tile, first_panel, end_panel);
    }
    flush(*project_, tile, first_panel, end_panel);
  }

  void run_step(const CellFns& fns, int64_t begin, int64_t step, int64_t first_panel, int64_t end_panel) {
    CellTile tile;
    const int64_t units = g_.weights.units();
    for (int64_t row = 0; row < rows_; ++row) {
      if (step >= length(row)) continue;
      const auto at = static_cast<size_t>(tile.rows++);
      tile.projected[at] = projected_ + ((step - begin) * rows_ + row) * g_.gate_units();
      tile.h[at] = state(step, row);
      tile.next[at] = next(step, row);
      tile.c[at] = cell(row);
      tile.update[at] = updates_ ? updates_ + row * units : nullptr;
      tile.reset[at] = resets_ ? resets_ + row * units : nullptr;
      if (tile.rows == fns.rows) flush(fns, tile, first_panel, end_panel);
    }
    flush(fns, tile, first_panel, end_panel);
  }

  void flush(const CellFns& fns, CellTile& tile, int64_t first_panel, int64_t end_panel) const {
    if (tile.rows > 0) fns.of_rows[static_cast<size_t>(tile.rows - 1)](weights_, tile, first_panel, end_panel);
    tile.rows = 0;
  }

  // Beyond the length of a row its outputs are zero.
  void write_output(int64_t step) const {
    for (int64_t row = 0; row < rows_; ++row) {
      const bool running = step < length(row);
      if (!running)
        std::fill_n(a_.y + g_.output_at(step, direction_, first_row_ + row), g_.weights.hidden, 0.0f);
      else if (!g_.states_in_y)
        std::copy_n(next(step, row), g_.weights.hidden, output(step, row));
    }
  }

  void store_states() const {
    for (int64_t row = 0; row < rows_; ++row) {
      const int64_t at = g_.state_at(direction_, first_row_ + row);
      if (a_.last_h) std::copy_n(state(length(row), row), g_.weights.hidden, a_.last_h + at);
      if (a_.last_c && !g_.cells_in_last_c) std::copy_n(cell(row), g_.weights.hidden, a_.last_c + at);
    }
  }

  const Geometry& g_;
  const Arguments& a_;
  const CellWeights weights_;
  const int64_t direction_, first_row_, rows_, chunk_;
  const CellFns *project_ = nullptr, *step_ = nullptr, *finish_ = nullptr;
  // In scratch memory, null where they are elsewhere or there are none. States: after an even and an odd number of steps.
  float* states_[2] = {};
  float *cells_ = nullptr, *updates_ = nullptr, *resets_ = nullptr, *projected_ = nullptr;
};

// How a layer is shared out; results do not depend on it.
struct Sharing {
  int64_t block_rows = 1, blocks = 1;  // of each direction
  int64_t chunk = 1;
  int workers = 1;          // over directions and blocks
  int project_workers = 1;  // of the only one
  int step_workers = 1;
  int pack_workers = 1;
};

class RecurrentLayer final : public Primitive {
 public:
  RecurrentLayer(Geometry geometry, const CellKernels& kernels, std::vector<Activation> functions, bool input_forget, Sharing sharing)
      : g_(std::move(geometry)), kernels_(kernels), functions_(std::move(functions)), input_forget_(input_forget), sharing_(sharing) {
    const ActivationKind defaults[] = {g_.weights.kind == CellKind::kRnn ? ActivationKind::kTanh : ActivationKind::kSigmoid,
                                       ActivationKind::kTanh, ActivationKind::kTanh};
    const size_t count = functions_.size() / static_cast<size_t>(g_.directions);
    for (size_t i = 0; i < functions_.size(); ++i) {
      if (i % count == 2) functions_[i].clip = 0;  // a cell state passes to its function as it is
      plain_ &= functions_[i].kind == defaults[i % count] && functions_[i].clip == 0;
    }
  }

  void keep(std::shared_ptr<const void> packed) { packed_ = std::move(packed); }

  int64_t scratch_bytes() const override { return 4 * (packed_floats() + block_floats() * sharing_.blocks * g_.directions); }

  Status run(void* const* pointers, void* scratch, Threads& threads) const override {
    const Arguments a = arguments_of(pointers);
    TRY(check_lengths(a));
    auto* room = static_cast<float*>(scratch);
    const auto* packed = static_cast<const float*>(packed_.get());
    if (!packed) {
      const PlainWeights plain = {input(pointers, kW), input(pointers, kR), input(pointers, kB), input(pointers, kP)};
      threads.parallel_for(g_.directions * g_.weights.panels(), sharing_.pack_workers,
                           [&](int64_t first, int64_t end, int) { pack_weights(g_.weights, plain, first, end, room); });
      packed = room;
      room += packed_floats();
    }
    auto run_block = [&](int64_t index, const Threads* shared) {
      const int64_t direction = index / sharing_.blocks, first = index % sharing_.blocks * sharing_.block_rows;
      CellWeights weights = weights_of(g_.weights, packed, direction, pointers[kP] != nullptr);
      weights.functions = functions_.data() + direction * static_cast<int64_t>(functions_.size()) / g_.directions;
      weights.plain = plain_;
      weights.input_forget = input_forget_;
      const int64_t rows = std::min(sharing_.block_rows, g_.batch - first);
      Block block(g_, a, kernels_, weights, direction, first, rows, sharing_.chunk, room + index * block_floats());
      block.run(shared, sharing_.project_workers, sharing_.step_workers);
    };
    const int64_t count = sharing_.blocks * g_.directions;
    if (count == 1) return run_block(0, &threads), Status();
    threads.parallel_for(count, sharing_.workers, [&](int64_t first, int64_t end, int) {
      for (int64_t index = first; index < end; ++index) run_block(index, nullptr);
    });
    return {};
  }

 private:
  static const float* input(void* const* pointers, size_t operand) { return static_cast<const float*>(pointers[operand]); }

  static Arguments arguments_of(void* const* pointers) {
    auto output = [&](size_t place) { return static_cast<float*>(pointers[place]); };
    return {input(pointers, kX), input(pointers, kInitialH), input(pointers, kInitialC), static_cast<const int32_t*>(pointers[kLengths]),
            output(kY), output(kLastH), output(kLastC)};
  }

  Status check_lengths(const Arguments& a) const {
    for (int64_t row = 0; a.lengths && row < g_.batch; ++row) {
      if (a.lengths[row] < 0 || a.lengths[row] > g_.steps) {
        return invalid_input(fmt::format("sequence_lens holds {}, X has {} steps", a.lengths[row], g_.steps));
      }
    }
    return {};
  }

  int64_t packed_floats() const { return packed_ ? 0 : g_.directions * g_.weights.direction_size(); }
  int64_t block_floats() const {
    constexpr int64_t kLine = 16;
    return (Block::scratch_floats(g_, sharing_.block_rows, sharing_.chunk) + kLine - 1) / kLine * kLine;
  }

  const Geometry g_;
  const CellKernels& kernels_;
  std::vector<Activation> functions_;
  const bool input_forget_;
  const Sharing sharing_;
  bool plain_ = true;
  std::shared_ptr<const void> packed_;
};

Sharing sharing_of(const Geometry& g, const CellKernels& kernels, const Preparation& p) {
  constexpr int64_t kProjectedFloats = 1 << 16, kLeastPositions = 24;
  const auto kind = static_cast<size_t>(g.weights.kind);
  const auto rows = static_cast<double>(g.steps * g.batch), columns = static_cast<double>(g.gate_units());
  const auto input = static_cast<double>(g.weights.input), hidden = static_cast<double>(g.weights.hidden);
  const double matrix_bytes = 4 * columns * hidden, step_flops = 2 * static_cast<double>(g.batch) * columns * hidden;
  const double steps = static_cast<double>(g.steps), directions = static_cast<double>(g.directions);
  Sharing s;
  s.workers = p.threads_for(directions * (2 * rows * columns * input + steps * step_flops), directions * steps * matrix_bytes);
  const int64_t tile = kernels.step[kind].rows;
  const int64_t blocks = std::clamp<int64_t>(s.workers / g.directions, 1, (g.batch + tile - 1) / tile);
  s.block_rows = ((g.batch + blocks - 1) / blocks + tile - 1) / tile * tile;
  s.block_rows = std::min(s.block_rows, g.batch);
  s.blocks = (g.batch + s.block_rows - 1) / s.block_rows;
  const int64_t positions = std::max(kProjectedFloats / g.gate_units(), kLeastPositions);
  s.chunk = std::clamp<int64_t>(positions / s.block_rows, 1, std::max<int64_t>(g.steps, 1));
  const double chunk_rows = static_cast<double>(std::min(s.chunk, g.steps) * g.batch);
  s.project_workers = p.threads_for(2 * chunk_rows * columns * input, 4 * columns * input);
  s.step_workers = p.threads_for(step_flops, matrix_bytes);
  s.pack_workers = p.threads_for(0, 8 * directions * columns * (input + hidden));
  return s;
}

// The packed weights, when all that they are made of is constant.
Result<std::shared_ptr<const void>> packed_constants(const RecurrentWeightsLayout& layout, const Preparation& p) {
  auto constant = [&](size_t operand) { return static_cast<const float*>(p.constants[operand]); };
  const PlainWeights plain = {constant(kW), constant(kR), constant(kB), constant(kP)};
  const std::string key = fmt::format("recurrent {} {} {} {} {} {} {} {} {}", fmt::ptr(plain.w), fmt::ptr(plain.r), fmt::ptr(plain.b),
                                      fmt::ptr(plain.p), static_cast<int>(layout.kind), layout.input, layout.hidden, layout.directions,
                                      layout.lanes);
  return p.packed.keep(key, layout.bytes(), [&](void* memory) -> Status {
    pack_weights(layout, plain, 0, layout.directions * layout.panels(), static_cast<float*>(memory));
    return {};
  });
}

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_recurrent(const RecurrentRecipe& recipe, const Preparation& p) {
  auto size = [&](SizeId id) { return p.sizes[static_cast<size_t>(id)]; };
  const CellKernels& kernels = cell_kernels(recipe.hidden_size);
  Geometry g;
  g.steps = size(recipe.steps);
  g.batch = size(recipe.batch);
  g.directions = recipe.bidirectional ? 2 : 1;
  g.reversed = recipe.reversed;
  g.batch_first = recipe.batch_first;
  const CellKind gru = recipe.linear_before_reset ? CellKind::kGruLinear : CellKind::kGru;
  const CellKind kind = recipe.kind == RecurrentKind::kLstm  ? CellKind::kLstm
                        : recipe.kind == RecurrentKind::kGru ? gru
                                                             : CellKind::kRnn;
  g.weights = {kind, size(recipe.input_size), recipe.hidden_size, g.directions, kernels.lanes};
  // Kernels write whole panels.
  const bool whole = g.weights.units() == g.weights.hidden;
  g.given_h = recipe.given_h;
  g.states_in_y = recipe.gives_y && whole;
  g.cells_in_last_c = recipe.gives_last_c && whole && kind == CellKind::kLstm;
  if (g.batch == 0) return make_nothing();
  const Sharing sharing = sharing_of(g, kernels, p);
  auto layer = std::make_shared<RecurrentLayer>(g, kernels, recipe.activations, recipe.input_forget, sharing);
  CHECK(p.constants.size() == kOperandCount, "{} operands of a recurrent layer", p.constants.size());
  if (recipe.constant_weights && p.constants[kW] && p.constants[kR]) layer->keep(TRY(packed_constants(g.weights, p)));
  return std::shared_ptr<const Primitive>(std::move(layer));
}

}  // namespace gannet
