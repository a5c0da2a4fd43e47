// A model that makes pictures of random numbers: its inputs understood, run on any number of rows.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "runtime/data/tensor_image.h"
#include "tools/driver/latents.h"
#include "tools/driver/runnable_model.h"

namespace CLI {
class App;
}

namespace gannet {

struct GeneratorArguments {
  std::string latent, class_input, output;  // names; empty: found
  std::string distribution = "normal";
  std::optional<double> truncation;
  std::string range, layout;  // of the pictures; empty: found
  bool bgr = false;
  int64_t batch_size = 16;
};

// Adds --distribution, --truncation, --output-range, and under `group` --latent, --class-input,
// --picture-output,
// --picture-layout, --picture-bgr and --generator-batch.
void add_generator_flags(CLI::App& command, GeneratorArguments& arguments, const char* group);

// One picture to make.
struct GeneratorRow {
  std::vector<float> latent;
  int64_t label = 0;  // of a generator with classes
};

class Generator {
 public:
  // Loads the model and finds out what its inputs are: integers, and numbers named class, label, y and the
  // like, are the class; what is named truncation gets that; all other numbers are latents. An error lists
  // the inputs.
  static Result<Generator> load(const RunnableOptions& options, const GeneratorArguments& arguments);

  bool has_classes() const { return class_input_.has_value(); }
  // How many there are; 0 where there is no class, or the model does not say.
  int64_t classes() const { return classes_; }
  // An error where the generator is known to have no class of this number.
  Status check_class(int64_t label) const;
  const LatentOptions& latents() const { return latents_; }
  const RunnableModel& model() const { return model_; }
  // What was done to the model, and what was taken for granted, a line each.
  const std::vector<std::string>& notes() const { return model_.notes; }
  // "latent 'z' f32[batch, 100] normal, pictures of -1..1 (found)"
  std::string description() const;

  // The latent of place `place` of a seed.
  std::vector<float> draw(uint64_t seed, int64_t place) const;
  // What the model makes of the rows: its output, with a row for each. The rows are computed in batches of
  // one size, the last one filled up, so that a picture does not depend on those it is made with.
  Result<Tensor> run(std::span<const GeneratorRow> rows) const;
  // How many rows are computed together.
  int64_t batch_size() const { return batch_size_; }
  // As pictures. The range, where the model and flags say none, is told by the first values that come.
  Result<std::vector<Image>> images(const Tensor& output);
  bool knows_range() const { return range_.has_value(); }
  // The range is what values from `low` to `high` say, as a note tells.
  void settle_range(double low, double high);

 private:
  Status find_inputs(const GeneratorArguments& arguments);
  Status find_class(const GeneratorArguments& arguments);
  Result<Tensor> run_batch(std::span<const GeneratorRow> rows) const;
  Result<Tensor> input_of(size_t index, std::span<const GeneratorRow> rows) const;

  RunnableModel model_;
  LatentOptions latents_;
  std::vector<size_t> latent_inputs_;
  std::optional<size_t> class_input_, truncation_input_;
  int64_t classes_ = 0, latent_count_ = 0, batch_size_ = 16;
  size_t output_ = 0;
  std::optional<ValueRange> range_;
  std::string range_source_ = "found";
  TensorImageOptions pictures_;
};

}  // namespace gannet
