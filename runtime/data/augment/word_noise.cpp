#include "runtime/data/augment/word_noise.h"

#include <fmt/format.h>

#include <charconv>
#include <utility>
#include <vector>

namespace gannet {

namespace {

constexpr std::string_view kSpace = " \t\n\v\f\r";

std::vector<std::string_view> words_of(std::string_view text) {
  std::vector<std::string_view> words;
  for (size_t at = text.find_first_not_of(kSpace); at != std::string_view::npos;) {
    const size_t end = std::min(text.find_first_of(kSpace, at), text.size());
    words.push_back(text.substr(at, end - at));
    at = text.find_first_not_of(kSpace, end);
  }
  return words;
}

}  // namespace

Result<WordNoise> WordNoise::parse(std::string_view text) {
  WordNoise noise;
  if (text == "none") return noise;
  while (!text.empty()) {
    const std::string_view part = text.substr(0, text.find(','));
    text.remove_prefix(std::min(part.size() + 1, text.size()));
    const size_t at = part.find('=');
    const std::string_view name = part.substr(0, at),
                           number = at == std::string_view::npos ? "" : part.substr(at + 1);
    double* chance = name == "delete" ? &noise.deleted
                     : name == "swap" ? &noise.swapped
                     : name == "mask" ? &noise.masked
                                      : nullptr;
    double value = 0;
    const auto [end, error] = std::from_chars(number.data(), number.data() + number.size(), value);
    const bool understood =
        error == std::errc() && end == number.data() + number.size() && value >= 0 && value < 1;
    if (chance == nullptr || !understood) {
      return invalid_input(fmt::format(
          "changes of texts: '{}' is none of delete=CHANCE, swap=CHANCE, mask=CHANCE, from 0 to below 1",
          part));
    }
    *chance = value;
  }
  return noise;
}

std::string WordNoise::text() const {
  return empty() ? "none" : fmt::format("delete={},swap={},mask={}", deleted, swapped, masked);
}

std::string WordNoise::apply(std::string_view text, std::string_view mask, Random& random) const {
  std::vector<std::string_view> words = words_of(text);
  for (size_t i = 0; i + 1 < words.size(); ++i) {
    if (random.uniform_double() < swapped) std::swap(words[i], words[i + 1]);
  }
  const size_t kept = words.empty() ? 0 : random.below(words.size());
  std::string result;
  for (size_t i = 0; i < words.size(); ++i) {
    const bool deletes = random.uniform_double() < deleted, masks = random.uniform_double() < masked;
    if (i != kept && deletes) continue;
    if (!result.empty()) result += ' ';
    result += i != kept && masks ? mask : words[i];
  }
  return result;
}

}  // namespace gannet
