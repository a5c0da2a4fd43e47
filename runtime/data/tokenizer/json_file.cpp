#include <fmt/format.h>

#include <algorithm>

#include "ir/base/file.h"
#include "runtime/data/tokenizer/component_json.h"
#include "runtime/data/tokenizer/tokenizer_parts.h"

namespace gannet {
namespace {

using namespace tokenization;

Result<nlohmann::json> parse_json(std::string_view text) {
  try {
    return nlohmann::json::parse(text.begin(), text.end());
  } catch (const nlohmann::json::exception& exception) {
    return invalid_input(fmt::format("is not JSON: {}", exception.what()));
  }
}

// WordPiece files that say nothing about how texts are split and framed mean what BERT does.
bool leaves_out(const JsonFields& file, const char* part, const std::string& type) {
  return type == "WordPiece" && !file.has(part);
}

Status read_components(const JsonFields& file, const std::string& type, TokenizerParts& parts) {
  if (file.find("normalizer")) parts.normalizer = TRY(read_normalizer(TRY(file.object("normalizer"))));
  if (file.find("pre_tokenizer")) {
    parts.pre_tokenizer = TRY(read_pre_tokenizer(TRY(file.object("pre_tokenizer")), parts.encodes_bytes));
  } else if (leaves_out(file, "pre_tokenizer", type)) {
    parts.pre_tokenizer = make_bert_pre_tokenizer();
  }
  std::optional<int32_t> first = parts.vocabulary.id_of("[CLS]"), separator = parts.vocabulary.id_of("[SEP]");
  if (file.find("post_processor")) {
    parts.post_processor = TRY(read_post_processor(TRY(file.object("post_processor"))));
  } else if (leaves_out(file, "post_processor", type) && first && separator) {
    parts.post_processor = bert_post_processor(*first, *separator);
  }
  return {};
}

Result<AddedToken> read_added_token(const JsonFields& fields) {
  AddedToken token;
  token.content = TRY(fields.text("content"));
  token.special = TRY(fields.flag("special", false));
  token.normalized = TRY(fields.flag("normalized", !token.special));
  token.single_word = TRY(fields.flag("single_word", false));
  token.strip_left = TRY(fields.flag("lstrip", false));
  token.strip_right = TRY(fields.flag("rstrip", false));
  return token;
}

// Ids are not those of the file but, as in Hugging Face's library, that of the model where it has the token,
// or the next one after its vocabulary.
Status read_added_tokens(const JsonFields& file, TokenizerParts& parts) {
  if (!file.find("added_tokens")) return {};
  int64_t next = parts.vocabulary.count();
  for (const JsonFields& fields : TRY(file.objects("added_tokens"))) {
    AddedToken token = TRY(read_added_token(fields));
    if (token.content.empty()) continue;
    std::optional<int32_t> known = parts.vocabulary.id_of(token.content);
    auto before = std::find_if(parts.added.begin(), parts.added.end(),
                               [&](const AddedToken& each) { return each.content == token.content; });
    token.id = before != parts.added.end() ? before->id : known ? *known : static_cast<int32_t>(next++);
    if (before != parts.added.end()) {
      *before = token;
    } else {
      parts.added.push_back(token);
    }
  }
  return {};
}

Status make_finders(TokenizerParts& parts) {
  std::vector<AddedToken> raw, normalized;
  std::vector<std::string> raw_patterns, normalized_patterns;
  for (const AddedToken& token : parts.added) {
    if (!token.normalized) {
      raw.push_back(token);
      raw_patterns.push_back(token.content);
      continue;
    }
    std::string pattern = token.content;
    if (parts.normalizer) {
      pattern.clear();
      bool at_beginning = true;
      TRY(parts.normalizer->normalize(token.content, pattern, at_beginning));
    }
    normalized.push_back(token);
    normalized_patterns.push_back(pattern);
  }
  parts.raw_finder = AddedTokenFinder(std::move(raw), raw_patterns);
  parts.normalized_finder = AddedTokenFinder(std::move(normalized), normalized_patterns);
  return {};
}

Result<TextSide> read_side(const JsonFields& fields) {
  std::string side = TRY(fields.text("direction", "Right"));
  if (side != "Right" && side != "Left")
    return fields.not_supported(fmt::format("direction '{}' is not known", side));
  return side == "Right" ? TextSide::kRight : TextSide::kLeft;
}

Status read_truncation(const JsonFields& file, EncodeOptions& options) {
  if (!file.find("truncation")) return {};
  JsonFields fields = TRY(file.object("truncation"));
  options.max_length = TRY(fields.integer("max_length"));
  if (options.max_length < 1)
    return fields.invalid(fmt::format("'max_length' is {}, not at least 1", options.max_length));
  options.truncated_side = TRY(read_side(fields));
  std::string strategy = TRY(fields.text("strategy", "LongestFirst"));
  if (strategy == "LongestFirst") {
    options.strategy = TruncationStrategy::kLongestFirst;
  } else if (strategy == "OnlyFirst") {
    options.strategy = TruncationStrategy::kOnlyFirst;
  } else if (strategy == "OnlySecond") {
    options.strategy = TruncationStrategy::kOnlySecond;
  } else {
    return fields.not_supported(fmt::format("strategy '{}' is not known", strategy));
  }
  return {};
}

Status read_padding(const JsonFields& file, TokenizerParts& parts) {
  if (!file.find("padding")) return {};
  JsonFields fields = TRY(file.object("padding"));
  PaddingOptions& options = parts.padding;
  if (const nlohmann::json* strategy = fields.find("strategy"); strategy && strategy->is_object()) {
    options.length = TRY(TRY(fields.object("strategy")).integer("Fixed"));
  }
  options.multiple = TRY(fields.integer("pad_to_multiple_of", 0));
  options.side = TRY(read_side(fields));
  int64_t id = TRY(fields.integer("pad_id", 0)), type_id = TRY(fields.integer("pad_type_id", 0));
  constexpr int64_t kLongest = 1 << 24;
  for (int64_t number : {options.length, options.multiple, id, type_id}) {
    if (number < 0 || number > kLongest)
      return fields.invalid(fmt::format("{} is not 0 to {}", number, kLongest));
  }
  options.id = static_cast<int32_t>(id);
  options.type_id = static_cast<int32_t>(type_id);
  parts.pad_id = options.id;
  return {};
}

std::optional<int32_t> first_id(const Tokenizer& tokenizer, std::initializer_list<std::string_view> names) {
  for (std::string_view name : names) {
    if (std::optional<int32_t> id = tokenizer.id_of(name)) return id;
  }
  return std::nullopt;
}

// Files name the ids of post-processors and padding themselves, whatever their vocabulary has.
int64_t highest_id(const TokenizerParts& parts) {
  int64_t highest = std::max(parts.vocabulary.size() - 1, int64_t{parts.pad_id.value_or(-1)});
  for (const AddedToken& token : parts.added) highest = std::max(highest, int64_t{token.id});
  for (const auto* form : {&parts.post_processor.single, &parts.post_processor.pair}) {
    for (const TemplatePart& part : *form) {
      for (const int32_t id : part.ids) highest = std::max(highest, int64_t{id});
    }
  }
  return highest;
}

Result<std::shared_ptr<TokenizerParts>> read_parts(std::string_view text) {
  nlohmann::json json = TRY(parse_json(text));
  if (!json.is_object()) return invalid_input(fmt::format("is {}, not an object", json.type_name()));
  JsonFields file = TRY(JsonFields::of(json, ""));
  std::string version = TRY(file.text("version", "1.0"));
  if (version != "1.0") return unsupported(fmt::format("version '{}' of the format is not known", version));
  auto parts = std::make_shared<TokenizerParts>();
  JsonFields model = TRY(file.object("model"));
  std::string type = TRY(model_type(model));
  parts->vocabulary = TRY(read_vocabulary(model, type));
  parts->model = TRY(read_model(model, type, parts->vocabulary));
  TRY(read_components(file, type, *parts));
  TRY(read_added_tokens(file, *parts));
  TRY(make_finders(*parts));
  TRY(read_truncation(file, parts->defaults));
  TRY(read_padding(file, *parts));
  parts->size = highest_id(*parts) + 1;
  if (parts->size == 0) return model.invalid("'vocab' holds no tokens");
  return parts;
}

bool looks_like_json(std::string_view text) {
  constexpr std::string_view kSpace = " \t\r\n";
  if (text.starts_with("\xef\xbb\xbf")) text.remove_prefix(3);
  size_t brace = text.find_first_not_of(kSpace);
  if (brace == std::string_view::npos || text[brace] != '{') return false;
  size_t key = text.find_first_not_of(kSpace, brace + 1);
  return key != std::string_view::npos && (text[key] == '"' || text[key] == '}');
}

}  // namespace

Result<Tokenizer> Tokenizer::from_json(std::string_view contents, const std::string& name) {
  Result<std::shared_ptr<TokenizerParts>> parts = read_parts(contents);
  if (!parts.ok()) return with_prefix(name + ": ", parts.error());
  Tokenizer tokenizer(*parts);
  if (!(*parts)->pad_id) {
    (*parts)->pad_id = first_id(tokenizer, {"[PAD]", "<pad>", "<|pad|>"});
    (*parts)->padding.id = (*parts)->pad_id.value_or(0);
  }
  return tokenizer;
}

Result<Tokenizer> Tokenizer::from_file(const std::string& path, int64_t max_bytes) {
  std::string contents = TRY(read_file(path, max_bytes));
  return looks_like_json(contents) ? from_json(contents, path) : from_vocab(contents, path);
}

}  // namespace gannet
