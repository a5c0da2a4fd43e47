#include "tools/driver/gan_evaluation.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <nlohmann/json.hpp>

#include "runtime/data/image_list.h"
#include "runtime/distribution/frechet_distance.h"
#include "runtime/distribution/inception_score.h"
#include "runtime/distribution/kernel_distance.h"
#include "runtime/distribution/neighbor_measures.h"
#include "runtime/training/image_tensor.h"
#include "tools/deploy/arguments.h"
#include "tools/driver/feature_statistics.h"
#include "tools/driver/picture_features.h"

namespace gannet {

namespace {

struct Measures {
  std::string generated, real, features;
  int64_t generated_count = 0, real_count = 0;
  double frechet = 0;
  KernelDistance kernel;
  NeighborMeasures neighbors;
  NeighborOptions neighbor_options;
  std::optional<InceptionScore> score, real_score;
};

// Pictures of files, read on so many threads.
Result<std::vector<Image>> read_all(std::span<const std::string> files, int threads) {
  constexpr int64_t kNanosecondsToRead = 200'000;
  const auto count = static_cast<int64_t>(files.size());
  return make_images(count, count * kNanosecondsToRead, Threads(threads),
                     [&](int64_t i) { return read_image(files[static_cast<size_t>(i)]); });
}

// Of more pictures than are wanted, those evenly spread: folders are sorted by class.
Result<FeatureSet> features_of_folder(const PictureFeatures& features, const std::string& folder,
                                      std::optional<int64_t> most, int threads) {
  const ImageList list = TRY(list_unlabelled_images(folder));
  const auto all = static_cast<int64_t>(list.files.size()), count = std::min(most.value_or(all), all);
  std::vector<std::string> files;
  for (int64_t i = 0; i < count; ++i) files.push_back(list.files[static_cast<size_t>(i * all / count)]);
  return features.of(count, [&](int64_t first, int64_t rows) {
    return read_all(std::span(files).subspan(static_cast<size_t>(first), static_cast<size_t>(rows)), threads);
  });
}

// Pictures of 8 bits, as in a file; those of a generator with classes take turns.
Result<FeatureSet> features_of_generator(const PictureFeatures& features, Generator& generator, int64_t count,
                                         uint64_t seed) {
  if (generator.has_classes() && generator.classes() == 0)
    return invalid_input(fmt::format(
        "{}: does not say how many classes it has: make pictures with gannet generate --class and "
        "give their folder",
        generator.model().path));
  return features.of(count, [&](int64_t first, int64_t rows) -> Result<std::vector<Image>> {
    std::vector<GeneratorRow> wanted;
    for (int64_t i = first; i < first + rows; ++i)
      wanted.push_back({generator.draw(seed, i), generator.classes() > 0 ? i % generator.classes() : 0});
    const Tensor output = TRY(generator.run(wanted));
    return generator.images(output);
  });
}

// What was measured, and what was done to the models.
struct Generated {
  FeatureSet set;
  std::vector<std::string> notes;
};

Result<Generated> features_of_model(const PictureFeatures& features, const RunnableOptions& model,
                                    const GanEvaluationArguments& arguments, int64_t real_count) {
  Generated generated;
  std::error_code error;
  if (std::filesystem::is_directory(model.model.path, error)) {
    generated.set = TRY(features_of_folder(features, model.model.path, arguments.samples, model.threads));
    return generated;
  }
  RunnableOptions options = model;
  options.inference_form = true;
  Generator generator = TRY(Generator::load(options, arguments.generator));
  generated.set =
      TRY(features_of_generator(features, generator, arguments.samples.value_or(real_count), arguments.seed));
  generated.notes = generator.notes();
  return generated;
}

Result<Measures> compare(const FeatureSet& real, const FeatureSet& generated,
                         const GanEvaluationArguments& arguments, int threads) {
  Measures measures;
  measures.real_count = real.features.rows;
  measures.generated_count = generated.features.rows;
  measures.frechet = TRY(frechet_distance(real.moments, generated.moments));
  KernelDistanceOptions kernel;
  kernel.subsets = arguments.subsets;
  kernel.subset_size = arguments.subset_size;
  kernel.seed = arguments.seed;
  kernel.threads = threads;
  measures.kernel = TRY(kernel_distance(real.features, generated.features, kernel));
  measures.neighbor_options.threads = threads;
  if (arguments.neighbors > 0)
    measures.neighbor_options.manifold_neighbors = measures.neighbor_options.density_neighbors =
        arguments.neighbors;
  measures.neighbors = TRY(neighbor_measures(real.features, generated.features, measures.neighbor_options));
  const auto score = [&](const FeatureSet& set) -> Result<std::optional<InceptionScore>> {
    if (!set.probabilities) return std::optional<InceptionScore>();
    const int64_t splits = std::min(arguments.splits, set.probabilities->rows);
    return std::optional(TRY(inception_score(*set.probabilities, splits, arguments.seed)));
  };
  measures.score = TRY(score(generated));
  measures.real_score = TRY(score(real));
  return measures;
}

std::string text_of(const Measures& m) {
  std::string text =
      fmt::format("{} pictures of {} against {} of {}\n{}\n", m.generated_count, printable(m.generated),
                  m.real_count, printable(m.real), printable(m.features));
  text += fmt::format("Frechet distance (FID)  {:.6g}\n", m.frechet);
  text += fmt::format("kernel distance (KID)   {:.6g} +- {:.2g} ({} subsets of {})\n", m.kernel.mean,
                      m.kernel.deviation, m.kernel.subsets, m.kernel.subset_size);
  if (m.score)
    text += fmt::format("Inception score         {:.4f} +- {:.4f} ({} parts)", m.score->mean,
                        m.score->deviation, m.score->splits);
  if (m.score && m.real_score) text += fmt::format(", of the real ones {:.4f}", m.real_score->mean);
  if (m.score) text += "\n";
  const NeighborOptions& k = m.neighbor_options;
  text += fmt::format("precision {:.4f}  recall {:.4f} (balls to neighbour {})\n", m.neighbors.precision,
                      m.neighbors.recall, k.manifold_neighbors);
  text += fmt::format("density {:.4f}  coverage {:.4f} (balls to neighbour {})\n", m.neighbors.density,
                      m.neighbors.coverage, k.density_neighbors);
  return text;
}

std::string json_of(const Measures& m) {
  nlohmann::ordered_json json = {{"model", m.generated},
                                 {"data", m.real},
                                 {"features", m.features},
                                 {"generated", m.generated_count},
                                 {"real", m.real_count},
                                 {"fid", m.frechet},
                                 {"kid", m.kernel.mean},
                                 {"kid_deviation", m.kernel.deviation},
                                 {"kid_subsets", m.kernel.subsets},
                                 {"kid_subset_size", m.kernel.subset_size}};
  if (m.score) {
    json["inception_score"] = m.score->mean;
    json["inception_score_deviation"] = m.score->deviation;
  }
  if (m.real_score) json["real_inception_score"] = m.real_score->mean;
  json["precision"] = m.neighbors.precision;
  json["recall"] = m.neighbors.recall;
  json["density"] = m.neighbors.density;
  json["coverage"] = m.neighbors.coverage;
  return json.dump(-1, ' ', false, nlohmann::json::error_handler_t::replace) + "\n";
}

}  // namespace

void add_gan_evaluation_flags(CLI::App& command, GanEvaluationArguments& arguments, const char* group) {
  const auto flag = [&](CLI::Option* option) { return option->group(group); };
  flag(command.add_option("--features", arguments.features,
                          "gan: the model whose output, or any tensor, the features are"))
      ->type_name("FILE[:TENSOR]");
  flag(command.add_option("--statistics", arguments.statistics,
                          "gan: features of the real pictures, in place of --data"))
      ->type_name("FILE");
  flag(command.add_option("--save-statistics", arguments.save_statistics,
                          "gan: keep the features of the real pictures"))
      ->type_name("FILE.safetensors");
  flag(command.add_option("--samples", arguments.samples,
                          "gan: pictures to make [as many as there are real ones]"))
      ->check(CLI::Range(2, 10'000'000));
  add_seed(command, arguments.seed, "of latents and of subsets")->group(group);
  flag(command.add_option("--class-output", arguments.classes,
                          "gan: class scores of --features [its first such output]"))
      ->type_name("NAME");
  flag(command.add_option("--subsets", arguments.subsets, "gan: of the kernel distance"))
      ->check(CLI::Range(1, 100'000))
      ->capture_default_str();
  flag(command.add_option("--subset-size", arguments.subset_size,
                          "gan: pictures of each set in one [half, at most 1000]"))
      ->check(CLI::Range(2, 1'000'000));
  flag(command.add_option("--splits", arguments.splits, "gan: parts of the Inception score"))
      ->check(CLI::Range(1, 10'000))
      ->capture_default_str();
  flag(command.add_option("--neighbors", arguments.neighbors,
                          "gan: that balls reach [3 for precision, 5 for density]"))
      ->check(CLI::Range(1, 1000));
  add_generator_flags(command, arguments.generator, group);
}

Status evaluate_gan(const RunnableOptions& model, const std::string& data,
                    const GanEvaluationArguments& arguments, const ImageArguments& image, bool json) {
  if (arguments.features.empty()) return invalid_input("--task gan needs --features MODEL[:TENSOR]");
  if (data.empty() == arguments.statistics.empty())
    return invalid_input("--task gan compares with the pictures of --data, or with --statistics");
  if (!arguments.save_statistics.empty()) TRY(check_output_path(arguments.save_statistics));
  RunnableOptions of_features = model;
  of_features.model.shapes.clear();
  const PictureFeatures features =
      TRY(PictureFeatures::load(of_features, {arguments.features, arguments.classes, image}));
  const Limits limits = TRY(limits_of(model.model));
  const FeatureSet real =
      TRY(data.empty() ? load_feature_set(arguments.statistics, features.identity(), limits)
                       : features_of_folder(features, data, std::nullopt, model.threads));
  if (!arguments.save_statistics.empty())
    TRY(save_feature_set(arguments.save_statistics, real, features.identity()));
  const Generated generated = TRY(features_of_model(features, model, arguments, real.features.rows));
  Measures measures = TRY(compare(real, generated.set, arguments, model.threads));
  measures.generated = model.model.path;
  measures.real = data.empty() ? arguments.statistics : data;
  measures.features = features.description(real.features.width);
  for (const std::vector<std::string>& notes : {features.notes(), generated.notes}) {
    for (const std::string& note : notes) fmt::print(json ? stderr : stdout, "{}\n", printable(note));
  }
  fmt::print("{}", json ? json_of(measures) : text_of(measures));
  return {};
}

}  // namespace gannet
