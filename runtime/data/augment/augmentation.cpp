#include "runtime/data/augment/augmentation.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <numbers>

#include "runtime/data/augment/geometry.h"
#include "runtime/data/augment/photometry.h"
#include "runtime/data/augment/random_policy.h"

namespace gannet {

namespace {

using Numbers = std::vector<double>;

struct Parameter {
  std::string_view name;
  double low = 0, high = 1;
  double usual = -1;  // below `low`: must be given
};

struct Kind {
  std::string_view name, meaning;
  std::vector<Parameter> parameters;
  AugmentStep::Apply apply = nullptr;  // null: mixing
};

bool happens(double chance, Random& random) { return random.uniform_double() < chance; }
double around(double middle, double reach, Random& random) {
  return random.uniform(middle - reach, middle + reach);
}
double either_side(double reach, Random& random) { return random.uniform(-reach, reach); }
double tangent(double degrees) { return std::tan(degrees * std::numbers::pi / 180); }

// Lengths below 1 are shares of a side.
int64_t pixels_of(double length, int64_t side) {
  return std::llround(length < 1 ? length * static_cast<double>(side) : length);
}

void crop(Image& image, const Numbers& n, PictureSize, Random& random) {
  const int64_t down = pixels_of(n[0], image.height), right = pixels_of(n[0], image.width);
  const int64_t top = static_cast<int64_t>(random.below(static_cast<uint64_t>(2 * down + 1))) - down;
  const int64_t left = static_cast<int64_t>(random.below(static_cast<uint64_t>(2 * right + 1))) - right;
  image = window(image, top, left, image.height, image.width, n[1] != 0 ? Border::kReflect : Border::kBlack);
}

// A part of a random area and shape, tried ten times; after that the largest part of the nearest shape in the
// middle, as torchvision does it.
void resized_crop(Image& image, const Numbers& n, PictureSize size, Random& random) {
  const auto area = static_cast<double>(image.height * image.width);
  int64_t height = 0, width = 0, top = 0, left = 0;
  bool fits = false;
  for (int attempt = 0; attempt < 10 && !fits; ++attempt) {
    const double part = area * random.uniform(n[0], 1), shape = std::exp(either_side(std::log(n[1]), random));
    width = std::llround(std::sqrt(part * shape));
    height = std::llround(std::sqrt(part / shape));
    fits = width > 0 && width <= image.width && height > 0 && height <= image.height;
  }
  if (fits) {
    top = static_cast<int64_t>(random.below(static_cast<uint64_t>(image.height - height + 1)));
    left = static_cast<int64_t>(random.below(static_cast<uint64_t>(image.width - width + 1)));
  } else {
    const auto full_height = static_cast<double>(image.height), full_width = static_cast<double>(image.width);
    height = std::clamp<int64_t>(std::llround(full_width * n[1]), 1, image.height);
    width = std::clamp<int64_t>(std::llround(full_height * n[1]), 1, image.width);
    top = (image.height - height) / 2;
    left = (image.width - width) / 2;
  }
  image = resized_part(image, top, left, height, width, size.height, size.width);
}

void shift(Image& image, const Numbers& n, PictureSize, Random& random) {
  const double right = either_side(n[0], random) * static_cast<double>(image.width);
  const double down = either_side(n[0], random) * static_cast<double>(image.height);
  image = warped(image, shifted(right, down));
}

void color(Image& image, const Numbers& n, PictureSize, Random& random) {
  change_brightness(image, around(1, n[0], random));
  change_contrast(image, around(1, n[0], random));
  change_saturation(image, around(1, n[0], random));
  const double turn = either_side(n[1], random);
  if (turn != 0) turn_hue(image, turn);
}

void cutout(Image& image, const Numbers& n, PictureSize, Random& random) {
  constexpr uint8_t kMiddle = 128;
  const int64_t height = pixels_of(n[0], image.height), width = pixels_of(n[0], image.width);
  const int64_t y = static_cast<int64_t>(random.below(static_cast<uint64_t>(image.height)));
  const int64_t x = static_cast<int64_t>(random.below(static_cast<uint64_t>(image.width)));
  if (happens(n[1], random)) cut_out(image, y - height / 2, x - width / 2, height, width, kMiddle);
}

std::vector<Kind> geometric_kinds() {
  return {{"flip",
           "left and right change places",
           {{"CHANCE", 0, 1, 0.5}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             if (happens(n[0], random)) mirror_columns(image);
           }},
          {"vflip",
           "top and bottom change places",
           {{"CHANCE", 0, 1, 0.5}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             if (happens(n[0], random)) mirror_rows(image);
           }},
          {"crop",
           "moved by up to so many pixels (below 1: share of a side); what comes in is black, or reflected "
           "with 1",
           {{"PIXELS", 0, 4096}, {"REFLECT", 0, 1, 0}},
           crop},
          {"resized-crop",
           "a part of at least this area, of proportions up to this one, resized",
           {{"AREA", 0.01, 1, 0.3}, {"PROPORTION", 1, 10, 4.0 / 3}},
           resized_crop},
          {"rotate",
           "turned by up to so many degrees",
           {{"DEGREES", 0, 180}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             image = warped(image, turned(either_side(n[0], random)));
           }},
          {"shear",
           "sheared along rows and columns by up to so many degrees",
           {{"DEGREES", 0, 60}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             const double x = tangent(either_side(n[0], random));
             image = warped(image, sheared(x, tangent(either_side(n[0], random))));
           }},
          {"zoom",
           "enlarged or shrunk by up to this share",
           {{"SHARE", 0, 0.9}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             image = warped(image, enlarged(around(1, n[0], random)));
           }},
          {"shift", "moved by up to this share of each side, between pixels", {{"SHARE", 0, 1}}, shift}};
}

std::vector<Kind> photometric_kinds() {
  return {{"brightness",
           "multiplied by 1 - SHARE to 1 + SHARE",
           {{"SHARE", 0, 10}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             change_brightness(image, std::max(around(1, n[0], random), 0.0));
           }},
          {"contrast",
           "away from the mean by 1 - SHARE to 1 + SHARE",
           {{"SHARE", 0, 10}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             change_contrast(image, std::max(around(1, n[0], random), 0.0));
           }},
          {"saturation",
           "away from grey by 1 - SHARE to 1 + SHARE",
           {{"SHARE", 0, 10}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             change_saturation(image, std::max(around(1, n[0], random), 0.0));
           }},
          {"hue",
           "hues turned by up to this share of the circle",
           {{"SHARE", 0, 0.5}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             turn_hue(image, either_side(n[0], random));
           }},
          {"color",
           "brightness, contrast and saturation by SHARE, then hue",
           {{"SHARE", 0, 1}, {"HUE", 0, 0.5, 0}},
           color},
          {"sharpness",
           "away from smooth by 1 - SHARE to 1 + SHARE",
           {{"SHARE", 0, 10}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             change_sharpness(image, std::max(around(1, n[0], random), 0.0));
           }},
          {"grey",
           "made grey",
           {{"CHANCE", 0, 1, 0.1}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             if (happens(n[0], random)) make_grey(image);
           }},
          {"blur",
           "blurred by a Gaussian of 0.1 to so many pixels",
           {{"PIXELS", 0.1, 100}, {"CHANCE", 0, 1, 0.5}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             const double deviation = random.uniform(0.1, n[0]);
             if (happens(n[1], random)) blur(image, deviation);
           }},
          {"posterize",
           "values keep so many bits",
           {{"BITS", 1, 8}, {"CHANCE", 0, 1, 0.5}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             if (happens(n[1], random)) posterize(image, static_cast<int>(n[0]));
           }},
          {"solarize",
           "values from this one on are inverted",
           {{"VALUE", 0, 255, 128}, {"CHANCE", 0, 1, 0.5}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             if (happens(n[1], random)) solarize(image, static_cast<int>(n[0]));
           }},
          {"autocontrast",
           "values of each channel stretched to 0 to 255",
           {{"CHANCE", 0, 1, 0.5}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             if (happens(n[0], random)) stretch_contrast(image);
           }},
          {"equalize",
           "each channel's histogram made flat",
           {{"CHANCE", 0, 1, 0.5}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             if (happens(n[0], random)) equalize(image);
           }},
          {"invert",
           "a negative",
           {{"CHANCE", 0, 1, 0.5}},
           [](Image& image, const Numbers& n, PictureSize, Random& random) {
             if (happens(n[0], random)) invert(image);
           }}};
}

const std::vector<Kind>& kinds() {
  static const std::vector<Kind> all = [] {
    std::vector<Kind> list = geometric_kinds();
    for (Kind& kind : photometric_kinds()) list.push_back(std::move(kind));
    list.push_back({"cutout",
                    "a square of this side (below 1: share) becomes grey",
                    {{"SIDE", 0, 4096}, {"CHANCE", 0, 1, 1}},
                    cutout});
    list.push_back({"randaugment",
                    "COUNT of 14 changes, each of strength 0 to 30 (Cubuk et al. 2020)",
                    {{"COUNT", 1, 16, 2}, {"STRENGTH", 0, 30, 9}},
                    [](Image& image, const Numbers& n, PictureSize, Random& random) {
                      random_policy(image, static_cast<int>(n[0]), n[1], random);
                    }});
    list.push_back({"mixup",
                    "mixed with another picture of the batch, shares from Beta(ALPHA, ALPHA)",
                    {{"ALPHA", 1e-3, 100, 0.2}, {"CHANCE", 0, 1, 1}}});
    list.push_back({"cutmix",
                    "a rectangle of another picture of the batch put in",
                    {{"ALPHA", 1e-3, 100, 1}, {"CHANCE", 0, 1, 1}}});
    return list;
  }();
  return all;
}

std::string usage_of(const Kind& kind) {
  std::string text(kind.name);
  for (size_t i = 0; i < kind.parameters.size(); ++i) {
    const Parameter& parameter = kind.parameters[i];
    const char* separator = i == 0 ? "=" : ":";
    const bool optional = parameter.usual >= parameter.low;
    text += optional ? fmt::format("[{}{}]", separator, parameter.name)
                     : fmt::format("{}{}", separator, parameter.name);
  }
  return text;
}

Result<double> parse_number(std::string_view text, std::string_view part, const Kind& kind,
                            const Parameter& parameter) {
  double value = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size() ||
      !(value >= parameter.low && value <= parameter.high)) {
    return invalid_input(fmt::format("augmentation '{}': {} is a number of {:g} to {:g} in {}", part,
                                     parameter.name, parameter.low, parameter.high, usage_of(kind)));
  }
  return value;
}

Result<Numbers> parse_numbers(std::string_view text, bool given, std::string_view part, const Kind& kind) {
  Numbers numbers;
  for (size_t i = 0; given; ++i) {
    const size_t colon = text.find(':');
    if (i == kind.parameters.size())
      return invalid_input(fmt::format("augmentation '{}': too many numbers for {}", part, usage_of(kind)));
    numbers.push_back(TRY(parse_number(text.substr(0, colon), part, kind, kind.parameters[i])));
    given = colon != std::string_view::npos;
    if (given) text.remove_prefix(colon + 1);
  }
  for (size_t i = numbers.size(); i < kind.parameters.size(); ++i) {
    const Parameter& parameter = kind.parameters[i];
    if (parameter.usual < parameter.low)
      return invalid_input(
          fmt::format("augmentation '{}' lacks {}: {}", part, parameter.name, usage_of(kind)));
    numbers.push_back(parameter.usual);
  }
  return numbers;
}

Result<AugmentStep> parse_step(std::string_view part) {
  const size_t equals = part.find('=');
  const std::string_view name = part.substr(0, equals);
  std::vector<std::string_view> names;
  for (const Kind& kind : kinds()) {
    if (kind.name == name) {
      const bool given = equals != std::string_view::npos;
      Numbers numbers = TRY(parse_numbers(given ? part.substr(equals + 1) : "", given, part, kind));
      return AugmentStep{std::string(name), std::move(numbers), kind.apply};
    }
    names.push_back(kind.name);
  }
  return invalid_input(
      fmt::format("there is no augmentation '{}'; there are {}", name, fmt::join(names, ", ")));
}

constexpr uint64_t kAugmentStreams = uint64_t{1} << 63, kMixingStreams = uint64_t{1} << 61;
constexpr int kRowBits = 36;

}  // namespace

Result<Augmentation> Augmentation::parse(std::string_view text) {
  Augmentation result;
  if (text.empty() || text == "none") return result;
  while (true) {
    const size_t comma = text.find(',');
    AugmentStep step = TRY(parse_step(text.substr(0, comma)));
    if (step.apply) {
      result.steps_.push_back(std::move(step));
    } else {
      if (!result.mixing_.empty() && result.mixing_.chance != step.numbers[1])
        return invalid_input("mixup and cutmix share a chance: give both the same, as in mixup=0.2:0.5,cutmix=1:0.5");
      (step.name == "mixup" ? result.mixing_.mixup : result.mixing_.cutmix) = step.numbers[0];
      result.mixing_.chance = step.numbers[1];
    }
    if (comma == std::string_view::npos) return result;
    text.remove_prefix(comma + 1);
  }
}

bool Augmentation::resizes() const {
  return std::ranges::any_of(steps_, [](const AugmentStep& step) { return step.name == "resized-crop"; });
}

void Augmentation::apply(Image& image, PictureSize size, Random& random) const {
  for (const AugmentStep& step : steps_) step.apply(image, step.numbers, size, random);
}

std::string Augmentation::text() const {
  std::vector<std::string> parts;
  for (const AugmentStep& step : steps_)
    parts.push_back(fmt::format("{}={}", step.name, fmt::join(step.numbers, ":")));
  if (mixing_.mixup > 0) parts.push_back(fmt::format("mixup={}:{}", mixing_.mixup, mixing_.chance));
  if (mixing_.cutmix > 0) parts.push_back(fmt::format("cutmix={}:{}", mixing_.cutmix, mixing_.chance));
  return parts.empty() ? "none" : fmt::format("{}", fmt::join(parts, ","));
}

Random augment_random(uint64_t seed, int64_t epoch, int64_t place) {
  return Random(seed,
                kAugmentStreams | static_cast<uint64_t>(epoch) << kRowBits | static_cast<uint64_t>(place));
}

Random mixing_random(uint64_t seed, int64_t epoch, int64_t batch) {
  return Random(seed,
                kMixingStreams | static_cast<uint64_t>(epoch) << kRowBits | static_cast<uint64_t>(batch));
}

std::vector<AugmentHelp> augmentations() {
  std::vector<AugmentHelp> result;
  for (const Kind& kind : kinds()) result.push_back({usage_of(kind), std::string(kind.meaning)});
  return result;
}

}  // namespace gannet
