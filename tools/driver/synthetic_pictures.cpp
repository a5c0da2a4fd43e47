#include "tools/driver/synthetic_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "runtime/core/session.h"
#include "tools/deploy/arguments.h"

namespace gannet {

// One generator, and which classes its pictures are of.
class SyntheticGenerators::Source {
 public:
  Source(Generator loaded, double of_rows, uint64_t seed)
      : generator(std::move(loaded)), share(of_rows), seed_(seed) {}

  Generator generator;
  double share;
  std::vector<int64_t> classes;        // of the data, taking turns
  std::vector<int64_t> class_numbers;  // of the generator for each of them

  int64_t class_of(int64_t number) const { return classes[turn(number)]; }

  // Pictures are made in whole batches, of which the last ones are kept: numbers are wanted one after the
  // other.
  Result<Image> picture(int64_t number) {
    const int64_t size = generator.batch_size(), batch = number / size;
    auto found = made_.find(batch);
    if (found == made_.end()) {
      constexpr size_t kMost = 2;
      if (!made_.empty() && batch < made_.begin()->first) made_.clear();
      while (made_.size() >= kMost) made_.erase(made_.begin());
      found = made_.emplace(batch, TRY(make(batch * size, size))).first;
    }
    return found->second[static_cast<size_t>(number % size)];
  }

  // The first picture. Where nothing else tells the range of values, so many pictures do, whatever a batch
  // is.
  Result<Image> first_picture() {
    constexpr int64_t kSeen = 32;
    return std::move(TRY(make(0, kSeen))[0]);
  }

 private:
  size_t turn(int64_t number) const { return static_cast<size_t>(number) % classes.size(); }

  Result<std::vector<Image>> make(int64_t first, int64_t count) {
    std::vector<GeneratorRow> rows;
    for (int64_t i = first; i < first + count; ++i)
      rows.push_back({generator.draw(seed_, i), class_numbers[turn(i)]});
    return generator.images(TRY(generator.run(rows)));
  }

  uint64_t seed_;
  std::map<int64_t, std::vector<Image>> made_;  // by batch
};

namespace {

// The generators' pictures in turns, each as evenly over a pass as its count allows.
template <class Source>
class Mixture final : public SyntheticPictures {
 public:
  Mixture(std::vector<std::shared_ptr<Source>> sources, std::vector<int64_t> counts, int64_t channels)
      : sources_(std::move(sources)), counts_(std::move(counts)), channels_(channels) {
    for (size_t source = 0; source < counts_.size(); ++source) {
      for (int64_t i = 0; i < counts_[source]; ++i) turns_.push_back({source, i});
    }
    const auto when = [&](const Turn& turn) {
      return (static_cast<double>(turn.index) + 0.5) / static_cast<double>(counts_[turn.source]);
    };
    std::ranges::stable_sort(turns_, {}, when);
  }

  int64_t class_of(int64_t place) const override {
    return sources_[turn(place).source]->class_of(number(place));
  }

  Result<std::vector<Image>> make(std::span<const int64_t> places) override {
    std::vector<Image> images;
    for (const int64_t place : places)
      images.push_back(with_channels(TRY(sources_[turn(place).source]->picture(number(place))), channels_));
    return images;
  }

 private:
  struct Turn {
    size_t source = 0;
    int64_t index = 0;  // among those of the source in a pass
  };
  int64_t in_pass() const { return static_cast<int64_t>(turns_.size()); }
  const Turn& turn(int64_t place) const { return turns_[static_cast<size_t>(place % in_pass())]; }
  // How many the source has made in places before.
  int64_t number(int64_t place) const {
    return place / in_pass() * counts_[turn(place).source] + turn(place).index;
  }

  std::vector<std::shared_ptr<Source>> sources_;
  std::vector<int64_t> counts_;  // of each in a pass
  std::vector<Turn> turns_;      // by place in a pass
  int64_t channels_;
};

std::vector<int64_t> numbers_below(int64_t count) {
  std::vector<int64_t> numbers(static_cast<size_t>(count));
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

std::string kind_of(const Image& image) {
  return fmt::format("{} x {} {}", image.height, image.width, image.channels == 1 ? "grey" : "colour");
}

// What becomes of a picture on its way into the model.
std::string fitted_text(const Image& image, const SyntheticUse& use) {
  std::string text;
  if (image.height != use.height || image.width != use.width)
    text += fmt::format(", resized to {} x {}", use.height, use.width);
  if (image.channels != use.channels) text += use.channels == 1 ? ", made grey" : ", made colour";
  return kind_of(image) + text;
}

// The numbers that a generator gives the classes of the data: by name where its metadata names them all, else
// their own.
std::vector<int64_t> numbers_of_classes(const Generator& generator, const std::vector<std::string>& classes) {
  const std::vector<std::string> names = label_names_of(generator.model().metadata);
  std::vector<int64_t> numbers = numbers_below(static_cast<int64_t>(classes.size())), by_name;
  for (const std::string& name : classes) {
    const auto found = std::ranges::find(names, name);
    if (found == names.end()) return numbers;
    by_name.push_back(found - names.begin());
  }
  return by_name;
}

Status check_classes(const Generator& generator, const SyntheticSpec& spec, const SyntheticUse& use) {
  const auto count = static_cast<int64_t>(use.classes.size());
  if (!use.labelled) return {};
  if (!generator.has_classes() && !spec.only && count > 1)
    return invalid_input(fmt::format(
        "{}: takes no class, and the data have {}: give CLASS={}:SHARE for a generator of one class, "
        "--class-input where an input is the class, or --synthetic-as unlabelled",
        spec.path, count, spec.path));
  if (generator.classes() > 0 && generator.classes() != count)
    return invalid_input(
        fmt::format("{}: knows {} classes, the data have {}", spec.path, generator.classes(), count));
  return {};
}

}  // namespace

Result<SyntheticGenerators> SyntheticGenerators::load(const std::vector<SyntheticSpec>& specs,
                                                      const RunnableOptions& model,
                                                      const GeneratorArguments& arguments,
                                                      const SyntheticUse& use) {
  constexpr int64_t kStream = -0x5e7;  // of no step
  SyntheticGenerators all;
  all.channels_ = use.channels;
  for (const SyntheticSpec& spec : specs) {
    RunnableOptions options = model;
    options.model.path = spec.path;
    options.inference_form = true;
    Generator loaded = TRY(Generator::load(options, arguments));
    TRY(check_classes(loaded, spec, use));
    const uint64_t seed = step_seed(use.seed, kStream - static_cast<int64_t>(all.sources_.size()));
    auto source = std::make_shared<Source>(std::move(loaded), spec.share, seed);
    const Generator& generator = source->generator;
    const auto count = static_cast<int64_t>(use.classes.size()), own = generator.classes();
    const bool of_data = use.labelled || own <= 0 || own == count;  // its classes are those of the data
    source->classes = spec.only ? std::vector<int64_t>{*spec.only}
                                : numbers_below(!generator.has_classes() ? 1
                                                : of_data                ? count
                                                                         : own);
    const std::vector<int64_t> numbers = numbers_of_classes(generator, use.classes);
    for (const int64_t label : source->classes)
      source->class_numbers.push_back(of_data ? numbers[static_cast<size_t>(label)] : label);
    const Image image = TRY(source->first_picture());
    std::string text = fmt::format("synthetic pictures, {:g} % of {}, by {}: {}; {}", 100 * spec.share,
                                   use.labelled ? "the rows" : "the rows without labels", spec.path,
                                   generator.description(), fitted_text(image, use));
    if (spec.only) text += fmt::format(", of class '{}'", use.classes[static_cast<size_t>(*spec.only)]);
    all.notes_.push_back(std::move(text));
    std::ranges::copy(generator.notes(), std::back_inserter(all.notes_));
    all.sources_.push_back(std::move(source));
  }
  return all;
}

SyntheticRows SyntheticGenerators::rows_beside(int64_t files, int64_t all) const {
  double sum = 0;
  for (const auto& source : sources_) sum += source->share;
  const double rows = files > 0 ? static_cast<double>(files) / (1 - sum) : static_cast<double>(all);
  std::vector<int64_t> counts;
  for (const auto& source : sources_)
    counts.push_back(std::max<int64_t>(std::llround(source->share * rows), 1));
  const int64_t per_pass = std::accumulate(counts.begin(), counts.end(), int64_t{0});
  return {std::make_shared<Mixture<Source>>(sources_, std::move(counts), channels_), per_pass};
}

}  // namespace gannet
