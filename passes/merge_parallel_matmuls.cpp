// Products of one operand with several constant matrices, such as the queries, keys and values of attention, become one
// product with the matrices side by side, split afterwards. It changes weights, so it is for inference only.
#include <algorithm>
#include <cstring>
#include <unordered_map>

#include "passes/match.h"

namespace gannet {
namespace {

struct Member {
  Node* product = nullptr;
  Node* root = nullptr;          // the product, or the Add of its bias
  const Tensor* bias = nullptr;  // one element a column; null: none
};

const Tensor* weight_of(const Node& product) { return product.input(1)->constant(); }

// Why a product of constant weights is not merged; empty where it can be.
std::string obstacle(const Node& product) {
  constexpr int64_t kMostColumns = 2048;
  const Tensor& weight = *weight_of(product);
  if (weight.rank() != 2 || product.input(0)->type.rank() < 2) return "its operands are no matrices";
  if (weight.extent(1) > kMostColumns) return fmt::format("{} columns are enough for a product of its own", weight.extent(1));
  if (product.input(1)->uses().size() > 1) return fmt::format("weight '{}' has a second use", product.input(1)->name);
  return "";
}

Member member(const Graph& graph, Node& product) {
  Member result{&product, &product, nullptr};
  const Value* y = product.output();
  if (y->uses().size() != 1 || graph.is_result(y)) return result;
  Node* add = y->uses()[0].node;
  const Value* bias = add->op().name == "Add" ? other_operand(*add, y) : nullptr;
  const Tensor* tensor = bias ? bias->constant() : nullptr;
  const int64_t columns = weight_of(product)->extent(1);
  if (!tensor || tensor->elements() != columns || tensor->extents().empty() || tensor->extents().back() != columns) return result;
  if (!same_tensor_type(add->output(), y)) return result;
  return {&product, add, tensor};
}

// Tensors of equal row counts side by side.
Tensor side_by_side(const std::vector<const Tensor*>& parts, int64_t rows, std::vector<int64_t> extents) {
  Tensor result = Tensor::zeros(parts[0]->dtype(), std::move(extents));
  char* to = static_cast<char*>(result.mutable_raw());
  for (int64_t row = 0; row < rows; ++row) {
    for (const Tensor* part : parts) {
      const auto bytes = static_cast<size_t>(part->bytes() / rows);
      std::memcpy(to, static_cast<const char*>(part->raw()) + static_cast<size_t>(row) * bytes, bytes);
      to += bytes;
    }
  }
  return result;
}

Status merge(Replacer& replacer, std::vector<Member> members) {
  Node& first = *members.front().product;
  const bool biased = std::ranges::all_of(members, [](const Member& m) { return m.bias != nullptr; });
  std::vector<const Tensor*> weights, biases;
  std::vector<int64_t> columns;
  int64_t total = 0;
  for (const Member& m : members) {
    weights.push_back(weight_of(*m.product));
    biases.push_back(m.bias);
    columns.push_back(weights.back()->extent(1));
    total += columns.back();
  }
  const int64_t rows = weights[0]->extent(0);
  if (rows == 0 || total == 0) return {};
  GraphBuilder b(replacer.graph(), &first);
  Value* y = b.matmul(first.input(0), b.constant(side_by_side(weights, rows, {rows, total})));
  y->producer()->name = first.name;
  if (biased) y = b.add(y, b.constant(side_by_side(biases, 1, {total})));
  const std::vector<Value*> parts = b.op_n("Split", {y, b.ints(columns)}, {{"axis", y->type.rank() - 1}}, members.size());
  TRY(b.status());
  for (size_t i = 0; i < members.size(); ++i) replacer.replace(*(biased ? members[i].root : members[i].product), parts[i]);
  return {};
}

}  // namespace

Result<bool> merge_parallel_matmuls(Graph& graph, PassContext& context) {
  Replacer replacer(graph, context);
  std::vector<std::vector<Member>> groups;
  std::unordered_map<const Value*, size_t> group_of;
  for (Node* product : replacer.nodes({"MatMul"})) {
    const Value* x = product->input(0);
    if (!weight_of(*product) || x->uses().size() < 2) continue;
    if (std::string reason = obstacle(*product); !reason.empty()) {
      replacer.remark(*product, "is not merged with others of its operand: " + reason);
      continue;
    }
    const auto [found, is_new] = group_of.try_emplace(x, groups.size());
    if (is_new) groups.emplace_back();
    groups[found->second].push_back(member(graph, *product));
  }
  for (std::vector<Member>& members : groups) {
    if (members.size() > 1) TRY(merge(replacer, std::move(members)));
  }
  return replacer.finish();
}

}  // namespace gannet
