#include "runtime/data/tokenizer/unicode.h"

#include <unicode/bytestream.h>
#include <unicode/normalizer2.h>
#include <unicode/uchar.h>
#include <unicode/uscript.h>

#include "ir/base/check.h"

namespace gannet::tokenization {
namespace {

bool in_categories(char32_t c, uint32_t mask) { return (U_GET_GC_MASK(static_cast<UChar32>(c)) & mask) != 0; }

bool is_ascii_symbol(char32_t c) {
  return (c >= 33 && c <= 47) || (c >= 58 && c <= 64) || (c >= 91 && c <= 96) || (c >= 123 && c <= 126);
}

// Hugging Face's tables for BERT are those of Unicode 8, for StripAccents those of Unicode 10.
bool known_to_unicode(int release, char32_t c) {
  UVersionInfo version;
  u_charAge(static_cast<UChar32>(c), version);
  return version[0] <= release;
}

const icu::Normalizer2& normalizer(NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  const icu::Normalizer2* instance = nullptr;
  switch (form) {
    case NormalForm::kNfc:
      instance = icu::Normalizer2::getNFCInstance(status);
      break;
    case NormalForm::kNfd:
      instance = icu::Normalizer2::getNFDInstance(status);
      break;
    case NormalForm::kNfkc:
      instance = icu::Normalizer2::getNFKCInstance(status);
      break;
    case NormalForm::kNfkd:
      instance = icu::Normalizer2::getNFKDInstance(status);
      break;
  }
  CHECK(U_SUCCESS(status), "ICU has no normal forms: {}", u_errorName(status));
  return *instance;
}

}  // namespace

bool is_white_space(char32_t c) {
  return c < 0x80 ? c == ' ' || (c >= 9 && c <= 13) : u_isUWhiteSpace(static_cast<UChar32>(c)) != 0;
}
bool is_control(char32_t c) {
  return in_categories(c, U_GC_CC_MASK | U_GC_CO_MASK | (known_to_unicode(8, c) ? U_GC_CF_MASK : 0));
}

bool is_bert_punctuation(char32_t c) {
  if (c < 0x80) return is_ascii_symbol(c);
  if (c == 0x166d || c == 0x111c9) return true;  // were punctuation in Unicode 8
  return in_categories(c, U_GC_P_MASK) && known_to_unicode(8, c);
}

bool is_nonspacing_mark(char32_t c) {
  if (c < 0x300) return false;
  if (c == 0x1734) return true;  // these have changed since Unicode 8
  if (c == 0x1885 || c == 0x1886 || c == 0xa9bd || c == 0x111c9) return false;
  return in_categories(c, U_GC_MN_MASK) && known_to_unicode(8, c);
}

bool is_mark(char32_t c) { return c >= 0x300 && in_categories(c, U_GC_M_MASK) && known_to_unicode(10, c); }
bool is_letter(char32_t c) { return in_categories(c, U_GC_L_MASK); }
bool is_number(char32_t c) { return in_categories(c, U_GC_N_MASK); }

bool is_word_character(char32_t c) {
  return u_isUAlphabetic(static_cast<UChar32>(c)) != 0 ||
         in_categories(c, U_GC_M_MASK | U_GC_ND_MASK | U_GC_PC_MASK) ||
         u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_JOIN_CONTROL) != 0;
}

bool is_cjk_ideograph(char32_t c) {
  return (c >= 0x4e00 && c <= 0x9fff) || (c >= 0x3400 && c <= 0x4dbf) || (c >= 0x20000 && c <= 0x2a6df) ||
         (c >= 0x2a700 && c <= 0x2b81f) || (c >= 0x2b920 && c <= 0x2ceaf) || (c >= 0xf900 && c <= 0xfaff) ||
         (c >= 0x2f800 && c <= 0x2fa1f);
}

int script_of(char32_t c) {
  if (c == ' ') return kAnyScript;
  UErrorCode status = U_ZERO_ERROR;
  UScriptCode script = uscript_getScript(static_cast<UChar32>(c), &status);
  if (script == USCRIPT_UNKNOWN) return kAnyScript;
  bool kana = script == USCRIPT_HIRAGANA || script == USCRIPT_KATAKANA || c == 0x30fc;
  return kana ? USCRIPT_HAN : script;
}

void append_lower_case(std::string& text, char32_t c) {
  append_utf8(text, c == 0x130 ? U'i' : static_cast<char32_t>(u_tolower(static_cast<UChar32>(c))));
  if (c == 0x130) append_utf8(text, 0x307);
}

void append_normal_form(std::string& out, std::string_view text, NormalForm form) {
  UErrorCode status = U_ZERO_ERROR;
  icu::StringByteSink<std::string> sink(&out, static_cast<int32_t>(text.size()));
  normalizer(form).normalizeUTF8(0, icu::StringPiece(text.data(), static_cast<int32_t>(text.size())), sink,
                                 nullptr, status);
  CHECK(U_SUCCESS(status), "ICU does not normalize: {}", u_errorName(status));
}

namespace {

int cluster_break(char32_t c) {
  return u_getIntPropertyValue(static_cast<UChar32>(c), UCHAR_GRAPHEME_CLUSTER_BREAK);
}
bool is_pictographic(char32_t c) {
  return u_hasBinaryProperty(static_cast<UChar32>(c), UCHAR_EXTENDED_PICTOGRAPHIC) != 0;
}

bool is_line_break_or_control(int kind) {
  return kind == U_GCB_CONTROL || kind == U_GCB_CR || kind == U_GCB_LF;
}

// Whether no cluster begins between characters of these kinds; rules GB3 to GB9b.
bool stay_together(int left, int right) {
  if (left == U_GCB_CR && right == U_GCB_LF) return true;
  if (is_line_break_or_control(left) || is_line_break_or_control(right)) return false;
  if (left == U_GCB_L && (right == U_GCB_L || right == U_GCB_V || right == U_GCB_LV || right == U_GCB_LVT))
    return true;
  if ((left == U_GCB_LV || left == U_GCB_V) && (right == U_GCB_V || right == U_GCB_T)) return true;
  if ((left == U_GCB_LVT || left == U_GCB_T) && right == U_GCB_T) return true;
  return right == U_GCB_EXTEND || right == U_GCB_ZWJ || right == U_GCB_SPACING_MARK || left == U_GCB_PREPEND;
}

}  // namespace

size_t grapheme_end(std::string_view text, size_t position) {
  size_t end = position;
  char32_t c = next_character(text, end);
  int kind = cluster_break(c);
  bool pictograph = is_pictographic(c);  // and what extends it
  bool joined = false;                   // a joiner has come after a pictograph
  int flags = kind == U_GCB_REGIONAL_INDICATOR ? 1 : 0;
  while (end < text.size()) {
    size_t next = end;
    char32_t following = next_character(text, next);
    int next_kind = cluster_break(following);
    bool together = stay_together(kind, next_kind) || (joined && is_pictographic(following)) ||
                    (flags == 1 && next_kind == U_GCB_REGIONAL_INDICATOR);
    if (!together) break;
    flags = next_kind == U_GCB_REGIONAL_INDICATOR ? flags + 1 : 0;
    joined = pictograph && next_kind == U_GCB_ZWJ;
    pictograph =
        is_pictographic(following) || (pictograph && (next_kind == U_GCB_EXTEND || next_kind == U_GCB_ZWJ));
    kind = next_kind;
    end = next;
  }
  return end;
}

}  // namespace gannet::tokenization
