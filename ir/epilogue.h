// What a contraction (convolution, matrix product) can apply to its result before it is stored. Fusion asks here which
// nodes may join a contraction's body, and lowering turns the same nodes into the steps that it finds here, so the two
// cannot disagree.
//
// The body of a `Fused` node of kind "convolution", "matmul" or "pooling" holds
//   - the one contraction,
//   - Transposes of its data operands, its weights, its result and of the operands of the epilogue (takes_order says
//     which orders are free),
//   - nodes for which epilogue_of gives steps, each over the result of the one before; Add after a convolution or a
//     product is its bias where the operand has one element a channel. Pooling takes none.
// Sums of integers (ConvInteger, MatMulInteger) are made f32 by a Cast first, and may end as codes of 8 bits.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <vector>

#include "ir/graph.h"
#include "ir/scalar.h"

namespace gannet {

// With v the running value, a the step's alpha, b its beta, z a further operand.
enum class EpilogueKind : uint8_t {
  kRelu,         // max(v, 0)
  kLeakyRelu,    // v > 0 ? v : a v
  kElu,          // v > 0 ? v : a (exp(v) - 1)
  kTanh, kSigmoid, kGeluErf, kGeluTanh,
  kSwish,        // v sigmoid(a v)
  kHardSwish,    // v clip(v / 6 + 1/2, 0, 1)
  kHardSigmoid,  // clip(a v + b, 0, 1)
  kClip,         // min(max(v, a), b)
  kLinear,       // a v + b
  kAbs, kSqrt, kSquare, kExp,
  kSoftplus,     // log(1 + exp(v))
  kAdd, kMul, kMax, kMin,  // with z
  kQuantize,  // round(v) + b in the range of the result's type of 8 bits; the last step, after sums of integers
};

struct EpilogueTerm {
  EpilogueKind kind = EpilogueKind::kRelu;
  float alpha = 0;
  float beta = 0;
  int operand = -1;  // of kAdd, kMul, kMax, kMin: which operand of the expression or node z is
};

inline constexpr size_t kMostEpilogueTerms = 12;

// `body` as steps over its operand `chained`, first to last; nothing when it is no such chain. An empty list: `body` is
// the operand itself.
std::optional<std::vector<EpilogueTerm>> epilogue_of(const ScalarExpr& body, int chained);
// The same of an elementwise node over its operand `chained`; constants of one element become literals. Nothing for
// types other than f32 (and codes of 8 bits as a result) and for nodes that are not elementwise. The result's shape must
// be that of the operand.
std::optional<std::vector<EpilogueTerm>> epilogue_of(const Node& node, size_t chained);

enum class TermPlace : uint8_t { kAdded, kMerged, kRefused };

// Puts `term` behind `chain` as a kernel can apply it: a kLinear merges into a kLinear before it (an operand's term
// stays its own), and a function that stands in the chain already is refused, because oneDNN 2.6.3's matrix products
// apply each function of one operand with the parameters of its first use.
TermPlace append_term(std::vector<EpilogueTerm>& chain, const EpilogueTerm& term);

// True for contractions that sum integers.
bool sums_integers(const Node& core);
// True for the Cast of such sums to f32.
bool widens_sums(const Node& node);

enum class ContractionKind : uint8_t { kConvolution, kMatmul, kPooling };
enum class ContractionOperand : uint8_t { kData, kWeights, kResult, kEpilogue };

// True when memory whose axis i is the contraction's axis order[i] is used as it stands, without a copy. Axes are
// those of the ONNX op: batch, channels, spatial... and batch..., rows, columns.
bool takes_order(ContractionKind kind, ContractionOperand operand, std::span<const int64_t> order);

}  // namespace gannet
