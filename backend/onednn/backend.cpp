// Nodes that oneDNN computes become recipes of its primitives, and some others recipes for kernels of our own.
#include <array>

#include "backend/backend.h"
#include "backend/onednn/contraction.h"
#include "ir/epilogue.h"
#include "ir/op.h"

namespace gannet {
namespace {

using onednn::Contraction;
using onednn::Refusal;
using LowerContraction = Refusal (*)(const Node&, Contraction&, ProgramBuilder&);

struct Row {
  std::string_view op;
  LowerContraction lower;
};

constexpr Row kRows[] = {{"Conv", onednn::lower_convolution}, {"ConvTranspose", onednn::lower_convolution},
                         {"MatMul", onednn::lower_matmul},    {"Gemm", onednn::lower_matmul},
                         {"ConvInteger", onednn::lower_convolution}, {"MatMulInteger", onednn::lower_matmul},
                         {"MaxPool", onednn::lower_pooling},  {"AveragePool", onednn::lower_pooling},
                         {"ConvInputGradient", onednn::lower_input_gradient}, {"ConvWeightGradient", onednn::lower_weight_gradient},
                         {"MaxPoolGradient", onednn::lower_pooling_gradient}, {"AveragePoolGradient", onednn::lower_pooling_gradient}};

// What the library of primitives computes itself.
using LowerOwn = Refusal (*)(const Node&, ProgramBuilder&);

struct OwnRow {
  std::string_view op;
  LowerOwn lower;
};

constexpr OwnRow kOwnRows[] = {{"LSTM", onednn::lower_recurrent}, {"GRU", onednn::lower_recurrent}, {"RNN", onednn::lower_recurrent},
                               {"GatherGradient", onednn::lower_gather_gradient}, {"ScatterND", onednn::lower_scatter_blocks},
                               {"CumSum", onednn::lower_cumulative}, {"CumProd", onednn::lower_cumulative},
                               {"NegativeLogLikelihoodLoss", onednn::lower_likelihood}};
constexpr std::string_view kFusedKinds[] = {"convolution", "matmul", "pooling", "gradient"};

template <class Table>
auto lowering_of(const Table& table, std::string_view op) {
  for (const auto& row : table) {
    if (row.op == op) return row.lower;
  }
  return decltype(table[0].lower)(nullptr);
}

template <size_t N>
bool contains(const std::string_view (&names)[N], std::string_view name) {
  for (std::string_view candidate : names) {
    if (candidate == name) return true;
  }
  return false;
}

class OnednnBackend final : public Backend {
 public:
  OnednnBackend(const Target& target, bool only_own) : target_(target), only_own_(only_own) {}

  std::string_view name() const override { return "onednn"; }

  Result<Lowering> lower(const Node& node, ProgramBuilder& builder) override {
    const std::string_view op = node.op().name;
    const bool fused = op == "Fused" && contains(kFusedKinds, node.attrs.text("kind"));
    Refusal reason;
    if (const LowerOwn own = lowering_of(kOwnRows, op)) {
      reason = own(node, builder);
    } else if (only_own_) {
      reason = "not asked for";
    } else if (op == "Fused" && node.attrs.text("kind") == "attention") {
      reason = onednn::lower_attention(node, target_.bf16_products, builder);
    } else if (!fused && !lowering_of(kRows, op)) {
      reason = "no primitive";
    } else {
      Contraction contraction;
      reason = contraction.read(node);
      if (reason.empty() && sums_integers(contraction.core()) && !target_.integer_products) reason = "products of 8 bits saturate";
      if (reason.empty() && contraction.multiplies_bf16() && !target_.bf16_products) reason = "no products of bf16";
      if (reason.empty()) reason = lowering_of(kRows, contraction.core().op().name)(node, contraction, builder);
    }
    return Lowering{reason.empty(), reason};
  }

  Status finish(ProgramBuilder&) override { return {}; }

 private:
  const Target target_;
  const bool only_own_;
};

}  // namespace

std::unique_ptr<Backend> make_onednn_backend(const CompileOptions& options) {
  return std::make_unique<OnednnBackend>(options.target, !options.use_onednn);
}

}  // namespace gannet
