#include <cmath>
#include <limits>
#include <numeric>

#include "frontend/template_parts.h"
#include "frontend/templates.h"

namespace gannet {
namespace {

constexpr int64_t kMostLayers = 1000;
constexpr int64_t kMostHidden = 65536;
constexpr int64_t kMostIntermediate = 1 << 20;
constexpr int64_t kMostVocabulary = 100'000'000;
constexpr int64_t kMostPositions = 1 << 20;
constexpr int64_t kMostLabels = 1'000'000;
constexpr double kDeviation = 0.02;
constexpr float kEpsilon = 1e-12f;

Status check_bert_options(const BertOptions& bert) {
  TRY(check_range("layers", bert.layers, 1, kMostLayers));
  TRY(check_range("hidden", bert.hidden, 1, kMostHidden));
  TRY(check_range("heads", bert.heads, 1, kMostHidden));
  TRY(check_range("intermediate", bert.intermediate, 0, kMostIntermediate));
  TRY(check_range("vocabulary", bert.vocabulary, 1, kMostVocabulary));
  TRY(check_range("max positions", bert.max_positions, 1, kMostPositions));
  TRY(check_range("type vocabulary", bert.type_vocabulary, 1, kMostVocabulary));
  TRY(check_range("labels", bert.labels, 1, kMostLabels));
  if (bert.hidden % bert.heads == 0) return {};
  return invalid_input(fmt::format("{} heads do not divide hidden {}", bert.heads, bert.hidden));
}

class BertWriter {
 public:
  BertWriter(OnnxWriter& model, const BertOptions& bert) : model_(model), bert_(bert) {}

  // The hidden states after the last layer.
  std::string encode();
  // tanh(W x + b) of the first token.
  std::string pool(const std::string& hidden);
  // x W + b over the last axis, by MatMul and Add; W is [inputs, outputs].
  std::string linear(const std::string& name, const std::string& x, int64_t inputs, int64_t outputs);

 private:
  std::string extent(const std::string& x, int64_t axis);
  std::string embeddings(const std::string& ids, const std::string& types);
  std::string position_ids(const std::string& ids);
  std::string mask_bias(const std::string& mask);
  std::string layer_norm(const std::string& name, const std::string& x);
  std::string split_heads(const std::string& x, const std::vector<int64_t>& order);
  std::string merge_heads(const std::string& x);
  std::string attention(const std::string& name, const std::string& x);
  std::string layer(const std::string& name, const std::string& x);

  OnnxWriter& model_;
  const BertOptions& bert_;
  std::string mask_bias_;  // [batch, 1, 1, seq], added to the scores of every layer
};

std::string BertWriter::linear(const std::string& name, const std::string& x, int64_t inputs,
                               int64_t outputs) {
  std::string weight = model_.weight(name + ".weight", {inputs, outputs}, Fill::normal(0.0, kDeviation));
  std::string bias = model_.weight(name + ".bias", {outputs}, Fill::constant(0.0));
  return model_.node("Add", {model_.node("MatMul", {x, weight}), bias});
}

// The extent of one axis as a list of one element.
std::string BertWriter::extent(const std::string& x, int64_t axis) {
  std::string one =
      model_.node("Gather", {model_.node("Shape", {x}), model_.int_scalar(axis)}, {{"axis", int64_t{0}}});
  return model_.node("Unsqueeze", {one, model_.ints({0})});
}

std::string BertWriter::position_ids(const std::string& ids) {
  std::vector<int64_t> numbers(static_cast<size_t>(bert_.max_positions));
  std::iota(numbers.begin(), numbers.end(), 0);
  std::string all = model_.int_buffer("embeddings.position_ids", {1, bert_.max_positions}, numbers);
  return model_.node("Slice", {all, model_.ints({0}), extent(ids, 1), model_.ints({1}), model_.ints({1})});
}

std::string BertWriter::layer_norm(const std::string& name, const std::string& x) {
  std::string gamma = model_.weight(name + ".weight", {bert_.hidden}, Fill::constant(1.0));
  std::string beta = model_.weight(name + ".bias", {bert_.hidden}, Fill::constant(0.0));
  if (model_.opset() >= 17) {
    return model_.node("LayerNormalization", {x, gamma, beta},
                       {{"axis", int64_t{-1}}, {"epsilon", kEpsilon}});
  }
  std::vector<WrittenAttr> last_axis = {{"axes", std::vector<int64_t>{-1}}, {"keepdims", int64_t{1}}};
  std::string centred = model_.node("Sub", {x, model_.node("ReduceMean", {x}, last_axis)});
  std::string square = model_.node("Pow", {centred, model_.scalar(2.0f)});
  std::string variance = model_.node("ReduceMean", {square}, last_axis);
  std::string deviation = model_.node("Sqrt", {model_.node("Add", {variance, model_.scalar(kEpsilon)})});
  std::string scaled = model_.node("Mul", {model_.node("Div", {centred, deviation}), gamma});
  return model_.node("Add", {scaled, beta});
}

std::string BertWriter::embeddings(const std::string& ids, const std::string& types) {
  model_.enter("embeddings");
  std::string positions = position_ids(ids);
  auto table = [&](std::string_view name, int64_t rows, const std::string& indices) {
    std::string weight = model_.weight(fmt::format("embeddings.{}.weight", name), {rows, bert_.hidden},
                                       Fill::normal(0.0, kDeviation));
    return model_.node("Gather", {weight, indices}, {{"axis", int64_t{0}}});
  };
  std::string words = table("word_embeddings", bert_.vocabulary, ids);
  std::string kinds = table("token_type_embeddings", bert_.type_vocabulary, types);
  std::string sum = model_.node("Add", {words, kinds});
  sum = model_.node("Add", {sum, table("position_embeddings", bert_.max_positions, positions)});
  std::string x = layer_norm("embeddings.LayerNorm", sum);
  model_.leave();
  return x;
}

// 0 where the mask is 1, the lowest f32 where it is 0.
std::string BertWriter::mask_bias(const std::string& mask) {
  std::string wide =
      model_.node("Unsqueeze", {model_.node("Unsqueeze", {mask, model_.ints({1})}), model_.ints({2})});
  std::string real = model_.node("Cast", {wide}, {{"to", static_cast<int64_t>(DType::kF32)}});
  std::string inverse = model_.node("Sub", {model_.scalar(1.0f), real});
  return model_.node("Mul", {inverse, model_.scalar(std::numeric_limits<float>::lowest())});
}

// [batch, seq, hidden] to [batch, seq, heads, hidden / heads], transposed.
std::string BertWriter::split_heads(const std::string& x, const std::vector<int64_t>& order) {
  std::string shape = model_.node(
      "Concat",
      {extent(x, 0), extent(x, 1), model_.ints({bert_.heads}), model_.ints({bert_.hidden / bert_.heads})},
      {{"axis", int64_t{0}}});
  return model_.node("Transpose", {model_.node("Reshape", {x, shape})}, {{"perm", order}});
}

std::string BertWriter::merge_heads(const std::string& x) {
  std::string y = model_.node("Transpose", {x}, {{"perm", std::vector<int64_t>{0, 2, 1, 3}}});
  std::string shape = model_.node("Concat", {extent(y, 0), extent(y, 1), model_.ints({bert_.hidden})},
                                  {{"axis", int64_t{0}}});
  return model_.node("Reshape", {y, shape});
}

std::string BertWriter::attention(const std::string& name, const std::string& x) {
  model_.enter("attention");
  std::string query = linear(name + ".self.query", x, bert_.hidden, bert_.hidden);
  std::string key = linear(name + ".self.key", x, bert_.hidden, bert_.hidden);
  std::string value = linear(name + ".self.value", x, bert_.hidden, bert_.hidden);
  query = split_heads(query, {0, 2, 1, 3});
  key = split_heads(key, {0, 2, 3, 1});
  value = split_heads(value, {0, 2, 1, 3});
  auto root = static_cast<float>(std::sqrt(static_cast<double>(bert_.hidden / bert_.heads)));
  std::string scores = model_.node("Div", {model_.node("MatMul", {query, key}), model_.scalar(root)});
  scores = model_.node("Add", {scores, mask_bias_});
  std::string probabilities = model_.node("Softmax", {scores}, {{"axis", int64_t{-1}}});
  std::string context = merge_heads(model_.node("MatMul", {probabilities, value}));
  std::string projected = linear(name + ".output.dense", context, bert_.hidden, bert_.hidden);
  std::string y = layer_norm(name + ".output.LayerNorm", model_.node("Add", {projected, x}));
  model_.leave();
  return y;
}

std::string BertWriter::layer(const std::string& name, const std::string& x) {
  int64_t intermediate = bert_.intermediate == 0 ? 4 * bert_.hidden : bert_.intermediate;
  model_.enter(name);
  std::string y = attention(name + ".attention", x);
  std::string inner = linear(name + ".intermediate.dense", y, bert_.hidden, intermediate);
  inner = linear(name + ".output.dense", add_gelu(model_, inner), intermediate, bert_.hidden);
  std::string z = layer_norm(name + ".output.LayerNorm", model_.node("Add", {inner, y}));
  model_.leave();
  return z;
}

std::string BertWriter::encode() {
  std::string ids = model_.input("input_ids", DType::kI64, {"batch", "seq"});
  std::string mask = model_.input("attention_mask", DType::kI64, {"batch", "seq"});
  std::string types = model_.input("token_type_ids", DType::kI64, {"batch", "seq"});
  mask_bias_ = mask_bias(mask);
  std::string x = embeddings(ids, types);
  for (int64_t i = 0; i < bert_.layers && model_.status().ok(); ++i)
    x = layer(fmt::format("encoder.layer.{}", i), x);
  return x;
}

std::string BertWriter::pool(const std::string& hidden) {
  model_.enter("pooler");
  std::string first = model_.node("Gather", {hidden, model_.int_scalar(0)}, {{"axis", int64_t{1}}});
  std::string dense = linear("pooler.dense", first, bert_.hidden, bert_.hidden);
  std::string pooled = model_.node("Tanh", {dense});
  model_.leave();
  return pooled;
}

}  // namespace

Result<OnnxWriter> make_bert_classifier(const BertOptions& bert, const TemplateOptions& options) {
  TRY(check_template_options(options));
  TRY(check_bert_options(bert));
  OnnxWriter model("bert-classifier", options.opset, options.seed);
  BertWriter writer(model, bert);
  writer.linear("classifier", writer.pool(writer.encode()), bert.hidden, bert.labels);
  model.name_last("logits");
  model.output("logits", DType::kF32, {"batch", bert.labels});
  TRY(model.status());
  return model;
}

Result<OnnxWriter> make_bert_encoder(const BertOptions& bert, const TemplateOptions& options) {
  TRY(check_template_options(options));
  TRY(check_bert_options(bert));
  OnnxWriter model("bert-encoder", options.opset, options.seed);
  BertWriter writer(model, bert);
  writer.encode();
  std::string hidden = model.name_last("last_hidden_state");
  model.output(hidden, DType::kF32, {"batch", "seq", bert.hidden});
  writer.pool(hidden);
  model.output(model.name_last("pooler_output"), DType::kF32, {"batch", bert.hidden});
  TRY(model.status());
  return model;
}

}  // namespace gannet
