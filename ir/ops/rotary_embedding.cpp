#include "ir/ops/float_compute.h"
#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kRotaryAttrs[] = {int_attr("interleaved", 0), int_attr("num_heads", 0),
                                    int_attr("rotary_embedding_dim", 0)};

enum Operand : size_t { kX = 0, kCos, kSin, kPositions };

// The features of one head, and how many of them are rotated.
struct RotaryExtents {
  Dim head;
  Dim rotated;
};

Result<RotaryExtents> rotary_extents(const Attributes& attrs, const Shape& x) {
  if (x.size() != 3 && x.size() != 4)
    return invalid_model(fmt::format("input 0 (X) must have rank 3 or 4, got {}", x.size()));
  RotaryExtents e{x.back(), attrs.integer("rotary_embedding_dim")};
  if (x.size() == 3) {
    int64_t heads = attrs.integer("num_heads");
    if (heads < 1) return invalid_model(fmt::format("X of rank 3 needs a positive num_heads, got {}", heads));
    if (x[2].is_constant() && x[2].constant() % heads != 0) {
      return invalid_model(fmt::format("num_heads {} does not divide {} features", heads, x[2].to_string()));
    }
    e.head = floordiv(x[2], heads);
  }
  if (e.rotated.is_constant(0)) e.rotated = e.head;
  if (!e.rotated.is_constant()) return e;
  int64_t rotated = e.rotated.constant();
  if (rotated < 0 || rotated % 2 != 0)
    return invalid_model(fmt::format("{} features cannot be rotated in pairs", rotated));
  if (e.head.is_constant() && rotated > e.head.constant()) {
    return invalid_model(
        fmt::format("rotary_embedding_dim {} exceeds a head of {} features", rotated, e.head.to_string()));
  }
  return e;
}

Status infer_rotary(InferContext& c) {
  TRY(expect_tensors(c, 3));
  constexpr std::string_view kRoles[] = {"X", "cos_cache", "sin_cache"};
  for (size_t i = 0; i < 3; ++i) TRY(expect_float(c, i, kRoles[i]));
  for (size_t i = 1; i < 3; ++i) {
    TRY(expect_same_dtype(c, kX, i));
    TRY(expect_rank(c, i, c.has(kPositions) ? 2 : 3, kRoles[i]));
  }
  if (c.has(kPositions)) {
    TRY(expect_dtype(c, kPositions, DType::kI64, "position_ids"));
    TRY(expect_rank(c, kPositions, 2, "position_ids"));
  }
  c.set(0, c.type(kX));
  if (!c.shape(kX)) return {};
  const Shape& x = *c.shape(kX);
  RotaryExtents e = TRY(rotary_extents(c.attrs(), x));
  Shape rows = {x[0], x[x.size() == 4 ? 2 : 1]};
  auto check = [&](size_t i, const Shape& wanted, std::string_view role) -> Status {
    if (!c.shape(i)) return {};
    for (size_t d = 0; d < wanted.size(); ++d) {
      const Dim& extent = (*c.shape(i))[c.shape(i)->size() - wanted.size() + d];
      if (extent.is_constant() && wanted[d].is_constant() && extent != wanted[d]) {
        return invalid_model(fmt::format("{} must end in {}, got shape {}", role,
                                         to_string(std::span<const Dim>(wanted)),
                                         to_string(std::span<const Dim>(*c.shape(i)))));
      }
    }
    return {};
  };
  Dim half = floordiv(e.rotated, 2);
  Shape cache = c.has(kPositions) ? Shape{half} : Shape{rows[0], rows[1], half};
  TRY(check(kCos, cache, "cos_cache"));
  TRY(check(kSin, cache, "sin_cache"));
  if (c.has(kPositions)) TRY(check(kPositions, rows, "position_ids"));
  if (c.shape(kCos) && c.shape(kSin)) TRY(merge_shapes(*c.shape(kCos), *c.shape(kSin)));
  return {};
}

// The row of the caches for each token: [batch, length].
Result<std::vector<int64_t>> cache_rows(const EvalContext& c, int64_t tokens) {
  std::vector<int64_t> rows(static_cast<size_t>(tokens));
  for (int64_t i = 0; i < tokens; ++i) rows[static_cast<size_t>(i)] = i;
  if (!c.has(kPositions)) return rows;
  rows = c.tensor(kPositions).ints();
  int64_t positions = c.tensor(kCos).extent(0);
  for (int64_t& row : rows) {
    if (row < -positions || row >= positions) {
      return invalid_input(fmt::format("position {} is outside caches of {} positions", row, positions));
    }
    if (row < 0) row += positions;
  }
  return rows;
}

Status eval_rotary(EvalContext& c) {
  Tensor x = TRY(widened(c.tensor(kX))), cosines = TRY(widened(c.tensor(kCos))),
         sines = TRY(widened(c.tensor(kSin)));
  RotaryExtents e = TRY(rotary_extents(c.attrs(), to_shape(x.extents())));
  bool flat = x.rank() == 3, interleaved = c.attrs().integer("interleaved") != 0;
  int64_t head = e.head.constant(), half = e.rotated.constant() / 2;
  int64_t heads = flat ? c.attrs().integer("num_heads") : x.extent(1), length = x.extent(flat ? 1 : 2);
  std::vector<int64_t> rows = TRY(cache_rows(c, x.extent(0) * length));
  visit_compute(x.dtype(), [&]<class T>(Tag<T>) {
    T* data = x.mutable_data<T>().data();
    const T *cosine = cosines.data<T>().data(), *sine = sines.data<T>().data();
    for (int64_t i = 0; x.elements() > 0 && i < x.extent(0) * heads * length; ++i) {
      // Heads stand before the tokens in rank 4 and behind them in rank 3.
      int64_t batch = i / (heads * length);
      int64_t token = flat ? i / heads : batch * length + i % length;
      T* values = data + i * head;
      const T *cos_row = cosine + rows[static_cast<size_t>(token)] * half,
              *sin_row = sine + rows[static_cast<size_t>(token)] * half;
      for (int64_t k = 0; k < half; ++k) {
        T &re = values[interleaved ? 2 * k : k], &im = values[interleaved ? 2 * k + 1 : half + k];
        T rotated = cos_row[k] * re - sin_row[k] * im;
        im = sin_row[k] * re + cos_row[k] * im;
        re = rotated;
      }
    }
  });
  c.set(TRY(as_dtype(x, c.tensor(kX).dtype())));
  return {};
}

// Rotations are orthogonal: the gradient is turned back.
Status rotary_vjp(VjpContext& c) {
  Value* backwards = c.b.neg(c.operand(kSin));
  c.set(0, c.b.op("RotaryEmbedding", {c.gradient(), c.operand(kCos), backwards, c.operand(kPositions)},
                  c.attrs()));
  return c.b.status();
}

}  // namespace

constinit const StructuredOp ops::RotaryEmbedding = {.inputs = {3, 4},
                                                     .outputs = {1, 1},
                                                     .attrs = kRotaryAttrs,
                                                     .infer = infer_rotary,
                                                     .eval = eval_rotary};
constinit const GradientRule gradients::RotaryEmbedding = {.vjp = rotary_vjp};

}  // namespace gannet
