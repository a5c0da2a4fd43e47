#include <fmt/format.h>

#include <array>

#include "runtime/data/tokenizer/component_json.h"

namespace gannet::tokenization {
namespace {

// The bytes that base64 text stands for; nothing where it is malformed.
std::optional<std::string> decode_base64(std::string_view text) {
  constexpr std::string_view kDigits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::array<int8_t, 256> values;
  values.fill(-1);
  for (size_t i = 0; i < kDigits.size(); ++i)
    values[static_cast<uint8_t>(kDigits[i])] = static_cast<int8_t>(i);
  while (text.ends_with('=')) text.remove_suffix(1);
  std::string bytes;
  uint32_t bits = 0;
  int count = 0;
  for (char digit : text) {
    int8_t value = values[static_cast<uint8_t>(digit)];
    if (value < 0) return std::nullopt;
    bits = bits << 6 | static_cast<uint32_t>(value);
    count += 6;
    if (count < 8) continue;
    count -= 8;
    bytes.push_back(static_cast<char>(bits >> count & 0xff));
  }
  return bytes;
}

Result<std::unique_ptr<Normalizer>> read_bert(const JsonFields& fields) {
  BertNormalizerOptions options;
  options.clean_text = TRY(fields.flag("clean_text", true));
  options.split_cjk = TRY(fields.flag("handle_chinese_chars", true));
  options.lower_case = TRY(fields.flag("lowercase", true));
  if (fields.find("strip_accents")) options.strip_accents = TRY(fields.flag("strip_accents", false));
  return make_bert_normalizer(options);
}

Result<std::unique_ptr<Normalizer>> read_replace(const JsonFields& fields) {
  std::unique_ptr<Pattern> pattern = TRY(read_pattern(fields));
  return make_replace(std::move(pattern), TRY(fields.text("content")));
}

Result<std::unique_ptr<Normalizer>> read_precompiled(const JsonFields& fields) {
  std::string encoded = TRY(fields.text("precompiled_charsmap", ""));
  if (encoded.empty()) return make_normalizer_sequence({});
  std::optional<std::string> table = decode_base64(encoded);
  if (!table) return fields.invalid("'precompiled_charsmap' is not base64");
  Result<std::unique_ptr<Normalizer>> normalizer = make_precompiled(*table);
  if (!normalizer.ok()) return fields.invalid(normalizer.error().message);
  return normalizer;
}

Result<std::unique_ptr<Normalizer>> read_sequence(const JsonFields& fields, int depth) {
  if (depth == kDeepestSequence)
    return fields.not_supported(fmt::format("more than {} sequences inside each other", depth));
  std::vector<std::unique_ptr<Normalizer>> steps;
  for (const JsonFields& step : TRY(fields.objects("normalizers")))
    steps.push_back(TRY(read_normalizer(step, depth + 1)));
  return make_normalizer_sequence(std::move(steps));
}

}  // namespace

Result<std::unique_ptr<Normalizer>> read_normalizer(const JsonFields& fields, int depth) {
  std::string type = TRY(fields.text("type"));
  if (type == "BertNormalizer") return read_bert(fields);
  if (type == "Sequence") return read_sequence(fields, depth);
  if (type == "NFC") return make_normal_form(NormalForm::kNfc);
  if (type == "NFD") return make_normal_form(NormalForm::kNfd);
  if (type == "NFKC") return make_normal_form(NormalForm::kNfkc);
  if (type == "NFKD") return make_normal_form(NormalForm::kNfkd);
  if (type == "Lowercase") return make_lower_case();
  if (type == "StripAccents") return make_strip_accents();
  if (type == "Nmt") return make_nmt();
  if (type == "ByteLevel") return make_byte_level_normalizer();
  if (type == "Strip") {
    bool left = TRY(fields.flag("strip_left", true));
    return make_strip(left, TRY(fields.flag("strip_right", true)));
  }
  if (type == "Prepend") return make_prepend(TRY(fields.text("prepend")));
  if (type == "Replace") return read_replace(fields);
  if (type == "Precompiled") return read_precompiled(fields);
  return fields.not_supported(fmt::format("normalizer '{}' is not known", type));
}

}  // namespace gannet::tokenization
