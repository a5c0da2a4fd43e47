#include <fmt/format.h>

#include "runtime/data/tokenizer/component_json.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

using MaybePreTokenizer = Result<std::unique_ptr<PreTokenizer>>;

Result<SplitBehavior> read_behavior(const JsonFields& fields) {
  std::string behavior = TRY(fields.text("behavior", "Isolated"));
  if (behavior == "Removed") return SplitBehavior::kRemoved;
  if (behavior == "Isolated") return SplitBehavior::kIsolated;
  if (behavior == "MergedWithPrevious") return SplitBehavior::kMergedWithPrevious;
  if (behavior == "MergedWithNext") return SplitBehavior::kMergedWithNext;
  if (behavior == "Contiguous") return SplitBehavior::kContiguous;
  return fields.not_supported(fmt::format("behavior '{}' is not known", behavior));
}

MaybePreTokenizer read_byte_level(const JsonFields& fields, bool& encodes_bytes, bool last) {
  ByteLevelOptions options;
  options.add_prefix_space = TRY(fields.flag("add_prefix_space", true));
  options.use_regex = TRY(fields.flag("use_regex", true));
  options.encode = !last;
  encodes_bytes = last;
  return make_byte_level(options);
}

Result<std::string> read_one_character(const JsonFields& fields, const char* name) {
  std::string text = TRY(fields.text(name));
  if (count_characters(text) != 1)
    return fields.invalid(fmt::format("'{}' is '{}', not one character", name, text));
  return text;
}

MaybePreTokenizer read_metaspace(const JsonFields& fields) {
  std::string replacement = TRY(read_one_character(fields, "replacement"));
  std::string name = TRY(fields.text("prepend_scheme", "always"));
  PrependScheme scheme = PrependScheme::kAlways;
  if (name == "first") {
    scheme = PrependScheme::kFirst;
  } else if (name == "never") {
    scheme = PrependScheme::kNever;
  } else if (name != "always") {
    return fields.not_supported(fmt::format("prepend_scheme '{}' is not known", name));
  }
  if (!TRY(fields.flag("add_prefix_space", true))) {
    if (fields.find("prepend_scheme") && scheme != PrependScheme::kNever) {
      return fields.invalid(fmt::format("add_prefix_space is false, but prepend_scheme is '{}'", name));
    }
    scheme = PrependScheme::kNever;
  }
  return make_metaspace(replacement, scheme, TRY(fields.flag("split", true)));
}

MaybePreTokenizer read_split(const JsonFields& fields) {
  std::unique_ptr<Pattern> pattern = TRY(read_pattern(fields));
  SplitBehavior behavior = TRY(read_behavior(fields));
  return make_pattern_split(std::move(pattern), behavior, TRY(fields.flag("invert", false)));
}

MaybePreTokenizer read_digits(const JsonFields& fields) {
  bool individual = TRY(fields.flag("individual_digits", false));
  return make_character_split(is_number, individual ? SplitBehavior::kIsolated : SplitBehavior::kContiguous);
}

MaybePreTokenizer read_sequence(const JsonFields& fields, bool& encodes_bytes, bool last, int depth) {
  if (depth == kDeepestSequence)
    return fields.not_supported(fmt::format("more than {} sequences inside each other", depth));
  std::vector<std::unique_ptr<PreTokenizer>> steps;
  std::vector<JsonFields> objects = TRY(fields.objects("pretokenizers"));
  for (size_t i = 0; i < objects.size(); ++i) {
    steps.push_back(
        TRY(read_pre_tokenizer(objects[i], encodes_bytes, last && i + 1 == objects.size(), depth + 1)));
  }
  return make_pre_tokenizer_sequence(std::move(steps));
}

MaybePreTokenizer read_fixed_length(const JsonFields& fields) {
  int64_t length = TRY(fields.integer("length", 5));
  if (length < 1) return fields.invalid(fmt::format("'length' is {}, not at least 1", length));
  return make_fixed_length_split(length);
}

}  // namespace

Result<std::unique_ptr<Pattern>> read_pattern(const JsonFields& fields) {
  JsonFields pattern = TRY(fields.object("pattern"));
  if (pattern.find("String")) return make_literal_pattern(TRY(pattern.text("String")));
  Result<std::unique_ptr<Pattern>> regex = make_regex_pattern(TRY(pattern.text("Regex")));
  if (!regex.ok()) return pattern.not_supported(regex.error().message);
  return regex;
}

Result<std::unique_ptr<PreTokenizer>> read_pre_tokenizer(const JsonFields& fields, bool& encodes_bytes,
                                                         bool last, int depth) {
  std::string type = TRY(fields.text("type"));
  if (type == "BertPreTokenizer") return make_bert_pre_tokenizer();
  if (type == "ByteLevel") return read_byte_level(fields, encodes_bytes, last);
  if (type == "Sequence") return read_sequence(fields, encodes_bytes, last, depth);
  if (type == "Metaspace") return read_metaspace(fields);
  if (type == "Split") return read_split(fields);
  if (type == "Whitespace") return make_whitespace_pre_tokenizer();
  if (type == "WhitespaceSplit") return make_character_split(is_white_space, SplitBehavior::kRemoved);
  if (type == "Punctuation") return make_character_split(is_bert_punctuation, TRY(read_behavior(fields)));
  if (type == "Digits") return read_digits(fields);
  if (type == "UnicodeScripts") return make_script_split();
  if (type == "FixedLength") return read_fixed_length(fields);
  if (type == "CharDelimiterSplit" || type == "Delimiter") {
    std::string delimiter = TRY(read_one_character(fields, "delimiter"));
    return make_pattern_split(make_literal_pattern(delimiter), SplitBehavior::kRemoved, false);
  }
  return fields.not_supported(fmt::format("pre-tokenizer '{}' is not known", type));
}

}  // namespace gannet::tokenization
