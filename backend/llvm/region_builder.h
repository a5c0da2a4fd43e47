// Builds a Kernel from values that are combined element by element. Each dimension of each value is an axis; combining
// values says which axes are the same, and the loops of the kernel are what is left. So it does not matter where a
// value has its dimensions of 1, or whether a reduction keeps them.
#pragma once

#include <optional>
#include <span>
#include <vector>

#include "backend/llvm/kernel_plan.h"
#include "ir/base/error.h"
#include "ir/scalar.h"

namespace gannet {

// A strided window on memory.
struct OperandView {
  int32_t source = kOwnPosition;  // KernelPlan::inputs
  DType dtype = DType::kF32;
  Shape extents;
  std::vector<Dim> strides;  // in elements
  Dim offset = 0;
};

// A value: elements in memory that were not read yet, or an instruction.
struct Element {
  DType dtype = DType::kF32;  // as the graph has it
  Shape extents;
  std::vector<int32_t> axes;  // one a dimension
  std::optional<OperandView> view;
  int32_t instruction = -1;
};

// Row-major strides.
std::vector<Dim> dense_strides(std::span<const Dim> extents);
// Element types by their size, for what only moves them; kUndefined for those that are no plain bytes of such a size.
DType movement_type_of(DType dtype);
// The type in which values of `storage` are computed.
DType compute_type_of(DType storage);
// Element types that kernels compute with.
bool has_kernel_type(DType dtype);

class RegionBuilder {
 public:
  explicit RegionBuilder(Isa isa) : isa_(isa) {}

  // The next input pointer.
  void add_source(const Value* value) { plan_.inputs.push_back({value, {}}); }
  Element zeros(DType dtype, const Shape& extents);
  // A value of the graph around; a constant of one element becomes a literal.
  Element input(const Value* value);
  Element constant(const Tensor& tensor);
  // The same memory as the input's, under other extents and strides.
  Element viewed(OperandView view);

  // `body` over `operands`, broadcast to `extents` from the right.
  Result<Element> map(const ScalarExpr& body, std::span<Element> operands, const Shape& extents);
  Element cast(Element& x, DType to);
  // Over the dimensions that `reduced` marks, which stay as 1.
  Element reduce(ReductionKind kind, Element& x, const std::vector<bool>& reduced);
  // Drops dimensions of 1 and adds others, so that the extents become `extents`; nothing when more would change.
  std::optional<Element> with_ones(const Element& x, const Shape& extents) const;
  // Elements of `data` along `axis` at the positions `indices`.
  Element gather(const Element& data, size_t axis, Element& indices, const Shape& extents);
  // The same where `indices` has the dimensions of the result.
  Element gather_elements(const Element& data, size_t axis, Element& indices);
  // Elements of `data` whose place along the dimensions that `by_offset` marks is `offset`: elements from the first, a
  // signed integer of the result's extents (or 1). No offset may be outside of the data.
  Element sample(const Element& data, Element& offset, const Shape& extents, const std::vector<bool>& by_offset);
  // Numbers 0, 1, ... along `axis` of `rank` dimensions, of which the others are 1.
  Element positions(size_t rank, size_t axis, const Dim& extent);
  // Random u32 words in the shape of `like`: word i, in row-major order, of the generator of a single i64 `seed` and `stream`.
  Element random_words(Element& seed, int64_t stream, const Element& like);
  // A dimension as a number.
  Element size(const Dim& dim, DType dtype);

  // `value` becomes what `output` holds, at `offset` elements from its start, with these strides for its dimensions.
  void store(Element& value, const Value* output, std::vector<Dim> strides, const Dim& offset = 0);
  void store(Element& value, const Value* output) { store(value, output, dense_strides(value.extents)); }

  // Two extents that must be equal when the kernel runs.
  void require_equal(const Dim& a, const Dim& b) {
    if (a != b) plan_.conditions.push_back({a, b, false});
  }

  // Nothing more can be added. Unsupported when the loops do not fit one kernel.
  Result<KernelPlan> finish();

  const std::vector<KernelSource>& sources() const { return plan_.inputs; }

 private:
  struct Access {
    bool is_output = false;
    int32_t pointer = 0;
    DType dtype = DType::kF32;
    std::vector<int32_t> axes;
    Shape extents;
    std::vector<Dim> strides;
    Dim offset, position_stride, position_extent;
    bool by_position = false;
  };
  struct Loop {
    int32_t axis = 0;
    Dim extent;
    bool reduced = false;
    std::vector<Dim> strides;  // of each access
  };
  class Translator;

  int32_t new_axis(const Dim& extent);
  int32_t find(int32_t axis) const;
  void merge(int32_t result, const Dim& result_extent, int32_t operand, const Dim& operand_extent);
  int32_t emit(Instruction instruction);
  int32_t number(DType type, double value);
  int32_t read(Element& element);
  Element fresh(DType dtype, const Shape& extents);
  Element displaced(Element result, Access access, int32_t position);
  int32_t access_of(const OperandView& view, const std::vector<int32_t>& axes);

  std::vector<int32_t> spanning_axes() const;
  Dim stride_along(const Access& access, int32_t axis, const Dim& extent) const;
  Result<std::vector<Loop>> make_loops();
  static void collapse(std::vector<Loop>& loops);
  void choose_interleaved(std::vector<Loop>& loops);
  bool suits_interleaving(const Loop& few, const Loop& row) const;
  bool stores_masked(DType dtype) const;
  void place_interleaved(const Dim& extent);
  void choose_block(const std::vector<Loop>& loops);
  void choose_tile();
  Extent argument(const Dim& dim);
  void place_operands(const std::vector<const Loop*>& order);
  void measure(const std::vector<Loop>& loops);
  void find_in_place();

  const Isa isa_;
  KernelPlan plan_;
  std::vector<Access> accesses_;
  std::vector<int32_t> parents_;   // of axes
  std::vector<Dim> axis_extents_;  // of the root of each axis
  bool ambiguous_ = false;         // symbolic extents whose widest is not known
  std::vector<std::vector<std::pair<int32_t, Dim>>> reduced_;  // of each reduction: axes and what it takes for their extents
  std::vector<std::vector<int32_t>> spans_;  // axes of values that may name the loops, the most fitting first
  std::vector<std::vector<int32_t>> output_spans_;
};

}  // namespace gannet
