#include <algorithm>
#include <cmath>
#include <limits>

#include "ir/contraction.h"
#include "ir/ops/attention.h"
#include "ir/ops/element_copy.h"
#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/flops.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kAttentionAttrs[] = {int_attr("is_causal", 0),
                                       optional_attr("kv_num_heads", AttrKind::kInt),
                                       int_attr("left_window_size", -1),
                                       optional_attr("q_num_heads", AttrKind::kInt),
                                       int_attr("qk_matmul_output_mode", 0),
                                       int_attr("right_window_size", -1),
                                       optional_attr("scale", AttrKind::kFloat),
                                       float_attr("softcap", 0),
                                       optional_attr("softmax_precision", AttrKind::kInt)};

enum Operand : size_t { kQ = 0, kK, kV, kMask, kPastKey, kPastValue, kLengths };
enum QkOutput : int64_t { kRaw = 0, kCapped = 1, kBiased = 2, kProbabilities = 3 };

// Extents by what they mean; `D` is Dim in inference and int64_t in evaluation.
template <class D>
struct AttentionExtents {
  D batch = 0, q_heads = 0, kv_heads = 0, queries = 0, keys = 0, head = 0, value_head = 0, past = 0;
  D total() const { return past + keys; }
};

Result<Dim> equal_dims(const Dim& a, const Dim& b, std::string_view what) {
  if (a.is_constant() && b.is_constant() && a != b) {
    return invalid_model(fmt::format("{} differ: {} against {}", what, a.to_string(), b.to_string()));
  }
  return a.is_constant() ? a : b;
}

// The size of one of `heads` heads side by side.
Result<Dim> head_size(const Dim& hidden, int64_t heads, std::string_view role) {
  if (hidden.is_constant() && hidden.constant() % heads != 0) {
    return invalid_model(
        fmt::format("{} heads do not divide the {} features of {}", heads, hidden.to_string(), role));
  }
  return floordiv(hidden, heads);
}

Result<int64_t> head_count(const Attributes& attrs, std::string_view name) {
  if (!attrs.has(name)) return invalid_model(fmt::format("operands of rank 3 need the attribute {}", name));
  int64_t heads = attrs.integer(name);
  if (heads < 1) return invalid_model(fmt::format("{} must be positive, got {}", name, heads));
  return heads;
}

struct Heads {
  Dim batch, heads, length, size;
};

// An operand of [batch, heads, length, size] or [batch, length, heads * size].
Result<Heads> heads_of(const Shape& shape, const Attributes& attrs, std::string_view attr,
                       std::string_view role) {
  if (shape.size() == 4) return Heads{shape[0], shape[1], shape[2], shape[3]};
  if (shape.size() != 3)
    return invalid_model(fmt::format("{} must have rank 3 or 4, got {}", role, shape.size()));
  int64_t heads = TRY(head_count(attrs, attr));
  Dim size = TRY(head_size(shape[2], heads, role));
  return Heads{shape[0], heads, shape[1], size};
}

// Extents from the shapes of Q, K, V and, where there is one, of the past key.
Result<AttentionExtents<Dim>> extents_of(const Attributes& attrs, const Shape& q, const Shape& k,
                                         const Shape& v, const Shape* past) {
  if (q.size() != k.size() || q.size() != v.size()) {
    return invalid_model(
        fmt::format("Q, K and V must have one rank, got {}, {} and {}", q.size(), k.size(), v.size()));
  }
  Heads query = TRY(heads_of(q, attrs, "q_num_heads", "Q"));
  Heads key = TRY(heads_of(k, attrs, "kv_num_heads", "K"));
  Heads value = TRY(heads_of(v, attrs, "kv_num_heads", "V"));
  AttentionExtents<Dim> e;
  e.batch = TRY(equal_dims(TRY(equal_dims(query.batch, key.batch, "batches of Q and K")), value.batch,
                           "batches of K and V"));
  e.q_heads = query.heads;
  e.kv_heads = TRY(equal_dims(key.heads, value.heads, "heads of K and V"));
  e.queries = query.length;
  e.keys = TRY(equal_dims(key.length, value.length, "lengths of K and V"));
  e.head = TRY(equal_dims(query.size, key.size, "head sizes of Q and K"));
  e.value_head = value.size;
  if (past) e.past = (*past)[2];
  if (e.q_heads.is_constant() && e.kv_heads.is_constant()) {
    int64_t many = e.q_heads.constant(), few = e.kv_heads.constant();
    if (few < 1 || many % few != 0) {
      return invalid_model(fmt::format("{} key and value heads do not divide {} query heads", few, many));
    }
  }
  return e;
}

Status check_attributes(InferContext& c) {
  const Attributes& a = c.attrs();
  int64_t mode = a.integer("qk_matmul_output_mode");
  if (mode < kRaw || mode > kProbabilities)
    return invalid_model(fmt::format("qk_matmul_output_mode must be 0 to 3, got {}", mode));
  for (std::string_view window : {"left_window_size", "right_window_size"}) {
    if (a.integer(window) < -1)
      return invalid_model(fmt::format("{} must be -1 or more, got {}", window, a.integer(window)));
  }
  if (a.has("scale") && !(a.number("scale") > 0))
    return invalid_model(fmt::format("scale must be positive, got {}", a.number("scale")));
  if (!(a.number("softcap") >= 0))
    return invalid_model(fmt::format("softcap must not be negative, got {}", a.number("softcap")));
  if (c.has(kPastKey) != c.has(kPastValue))
    return invalid_model("past_key and past_value must be given together");
  if (c.has(kPastKey) && c.has(kLengths))
    return invalid_model("nonpad_kv_seqlen cannot be given together with past_key");
  return {};
}

// The mask broadcasts to [batch, heads, queries, total]; its last dimension may be shorter.
Status check_mask(const InferContext& c, const AttentionExtents<Dim>& e) {
  if (!c.has(kMask) || !c.shape(kMask)) return {};
  const Shape& mask = *c.shape(kMask);
  if (mask.empty() || mask.size() > 4)
    return invalid_model(fmt::format("attn_mask must have rank 1 to 4, got {}", mask.size()));
  const Dim full[] = {e.batch, e.q_heads, e.queries, e.total()};
  for (size_t i = 0; i < mask.size(); ++i) {
    const Dim &from = mask[mask.size() - 1 - i], &to = full[3 - i];
    if (!from.is_constant() || !to.is_constant()) continue;
    bool fits = i == 0 ? from.constant() <= to.constant() : from == to || from.is_constant(1);
    if (!fits) {
      return invalid_model(fmt::format("attn_mask of shape {} does not broadcast to {}",
                                       to_string(std::span<const Dim>(mask)),
                                       to_string(std::span<const Dim>(full))));
    }
  }
  return {};
}

Status check_cache(const InferContext& c, const AttentionExtents<Dim>& e) {
  auto check = [&](size_t i, const Shape& wanted, std::string_view role) -> Status {
    if (!c.has(i) || !c.shape(i)) return {};
    for (size_t d = 0; d < wanted.size(); ++d) TRY(equal_dims((*c.shape(i))[d], wanted[d], role));
    return {};
  };
  TRY(check(kPastKey, {e.batch, e.kv_heads, e.past, e.head}, "extents of past_key and K"));
  TRY(check(kPastValue, {e.batch, e.kv_heads, e.past, e.value_head}, "extents of past_value and V"));
  return check(kLengths, {e.batch}, "lengths and batch");
}

Status infer_attention(InferContext& c) {
  TRY(expect_tensors(c, 3));
  for (size_t i = 0; i < 3; ++i) TRY(expect_float(c, i, i == 0 ? "Q" : i == 1 ? "K" : "V"));
  TRY(expect_same_dtype(c, kQ, kK));
  TRY(check_attributes(c));
  if (c.has(kMask) && (c.dtype(kMask) == DType::kString || is_complex(c.dtype(kMask)))) {
    return invalid_model(fmt::format("attn_mask cannot be {}", name_of(c.dtype(kMask))));
  }
  if (c.has(kPastKey)) {
    TRY(expect_rank(c, kPastKey, 4, "past_key"));
    TRY(expect_rank(c, kPastValue, 4, "past_value"));
    TRY(expect_same_dtype(c, kPastKey, kK));
    TRY(expect_same_dtype(c, kPastValue, kV));
  }
  if (c.has(kLengths)) {
    TRY(expect_dtype(c, kLengths, DType::kI64, "nonpad_kv_seqlen"));
    TRY(expect_rank(c, kLengths, 1, "nonpad_kv_seqlen"));
  }
  for (size_t i = 0; i < 4; ++i) c.set_tensor(i, c.dtype(i == 2 ? kV : kQ), std::nullopt);
  bool past_known = !c.has(kPastKey) || c.shape(kPastKey);
  if (!c.shape(kQ) || !c.shape(kK) || !c.shape(kV) || !past_known) return {};
  const Shape* past = c.has(kPastKey) ? c.shape(kPastKey) : nullptr;
  AttentionExtents<Dim> e = TRY(extents_of(c.attrs(), *c.shape(kQ), *c.shape(kK), *c.shape(kV), past));
  TRY(check_mask(c, e));
  TRY(check_cache(c, e));
  Shape y = c.shape(kQ)->size() == 4 ? Shape{e.batch, e.q_heads, e.queries, e.value_head}
                                     : Shape{e.batch, e.queries, e.q_heads * e.value_head};
  c.set_tensor(0, c.dtype(kQ), y);
  c.set_tensor(1, c.dtype(kK), Shape{e.batch, e.kv_heads, e.total(), e.head});
  c.set_tensor(2, c.dtype(kV), Shape{e.batch, e.kv_heads, e.total(), e.value_head});
  c.set_tensor(3, c.dtype(kQ), Shape{e.batch, e.q_heads, e.queries, e.total()});
  return {};
}

AttentionExtents<int64_t> concrete(const AttentionExtents<Dim>& e) {
  return {e.batch.constant(), e.q_heads.constant(), e.kv_heads.constant(),   e.queries.constant(),
          e.keys.constant(),  e.head.constant(),    e.value_head.constant(), e.past.constant()};
}

// The past rows of each head and behind them the new ones: [batch, heads, past + length, size].
Result<Tensor> with_past(EvalContext& c, size_t operand, size_t past_operand, int64_t heads, int64_t size) {
  const Tensor& x = c.tensor(operand);
  bool flat = x.rank() == 3;
  int64_t batch = x.extent(0), length = x.extent(flat ? 1 : 2),
          past = c.has(past_operand) ? c.tensor(past_operand).extent(2) : 0;
  Tensor result = TRY(c.allocate(x.dtype(), {batch, heads, past + length, size}));
  std::vector<int64_t> strides = row_major_strides(result.extents());
  if (past > 0 && result.elements() > 0) {
    const Tensor& before = c.tensor(past_operand);
    copy_strided(before, result, {before.extents(), row_major_strides(before.extents()), strides, 0, 0});
  }
  std::vector<int64_t> from = flat ? std::vector<int64_t>{length * heads * size, size, heads * size, 1}
                                   : std::vector<int64_t>{heads * length * size, length * size, size, 1};
  if (x.elements() > 0)
    copy_strided(x, result, {{batch, heads, length, size}, from, strides, 0, past * size});
  return result;
}

// What is added to the scores of a head, and what is kept out of them.
class Bias {
 public:
  Bias(EvalContext& c, const AttentionExtents<int64_t>& e)
      : causal_(c.attrs().integer("is_causal") != 0),
        left_(c.attrs().integer("left_window_size")),
        right_(c.attrs().integer("right_window_size")),
        extents_(e) {
    if (c.has(kLengths)) lengths_ = c.tensor(kLengths).ints();
  }

  Status set_mask(const Tensor& mask) {
    boolean_ = mask.dtype() == DType::kBool;
    mask_ = TRY(as_dtype(mask, DType::kF64));
    std::vector<int64_t> own = row_major_strides(mask.extents());
    size_t missing = 4 - own.size();
    for (size_t i = 0; i < own.size(); ++i) {
      bool repeated = i + 1 < own.size() && mask.extents()[i] == 1;
      strides_[missing + i] = repeated ? 0 : own[i];
    }
    return {};
  }

  // The summand of one score; minus infinity where the key is masked.
  double at(int64_t batch, int64_t head, int64_t query, int64_t key) const {
    constexpr double kMasked = -std::numeric_limits<double>::infinity();
    int64_t offset = extents_.past;
    if (!lengths_.empty()) {
      int64_t length = lengths_[static_cast<size_t>(batch)];
      if (key >= length) return kMasked;
      offset = length - extents_.queries;
    }
    int64_t position = query + offset;
    if (causal_ && key > position) return kMasked;
    if (left_ >= 0 && position - key > left_) return kMasked;
    if (right_ >= 0 && key - position > right_) return kMasked;
    if (!mask_.defined()) return 0;
    if (key >= mask_.extents().back()) return kMasked;
    double value = mask_.data<double>()[static_cast<size_t>(batch * strides_[0] + head * strides_[1] +
                                                            query * strides_[2] + key)];
    return boolean_ ? (value != 0 ? 0 : kMasked) : value;
  }

 private:
  bool causal_ = false;
  int64_t left_ = -1, right_ = -1;
  AttentionExtents<int64_t> extents_;
  std::vector<int64_t> lengths_;
  Tensor mask_;
  bool boolean_ = false;
  int64_t strides_[4] = {0, 0, 0, 1};
};

// Softmax in place; a row in which every key is masked becomes zero.
template <class T>
void softmax_row(T* x, int64_t length) {
  T largest = -std::numeric_limits<T>::infinity();
  for (int64_t i = 0; i < length; ++i) largest = std::max(largest, x[i]);
  if (largest == -std::numeric_limits<T>::infinity()) {
    std::fill(x, x + length, T(0));
    return;
  }
  double sum = 0;
  for (int64_t i = 0; i < length; ++i) {
    x[i] = std::exp(x[i] - largest);
    sum += static_cast<double>(x[i]);
  }
  for (int64_t i = 0; i < length; ++i) x[i] = static_cast<T>(static_cast<double>(x[i]) / sum);
}

// Tensors in the dtype of computation, and the scores of one head at a time.
template <class T>
struct AttentionRun {
  AttentionExtents<int64_t> e;
  bool flat = false;  // Q and Y are [batch, length, heads * size]
  const T* q = nullptr;
  const T* k = nullptr;
  const T* v = nullptr;
  T* y = nullptr;
  T* qk = nullptr;  // null unless output 3 is wanted
  T* scores = nullptr;
  int64_t mode = kRaw;
  double scale = 1, softcap = 0;
};

template <class T>
void attend(const AttentionRun<T>& r, const Bias& bias, int64_t batch, int64_t head) {
  const AttentionExtents<int64_t>& e = r.e;
  int64_t total = e.total(), kv = batch * e.kv_heads + head / (e.q_heads / e.kv_heads);
  auto keep = [&](QkOutput mode) {
    if (r.qk && r.mode == mode) {
      std::copy_n(r.scores, e.queries * total, r.qk + (batch * e.q_heads + head) * e.queries * total);
    }
  };
  // A head of Q or Y: its first element and the distance of its rows.
  auto start = [&](int64_t size) {
    return r.flat ? batch * e.queries * e.q_heads * size + head * size
                  : (batch * e.q_heads + head) * e.queries * size;
  };
  auto stride = [&](int64_t size) { return r.flat ? e.q_heads * size : size; };
  multiply<T>({e.queries, total, e.head}, {r.q + start(e.head), stride(e.head), 1},
              {r.k + kv * total * e.head, 1, e.head}, {r.scores, total, false});
  for (int64_t i = 0; i < e.queries * total; ++i) r.scores[i] *= static_cast<T>(r.scale);
  keep(kRaw);
  if (r.softcap > 0) {
    T cap = static_cast<T>(r.softcap);
    for (int64_t i = 0; i < e.queries * total; ++i) r.scores[i] = cap * std::tanh(r.scores[i] / cap);
  }
  keep(kCapped);
  for (int64_t i = 0; i < e.queries; ++i) {
    for (int64_t j = 0; j < total; ++j) r.scores[i * total + j] += static_cast<T>(bias.at(batch, head, i, j));
  }
  keep(kBiased);
  for (int64_t i = 0; i < e.queries; ++i) softmax_row(r.scores + i * total, total);
  keep(kProbabilities);
  multiply<T>({e.queries, e.value_head, total}, {r.scores, total, 1},
              {r.v + kv * total * e.value_head, e.value_head, 1},
              {r.y + start(e.value_head), stride(e.value_head), false});
}

template <class T>
Status attend_all(EvalContext& c, AttentionRun<T> r, const Bias& bias) {
  Tensor scores = TRY(c.allocate(dtype_of<T>(), {r.e.queries, r.e.total()}));
  r.scores = scores.mutable_data<T>().data();
  r.mode = c.attrs().integer("qk_matmul_output_mode");
  r.scale = c.attrs().has("scale") ? static_cast<double>(c.attrs().number("scale"))
                                   : 1 / std::sqrt(static_cast<double>(r.e.head));
  r.softcap = static_cast<double>(c.attrs().number("softcap"));
  for (int64_t batch = 0; batch < r.e.batch; ++batch) {
    for (int64_t head = 0; head < r.e.q_heads; ++head) attend(r, bias, batch, head);
  }
  return {};
}

Status eval_attention(EvalContext& c) {
  const Tensor& q_given = c.tensor(kQ);
  Shape past = c.has(kPastKey) ? to_shape(c.tensor(kPastKey).extents()) : Shape{};
  AttentionExtents<int64_t> e =
      concrete(TRY(extents_of(c.attrs(), to_shape(q_given.extents()), to_shape(c.tensor(kK).extents()),
                              to_shape(c.tensor(kV).extents()), past.empty() ? nullptr : &past)));
  Tensor key = TRY(with_past(c, kK, kPastKey, e.kv_heads, e.head));
  Tensor value = TRY(with_past(c, kV, kPastValue, e.kv_heads, e.value_head));
  DType dtype = compute_dtype(q_given.dtype());
  Tensor q = TRY(as_dtype(q_given, dtype)), k = TRY(as_dtype(key, dtype)), v = TRY(as_dtype(value, dtype));
  Tensor y = TRY(c.allocate(dtype, static_extents(*c.output_type(0).shape)));
  Tensor qk;
  if (c.output_count() > 3) qk = TRY(c.allocate(dtype, static_extents(*c.output_type(3).shape)));
  Bias bias(c, e);
  if (c.has(kMask)) TRY(bias.set_mask(c.tensor(kMask)));
  auto run = [&]<class T>(Tag<T>) -> Status {
    AttentionRun<T> r;
    r.e = e;
    r.flat = q.rank() == 3;
    r.q = q.data<T>().data();
    r.k = k.data<T>().data();
    r.v = v.data<T>().data();
    r.y = y.mutable_data<T>().data();
    if (qk.defined()) r.qk = qk.mutable_data<T>().data();
    return attend_all(c, r, bias);
  };
  Status done = visit_compute(dtype, run);
  TRY(done);
  c.set(0, TRY(as_dtype(y, q_given.dtype())));
  c.set(1, key);
  c.set(2, value);
  if (qk.defined()) c.set(3, TRY(as_dtype(qk, q_given.dtype())));
  return {};
}

}  // namespace

constinit const StructuredOp ops::Attention = {.inputs = {3, 7},
                                               .outputs = {1, 4},
                                               .attrs = kAttentionAttrs,
                                               .infer = infer_attention,
                                               .eval = eval_attention,
                                               .decompose = decompose_attention,
                                               .flops = attention_flops};

}  // namespace gannet
