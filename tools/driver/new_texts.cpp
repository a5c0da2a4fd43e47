#include "tools/driver/new_texts.h"

#include <set>
#include <span>
#include <sstream>
#include <string_view>

#include "ir/base/random.h"

namespace gannet {

namespace {

using Words = std::span<const std::string_view>;

constexpr std::string_view kThings[] = {"film", "story", "book",   "song",   "meal",  "hotel", "game",
                                        "show", "plot",  "acting", "ending", "music", "phone", "service"};
constexpr std::string_view kGood[] = {"wonderful", "great",  "charming", "brilliant",  "moving",   "funny",
                                      "superb",    "lovely", "clever",   "delightful", "gripping", "fresh"};
constexpr std::string_view kBad[] = {"terrible", "boring", "awful", "dull",      "stale", "clumsy",
                                     "weak",     "ugly",   "noisy", "confusing", "slow",  "bland"};
constexpr std::string_view kDegrees[] = {"", "really ", "very ", "quite ", "simply ", "so "};
// %t: a thing, %o: an opinion with its degree, %r: another thing.
constexpr std::string_view kSentences[] = {
    "the %t was %o",
    "i found the %t %o",
    "a %o %t",
    "this is a %o %t , and the %r did not change that",
    "what a %o %t !",
    "we all thought that the %t and the %r were %o",
    "after the %r , the %t felt %o",
    "%o from start to end",
    "the %r was as long as the %t , which was %o in every way i can think of"};

std::string_view one_of(Words words, Random& random) { return words[random.below(words.size())]; }

std::string sentence(bool good, Random& random) {
  std::string text;
  const std::string_view form = one_of(kSentences, random);
  for (size_t i = 0; i < form.size(); ++i) {
    if (form[i] != '%') {
      text += form[i];
      continue;
    }
    ++i;
    if (form[i] == 'o') {
      text += one_of(kDegrees, random);
      text += one_of(good ? Words(kGood) : Words(kBad), random);
    } else {
      text += one_of(kThings, random);
    }
  }
  return text;
}

void add_words(std::string_view text, std::set<std::string>& words) {
  std::istringstream stream{std::string(text)};
  for (std::string word; stream >> word;)
    if (word.find('%') == std::string::npos) words.insert(word);
}

std::vector<std::string> vocabulary() {
  std::set<std::string> words;
  for (const Words list : {Words(kThings), Words(kGood), Words(kBad), Words(kDegrees), Words(kSentences)})
    for (const std::string_view text : list) add_words(text, words);
  // Letters spell every other word.
  for (char letter = 'a'; letter <= 'z'; ++letter) {
    words.insert(std::string(1, letter));
    words.insert(std::string("##") + letter);
  }
  std::vector<std::string> tokens = {"[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"};
  tokens.insert(tokens.end(), words.begin(), words.end());
  return tokens;
}

}  // namespace

TextSamples opinion_samples(int64_t samples, uint64_t seed) {
  TextSamples result;
  result.table = "label\ttext\n";
  Random random(seed);
  for (int64_t i = 0; i < samples; ++i) {
    const bool good = i % 2 == 0;
    result.table += good ? "positive\t" : "negative\t";
    result.table += sentence(good, random) + "\n";
  }
  result.vocabulary = vocabulary();
  return result;
}

}  // namespace gannet
