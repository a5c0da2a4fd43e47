// Matrix products. The library's primitive sums in the same order for any number of threads, which its sgemm does not
// for a single row; it is as fast or faster, and takes an epilogue.
#include <algorithm>

#include "runtime/kernels/prepare.h"
#include "runtime/threads/threads.h"

namespace gannet {
namespace {

using onednn::Argument;
using onednn::MemoryDesc;

// The operands of a product; the epilogue's layouts follow the recipe's steps.
struct Product {
  Layout x, w, y;
  std::optional<Layout> bias;
  std::vector<Layout> operands;
  std::vector<bool> has_operand;

  size_t rank() const { return y.rank(); }
};

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
bool join_axes(Product& p, size_t a) {
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

Product product_of(const MatmulRecipe& recipe, std::span<const int64_t> sizes) {
  Product p{layout_at(recipe.x, sizes), layout_at(recipe.w, sizes), layout_at(recipe.y, sizes), std::nullopt, {}, {}};
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

struct Term {
  onednn::PostOp op;
  int32_t pointer = -1;
};

}  // namespace

Result<std::shared_ptr<const Primitive>> prepare_matmul(const MatmulRecipe& recipe, const Preparation& p) {
  Product product = product_of(recipe, p.sizes);
  const size_t output = input_count(recipe);
  if (product.y.elements() == 0) return make_nothing();
  if (product.x.elements() == 0) return make_fill(product.y, product.bias, recipe.epilogue, product.operands, output);
  const double flops = 2.0 * static_cast<double>(product.y.elements()) * static_cast<double>(product.x.extents.back());
  for (size_t a = product.rank() - 2; a-- > 0;) join_axes(product, a);
  for (Layout* layout : {&product.x, &product.w, &product.y}) settle(*layout);
  if (product.bias) settle(*product.bias);

  onednn::MatmulSpec spec;
  spec.x = TRY(memory_of(product.x));
  const MemoryDesc w_memory = TRY(memory_of(product.w));
  const bool packs = recipe.constant_weights && p.constants.size() > 1 && p.constants[1];
  spec.w = packs ? onednn::any_layout(w_memory) : w_memory;
  spec.y = TRY(memory_of(product.y));
  std::vector<Term> terms;
  if (recipe.alpha != 1) terms.push_back({{EpilogueKind::kLinear, recipe.alpha, 0, {}}, -1});
  if (product.bias && (recipe.alpha != 1 || !is_row(*product.bias))) {
    terms.push_back({{EpilogueKind::kAdd, 0, 0, TRY(memory_of(*product.bias))}, 2});
  } else if (product.bias) {
    spec.bias = TRY(memory_of(*product.bias));
  }
  for (size_t i = 0; i < recipe.epilogue.size(); ++i) {
    const EpilogueStep& step = recipe.epilogue[i];
    Term term{{step.kind, step.alpha, step.beta, {}}, step.operand};
    if (step.operand >= 0) {
      settle(product.operands[i]);
      term.op.operand = TRY(memory_of(product.operands[i]));
    }
    terms.push_back(term);
  }
  for (const Term& term : terms) spec.post_ops.push_back(term.op);

  const double bytes = 4.0 * static_cast<double>(product.x.elements() + product.w.elements() + product.y.elements());
  const int threads = p.threads_for(flops, bytes);
  const LibraryThreads library_threads(threads);
  const onednn::Made made = TRY(onednn::make_matmul(spec));
  auto sequence = std::make_shared<CallSequence>(threads);
  const Place w = packs ? sequence->keep(TRY(p.packed.pack(p.constants[1], w_memory, made.w))) : Place{Place::kPointer, 1};
  std::vector<CallSequence::Operand> operands = {
      {onednn::argument_id(Argument::kX), made.x, {Place::kPointer, 0}},
      {onednn::argument_id(Argument::kW), made.w, w},
      {onednn::argument_id(Argument::kY), made.y, {Place::kPointer, static_cast<int64_t>(output)}},
      {onednn::argument_id(Argument::kScratch), made.scratch, sequence->reserve(made.scratch)}};
  if (spec.bias) operands.push_back({onednn::argument_id(Argument::kBias), *spec.bias, {Place::kPointer, 2}});
  const std::vector<size_t> positions = onednn::post_op_positions(spec.post_ops);
  for (size_t i = 0; i < terms.size(); ++i) {
    if (terms[i].pointer >= 0) operands.push_back({onednn::post_op_argument(positions[i]), terms[i].op.operand, {Place::kPointer, terms[i].pointer}});
  }
  sequence->add(made.primitive, std::move(operands));
  return std::shared_ptr<const Primitive>(std::move(sequence));
}

}  // namespace gannet
