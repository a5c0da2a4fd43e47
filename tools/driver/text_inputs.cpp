#include "tools/driver/text_inputs.h"

#include <fmt/format.h>

#include <algorithm>
#include <cctype>

#include "ir/op.h"

namespace gannet {

namespace {

constexpr int64_t kMostTypes = 16;

std::string lower(std::string text) {
  std::ranges::transform(text, text.begin(),
                         [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::optional<TokenRole> role_by_name(const std::string& input) {
  const std::string name = lower(input);
  auto has = [&](const char* part) { return name.find(part) != std::string::npos; };
  if (has("mask")) return TokenRole::kMask;
  if (has("position")) return TokenRole::kPositions;
  if (has("type") || has("segment")) return TokenRole::kTypes;
  if (has("ids") || has("token") || has("word") || has("text")) return TokenRole::kIds;
  return std::nullopt;
}

class RoleFinder {
 public:
  RoleFinder(std::span<const InputSpec> specs, const TextArguments& arguments)
      : specs_(specs), arguments_(arguments), roles_(specs.size()) {}

  Result<std::vector<std::optional<TokenRole>>> find() {
    TRY(by_flag(arguments_.ids, "--ids", TokenRole::kIds));
    TRY(by_flag(arguments_.mask, "--mask", TokenRole::kMask));
    TRY(by_flag(arguments_.types, "--type", TokenRole::kTypes));
    TRY(by_flag(arguments_.positions, "--positions", TokenRole::kPositions));
    for (size_t i = 0; i < specs_.size(); ++i) {
      const auto role = role_by_name(specs_[i].name);
      if (!roles_[i] && role && !taken(*role)) roles_[i] = role;
    }
    by_table();
    // A single input, or the first that is left, called "input", "x" or like nothing at all.
    for (auto& role : roles_) {
      if (!role && !taken(TokenRole::kIds)) role = TokenRole::kIds;
    }
    return roles_;
  }

 private:
  bool taken(TokenRole role) const { return std::ranges::find(roles_, std::optional(role)) != roles_.end(); }

  Status by_flag(const std::string& name, std::string_view flag, TokenRole role) {
    if (name.empty()) return {};
    const auto spec = std::ranges::find(specs_, name, &InputSpec::name);
    if (spec == specs_.end())
      return invalid_input(fmt::format("{}: the model has no input '{}'; it has {}", flag, name, names()));
    roles_[static_cast<size_t>(spec - specs_.begin())] = role;
    return {};
  }

  // The table of tokens is the largest; one of few rows is that of their kinds.
  void by_table() {
    size_t largest = specs_.size();
    for (size_t i = 0; i < specs_.size(); ++i) {
      const bool known = specs_[i].index_bound > kUnknownIndexBound;
      if (!roles_[i] && known &&
          (largest == specs_.size() || specs_[i].index_bound > specs_[largest].index_bound))
        largest = i;
    }
    if (largest < specs_.size() && !taken(TokenRole::kIds)) roles_[largest] = TokenRole::kIds;
  }

  std::string names() const {
    std::string all;
    for (const InputSpec& spec : specs_) all += (all.empty() ? "" : ", ") + spec.name;
    return all;
  }

  std::span<const InputSpec> specs_;
  const TextArguments& arguments_;
  std::vector<std::optional<TokenRole>> roles_;
};

Status check_type(const InputSpec& spec) {
  const Type& type = spec.type;
  const bool numbers =
      type.is_tensor() && (is_int(type.dtype) || is_float(type.dtype) || type.dtype == DType::kBool);
  if (numbers && (!type.shape || type.rank() == 2)) return {};
  return invalid_input(fmt::format("input '{}' is {}; texts are numbers of tokens [rows, tokens]", spec.name,
                                   to_string(type)));
}

// Whether an input decides `value` without anything but casts and changes of shape between.
bool comes_from_input(const Value* value) {
  for (int depth = 0; depth < 16 && value; ++depth) {
    const Node* node = value->producer();
    if (node == nullptr) return true;
    const std::string_view op = node->op().name;
    if (op != "Cast" && op != "Identity" && op != "Reshape" && op != "Unsqueeze" && op != "Squeeze")
      return false;
    value = node->input(0);
  }
  return false;
}

bool counts_tokens(const Value* value, int depth = 0) {
  if (value == nullptr || value->producer() == nullptr || depth > 12) return false;
  if (value->producer()->op().name == "CumSum") return true;
  return std::ranges::any_of(value->producer()->inputs(),
                             [&](const Value* input) { return counts_tokens(input, depth + 1); });
}

}  // namespace

std::set<int64_t> embedding_widths(const Graph& model) {
  std::set<int64_t> widths;
  for (const auto& node : model.nodes()) {
    const Tensor* table = node->op().name == "Gather" ? node->input(0)->constant() : nullptr;
    if (table && table->rank() == 2 && is_float(table->dtype()) && comes_from_input(node->input(1)))
      widths.insert(table->extent(1));
  }
  return widths;
}

Result<TextInputs> find_text_inputs(std::span<const InputSpec> specs, const TextArguments& arguments) {
  const std::vector<std::optional<TokenRole>> roles = TRY(RoleFinder(specs, arguments).find());
  TextInputs result;
  bool has_ids = false;
  for (size_t i = 0; i < specs.size(); ++i) {
    const InputSpec& spec = specs[i];
    if (!roles[i]) {
      return invalid_input(fmt::format(
          "input '{}' is not known to take anything of a text; --ids, --mask, --type and --positions say so",
          spec.name));
    }
    TRY(check_type(spec));
    result.inputs.push_back({*roles[i], spec.type.dtype});
    const bool bounded = spec.index_bound > kUnknownIndexBound;
    if (*roles[i] == TokenRole::kIds && bounded) result.vocabulary = spec.index_bound;
    if (*roles[i] == TokenRole::kTypes && spec.index_bound <= kMostTypes) result.types = spec.index_bound;
    if (*roles[i] == TokenRole::kPositions && bounded) result.positions = spec.index_bound;
    has_ids |= *roles[i] == TokenRole::kIds;
    if (spec.type.shape && (*spec.type.shape)[1].is_constant())
      result.fixed_length = (*spec.type.shape)[1].constant();
  }
  if (!has_ids) return invalid_input("the model has no input for numbers of tokens; --ids names it");
  return result;
}

std::optional<int64_t> position_count(const Graph& model) {
  const std::set<int64_t> widths = embedding_widths(model);
  std::optional<int64_t> least;
  for (const auto& node : model.nodes()) {
    const bool selects = node->op().name == "Gather" || node->op().name == "Slice";
    const Tensor* table = selects ? node->input(0)->constant() : nullptr;
    if (!table || table->rank() < 2 || !is_float(table->dtype()) || !widths.contains(table->extents().back()))
      continue;
    const bool gathers = node->op().name == "Gather";
    if (gathers && comes_from_input(node->input(1))) continue;
    int64_t rows = table->extent(table->rank() - 2);
    if (rows <= kMostTypes) continue;
    // RoBERTa counts tokens that are no padding from 2 on.
    constexpr int64_t kFirstOfCounted = 2;
    if (gathers && counts_tokens(node->input(1))) rows -= kFirstOfCounted;
    least = std::min(least.value_or(rows), rows);
  }
  return least;
}

}  // namespace gannet
