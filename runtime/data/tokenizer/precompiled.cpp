#include <fmt/format.h>

#include <cstring>

#include "runtime/data/tokenizer/normalizer.h"

namespace gannet::tokenization {
namespace {

// A double array of the library Darts-clone: unit i + byte is a child of i where its label is that byte.
struct Unit {
  uint32_t bits;

  bool is_value() const { return (bits >> 31) != 0; }
  uint32_t label() const { return bits & 0x800000ff; }
  bool has_value() const { return ((bits >> 8) & 1) != 0; }
  uint32_t value() const { return bits & 0x7fffffff; }
  uint32_t offset() const { return (bits >> 10) << ((bits >> 6) & 8); }
};

class Precompiled : public Normalizer {
 public:
  Precompiled(std::vector<Unit> units, std::string texts)
      : units_(std::move(units)), texts_(std::move(texts)) {
    for (size_t i = 0; i < 128; ++i) {
      char byte = static_cast<char>(i);
      changes_[i] = replacement(std::string_view(&byte, 1)) != nullptr;
    }
  }

  // As Hugging Face does it: a cluster of up to five bytes is looked up as a whole, and then the shortest
  // beginning that is found stands for all of it. Other clusters are looked up character by character.
  Status normalize(std::string_view text, std::string& out, bool& at_beginning) const override {
    for (size_t i = 0; i < text.size();) {
      size_t start = i;
      if (is_plain(text, i)) {
        while (i < text.size() && is_plain(text, i)) ++i;
        out += text.substr(start, i - start);
        continue;
      }
      i = grapheme_end(text, i);
      append(text.substr(start, i - start), out);
      if (start == 0 && out.empty()) at_beginning = false;
    }
    return {};
  }

 private:
  static constexpr size_t kLongestCluster = 5;

  // A character that stays as it is and surely is a cluster of its own.
  bool is_plain(std::string_view text, size_t i) const {
    if (!is_ascii(text[i]) || changes_[static_cast<uint8_t>(text[i])]) return false;
    return i + 1 == text.size() || (is_ascii(text[i + 1]) && text[i] != '\r');
  }

  void append(std::string_view cluster, std::string& out) const {
    if (cluster.size() <= kLongestCluster) {
      if (const char* text = replacement(cluster)) {
        out += text;
        return;
      }
    }
    for (size_t i = 0; i < cluster.size();) {
      size_t length = utf8_length(cluster[i]);
      const char* text = replacement(cluster.substr(i, length));
      if (text) {
        out += text;
      } else {
        out += cluster.substr(i, length);
      }
      i += length;
    }
  }

  // What the shortest beginning of `key` in the table becomes; null where none is there.
  const char* replacement(std::string_view key) const {
    uint32_t node = units_[0].offset();
    for (char byte : key) {
      if (byte == 0) return nullptr;
      node ^= static_cast<uint8_t>(byte);
      if (node >= units_.size() || units_[node].label() != static_cast<uint8_t>(byte)) return nullptr;
      Unit unit = units_[node];
      node ^= unit.offset();
      if (!unit.has_value()) continue;
      if (node >= units_.size() || !units_[node].is_value()) return nullptr;
      if (units_[node].value() >= texts_.size()) return nullptr;
      return texts_.data() + units_[node].value();
    }
    return nullptr;
  }

  std::vector<Unit> units_;
  std::string texts_;
  bool changes_[128] = {};
};

}  // namespace

Result<std::unique_ptr<Normalizer>> make_precompiled(std::string_view table) {
  uint32_t bytes = 0;
  if (table.size() < sizeof bytes)
    return invalid_input(fmt::format("the table of replacements has {} bytes", table.size()));
  std::memcpy(&bytes, table.data(), sizeof bytes);
  table.remove_prefix(sizeof bytes);
  if (bytes == 0 || bytes % sizeof(Unit) != 0 || bytes > table.size()) {
    return invalid_input(
        fmt::format("the table of replacements has an array of {} bytes in {}", bytes, table.size()));
  }
  std::vector<Unit> units(bytes / sizeof(Unit));
  std::memcpy(units.data(), table.data(), bytes);
  std::string texts(table.substr(bytes));
  if (find_invalid_utf8(texts))
    return invalid_input("the table of replacements has texts that are not UTF-8");
  // A value that points into the middle of a character would make text that is not UTF-8.
  for (const Unit& unit : units) {
    if (!unit.is_value()) continue;
    size_t at = unit.value();
    if (at < texts.size() && (static_cast<uint8_t>(texts[at]) & 0xc0) == 0x80) {
      return invalid_input(
          fmt::format("the table of replacements points to byte {}, which is inside a character", at));
    }
  }
  return std::unique_ptr<Normalizer>(std::make_unique<Precompiled>(std::move(units), std::move(texts)));
}

}  // namespace gannet::tokenization
