#include <algorithm>
#include <set>

#include "ir/ops/operand_checks.h"
#include "ir/ops/ops.h"

namespace gannet {
namespace {

constexpr AttrDef kNormalizerAttrs[] = {
    string_attr("case_change_action", "NONE"), int_attr("is_case_sensitive", 0),
    optional_attr("locale", AttrKind::kString), optional_attr("stopwords", AttrKind::kStrings)};
constexpr AttrDef kSplitAttrs[] = {optional_attr("delimiter", AttrKind::kString),
                                   optional_attr("maxsplit", AttrKind::kInt)};

Status infer_concat(InferContext& c) {
  TRY(expect_tensors(c, 2));
  TRY(expect_dtype(c, 0, DType::kString, "X"));
  TRY(expect_dtype(c, 1, DType::kString, "Y"));
  std::optional<Shape> shape;
  if (c.shape(0) && c.shape(1)) shape = TRY(broadcast_shapes(*c.shape(0), *c.shape(1)));
  c.set_tensor(0, DType::kString, shape);
  return {};
}

// Strides of an operand along the dimensions of the result it broadcasts to.
std::vector<int64_t> broadcast_strides(const Tensor& operand, const std::vector<int64_t>& extents) {
  std::vector<int64_t> strides(extents.size(), 0), own = row_major_strides(operand.extents());
  size_t added = extents.size() - own.size();
  for (size_t i = 0; i < own.size(); ++i) strides[added + i] = operand.extents()[i] == 1 ? 0 : own[i];
  return strides;
}

Status eval_concat(EvalContext& c) {
  Tensor z = TRY(c.allocate());
  auto left = c.tensor(0).data<std::string>(), right = c.tensor(1).data<std::string>();
  std::vector<int64_t> left_strides = broadcast_strides(c.tensor(0), z.extents());
  std::vector<int64_t> right_strides = broadcast_strides(c.tensor(1), z.extents());
  std::vector<int64_t> strides = row_major_strides(z.extents());
  auto target = z.mutable_data<std::string>();
  for (size_t i = 0; i < target.size(); ++i) {
    int64_t rest = static_cast<int64_t>(i), a = 0, b = 0;
    for (size_t d = 0; d < strides.size(); ++d) {
      int64_t at = rest / strides[d];
      rest %= strides[d];
      a += at * left_strides[d];
      b += at * right_strides[d];
    }
    target[i] = left[static_cast<size_t>(a)] + right[static_cast<size_t>(b)];
  }
  c.set(z);
  return {};
}

Status infer_split(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_dtype(c, 0, DType::kString, "X"));
  if (c.attrs().has("maxsplit") && c.attrs().integer("maxsplit") < 0) {
    return invalid_model(fmt::format("maxsplit must not be negative, got {}", c.attrs().integer("maxsplit")));
  }
  c.set_tensor(1, DType::kI64, c.type(0).shape);
  std::optional<Shape> shape = c.type(0).shape;
  if (shape) shape->push_back(c.fresh("pieces"));
  c.set_tensor(0, DType::kString, shape);
  return {};
}

bool is_space(char ch) { return ch == ' ' || (ch >= '\t' && ch <= '\r'); }

// Pieces between runs of white space; what is left after `most` splits stays whole.
std::vector<std::string_view> split_words(std::string_view text, size_t most) {
  std::vector<std::string_view> pieces;
  auto skip = [&] {
    while (!text.empty() && is_space(text.front())) text.remove_prefix(1);
  };
  for (skip(); !text.empty(); skip()) {
    if (pieces.size() == most) {
      while (is_space(text.back())) text.remove_suffix(1);
      pieces.push_back(text);
      break;
    }
    size_t end = static_cast<size_t>(std::find_if(text.begin(), text.end(), is_space) - text.begin());
    pieces.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
  return pieces;
}

std::vector<std::string_view> split_at(std::string_view text, std::string_view delimiter, size_t most) {
  if (delimiter.empty()) return split_words(text, most);
  std::vector<std::string_view> pieces;
  for (size_t found; pieces.size() < most && (found = text.find(delimiter)) != text.npos;) {
    pieces.push_back(text.substr(0, found));
    text.remove_prefix(found + delimiter.size());
  }
  pieces.push_back(text);
  return pieces;
}

Status eval_split(EvalContext& c) {
  const Tensor& x = c.tensor(0);
  std::string_view delimiter = c.attrs().has("delimiter") ? c.attrs().text("delimiter") : "";
  size_t most =
      c.attrs().has("maxsplit") ? static_cast<size_t>(c.attrs().integer("maxsplit")) : std::string::npos;
  Tensor counts = TRY(c.allocate(DType::kI64, x.extents()));
  auto count = counts.mutable_data<int64_t>();
  std::vector<std::vector<std::string_view>> pieces;
  size_t longest = 0;
  for (const std::string& text : x.data<std::string>()) {
    pieces.push_back(split_at(text, delimiter, most));
    count[pieces.size() - 1] = static_cast<int64_t>(pieces.back().size());
    longest = std::max(longest, pieces.back().size());
  }
  std::vector<int64_t> extents = x.extents();
  extents.push_back(static_cast<int64_t>(longest));
  Tensor y = TRY(c.allocate(DType::kString, extents));
  auto target = y.mutable_data<std::string>();
  for (size_t i = 0; i < pieces.size(); ++i)
    std::copy(pieces[i].begin(), pieces[i].end(), target.begin() + static_cast<int64_t>(i * longest));
  c.set(0, y);
  c.set(1, counts);
  return {};
}

Status infer_normalizer(InferContext& c) {
  TRY(expect_tensors(c, 1));
  TRY(expect_dtype(c, 0, DType::kString, "X"));
  TRY(expect_choice(c, "case_change_action", {"NONE", "LOWER", "UPPER"}));
  if (!c.shape(0)) return c.set_tensor(0, DType::kString, std::nullopt), Status();
  const Shape& shape = *c.shape(0);
  bool fits =
      shape.size() == 1 || (shape.size() == 2 && (!shape[0].is_constant() || shape[0].is_constant(1)));
  if (!fits)
    return invalid_model(
        fmt::format("X must have shape [C] or [1, C], got {}", to_string(std::span<const Dim>(shape))));
  Dim kept = c.fresh("kept");
  c.set_tensor(0, DType::kString, shape.size() == 1 ? Shape{kept} : Shape{1, kept});
  return {};
}

// Letters of ASCII and the two-byte letters of Latin-1, Greek and Cyrillic whose cases are a fixed distance
// apart.
char32_t with_case(char32_t ch, bool upper) {
  struct Range {
    char32_t first, last, distance;
  };
  constexpr Range kUpper[] = {{'A', 'Z', 32},     {0xC0, 0xD6, 32},   {0xD8, 0xDE, 32},  {0x391, 0x3A1, 32},
                              {0x3A3, 0x3AB, 32}, {0x410, 0x42F, 32}, {0x400, 0x40F, 80}};
  for (const Range& r : kUpper) {
    if (!upper && ch >= r.first && ch <= r.last) return ch + r.distance;
    if (upper && ch >= r.first + r.distance && ch <= r.last + r.distance) return ch - r.distance;
  }
  return ch;
}

std::string with_case(const std::string& text, bool upper) {
  std::string result;
  for (size_t i = 0; i < text.size(); ++i) {
    auto byte = static_cast<unsigned char>(text[i]);
    bool pair = (byte & 0xE0) == 0xC0 && i + 1 < text.size() &&
                (static_cast<unsigned char>(text[i + 1]) & 0xC0) == 0x80;
    if (byte < 0x80) {
      result += static_cast<char>(with_case(byte, upper));
    } else if (pair) {
      char32_t ch = with_case(
          static_cast<char32_t>((byte & 0x1F) << 6 | (static_cast<unsigned char>(text[++i]) & 0x3F)), upper);
      result += static_cast<char>(0xC0 | ch >> 6);
      result += static_cast<char>(0x80 | (ch & 0x3F));
    } else {
      result += text[i];
    }
  }
  return result;
}

Status eval_normalizer(EvalContext& c) {
  bool sensitive = c.attrs().integer("is_case_sensitive") != 0,
       upper = c.attrs().text("case_change_action") == "UPPER";
  bool change = c.attrs().text("case_change_action") != "NONE";
  auto key = [&](const std::string& word) { return sensitive ? word : with_case(word, false); };
  std::set<std::string> stops;
  for (const std::string& word : c.attrs().texts("stopwords")) stops.insert(key(word));
  std::vector<std::string> kept;
  for (const std::string& word : c.tensor(0).data<std::string>()) {
    if (!stops.contains(key(word))) kept.push_back(change ? with_case(word, upper) : word);
  }
  if (kept.empty()) kept.emplace_back();
  int64_t count = static_cast<int64_t>(kept.size());
  std::vector<int64_t> extents =
      c.tensor(0).rank() == 1 ? std::vector<int64_t>{count} : std::vector<int64_t>{1, count};
  c.set(Tensor::from<std::string>(extents, kept));
  return {};
}

}  // namespace

constinit const StructuredOp ops::StringConcat = {.inputs = {2, 2},
                                                  .outputs = {1, 1},
                                                  .attrs = {},
                                                  .infer = infer_concat,
                                                  .eval = eval_concat,
                                                  .no_gradient = "strings are not numbers"};
constinit const StructuredOp ops::StringSplit = {.inputs = {1, 1},
                                                 .outputs = {1, 2},
                                                 .attrs = kSplitAttrs,
                                                 .infer = infer_split,
                                                 .eval = eval_split,
                                                 .no_gradient = "strings are not numbers"};
constinit const StructuredOp ops::StringNormalizer = {.inputs = {1, 1},
                                                      .outputs = {1, 1},
                                                      .attrs = kNormalizerAttrs,
                                                      .infer = infer_normalizer,
                                                      .eval = eval_normalizer,
                                                      .no_gradient = "strings are not numbers"};

}  // namespace gannet
