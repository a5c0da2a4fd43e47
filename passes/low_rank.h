// Tuning a few numbers instead of all: beside each chosen weight W, which stays as it is, stands a product of
// two thin matrices, W + alpha / rank * down * up. Hu et al., "LoRA: low-rank adaptation of large language
// models" (2022); of all linear layers, as Dettmers et al., "QLoRA" (2023), found that it takes to match full tuning.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "ir/graph.h"

namespace gannet {

struct LowRankOptions {
  int64_t rank = 8;
  double alpha = 16;
  // Patterns of names of weights or of the nodes that multiply by them. Empty: all weights of linear layers.
  std::vector<std::string> targets = {};
  // The model output whose last layer is trained as a whole; empty: the first floating point one.
  std::string output = {};
  uint64_t seed = 0;
};

struct LowRankWeight {
  std::string name;  // of the State that the weight was
  Tensor base;
  std::optional<Origin> origin;
  std::string down, up;  // names of the States that stand for it now: [rows, rank] and [rank, columns]
  double scale = 1;      // alpha / rank
};

// Rewrites a model whose weights are State (weights_to_state.h), before anything else does: the chosen
// weights become constants with States beside them, `down` uniform and `up` zero, so that the model gives
// what it gave; those of the last layer stay States; all others become constants. An error when a pattern
// matches no weight of a linear layer, or there is none.
Result<std::vector<LowRankWeight>> make_low_rank(Graph& graph, const LowRankOptions& options);

// base + scale * down * up, summed in f64, in the dtype of the base.
Tensor merge_low_rank(const LowRankWeight& weight, const Tensor& down, const Tensor& up);

}  // namespace gannet
