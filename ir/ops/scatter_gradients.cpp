#include "ir/ops/scatter_gradients.h"

#include "ir/ops/operand_checks.h"

namespace gannet {
namespace {

// ScatterElements and ScatterND with the op that reads where they write.
struct Scatter {
  VjpContext& c;
  std::string_view scatter, gather;
  Attributes place;  // what both take

  Value* read(Value* from) const { return c.b.op(gather, {from, c.operand(1)}, place); }
  Value* write(Value* into, Value* updates, std::string reduction) const {
    Attributes attrs = place;
    attrs.set("reduction", std::move(reduction));
    return c.b.op(scatter, {into, c.operand(1), updates}, attrs);
  }
};

// Overwritten elements of the data have no influence.
Status replacing(const Scatter& s) {
  VjpContext& c = s.c;
  if (c.wants(0)) {
    const Shape shape = TRY(known_shape(c.operand(2), "the updates"));
    c.set(0, s.write(c.gradient(), c.b.full(shape, c.gradient()->type.dtype, 0), "none"));
  }
  if (c.wants(2)) c.set(2, s.read(c.gradient()));
  return c.b.status();
}

// A factor's gradient is the product of the others: of all that are not 0, where at most the factor itself is 0.
Status multiplying(const Scatter& s) {
  VjpContext& c = s.c;
  Value *data = c.operand(0), *updates = c.operand(2), *dy = c.gradient();
  if (c.wants(0)) c.set(0, s.write(dy, updates, "mul"));
  if (!c.wants(2)) return c.b.status();
  ScalarExpr u = ScalarExpr::arg(0), product = ScalarExpr::arg(1), zeros = ScalarExpr::arg(2), g = ScalarExpr::arg(3);
  Value* is_zero = c.b.map(select(u == 0, 1.0, 0.0), {updates});
  const Shape shape = TRY(known_shape(data, "the data"));
  Value* counts = s.write(c.b.full(shape, dy->type.dtype, 0), c.b.cast(is_zero, dy->type.dtype), "add");
  Value* products = s.write(data, c.b.map(select(u == 0, 1, u), {updates}), "mul");
  ScalarExpr others = select(u == 0, select(zeros == 1, product, 0), select(zeros == 0, product / select(u == 0, 1, u), 0));
  c.set(2, c.b.map(g * others, {updates, s.read(products), s.read(counts), s.read(dy)}));
  return c.b.status();
}

// Those that reach the extremum share its gradient evenly.
Status choosing(const Scatter& s) {
  VjpContext& c = s.c;
  Value *data = c.operand(0), *updates = c.operand(2), *y = c.output(), *dy = c.gradient();
  const DType dtype = dy->type.dtype;
  Value* data_won = c.b.cast(c.b.op("Equal", {data, y}), dtype);
  Value* update_won = c.b.cast(c.b.op("Equal", {updates, s.read(y)}), dtype);
  Value* share = c.b.div(dy, s.write(data_won, update_won, "add"));
  if (c.wants(0)) c.set(0, c.b.mul(data_won, share));
  if (c.wants(2)) c.set(2, c.b.mul(update_won, s.read(share)));
  return c.b.status();
}

Status scatter_vjp(const Scatter& s) {
  VjpContext& c = s.c;
  const std::string_view reduction = c.attrs().text("reduction");
  if (reduction == "none") return replacing(s);
  if (reduction == "mul") return multiplying(s);
  if (reduction != "add") return choosing(s);
  if (c.wants(0)) c.set(0, c.gradient());
  if (c.wants(2)) c.set(2, s.read(c.gradient()));
  return c.b.status();
}

}  // namespace

Status scatter_elements_vjp(VjpContext& c) {
  return scatter_vjp({c, "ScatterElements", "GatherElements", {{"axis", c.attrs().integer("axis")}}});
}

Status scatter_nd_vjp(VjpContext& c) { return scatter_vjp({c, "ScatterND", "GatherND", {}}); }

// Position i of the update of a sample is position (first + i) of the cache.
Status tensor_scatter_vjp(VjpContext& c) {
  Value *update = c.operand(1), *first = c.operand(2), *dy = c.gradient();
  const Shape cache = TRY(known_shape(c.operand(0), "the cache")), shape = TRY(known_shape(update, "the update"));
  if (c.wants(0)) c.set(0, c.b.op("TensorScatter", {dy, c.b.full(shape, dy->type.dtype, 0), first}, c.attrs()));
  if (!c.wants(1)) return c.b.status();
  const auto axis = TRY(normalize_axis(c.attrs().integer("axis"), static_cast<int64_t>(shape.size())));
  auto integer = [&](const Dim& value) { return c.b.squeeze(c.b.dims({value}), {0}); };
  Shape along(shape.size(), Dim(1)), samples = along;
  along[static_cast<size_t>(axis)] = shape[static_cast<size_t>(axis)];
  samples[0] = shape[0];
  Value* positions = c.b.op("Range", {integer(Dim(0)), integer(shape[static_cast<size_t>(axis)]), integer(Dim(1))});
  positions = c.b.reshape(positions, along);
  if (first) positions = c.b.add(positions, c.b.reshape(first, samples));
  if (c.attrs().text("mode") == "circular") positions = c.b.op("Mod", {positions, integer(cache[static_cast<size_t>(axis)])});
  c.set(1, c.b.op("GatherElements", {dy, c.b.expand(positions, shape)}, {{"axis", axis}}));
  return c.b.status();
}

}  // namespace gannet
