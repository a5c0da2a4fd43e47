#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "runtime/data/tokenizer/merge_table.h"
#include "runtime/data/tokenizer/model.h"
#include "runtime/data/tokenizer/unicode.h"

namespace gannet::tokenization {
namespace {

using Symbol = ModelScratch::Symbol;
using Merge = ModelScratch::Merge;

// Byte-pair encoding (Sennrich et al. 2016): of all neighbours that may merge, those of the lowest rank do,
// the leftmost first.
class Bpe : public Model {
 public:
  Bpe(const Vocabulary& vocabulary, MergeTable merges, const BpeOptions& options)
      : vocabulary_(vocabulary), merges_(std::move(merges)), options_(options) {
    if (options.unknown) unknown_ = vocabulary.id_of(*options.unknown);
    for (size_t byte = 0; byte < bytes_.size(); ++byte) {
      bytes_[byte] = vocabulary.id_of(fmt::format("<0x{:02X}>", byte)).value_or(Trie::kNone);
    }
  }

  Status tokenize(std::string_view word, std::vector<int32_t>& ids, ModelScratch& scratch) const override {
    if (options_.ignore_merges) {
      if (std::optional<int32_t> id = vocabulary_.id_of(word)) return ids.push_back(*id), Status();
    }
    size_t before = ids.size();
    TRY(add_characters(word, ids, scratch));
    size_t count = ids.size() - before;
    if (count <= kShort) {
      ids.resize(before + merge_short(ids.data() + before, count));
    } else {
      merge_long(ids, before, scratch);
    }
    return {};
  }

 private:
  // Words of so many characters are scanned for the lowest rank; a heap costs more.
  static constexpr size_t kShort = 48;

  // The id of a character with its prefix and suffix, or kNone.
  int32_t character_id(std::string_view character, bool first, bool last, std::string& text) const {
    bool prefixed = !first && !options_.continuing_prefix.empty();
    bool suffixed = last && !options_.end_of_word_suffix.empty();
    if (!prefixed && !suffixed) {
      text = character;
      return vocabulary_.trie().find(character);
    }
    text = prefixed ? options_.continuing_prefix : "";
    text += character;
    if (suffixed) text += options_.end_of_word_suffix;
    return vocabulary_.trie().find(text);
  }

  bool add_bytes(std::string_view text, std::vector<int32_t>& ids) const {
    for (char byte : text) {
      if (bytes_[static_cast<uint8_t>(byte)] == Trie::kNone) return false;
    }
    for (char byte : text) ids.push_back(bytes_[static_cast<uint8_t>(byte)]);
    return true;
  }

  // An unknown character waits until the next known one, so that those in a row may become one token. As in
  // Hugging Face's code, bytes overtake it.
  Status add_characters(std::string_view word, std::vector<int32_t>& ids, ModelScratch& scratch) const {
    bool waiting = false;
    for (size_t i = 0; i < word.size();) {
      size_t length = utf8_length(word[i]);
      int32_t id = character_id(word.substr(i, length), i == 0, i + length == word.size(), scratch.text);
      i += length;
      if (id != Trie::kNone) {
        if (waiting) ids.push_back(*unknown_);
        waiting = false;
        ids.push_back(id);
        continue;
      }
      if (options_.byte_fallback && add_bytes(scratch.text, ids)) continue;
      if (!options_.unknown) continue;
      if (!unknown_)
        return invalid_input(
            fmt::format("'{}' is not in the vocabulary, and neither is {}", scratch.text, *options_.unknown));
      if (waiting && !options_.fuse_unknown) ids.push_back(*unknown_);
      waiting = true;
    }
    if (waiting) ids.push_back(*unknown_);
    return {};
  }

  size_t merge_short(int32_t* ids, size_t count) const {
    if (count < 2) return count;
    std::array<const MergeTable::Entry*, kShort> merges;  // of each symbol with the next
    for (size_t i = 0; i + 1 < count; ++i) merges[i] = &merges_.find(ids[i], ids[i + 1]);
    while (count > 1) {
      size_t best = 0;
      for (size_t i = 1; i + 1 < count; ++i) {
        if (merges[i]->rank < merges[best]->rank) best = i;
      }
      if (merges[best]->rank == MergeTable::kNever) break;
      ids[best] = merges[best]->id;
      std::copy(ids + best + 2, ids + count, ids + best + 1);
      --count;
      if (best + 1 < count) {
        std::copy(merges.begin() + static_cast<int64_t>(best) + 2,
                  merges.begin() + static_cast<int64_t>(count),
                  merges.begin() + static_cast<int64_t>(best) + 1);
        merges[best] = &merges_.find(ids[best], ids[best + 1]);
      }
      if (best > 0) merges[best - 1] = &merges_.find(ids[best - 1], ids[best]);
    }
    return count;
  }

  static bool comes_later(const Merge& a, const Merge& b) {
    return a.rank != b.rank ? a.rank > b.rank : a.position > b.position;
  }

  void push(const std::vector<Symbol>& symbols, int32_t position, std::vector<Merge>& queue) const {
    if (position < 0) return;
    const Symbol& symbol = symbols[static_cast<size_t>(position)];
    if (symbol.next < 0) return;
    const MergeTable::Entry& merge = merges_.find(symbol.id, symbols[static_cast<size_t>(symbol.next)].id);
    if (merge.rank == MergeTable::kNever) return;
    queue.push_back({merge.rank, position, merge.id});
    std::push_heap(queue.begin(), queue.end(), comes_later);
  }

  void merge_long(std::vector<int32_t>& ids, size_t before, ModelScratch& scratch) const {
    std::vector<Symbol>& symbols = scratch.symbols;
    std::vector<Merge>& queue = scratch.queue;
    symbols.clear();
    queue.clear();
    int32_t count = static_cast<int32_t>(ids.size() - before);
    for (int32_t i = 0; i < count; ++i) {
      symbols.push_back({ids[before + static_cast<size_t>(i)], i - 1, i + 1 < count ? i + 1 : -1, 1});
    }
    for (int32_t i = 0; i < count; ++i) push(symbols, i, queue);
    while (!queue.empty()) {
      Merge merge = queue.front();
      std::pop_heap(queue.begin(), queue.end(), comes_later);
      queue.pop_back();
      Symbol& left = symbols[static_cast<size_t>(merge.position)];
      if (left.length == 0 || left.next < 0) continue;
      Symbol& right = symbols[static_cast<size_t>(left.next)];
      const MergeTable::Entry& entry = merges_.find(left.id, right.id);
      if (entry.rank == MergeTable::kNever || entry.id != merge.id)
        continue;  // one of them has merged otherwise
      left.id = merge.id;
      left.next = right.next;
      right.length = 0;
      if (left.next >= 0) symbols[static_cast<size_t>(left.next)].previous = merge.position;
      push(symbols, left.previous, queue);
      push(symbols, merge.position, queue);
    }
    ids.resize(before);
    for (const Symbol& symbol : symbols) {
      if (symbol.length > 0) ids.push_back(symbol.id);
    }
  }

  const Vocabulary& vocabulary_;
  MergeTable merges_;
  BpeOptions options_;
  std::optional<int32_t> unknown_;
  std::array<int32_t, 256> bytes_;
};

}  // namespace

Result<std::unique_ptr<Model>> make_bpe(const Vocabulary& vocabulary,
                                        const std::vector<std::pair<std::string, std::string>>& merges,
                                        const BpeOptions& options) {
  MergeTable table(merges.size());
  for (size_t rank = 0; rank < merges.size(); ++rank) {
    const auto& [left, right] = merges[rank];
    std::string_view rest = right;
    if (rest.size() < options.continuing_prefix.size()) {
      return invalid_input(fmt::format("merge {} ('{}', '{}') lacks the prefix '{}'", rank, left, right,
                                       options.continuing_prefix));
    }
    rest.remove_prefix(options.continuing_prefix.size());
    std::string merged = left + std::string(rest);
    std::array<int32_t, 3> ids;
    std::array<const std::string*, 3> tokens = {&left, &right, &merged};
    for (size_t i = 0; i < ids.size(); ++i) {
      std::optional<int32_t> id = vocabulary.id_of(*tokens[i]);
      if (!id) {
        return invalid_input(fmt::format("merge {} ('{}', '{}'): '{}' is not in the vocabulary", rank, left,
                                         right, *tokens[i]));
      }
      ids[i] = *id;
    }
    table.add(ids[0], ids[1], static_cast<uint32_t>(rank), ids[2]);
  }
  return std::unique_ptr<Model>(std::make_unique<Bpe>(vocabulary, std::move(table), options));
}

}  // namespace gannet::tokenization
