// Operands of convolutions and products are rounded to bf16, and back: sums of their products stay f32. So
// the graph says what bf16 means, whatever computes it. Where the target has such products, fuse_contractions
// takes the Casts into them, and what is between two of them is stored in 16 bits; elsewhere they run in f32
// on the rounded operands.
//
// What a convolution reads is rounded for all who read it, as feature maps are large: a residual sum is made
// in f32 of a sum in f32 and a rounded map, and rounded once. What a matrix product reads stays f32 for
// others, as the residual stream of a transformer does. Rounding and moving elements commute, as do rounding
// and taking the largest, so rounding comes before both where whatever computes the elements does it for
// nothing.
//
// Of products whose right sides differ from matrix to matrix those of attention are rounded: queries, keys, values,
// and what the Softmax makes, which itself is computed in f32.
#include <algorithm>
#include <array>
#include <unordered_map>
#include <unordered_set>

#include "ir/attention_form.h"
#include "ir/bf16_cast.h"
#include "ir/builder.h"
#include "ir/epilogue.h"
#include "ir/op.h"
#include "ir/view.h"
#include "passes/fusion.h"
#include "passes/pass.h"
#include "passes/permute_node.h"

namespace gannet {
namespace {

// Kernels work on blocks of 16 channels.
constexpr int64_t kLeastChannels = 16;

struct RoundedOp {
  std::string_view op;
  bool convolution = false;
  bool of_maps = false;  // operand 0 is a feature map
};
constexpr std::array<RoundedOp, 6> kRounded = {{{"Conv", true, true},
                                                {"ConvTranspose", true, true},
                                                {"ConvInputGradient", true},
                                                {"ConvWeightGradient", true},
                                                {"MatMul"},
                                                {"Gemm"}}};

constexpr std::array<std::string_view, 4> kMoves = {"Transpose", "Slice", "DepthToSpace", "SpaceToDepth"};

template <class Names>
bool is_one_of(const Node& node, const Names& names) {
  return std::ranges::find(names, node.op().name) != names.end();
}

bool is_f32(const Value* value) {
  return value && value->type.is_tensor() && value->type.dtype == DType::kF32 && value->type.shape;
}

struct Product {
  Node* node = nullptr;
  const Node* core = nullptr;
  const RoundedOp* op = nullptr;
  std::array<size_t, 2> operands{};  // of the node
};

std::optional<Product> product_of(Node& node) {
  const bool wrapped = is_fused(node, "convolution") || is_fused(node, "gradient");
  const Node* core = wrapped ? principal_node(node) : &node;
  if (!core) return std::nullopt;
  const auto* found = std::ranges::find(kRounded, core->op().name, &RoundedOp::op);
  if (found == kRounded.end()) return std::nullopt;
  Product product{&node, core, found, {}};
  for (const size_t i : {0, 1}) {
    const std::optional<size_t> position = operand_position(node, *core, i);
    if (!position || !is_f32(node.input(*position))) return std::nullopt;
    product.operands[i] = *position;
  }
  return product;
}

// Why a convolution stays f32; empty where it does not.
std::string convolution_obstacle(const Node& core) {
  const std::string_view op = core.op().name;
  const Value* weights = op == "ConvWeightGradient" ? core.output() : core.input(1);
  if (!weights->type.shape) return "its channels are not known";
  const Shape& w = *weights->type.shape;
  const int64_t groups = core.attrs.integer("group");
  if (w.size() < 2 || !w[0].is_constant() || !w[1].is_constant()) return "its channels are not known";
  const int64_t first = w[0].constant() / std::max<int64_t>(groups, 1), second = w[1].constant();
  if (groups > 1 && first == 1 && second == 1) return "depthwise convolutions are slower in bf16";
  if (std::min(first, second) < kLeastChannels)
    return fmt::format("it has fewer than {} channels a group", kLeastChannels);
  return "";
}

// The same of a matrix product.
std::string product_obstacle(const Node& core) {
  const Shape &x = *core.input(0)->type.shape, &w = *core.input(1)->type.shape;
  if (x.size() < 2 || w.size() < 2) return "a vector is an operand";
  if (!std::all_of(w.begin(), w.end() - 2, [](const Dim& d) { return d.is_constant(1); })) {
    return "each matrix of a batch has a right side of its own, outside of attention that one kernel computes";
  }
  auto is_few = [](const Dim& extent) { return extent.is_constant() && extent.constant() < kLeastChannels; };
  if (is_few(w[w.size() - 1]) || is_few(w[w.size() - 2]))
    return fmt::format("its right side has fewer than {} rows or columns", kLeastChannels);
  return "";
}

class Rounding {
 public:
  Rounding(Graph& graph, PassContext& context)
      : graph_(graph), context_(context), stores_(context.target.bf16_products) {
    const Node* last = nullptr;
    for (const auto& node : graph.nodes()) {
      if (last) after_[last] = node.get();
      last = node.get();
    }
  }

  Result<bool> run() {
    collect();
    for (const Product& product : products_) {
      for (const size_t i : product.operands) TRY(round_operand(*product.node, i));
    }
    for (Value* map : maps_) round_for_all(map);
    if (changed_) {
      sort_nodes(graph_);
      erase_dead_nodes(graph_);
    }
    return changed_;
  }

 private:
  std::string obstacle_of(const Product& product) const {
    if (product.op->convolution) return convolution_obstacle(*product.core);
    return of_attention_.contains(product.core) ? "" : product_obstacle(*product.core);
  }

  void collect_attention() {
    for (const auto& node : graph_.nodes()) {
      const auto found = attention_from(graph_, *node);
      if (found && softmaxes_.insert(found->softmax).second)
        of_attention_.insert({found->scores, found->values});
    }
  }

  void collect() {
    collect_attention();
    for (const auto& node : graph_.nodes()) {
      const std::optional<Product> product = product_of(*node);
      if (!product) continue;
      const std::string obstacle = obstacle_of(*product);
      if (!obstacle.empty()) {
        context_.remark(*node, "stays f32: " + obstacle);
        wide_.insert(node.get());
        continue;
      }
      products_.push_back(*product);
      narrow_nodes_.insert(node.get());
      for (const size_t i : product->operands) readers_[node->input(i)].insert(node.get());
    }
    for (const Product& product : products_) {
      Value* map = product.node->input(product.operands[0]);
      const bool shared =
          std::ranges::any_of(map->uses(), [&](const Use& use) { return wide_.contains(use.node); });
      if (product.op->of_maps && !shared && !map->constant() && std::ranges::find(maps_, map) == maps_.end())
        maps_.push_back(map);
    }
  }

  // Whether nobody reads `value` itself once operands are rounded.
  bool is_stored_rounded(const Value* value) const {
    const auto found = readers_.find(value);
    if (found == readers_.end() || graph_.is_result(value)) return false;
    if (std::ranges::find(maps_, value) != maps_.end()) return true;
    return std::ranges::all_of(value->uses(),
                               [&](const Use& use) { return found->second.contains(use.node); });
  }

  // Whether what a kernel that stays f32 computes is all that `value` is made of.
  bool comes_of_wide(const Value* value) const {
    const Node* node = value->producer();
    if (!node || value->uses().size() != 1) return false;
    if (wide_.contains(node)) return true;
    return is_elementwise(*node) &&
           std::ranges::any_of(node->inputs(), [&](const Value* v) { return v && comes_of_wide(v); });
  }

  static const Node* largest_of(const Node* node) {
    const Node* core = node && is_fused(*node, "pooling") ? principal_node(*node) : nullptr;
    return core && core->op().name == "MaxPool" ? core : nullptr;
  }

  // Whether what computes `value` can store it in 16 bits at no cost.
  bool is_rounded_freely(const Value* value) const {
    if (value->constant() || is_widened(value) || is_stored_rounded(value)) return true;
    const Node* node = value->producer();
    if (!node || !has_one_use(value)) return false;
    if (narrow_nodes_.contains(node)) return true;
    if (is_elementwise(*node)) return !comes_of_wide(value);
    return largest_of(node) ? is_rounded_freely(node->input(0)) : moves_rounded(*node);
  }

  // Whether a node that moves elements is to move them rounded, seen from its operands.
  bool moves_rounded(const Node& node) const {
    if (is_free_move(node)) return true;
    if (node.op().name == "Concat")
      return std::ranges::all_of(node.inputs(), [&](const Value* v) { return is_rounded_freely(v); });
    return is_one_of(node, kMoves) && is_rounded_freely(node.input(0));
  }

  // Moves nothing, or is taken into the product that reads it.
  static bool is_free_move(const Node& node) {
    if (is_view(node)) return true;
    if (node.op().name != "Transpose" || !node.attrs.has("perm")) return false;
    return takes_order(ContractionKind::kMatmul, ContractionOperand::kWeights,
                       inverse(node.attrs.integers("perm")));
  }

  // Whether the product before a Transpose takes it in, as strides of its result: it is rounded behind that.
  bool orders_result(const Node& node) const {
    if (node.op().name != "Transpose" || !node.attrs.has("perm") || !has_one_use(node.input(0))) return false;
    const Node* product = node.input(0)->producer();
    return product && product->op().name == "MatMul" && narrow_nodes_.contains(product) &&
           takes_order(ContractionKind::kMatmul, ContractionOperand::kResult, node.attrs.integers("perm"));
  }

  // Right behind what makes `value`; what no node makes is rounded where that is first wanted.
  Node* place_after(const Value* value) const {
    if (!value->producer()) return product_;
    const auto found = after_.find(value->producer());
    return found == after_.end() ? nullptr : found->second;
  }

  // `made` does the work of what makes `value`.
  static Value* on_behalf(const Value* value, Value* made) {
    if (made->producer() && !made->constant()) {
      made->producer()->set_sources(value->producer() ? value->producer()->sources()
                                                      : std::span<const int32_t>());
    }
    return made;
  }

  bool has_one_use(const Value* value) const { return value->uses().size() == 1 && !graph_.is_result(value); }

  // `value` in bf16; `unseen`: whoever reads it now is to read something rounded instead.
  Result<Value*> narrow(Value* value, bool unseen = false) {
    if (is_widened(value)) return value->producer()->input(0);
    if (const auto found = narrow_.find(value); found != narrow_.end()) return found->second;
    Node* node = value->producer();
    unseen = unseen || is_stored_rounded(value);
    const bool moved = node && stores_ && !value->constant() && !orders_result(*node) &&
                       (is_free_move(*node) || (unseen && moves_rounded(*node)));
    std::vector<Value*> operands;
    if (moved)
      operands = TRY(operands_of(
          *node, [&](Value* operand) { return narrow(operand, unseen && has_one_use(operand)); }));
    if (stores_ && largest_of(node) && unseen && is_rounded_freely(node->input(0))) {
      // The largest of rounded elements is the largest, rounded.
      graph_.set_operand(node, 0, TRY(rounded(node->input(0), has_one_use(node->input(0)))));
    }
    GraphBuilder b(graph_, place_after(value));
    Value* made = nullptr;
    if (const Tensor* tensor = value->constant())
      made = b.constant(TRY(convert(*tensor, DType::kBF16)));
    else
      made = moved ? b.op(node->op().name, std::move(operands), node->attrs) : b.cast(value, DType::kBF16);
    TRY(b.status());
    return narrow_[value] = on_behalf(value, made);
  }

  // The operands of a node that moves elements, with those that are moved replaced.
  template <class Replacement>
  static Result<std::vector<Value*>> operands_of(const Node& node, const Replacement& replacement) {
    std::vector<Value*> operands(node.inputs().begin(), node.inputs().end());
    const size_t moved = node.op().name == "Concat" ? operands.size() : 1;
    for (size_t i = 0; i < moved; ++i) operands[i] = TRY(replacement(operands[i]));
    return operands;
  }

  // `value` rounded, in f32; itself where it is that already.
  Result<Value*> rounded(Value* value, bool unseen = false) {
    if (is_widened(value)) return value;
    if (const auto found = rounded_.find(value); found != rounded_.end()) return found->second;
    Value* made = TRY(make_rounded(value, unseen));
    return rounded_[value] = made == value ? value : on_behalf(value, made);
  }

  Result<Value*> make_rounded(Value* value, bool unseen) {
    Node* node = value->producer();
    if (!stores_ && value->constant()) {
      const Tensor narrow_tensor = TRY(convert(*value->constant(), DType::kBF16));
      Tensor wide = TRY(convert(narrow_tensor, DType::kF32));
      if (wide.identical(*value->constant())) return value;
      return graph_.add_constant(std::move(wide), "", place_after(value));
    }
    Value* made = nullptr;
    if (!stores_ && node && is_free_move(*node) && !orders_result(*node)) {
      std::vector<Value*> operands =
          TRY(operands_of(*node, [&](Value* operand) { return rounded(operand); }));
      if (operands[0] == node->input(0)) return value;
      GraphBuilder b(graph_, place_after(value));
      made = b.op(node->op().name, std::move(operands), node->attrs);
      TRY(b.status());
      return made;
    }
    Value* bits = TRY(narrow(value, unseen));
    GraphBuilder b(graph_, place_after(value));
    made = b.cast(bits, DType::kF32);
    TRY(b.status());
    return made;
  }

  Status round_operand(Node& node, size_t i) {
    product_ = &node;
    Value* value = node.input(i);
    Value* made = TRY(rounded(value));
    if (made == value) return {};
    graph_.set_operand(&node, i, made);
    return changed_ = true, Status();
  }

  void round_for_all(Value* value) {
    const auto found = rounded_.find(value);
    if (found == rounded_.end() || found->second == value) return;
    const std::vector<Use> uses(value->uses().begin(), value->uses().end());
    for (const Use& use : uses) {
      if (!rounds_to_bf16(*use.node))
        graph_.set_operand(use.node, static_cast<size_t>(use.index), found->second);
    }
  }

  Graph& graph_;
  PassContext& context_;
  const bool stores_;  // in 16 bits what is rounded, for the target's own products
  bool changed_ = false;
  Node* product_ = nullptr;  // whose operand is being rounded
  std::unordered_map<const Node*, Node*> after_;
  std::vector<Product> products_;
  std::vector<Value*> maps_;                             // feature maps, rounded for all who read them
  std::unordered_set<const Node*> softmaxes_, of_attention_;  // of attention, and its products
  std::unordered_set<const Node*> wide_, narrow_nodes_;  // products that stay f32, and that do not
  std::unordered_map<const Value*, std::unordered_set<const Node*>>
      readers_;  // products that read a value rounded
  std::unordered_map<const Value*, Value*> narrow_, rounded_;
};

}  // namespace

Result<bool> round_products(Graph& graph, PassContext& context) {
  if (context.product_dtype != DType::kBF16) return false;
  return Rounding(graph, context).run();
}

}  // namespace gannet
