#include <algorithm>
#include <map>

#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kTfIdfAttrs[] = {
    required_attr("max_gram_length", AttrKind::kInt), required_attr("max_skip_count", AttrKind::kInt),
    required_attr("min_gram_length", AttrKind::kInt), required_attr("mode", AttrKind::kString),
    required_attr("ngram_counts", AttrKind::kInts),   required_attr("ngram_indexes", AttrKind::kInts),
    optional_attr("pool_int64s", AttrKind::kInts),    optional_attr("pool_strings", AttrKind::kStrings),
    optional_attr("weights", AttrKind::kFloats)};

// The pool holds the 1-grams from ngram_counts[0], the 2-grams from ngram_counts[1], and so on. Calls
// visit(length, first token) for each n-gram in the order of the pool; an error when the pool does not
// divide.
template <class Visit>
Status for_each_ngram(const std::vector<int64_t>& starts, int64_t pool_size, Visit visit) {
  for (size_t i = 0; i < starts.size(); ++i) {
    int64_t begin = starts[i], end = i + 1 < starts.size() ? starts[i + 1] : pool_size,
            length = static_cast<int64_t>(i) + 1;
    if (begin < 0 || end < begin || end > pool_size || (end - begin) % length != 0) {
      return invalid_model(fmt::format("ngram_counts: {}-grams from {} to {} do not fit a pool of {}", length,
                                       begin, end, pool_size));
    }
    for (int64_t token = begin; token < end; token += length) visit(length, token);
  }
  return {};
}

Status check_pool(InferContext& c, int64_t& outputs) {
  const Attributes& a = c.attrs();
  bool strings = !a.texts("pool_strings").empty();
  if (strings && !a.integers("pool_int64s").empty())
    return invalid_model("pool_strings and pool_int64s are both given");
  DType dtype = c.dtype(0);
  bool fits = strings ? dtype == DType::kString : dtype == DType::kI32 || dtype == DType::kI64;
  if (!fits && dtype != DType::kUndefined) {
    return invalid_model(
        fmt::format("input 0 (X) must hold {}, got {}", strings ? "strings" : "i32 or i64", name_of(dtype)));
  }
  int64_t pool_size =
      static_cast<int64_t>(strings ? a.texts("pool_strings").size() : a.integers("pool_int64s").size());
  int64_t ngrams = 0;
  TRY(for_each_ngram(a.integers("ngram_counts"), pool_size, [&](int64_t, int64_t) { ++ngrams; }));
  const std::vector<int64_t>& indexes = a.integers("ngram_indexes");
  if (ngrams > static_cast<int64_t>(indexes.size())) {
    return invalid_model(fmt::format("{} ngram_indexes for {} n-grams", indexes.size(), ngrams));
  }
  size_t weights = a.numbers("weights").size();
  if (weights != 0 && weights != indexes.size()) {
    return invalid_model(fmt::format("{} weights for {} ngram_indexes", weights, indexes.size()));
  }
  for (int64_t index : indexes) {
    if (index < 0 || index >= int64_t{1} << 40)
      return invalid_model(fmt::format("ngram_indexes holds {}", index));
    outputs = std::max(outputs, index + 1);
  }
  return {};
}

Status infer_tfidf(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_choice(c, "mode", {"TF", "IDF", "TFIDF"}));
  const Attributes& a = c.attrs();
  int64_t shortest = a.integer("min_gram_length"), longest = a.integer("max_gram_length"),
          skips = a.integer("max_skip_count");
  if (shortest < 1 || longest < shortest || skips < 0) {
    return invalid_model(fmt::format("n-grams of {} to {} tokens with {} skips", shortest, longest, skips));
  }
  int64_t outputs = 0;
  TRY(check_pool(c, outputs));
  if (!c.shape(0)) return c.set_tensor(0, DType::kF32, std::nullopt), Status();
  const Shape& x = *c.shape(0);
  if (x.size() != 1 && x.size() != 2)
    return invalid_model(fmt::format("input 0 (X) must have rank 1 or 2, got {}", x.size()));
  c.set_tensor(0, DType::kF32, x.size() == 1 ? Shape{outputs} : Shape{x[0], outputs});
  return {};
}

// Counts the n-grams of one row. Tokens are known by their number in the pool, -1 for all others.
void count_row(std::span<const int64_t> row, const std::map<std::vector<int64_t>, size_t>& known,
               const Attributes& attrs, std::vector<int64_t>& counts) {
  int64_t size = static_cast<int64_t>(row.size());
  int64_t longest = std::min(attrs.integer("max_gram_length"), size);
  std::vector<int64_t> ngram;
  // Skips make no difference to single tokens, which count once.
  for (int64_t length = attrs.integer("min_gram_length"); length <= longest; ++length) {
    int64_t most = length == 1 ? 1
                               : std::min((size - 1) / (length - 1),
                                          std::min(attrs.integer("max_skip_count"), size) + 1);
    for (int64_t distance = 1; distance <= most; ++distance) {
      for (int64_t start = 0; start + (length - 1) * distance < size; ++start) {
        ngram.clear();
        for (int64_t k = 0; k < length; ++k) {
          int64_t token = row[static_cast<size_t>(start + k * distance)];
          if (token < 0) break;
          ngram.push_back(token);
        }
        if (static_cast<int64_t>(ngram.size()) < length) continue;
        auto found = known.find(ngram);
        if (found != known.end()) ++counts[found->second];
      }
    }
  }
}

// Each token of `pool` and of `x` as a number, equal for equal tokens of the pool; -1 for those not in it.
template <class Token>
void number_tokens(const std::vector<Token>& pool, std::span<const Token> x,
                   std::vector<int64_t>& pool_numbers, std::vector<int64_t>& numbers) {
  std::map<Token, int64_t> seen;
  for (const Token& token : pool)
    pool_numbers.push_back(seen.emplace(token, static_cast<int64_t>(seen.size())).first->second);
  for (const Token& token : x) {
    auto found = seen.find(token);
    numbers.push_back(found == seen.end() ? -1 : found->second);
  }
}

Status eval_tfidf(EvalContext& c) {
  const Attributes& a = c.attrs();
  const Tensor& x = c.tensor(0);
  Tensor y = TRY(c.allocate());
  auto values = y.mutable_data<float>();
  std::fill(values.begin(), values.end(), 0.0f);
  std::vector<int64_t> pool, numbers;
  if (x.dtype() == DType::kString) {
    number_tokens<std::string>(a.texts("pool_strings"), x.data<std::string>(), pool, numbers);
  } else {
    std::vector<int64_t> tokens = x.ints();
    number_tokens<int64_t>(a.integers("pool_int64s"), tokens, pool, numbers);
  }
  std::map<std::vector<int64_t>, size_t> known;
  size_t ngrams = 0;
  TRY(for_each_ngram(
      a.integers("ngram_counts"), static_cast<int64_t>(pool.size()), [&](int64_t length, int64_t token) {
        known.emplace(std::vector<int64_t>(pool.begin() + token, pool.begin() + token + length), ngrams++);
      }));
  size_t rows = x.rank() == 1 ? 1 : static_cast<size_t>(x.extent(0)),
         width = static_cast<size_t>(x.extents().back());
  size_t outputs = static_cast<size_t>(y.extents().back());
  const std::vector<float>& weights = a.numbers("weights");
  for (size_t r = 0; r < rows; ++r) {
    std::vector<int64_t> counts(ngrams, 0);
    count_row(std::span<const int64_t>(numbers).subspan(r * width, width), known, a, counts);
    for (size_t i = 0; i < ngrams; ++i) {
      float count = static_cast<float>(a.text("mode") == "IDF" ? std::min<int64_t>(counts[i], 1) : counts[i]);
      if (a.text("mode") != "TF" && !weights.empty()) count *= weights[i];
      values[r * outputs + static_cast<size_t>(a.integers("ngram_indexes")[i])] += count;
    }
  }
  c.set(y);
  return {};
}

}  // namespace

constinit const StructuredOp ops::TfIdfVectorizer = {.inputs = {1, 1},
                                                     .outputs = {1, 1},
                                                     .attrs = kTfIdfAttrs,
                                                     .infer = infer_tfidf,
                                                     .eval = eval_tfidf,
                                                     .no_gradient = "counts of equal elements are constant between jumps"};

}  // namespace gannet
