#include <fmt/format.h>

#include <cmath>
#include <limits>

#include "ir/ops/attention.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"

namespace gannet {
namespace {

constexpr double kMinusInfinity = -std::numeric_limits<double>::infinity();

enum Operand : size_t { kQ = 0, kK, kV, kMask, kPastKey, kPastValue, kLengths };
enum QkOutput : int64_t { kRaw = 0, kCapped = 1, kBiased = 2, kProbabilities = 3 };

// [batch, length, heads * size] as [batch, heads, length, size].
Result<Value*> with_heads(DecomposeContext& c, Value* x, std::string_view heads_attr) {
  const Shape shape = TRY(known_shape(x, "an operand"));
  if (shape.size() == 4) return x;
  if (shape.size() != 3 || c.attrs().integer(heads_attr) < 1)
    return invalid_model(fmt::format("operands of rank {} need {}", shape.size(), heads_attr));
  const int64_t heads = c.attrs().integer(heads_attr);
  return c.b.transpose(c.b.reshape(x, {shape[0], shape[1], heads, floordiv(shape[2], heads)}), {0, 2, 1, 3});
}

// Extents by what they mean.
struct Extents {
  Dim batch, heads, kv_heads, queries, total, head, value_head;
};

class Composition {
 public:
  Composition(DecomposeContext& c, DType wide, Extents extents)
      : c_(c), b_(c.b), wide_(wide), e_(std::move(extents)) {}

  // Scores of Q and K, scaled, with what is not to be seen at minus infinity.
  Result<Value*> scores(Value* q, Value* k) {
    // Heads that share a key head stand next to each other: they are more rows of one product.
    Value* rows = b_.reshape(b_.cast(q, wide_),
                             {e_.batch, e_.kv_heads, floordiv(e_.heads, e_.kv_heads) * e_.queries, e_.head});
    Value* x = b_.matmul(rows, b_.transpose(b_.cast(k, wide_), {0, 1, 3, 2}));
    x = b_.reshape(x, {e_.batch, e_.heads, e_.queries, e_.total});
    x = b_.mul(x, b_.number(TRY(scale()), x));
    keep(kRaw, x);
    if (const double cap = c_.attrs().number("softcap"); cap > 0) {
      x = b_.mul(b_.op("Tanh", {b_.div(x, b_.number(cap, x))}), b_.number(cap, x));
    }
    keep(kCapped, x);
    x = hide(TRY(masked(x)));
    keep(kBiased, x);
    return x;
  }

  // Softmax; a row of which nothing is to be seen becomes zero.
  Value* probabilities(Value* x) {
    Value* p = b_.op("Softmax", {x}, {{"axis", int64_t{3}}});
    const bool may_hide_rows = c_.operand(kMask) || c_.operand(kLengths) || window("left_window_size") >= 0 ||
                               window("right_window_size") >= 0;
    if (may_hide_rows) {
      Value* hidden = b_.op("Equal", {b_.reduce("ReduceMax", x, {3}, true), b_.number(kMinusInfinity, x)});
      p = b_.op("Where", {hidden, b_.number(0, x), p});
    }
    keep(kProbabilities, p);
    return p;
  }

  Value* result(Value* p, Value* v, bool flat) {
    Value* rows =
        b_.reshape(p, {e_.batch, e_.kv_heads, floordiv(e_.heads, e_.kv_heads) * e_.queries, e_.total});
    Value* y =
        b_.reshape(b_.matmul(rows, b_.cast(v, wide_)), {e_.batch, e_.heads, e_.queries, e_.value_head});
    if (flat) y = b_.reshape(b_.transpose(y, {0, 2, 1, 3}), {e_.batch, e_.queries, e_.heads * e_.value_head});
    return b_.cast(y, c_.operand(kQ)->type.dtype);
  }

 private:
  int64_t window(std::string_view name) const { return c_.attrs().integer(name); }

  Result<double> scale() const {
    if (c_.attrs().has("scale")) return static_cast<double>(c_.attrs().number("scale"));
    if (e_.head.is_constant() && e_.head.constant() > 0)
      return 1 / std::sqrt(static_cast<double>(e_.head.constant()));
    return unsupported(
        fmt::format("the scale follows from the head size {}, which is not known", e_.head.to_string()));
  }

  void keep(QkOutput mode, Value* x) {
    if (c_.output_count() > 3 && c_.attrs().integer("qk_matmul_output_mode") == mode)
      c_.set(3, b_.cast(x, c_.operand(kQ)->type.dtype));
  }

  // A mask may end before the keys do; what is behind its end is hidden.
  Result<Value*> full_mask() {
    Value* mask = c_.operand(kMask);
    const Shape shape = TRY(known_shape(mask, "the mask"));
    if (shape.empty()) return invalid_model("attn_mask must have rank 1 to 4, got 0");
    const bool is_bool = mask->type.dtype == DType::kBool;
    if (!is_bool) mask = b_.cast(mask, wide_);
    if (shape.back() == e_.total) return mask;
    if (!shape.back().is_constant() || !e_.total.is_constant()) {
      return unsupported(
          fmt::format("the mask covers {} of {} keys", shape.back().to_string(), e_.total.to_string()));
    }
    Value* fill = is_bool ? b_.constant(Tensor::scalar<bool>(false)) : b_.number(kMinusInfinity, mask);
    return b_.op("Pad", {mask, b_.dims({0, e_.total - shape.back()}), fill,
                         b_.ints({static_cast<int64_t>(shape.size()) - 1})});
  }

  Result<Value*> masked(Value* x) {
    if (!c_.operand(kMask)) return x;
    Value* mask = TRY(full_mask());
    if (mask->type.dtype != DType::kBool) return b_.add(x, mask);
    return b_.op("Where", {mask, x, b_.number(kMinusInfinity, x)});
  }

  Value* extent(const Dim& dim) {
    if (dim.is_constant()) return b_.constant(Tensor::scalar<int64_t>(dim.constant()));
    return b_.op("Dims", {}, {{"dims", Shape{dim}}, {"scalar", int64_t{1}}});
  }

  Value* numbers_below(const Dim& dim) { return b_.op("Range", {extent(0), extent(dim), extent(1)}); }

  // Hides keys by where they stand: behind the query, outside of the window, beyond the length of their
  // sequence.
  Value* hide(Value* x) {
    const bool causal = window("is_causal") != 0;
    const int64_t left = window("left_window_size"), right = window("right_window_size");
    Value* seen = nullptr;
    const auto require = [&](Value* condition) { seen = seen ? b_.op("And", {seen, condition}) : condition; };
    Value* key = nullptr;
    Value* offset = nullptr;
    if (causal || left >= 0 || right >= 0 || c_.operand(kLengths)) key = numbers_below(e_.total);
    if (Value* lengths = c_.operand(kLengths)) {
      Value* length = b_.reshape(lengths, {e_.batch, 1, 1, 1});
      require(b_.op("Less", {key, length}));
      offset = b_.sub(length, extent(e_.queries));
    } else if (c_.operand(kPastKey)) {
      offset = extent((*c_.operand(kPastKey)->type.shape)[2]);
    }
    if (causal || left >= 0 || right >= 0) {
      Value* position = b_.unsqueeze(numbers_below(e_.queries), {1});
      if (offset) position = b_.add(position, offset);
      if (causal) require(b_.op("LessOrEqual", {key, position}));
      if (left >= 0) require(b_.op("LessOrEqual", {b_.sub(position, key), extent(left)}));
      if (right >= 0) require(b_.op("LessOrEqual", {b_.sub(key, position), extent(right)}));
    }
    return seen ? b_.op("Where", {seen, x, b_.number(kMinusInfinity, x)}) : x;
  }

  DecomposeContext& c_;
  GraphBuilder& b_;
  DType wide_;
  Extents e_;
};

}  // namespace

Status decompose_attention(DecomposeContext& c) {
  Value* q = TRY(with_heads(c, c.operand(kQ), "q_num_heads"));
  Value* k = TRY(with_heads(c, c.operand(kK), "kv_num_heads"));
  Value* v = TRY(with_heads(c, c.operand(kV), "kv_num_heads"));
  for (size_t i : {kPastKey, kPastValue}) {
    if (c.operand(i)) TRY(known_shape(c.operand(i), "the past"));
  }
  if (c.operand(kPastKey)) k = c.b.concat({c.operand(kPastKey), k}, 2);
  if (c.operand(kPastValue)) v = c.b.concat({c.operand(kPastValue), v}, 2);
  TRY(Status(c.b.status()));
  c.set(1, k);
  c.set(2, v);
  const Shape q_shape = TRY(known_shape(q, "Q")), k_shape = TRY(known_shape(k, "K")),
              v_shape = TRY(known_shape(v, "V"));
  const Extents extents{q_shape[0], q_shape[1], k_shape[1], q_shape[2], k_shape[2], q_shape[3], v_shape[3]};
  Composition composition(c, compute_dtype(q->type.dtype), extents);
  Value* scores = TRY(composition.scores(q, k));
  c.set(0, composition.result(composition.probabilities(scores), v, c.operand(kQ)->type.rank() == 3));
  return c.b.status();
}

}  // namespace gannet
