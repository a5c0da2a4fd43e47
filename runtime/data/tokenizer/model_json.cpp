#include <fmt/format.h>

#include <array>
#include <charconv>
#include <cmath>
#include <cstdlib>

#include "runtime/data/tokenizer/component_json.h"

namespace gannet::tokenization {
namespace {

using MaybeModel = Result<std::unique_ptr<Model>>;
using Merges = std::vector<std::pair<std::string, std::string>>;

// {"token": id, ...}
Result<Vocabulary> read_token_ids(const JsonFields& fields) {
  const nlohmann::json* vocab = fields.find("vocab");
  if (!vocab || !vocab->is_object()) return fields.invalid("'vocab' is not an object of tokens and ids");
  std::vector<std::pair<std::string, int64_t>> tokens;
  tokens.reserve(vocab->size());
  for (const auto& [token, id] : vocab->items()) {
    if (!id.is_number_integer() ||
        (id.is_number_unsigned() && id.get<uint64_t>() > static_cast<uint64_t>(Vocabulary::kMaxId))) {
      return fields.invalid(fmt::format("token '{}' has id {}, not an integer of 0 to {}", token, id.dump(),
                                        Vocabulary::kMaxId));
    }
    tokens.emplace_back(token, id.get<int64_t>());
  }
  Result<Vocabulary> vocabulary = Vocabulary::create(std::move(tokens));
  if (!vocabulary.ok()) return fields.invalid(vocabulary.error().message);
  return vocabulary;
}

// A score as serde_json reads its decimal digits: as an integer that is then divided by a power of ten, which
// rounds twice. Hugging Face's sums of scores are of such numbers, and in some texts two ways to split differ
// by no more than that.
double score_of(double value) {
  std::array<char, 32> text{};
  auto end =
      std::to_chars(text.data(), text.data() + text.size(), std::abs(value), std::chars_format::scientific)
          .ptr;
  uint64_t digits = 0;
  int exponent = 0;
  bool fraction = false;
  const char* c = text.data();
  for (; c != end && *c != 'e'; ++c) {
    if (*c == '.') {
      fraction = true;
      continue;
    }
    digits = digits * 10 + static_cast<uint64_t>(*c - '0');
    exponent -= fraction;
  }
  if (c == end) return value;  // infinite
  exponent += std::atoi(c + 1);
  if (std::abs(exponent) > 308) return value;
  double power = std::strtod(fmt::format("1e{}", std::abs(exponent)).c_str(), nullptr);
  double magnitude = exponent < 0 ? static_cast<double>(digits) / power : static_cast<double>(digits) * power;
  return std::copysign(magnitude, value);
}

// One of [["token", score], ...], where ids are positions.
const nlohmann::json* scored_token(const nlohmann::json& entry) {
  bool valid = entry.is_array() && entry.size() == 2 && entry[0].is_string() && entry[1].is_number();
  return valid ? &entry : nullptr;
}

Result<Vocabulary> read_scored_tokens(const JsonFields& fields) {
  const nlohmann::json* vocab = fields.find("vocab");
  if (!vocab || !vocab->is_array()) return fields.invalid("'vocab' is not an array of tokens and scores");
  std::vector<std::pair<std::string, int64_t>> tokens;
  tokens.reserve(vocab->size());
  for (const nlohmann::json& entry : *vocab) {
    if (!scored_token(entry))
      return fields.invalid(fmt::format("vocab[{}] is not a token and its score", tokens.size()));
    tokens.emplace_back(entry[0].get<std::string>(), static_cast<int64_t>(tokens.size()));
  }
  Result<Vocabulary> vocabulary = Vocabulary::create(std::move(tokens));
  if (!vocabulary.ok()) return fields.invalid(vocabulary.error().message);
  return vocabulary;
}

MaybeModel read_word_piece(const JsonFields& fields, const Vocabulary& vocabulary) {
  WordPieceModelOptions options;
  options.unknown = TRY(fields.text("unk_token", options.unknown));
  options.continuing_prefix = TRY(fields.text("continuing_subword_prefix", options.continuing_prefix));
  options.max_word_characters = TRY(fields.integer("max_input_chars_per_word", options.max_word_characters));
  return make_word_piece(vocabulary, options);
}

// "left right", or ["left", "right"] where tokens may hold spaces.
Result<Merges> read_merges(const JsonFields& fields) {
  const nlohmann::json* array = fields.find("merges");
  if (!array || !array->is_array()) return fields.invalid("'merges' is not an array");
  Merges merges;
  merges.reserve(array->size());
  for (size_t i = 0; i < array->size(); ++i) {
    const nlohmann::json& merge = (*array)[i];
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    std::string text = merge.is_string() ? merge.get<std::string>() : "";
    if (text.starts_with("#version")) continue;
    size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos) {
      return fields.invalid(fmt::format("merges[{}] is not two tokens", i));
    }
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

MaybeModel read_bpe(const JsonFields& fields, const Vocabulary& vocabulary) {
  BpeOptions options;
  options.unknown = TRY(fields.optional_text("unk_token"));
  options.continuing_prefix = TRY(fields.text("continuing_subword_prefix", ""));
  options.end_of_word_suffix = TRY(fields.text("end_of_word_suffix", ""));
  options.fuse_unknown = TRY(fields.flag("fuse_unk", false));
  options.byte_fallback = TRY(fields.flag("byte_fallback", false));
  options.ignore_merges = TRY(fields.flag("ignore_merges", false));
  Merges merges = TRY(read_merges(fields));
  MaybeModel model = make_bpe(vocabulary, merges, options);
  if (!model.ok()) return fields.invalid(model.error().message);
  return model;
}

MaybeModel read_unigram(const JsonFields& fields, const Vocabulary& vocabulary) {
  UnigramOptions options;
  for (const nlohmann::json& entry : *fields.find("vocab"))
    options.scores.push_back(score_of(entry[1].get<double>()));
  options.byte_fallback = TRY(fields.flag("byte_fallback", false));
  if (fields.find("unk_id")) {
    int64_t unknown = TRY(fields.integer("unk_id"));
    if (unknown < 0 || unknown >= vocabulary.size()) {
      return fields.invalid(fmt::format("unk_id {} is not one of the {} tokens", unknown, vocabulary.size()));
    }
    options.unknown = static_cast<int32_t>(unknown);
  }
  return make_unigram(vocabulary, std::move(options));
}

}  // namespace

Result<std::string> model_type(const JsonFields& fields) {
  if (fields.find("type")) return fields.text("type");
  if (fields.find("merges")) return std::string("BPE");
  const nlohmann::json* vocab = fields.find("vocab");
  if (vocab && vocab->is_array()) return std::string("Unigram");
  return std::string(fields.find("continuing_subword_prefix") ? "WordPiece" : "WordLevel");
}

Result<Vocabulary> read_vocabulary(const JsonFields& fields, const std::string& type) {
  if (type == "Unigram") return read_scored_tokens(fields);
  if (type == "WordPiece" || type == "BPE" || type == "WordLevel") return read_token_ids(fields);
  return fields.not_supported(fmt::format("model '{}' is not known", type));
}

Result<std::unique_ptr<Model>> read_model(const JsonFields& fields, const std::string& type,
                                          const Vocabulary& vocabulary) {
  if (type == "WordPiece") return read_word_piece(fields, vocabulary);
  if (type == "BPE") return read_bpe(fields, vocabulary);
  if (type == "Unigram") return read_unigram(fields, vocabulary);
  return make_word_level(vocabulary, TRY(fields.text("unk_token", "<unk>")));
}

}  // namespace gannet::tokenization
