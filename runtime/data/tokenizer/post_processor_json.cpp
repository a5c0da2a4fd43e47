#include <fmt/format.h>

#include <map>

#include "runtime/data/tokenizer/component_json.h"

namespace gannet::tokenization {
namespace {

using Kind = TemplatePart::Kind;
using SpecialTokens = std::map<std::string, std::vector<int32_t>>;

Result<int32_t> checked_id(const JsonFields& fields, int64_t id) {
  if (id < 0 || id > Vocabulary::kMaxId)
    return fields.invalid(fmt::format("id {} is not 0 to {}", id, Vocabulary::kMaxId));
  return static_cast<int32_t>(id);
}

// The id of ["[SEP]", 102].
Result<int32_t> read_named_id(const JsonFields& fields, const char* name) {
  const nlohmann::json* pair = fields.find(name);
  if (!pair || !pair->is_array() || pair->size() != 2 || !(*pair)[1].is_number_integer()) {
    return fields.invalid(fmt::format("'{}' is not a token and its id", name));
  }
  return checked_id(fields, (*pair)[1].get<int64_t>());
}

Result<SpecialTokens> read_special_tokens(const JsonFields& fields) {
  SpecialTokens tokens;
  const nlohmann::json* all = fields.find("special_tokens");
  if (!all) return tokens;
  if (!all->is_object()) return fields.invalid("'special_tokens' is not an object");
  for (const auto& [name, value] : all->items()) {
    JsonFields token = TRY(JsonFields::of(value, fields.where_of("special_tokens") + "." + name));
    const nlohmann::json* ids = token.find("ids");
    if (!ids || !ids->is_array()) return token.invalid("'ids' is not an array");
    for (const nlohmann::json& id : *ids) {
      if (!id.is_number_integer()) return token.invalid("'ids' holds what is no integer");
      tokens[name].push_back(TRY(checked_id(token, id.get<int64_t>())));
    }
  }
  return tokens;
}

Result<TemplatePart> read_part(const JsonFields& fields, const SpecialTokens& tokens) {
  bool special = fields.find("SpecialToken") != nullptr;
  JsonFields part = TRY(fields.object(special ? "SpecialToken" : "Sequence"));
  std::string id = TRY(part.text("id"));
  TemplatePart result;
  result.type_id = TRY(checked_id(part, TRY(part.integer("type_id", 0))));
  if (!special) {
    if (id != "A" && id != "B") return part.invalid(fmt::format("sequence '{}' is neither A nor B", id));
    result.kind = id == "A" ? Kind::kFirst : Kind::kSecond;
    return result;
  }
  auto found = tokens.find(id);
  if (found == tokens.end()) return part.invalid(fmt::format("'{}' is not among the special tokens", id));
  result.kind = Kind::kSpecial;
  result.ids = found->second;
  return result;
}

Result<PostProcessor> read_template(const JsonFields& fields) {
  SpecialTokens tokens = TRY(read_special_tokens(fields));
  PostProcessor processor;
  processor.single.clear();
  processor.pair.clear();
  for (const JsonFields& part : TRY(fields.objects("single"))) {
    processor.single.push_back(TRY(read_part(part, tokens)));
    if (processor.single.back().kind == Kind::kSecond)
      return part.invalid("the template of one text has a second");
  }
  for (const JsonFields& part : TRY(fields.objects("pair")))
    processor.pair.push_back(TRY(read_part(part, tokens)));
  return processor;
}

// ByteLevel only moves offsets, which are not kept, so that at most one step is left.
Result<PostProcessor> read_sequence(const JsonFields& fields, int depth) {
  if (depth == kDeepestSequence)
    return fields.not_supported(fmt::format("more than {} sequences inside each other", depth));
  std::optional<PostProcessor> only;
  for (const JsonFields& step : TRY(fields.objects("processors"))) {
    if (TRY(step.text("type")) == "ByteLevel") continue;
    if (only) return step.not_supported("a second post-processor that adds tokens");
    only = TRY(read_post_processor(step, depth + 1));
  }
  return only.value_or(PostProcessor());
}

}  // namespace

Result<PostProcessor> read_post_processor(const JsonFields& fields, int depth) {
  std::string type = TRY(fields.text("type"));
  if (type == "TemplateProcessing") return read_template(fields);
  if (type == "ByteLevel") return PostProcessor();
  if (type == "Sequence") return read_sequence(fields, depth);
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    int32_t first = TRY(read_named_id(fields, "cls"));
    int32_t separator = TRY(read_named_id(fields, "sep"));
    return type == "BertProcessing" ? bert_post_processor(first, separator)
                                    : roberta_post_processor(first, separator);
  }
  return fields.not_supported(fmt::format("post-processor '{}' is not known", type));
}

}  // namespace gannet::tokenization
