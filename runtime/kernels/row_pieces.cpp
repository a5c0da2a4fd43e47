#include "runtime/kernels/row_pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <cstring>

#include "ir/base/round_up.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

using onednn::Argument;
using onednn::MemoryDesc;

constexpr std::array<int64_t, 4> kRows = {64, 32, 16, 8};
constexpr double kLittle = 4e6;      // operations that one thread does about as fast as several
constexpr double kVeryLittle = 1e6;  // the same where pieces could be shared out evenly

// Rows [first, first + rows), computed as kRows[size], which is not less.
struct Piece {
  int64_t first = 0, rows = 0;
  size_t size = 0;
};

// Pieces are small enough to be shared out evenly where there is work for several threads. Only the last one
// may have fewer rows than it is computed with.
std::vector<Piece> pieces_of(int64_t rows, double flops) {
  constexpr int64_t kMany = 1024, kSome = 128;
  const size_t largest = flops < kVeryLittle || rows >= kMany ? 0 : rows >= kSome || flops < kLittle ? 1 : 2;
  std::vector<Piece> pieces;
  for (int64_t at = 0; at < rows; at += pieces.back().rows) {
    size_t size = largest;
    while (kRows[size] >= rows - at + kRows.back()) ++size;
    pieces.push_back({at, std::min(kRows[size], rows - at), size});
  }
  return pieces;
}

// Few pieces with much work cannot be shared out: the library does better with the product as a whole, whose threads read
// parts of the weights each. Where these are few, that does not matter.
bool can_share(const std::vector<Piece>& pieces, double flops, const Layout& w) {
  constexpr size_t kFewest = 4, kFewestOfFewWeights = 2;
  constexpr int64_t kFewWeights = int64_t{1} << 18;
  return flops < kLittle || pieces.size() >= (w.elements() <= kFewWeights ? kFewestOfFewWeights : kFewest);
}

// An operand of which each piece has rows of its own.
struct RowOperand {
  int64_t pointer = 0;
  int64_t row_bytes = 0;    // from row to row
  int64_t width_bytes = 0;  // of a row
  int64_t copy =
      0;  // where in the scratch memory the last piece has its rows, where they are fewer than it computes

  int64_t bytes(int64_t rows) const { return (rows - 1) * row_bytes + width_bytes; }
};

class RowPieces final : public Primitive {
 public:
  struct Argument {
    enum Kind : uint8_t { kRows, kPointer, kWeights, kScratch } kind = kRows;
    size_t index = 0;  // of the operand, or of the step's pointer
  };
  struct Parts {
    std::vector<Piece> pieces;
    std::array<onednn::Call, kRows.size()> calls;
    std::vector<RowOperand> operands;  // that of the result is the last
    std::vector<Argument> arguments;
    std::shared_ptr<const void> weights;
    int64_t copies = 0, call_scratch = 0;
  };
  RowPieces(Parts parts, int threads)
      : p_(std::move(parts)), threads_(std::min(threads, static_cast<int>(p_.pieces.size()))) {}

  int64_t scratch_bytes() const override { return p_.copies + p_.call_scratch * threads_; }

  Status run(void* const* pointers, void* scratch, Threads& threads) const override {
    std::atomic<bool> failed = false;
    auto* copies = static_cast<char*>(scratch);
    threads.parallel_for(threads_, threads_, [&](int64_t begin, int64_t end, int) {
      const LibraryThreads one(1);
      for (int64_t worker = begin; worker < end; ++worker) {
        char* own = copies + p_.copies + worker * p_.call_scratch;
        for (size_t i = first_piece(worker); i < first_piece(worker + 1); ++i) {
          if (!run_piece(p_.pieces[i], pointers, copies, own)) failed = true;
        }
      }
    });
    if (failed) return unsupported("a matrix product of oneDNN failed");
    return {};
  }

 private:
  // Workers share rows evenly, whatever pieces they come in: a piece is that of whose share its middle is in.
  size_t first_piece(int64_t worker) const {
    const int64_t rows = p_.pieces.back().first + p_.pieces.back().rows;
    const auto is_before = [&](const Piece& piece) {
      return (2 * piece.first + piece.rows) * threads_ < 2 * rows * worker;
    };
    return static_cast<size_t>(std::ranges::partition_point(p_.pieces, is_before) - p_.pieces.begin());
  }

  bool run_piece(const Piece& piece, void* const* pointers, char* copies, char* scratch) const {
    const bool is_short = piece.rows < kRows[piece.size];
    std::array<void*, kMostOperands> addresses;
    size_t n = 0;
    for (const Argument& argument : p_.arguments) {
      switch (argument.kind) {
        case Argument::kRows:
          addresses[n++] = rows_of(piece, argument.index, pointers, is_short ? copies : nullptr);
          break;
        case Argument::kPointer:
          addresses[n++] = pointers[argument.index];
          break;
        case Argument::kWeights:
          addresses[n++] = const_cast<void*>(p_.weights.get());
          break;
        case Argument::kScratch:
          addresses[n++] = scratch;
          break;
      }
    }
    if (!p_.calls[piece.size].run({addresses.data(), n}).ok()) return false;
    if (is_short) {
      const RowOperand& y = p_.operands.back();
      std::memcpy(static_cast<char*>(pointers[y.pointer]) + piece.first * y.row_bytes, copies + y.copy,
                  static_cast<size_t>(y.bytes(piece.rows)));
    }
    return true;
  }

  // The rows where they are, or a copy with zeros behind them.
  void* rows_of(const Piece& piece, size_t index, void* const* pointers, char* copies) const {
    const RowOperand& operand = p_.operands[index];
    char* rows = static_cast<char*>(pointers[operand.pointer]) + piece.first * operand.row_bytes;
    if (!copies) return rows;
    char* copy = copies + operand.copy;
    if (index + 1 < p_.operands.size()) {
      const int64_t given = operand.bytes(piece.rows), all = operand.bytes(kRows[piece.size]);
      std::memcpy(copy, rows, static_cast<size_t>(given));
      std::memset(copy + given, 0, static_cast<size_t>(all - given));
    }
    return copy;
  }

  const Parts p_;
  const int threads_;
};

// `r` with another number of rows.
ProductRequest with_rows(ProductRequest r, int64_t rows) {
  r.product.x.extents[0] = r.product.y.extents[0] = rows;
  for (ProductTerm& term : r.terms) {
    if (term.pointer >= 0 && term.layout.extents[0] != 1) term.layout.extents[0] = rows;
  }
  return r;
}

std::string key_of(const onednn::MatmulSpec& spec, const ProductRequest& r) {
  std::string key = fmt::format("{} {} {}", onednn::identity_of(spec.x), onednn::identity_of(spec.w),
                                onednn::identity_of(spec.y));
  if (spec.bias) key += fmt::format(" {}", onednn::identity_of(*spec.bias));
  for (size_t i = 0; i < r.terms.size(); ++i) {
    const onednn::PostOp& op = spec.post_ops[i];
    key += fmt::format(" {}/{}/{}", static_cast<int>(op.kind), std::bit_cast<int32_t>(op.alpha),
                       std::bit_cast<int32_t>(op.beta));
    if (r.terms[i].pointer >= 0) key += onednn::identity_of(op.operand);
  }
  return key;
}

// The call for pieces of so many rows; `w` is the layout of the weights where that is decided.
Result<SharedCall> call_of(const ProductRequest& whole, int64_t rows, const std::optional<MemoryDesc>& w,
                           SharedCalls& calls) {
  const ProductRequest r = with_rows(whole, rows);
  onednn::MatmulSpec spec = TRY(spec_of(r, true));
  if (w) spec.w = *w;
  return calls.find_or_make(key_of(spec, r) + (w ? "" : " any"), [&]() -> Result<SharedCall> {
    const LibraryThreads one(1);
    const onednn::Made made = TRY(onednn::make_matmul(spec));
    std::vector<std::pair<int, MemoryDesc>> arguments = {{onednn::argument_id(Argument::kX), spec.x},
                                                         {onednn::argument_id(Argument::kW), made.w},
                                                         {onednn::argument_id(Argument::kY), spec.y}};
    if (spec.bias) arguments.emplace_back(onednn::argument_id(Argument::kBias), *spec.bias);
    const std::vector<size_t> positions = onednn::post_op_positions(spec.post_ops);
    for (size_t i = 0; i < r.terms.size(); ++i) {
      if (r.terms[i].pointer >= 0)
        arguments.emplace_back(onednn::post_op_argument(positions[i]), spec.post_ops[i].operand);
    }
    arguments.emplace_back(onednn::argument_id(Argument::kScratch), made.scratch);
    return SharedCall{onednn::Call(made.primitive, std::move(arguments)), made.w,
                      rounded_up(onednn::bytes_of(made.scratch), 64), made.implementation.starts_with("brg")};
  });
}

RowOperand row_operand(int64_t pointer, const Layout& layout) {
  const int64_t element = element_size(layout.dtype);
  return {pointer, layout.strides[0] * element, layout.extents[1] * element, 0};
}

// Which operand is where, in the order of the arguments of call_of.
void add_operands(RowPieces::Parts& parts, const ProductRequest& r) {
  using Kind = RowPieces::Argument;
  parts.operands.push_back(row_operand(0, r.product.x));
  parts.arguments = {{Kind::kRows, 0}, {Kind::kWeights, 0}, {Kind::kRows, 0}};
  if (r.bias_joins) parts.arguments.push_back({Kind::kPointer, 2});
  for (const ProductTerm& term : r.terms) {
    if (term.pointer < 0) continue;
    if (term.layout.extents[0] == 1) {
      parts.arguments.push_back({Kind::kPointer, static_cast<size_t>(term.pointer)});
    } else {
      parts.arguments.push_back({Kind::kRows, parts.operands.size()});
      parts.operands.push_back(row_operand(term.pointer, term.layout));
    }
  }
  parts.arguments.push_back({Kind::kScratch, 0});
  parts.arguments[2].index = parts.operands.size();
  parts.operands.push_back(row_operand(r.output, r.product.y));
}

}  // namespace

bool suits_row_pieces(const ProductRequest& r) {
  const Layout &x = r.product.x, &y = r.product.y;
  if (r.product.rank() != 2 || r.integers.x_dtype != DType::kUndefined) return false;
  const auto is_dense = [](const Layout& layout) {
    return layout.strides[1] == 1 && layout.strides[0] == layout.extents[1];
  };
  return is_dense(x) && is_dense(y) && std::ranges::all_of(r.terms, [](const ProductTerm& term) {
           return term.pointer < 0 || term.layout.strides[1] == 1 || term.layout.extents[1] == 1;
         });
}

Result<std::shared_ptr<const Primitive>> make_row_pieces(const ProductRequest& r, const Preparation& p,
                                                         int threads) {
  const int64_t rows = r.product.y.extents[0];
  const double flops =
      2.0 * static_cast<double>(r.product.y.elements()) * static_cast<double>(r.product.x.extents[1]);
  RowPieces::Parts parts;
  parts.pieces = pieces_of(rows, flops);
  std::shared_ptr<const Primitive> none;
  if (!can_share(parts.pieces, flops, r.product.w)) return none;
  add_operands(parts, r);
  // The layout of the weights is that for the largest pieces, and serves all.
  const SharedCall largest = TRY(call_of(r, kRows[0], std::nullopt, p.calls));
  for (size_t size = 0; size < kRows.size(); ++size) {
    const bool needed = std::ranges::find(parts.pieces, size, &Piece::size) != parts.pieces.end();
    if (!needed && !p.is_ahead) continue;
    const SharedCall call = size == 0 ? largest : TRY(call_of(r, kRows[size], largest.w, p.calls));
    if (needed && !call.by_blocks) return none;
    parts.calls[size] = call.call;
    parts.call_scratch = std::max(parts.call_scratch, call.scratch);
  }
  const Piece& last = parts.pieces.back();
  if (last.rows < kRows[last.size]) {
    for (RowOperand& operand : parts.operands) {
      operand.copy = parts.copies;
      parts.copies += rounded_up(operand.bytes(kRows[last.size]), 64);
    }
  }
  parts.weights = TRY(p.packed.pack(p.constants[1], TRY(memory_of(r.product.w)), largest.w));
  return std::shared_ptr<const Primitive>(std::make_shared<RowPieces>(std::move(parts), threads));
}

}  // namespace gannet
