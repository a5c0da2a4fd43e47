// Matrix products. With AVX-512 the library's primitive (brgemm) sums in the same order for any number of threads, which
// its sgemm does not for a single row; it is as fast or faster, and takes an epilogue. Its other kernels order sums by
// the number of threads.
#include <algorithm>
#include <array>
#include <atomic>

#include "ir/base/round_up.h"
#include "runtime/kernels/product.h"
#include "runtime/kernels/row_pieces.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

using onednn::Argument;
using onednn::MemoryDesc;

// Axis `a` and the next one of `layout` as one: possible when steps along both are those of one longer axis, or it is
// repeated along both.
bool joins(const Layout& layout, size_t a, const Layout& y) {
  const int64_t outer = layout.extents[a], inner = layout.extents[a + 1];
  if (y.extents[a] == 1) return true;
  if (y.extents[a + 1] == 1) return inner == 1;
  if (outer == 1 && inner == 1) return true;
  return outer != 1 && inner != 1 && layout.strides[a] == inner * layout.strides[a + 1];
}

void join(Layout& layout, size_t a, const Layout& y) {
  const auto at = static_cast<int64_t>(a);
  if (y.extents[a + 1] == 1 && y.extents[a] != 1) layout.strides[a + 1] = layout.strides[a];
  layout.extents[a + 1] *= layout.extents[a];
  layout.extents.erase(layout.extents.begin() + at);
  layout.strides.erase(layout.strides.begin() + at);
}

// Makes axes a and a+1 one in all operands where that is possible. Rows join the batch when all share one right side.
bool join_axes(ProductOperands& p, size_t a) {
  const bool rows = a + 3 == p.rank();
  if (rows && p.w.extents[a] != 1) return false;
  std::vector<Layout*> parts{&p.x, &p.y};
  if (!rows) parts.push_back(&p.w);
  if (p.bias) parts.push_back(&*p.bias);
  for (size_t i = 0; i < p.operands.size(); ++i) {
    if (p.has_operand[i]) parts.push_back(&p.operands[i]);
  }
  const Layout y = p.y;
  if (!std::ranges::all_of(parts, [&](const Layout* layout) { return joins(*layout, a, y); })) return false;
  for (Layout* layout : parts) join(*layout, a, y);
  if (rows) {
    p.w.extents.erase(p.w.extents.begin() + static_cast<int64_t>(a));
    p.w.strides.erase(p.w.strides.begin() + static_cast<int64_t>(a));
  }
  return true;
}

ProductOperands product_of(const MatmulRecipe& recipe, std::span<const int64_t> sizes) {
  ProductOperands p{layout_at(recipe.x, sizes), layout_at(recipe.w, sizes), layout_at(recipe.y, sizes), std::nullopt, {}, {}};
  if (recipe.has_bias) p.bias = layout_at(recipe.bias, sizes);
  for (const EpilogueStep& step : recipe.epilogue) {
    p.operands.push_back(layout_at(step.layout, sizes));
    p.has_operand.push_back(step.operand >= 0);
  }
  return p;
}

// Strides of extents of 1 as in a dense tensor: kernels read leading dimensions from them.
void settle(Layout& layout) {
  int64_t dense = 1;
  for (size_t d = layout.rank(); d-- > 0;) {
    if (layout.extents[d] == 1) layout.strides[d] = dense;
    dense = std::max(dense, layout.strides[d] * layout.extents[d]);
  }
}

bool is_row(const Layout& layout) {
  return std::all_of(layout.extents.begin(), layout.extents.end() - 1, [](int64_t extent) { return extent == 1; }) &&
         (layout.strides.back() == 1 || layout.extents.back() == 1);
}

// A product cut along one axis into pieces that follow from its shape alone, each computed on one thread: for forms
// whose sums the library orders by the number of threads.
class PiecewiseProduct final : public Primitive {
 public:
  struct Operand {
    int32_t pointer = 0;
    int64_t step = 0;  // bytes from piece to piece
  };
  PiecewiseProduct(onednn::Call whole, onednn::Call last, int64_t pieces, int threads, int64_t scratch, std::vector<Operand> operands)
      : whole_(std::move(whole)), last_(std::move(last)), pieces_(pieces), threads_(threads), scratch_(scratch), operands_(std::move(operands)) {}

  int64_t scratch_bytes() const override { return scratch_ * threads_; }

  Status run(void* const* pointers, void* scratch, Threads& threads) const override {
    std::atomic<bool> failed = false;
    threads.parallel_for(pieces_, threads_, [&](int64_t begin, int64_t end, int thread) {
      const LibraryThreads one(1);
      std::array<void*, kMostOperands> addresses;
      for (int64_t piece = begin; piece < end; ++piece) {
        size_t n = 0;
        for (const Operand& operand : operands_) addresses[n++] = static_cast<char*>(pointers[operand.pointer]) + piece * operand.step;
        addresses[n++] = static_cast<char*>(scratch) + thread * scratch_;
        if (!(piece + 1 == pieces_ ? last_ : whole_).run({addresses.data(), n}).ok()) failed = true;
      }
    });
    if (failed) return unsupported("a matrix product of oneDNN failed");
    return {};
  }

 private:
  onednn::Call whole_, last_;
  int64_t pieces_;
  int threads_;
  int64_t scratch_;
  std::vector<Operand> operands_;
};

struct PieceCall {
  onednn::Call call;
  int64_t scratch = 0;         // bytes, whole cache lines
  bool by_definition = false;  // the library has no kernel for it but its slow reference
};

struct Pieces {
  std::shared_ptr<const Primitive> product;
  bool by_definition = false;
};

// The call on pieces of `extent` along `axis`, operands in the order of piece_operands.
Result<PieceCall> piece_call(const ProductRequest& whole, size_t axis, int64_t extent) {
  const ProductRequest r = piece_of(whole, axis, extent);
  const onednn::MatmulSpec spec = TRY(spec_of(r, false));
  const onednn::Made made = TRY(onednn::make_matmul(spec));
  std::vector<std::pair<int, MemoryDesc>> arguments = {{onednn::argument_id(Argument::kX), spec.x},
                                                       {onednn::argument_id(Argument::kW), spec.w},
                                                       {onednn::argument_id(Argument::kY), spec.y}};
  if (spec.bias) arguments.emplace_back(onednn::argument_id(Argument::kBias), *spec.bias);
  const std::vector<size_t> positions = onednn::post_op_positions(spec.post_ops);
  for (size_t i = 0; i < r.terms.size(); ++i) {
    if (r.terms[i].pointer >= 0) arguments.emplace_back(onednn::post_op_argument(positions[i]), spec.post_ops[i].operand);
  }
  arguments.emplace_back(onednn::argument_id(Argument::kScratch), made.scratch);
  return PieceCall{onednn::Call(made.primitive, std::move(arguments)), rounded_up(onednn::bytes_of(made.scratch), 64),
                   made.implementation.starts_with("ref")};
}

// Pieces along an axis, at least 16 rows or columns of them.
Result<Pieces> pieces_along(const ProductRequest& r, size_t axis, int threads) {
  constexpr int64_t kPieces = 8, kLeast = 16;
  const LibraryThreads one(1);
  const size_t rank = r.product.rank();
  const std::vector<int64_t>& extents = r.product.y.extents;
  const int64_t least = axis + 2 < rank ? 1 : kLeast;
  const int64_t extent = (std::max((extents[axis] + kPieces - 1) / kPieces, int64_t{1}) + least - 1) / least * least;
  const int64_t pieces = (extents[axis] + extent - 1) / extent;
  PieceCall whole = TRY(piece_call(r, axis, std::min(extent, extents[axis])));
  PieceCall last = TRY(piece_call(r, axis, extents[axis] - (pieces - 1) * extent));
  const bool by_definition = whole.by_definition || last.by_definition;
  std::vector<PiecewiseProduct::Operand> operands;
  auto add = [&](int64_t pointer, const Layout& layout, bool moves) {
    const bool stays = !moves || layout.extents[axis] == 1;
    operands.push_back({static_cast<int32_t>(pointer), stays ? 0 : extent * layout.strides[axis] * element_size(layout.dtype)});
  };
  add(0, r.product.x, axis != rank - 1);
  add(1, r.product.w, axis != rank - 2);
  add(r.output, r.product.y, true);
  if (r.bias_joins) add(2, *r.product.bias, true);
  for (const ProductTerm& term : r.terms) {
    if (term.pointer >= 0) add(term.pointer, term.layout, true);
  }
  return Pieces{std::make_shared<PiecewiseProduct>(std::move(whole.call), std::move(last.call), pieces, threads,
                                                   std::max(whole.scratch, last.scratch), std::move(operands)),
                by_definition};
}

// Pieces along the first axis of a batch, else along rows or columns, whichever are more. Columns are no dense matrix, for
// which the library may have its reference alone where something is added to them: then rows.
Result<std::shared_ptr<const Primitive>> piecewise(const ProductRequest& r, int threads) {
  const size_t rank = r.product.rank(), rows = rank - 2, columns = rank - 1;
  const std::vector<int64_t>& extents = r.product.y.extents;
  const size_t axis = rank > 2 && extents[0] > 1 ? 0 : extents[rows] >= extents[columns] ? rows : columns;
  const Pieces pieces = TRY(pieces_along(r, axis, threads));
  if (!pieces.by_definition || axis == rows) return pieces.product;
  const Pieces of_rows = TRY(pieces_along(r, rows, threads));
  return of_rows.by_definition ? pieces.product : of_rows.product;
}

}  // namespace

Result<onednn::MatmulSpec> spec_of(const ProductRequest& r, bool packs) {
  onednn::MatmulSpec spec;
  spec.x = TRY(memory_of(r.product.x));
  spec.w = TRY(memory_of(r.product.w));
  if (packs) spec.w = onednn::any_layout(spec.w);
  spec.y = TRY(memory_of(r.product.y));
  spec.sums = r.integers.sums;
  if (r.bias_joins) spec.bias = TRY(memory_of(*r.product.bias));
  for (const ProductTerm& term : r.terms) {
    spec.post_ops.push_back(term.op);
    if (term.pointer >= 0) spec.post_ops.back().operand = TRY(memory_of(term.layout));
  }
  return spec;
}

ProductRequest piece_of(ProductRequest r, size_t axis, int64_t extent) {
  const size_t rank = r.product.rank();
  auto cut = [&](Layout& layout) {
    if (layout.extents[axis] != 1) layout.extents[axis] = extent;
  };
  if (axis != rank - 1) cut(r.product.x);
  if (axis != rank - 2) cut(r.product.w);
  cut(r.product.y);
  if (r.product.bias) cut(*r.product.bias);
  for (ProductTerm& term : r.terms) {
    if (term.pointer >= 0) cut(term.layout);
  }
  return r;
}

Result<std::shared_ptr<const Primitive>> prepare_matmul(const MatmulRecipe& given, const Preparation& p) {
  MatmulRecipe recipe = given;
  IntegerParts integers;
  const bool of_integers = sums_integers(given.x);
  if (of_integers) {
    integers = TRY(integer_parts(given, p, given.y.extents.size() - 1));
    recipe.epilogue = integers.epilogue;
  }
  ProductRequest r{product_of(recipe, p.sizes), {}, false, static_cast<int64_t>(input_count(given)), std::move(integers)};
  ProductOperands& product = r.product;
  if (product.y.elements() == 0) return make_nothing();
  if (of_integers && product.x.elements() == 0) return unsupported("a product of integers over nothing");
  if (product.x.elements() == 0) {
    return make_fill(product.y, product.bias, recipe.epilogue, product.operands, static_cast<size_t>(r.output));
  }
  const double flops = 2.0 * static_cast<double>(product.y.elements()) * static_cast<double>(product.x.extents.back());
  for (size_t a = product.rank() - 2; a-- > 0;) join_axes(product, a);
  for (Layout* layout : {&product.x, &product.w, &product.y}) settle(*layout);
  if (product.bias) settle(*product.bias);

  if (recipe.alpha != 1) r.terms.push_back({{EpilogueKind::kLinear, recipe.alpha, 0, {}}, -1, {}});
  r.bias_joins = product.bias && recipe.alpha == 1 && is_row(*product.bias);
  if (product.bias && !r.bias_joins) r.terms.push_back({{EpilogueKind::kAdd, 0, 0, {}}, 2, *product.bias});
  for (size_t i = 0; i < recipe.epilogue.size(); ++i) {
    const EpilogueStep& step = recipe.epilogue[i];
    if (step.operand >= 0) settle(product.operands[i]);
    r.terms.push_back({{step.kind, step.alpha, step.beta, {}}, step.operand, product.operands[i]});
  }

  const double bytes = 4.0 * static_cast<double>(product.x.elements() + product.w.elements() + product.y.elements());
  const int threads = p.threads_for(flops, bytes, speed_of(given.x));
  const bool packs = recipe.constant_weights && p.constants.size() > 1 && p.constants[1];
  if (p.open_rows && packs && suits_row_pieces(r)) {
    if (std::shared_ptr<const Primitive> pieces = TRY(make_row_pieces(r, p, threads))) return pieces;
  }
  const LibraryThreads library_threads(threads);
  const onednn::MatmulSpec spec = TRY(spec_of(r, packs));
  const onednn::Made made = TRY(onednn::make_matmul(spec));
  // Sums of integers are the same in any order.
  if (!made.implementation.starts_with("brg") && !of_integers) return piecewise(r, threads);
  const MemoryDesc w_memory = TRY(memory_of(product.w));
  auto sequence = std::make_shared<CallSequence>(threads);
  const Place w = packs ? sequence->keep(TRY(p.packed.pack(p.constants[1], w_memory, made.w))) : Place{Place::kPointer, 1};
  std::vector<CallSequence::Operand> operands = {
      {onednn::argument_id(Argument::kX), made.x, {Place::kPointer, 0}},
      {onednn::argument_id(Argument::kW), made.w, w},
      {onednn::argument_id(Argument::kY), made.y, {Place::kPointer, r.output}},
      {onednn::argument_id(Argument::kScratch), made.scratch, sequence->reserve(made.scratch)}};
  if (spec.bias) operands.push_back({onednn::argument_id(Argument::kBias), *spec.bias, {Place::kPointer, 2}});
  const std::vector<size_t> positions = onednn::post_op_positions(spec.post_ops);
  for (size_t i = 0; i < r.terms.size(); ++i) {
    if (r.terms[i].pointer < 0) continue;
    operands.push_back({onednn::post_op_argument(positions[i]), spec.post_ops[i].operand, {Place::kPointer, r.terms[i].pointer}});
  }
  if (of_integers) TRY(add_zero_points(operands, r.integers, *sequence));
  sequence->add(made.primitive, std::move(operands));
  return std::shared_ptr<const Primitive>(std::move(sequence));
}

}  // namespace gannet
