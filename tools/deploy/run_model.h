// One inference from the command line: its flags, its inputs, and its results on the screen and in files. What runs the
// model is the caller's.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "tools/deploy/image_arguments.h"
#include "tools/deploy/model_inputs.h"

namespace CLI {
class App;
}

namespace gannet {

struct RunArguments {
  InputArguments inputs;
  std::string output_folder;
  std::string format = "npy";
  int threads = 0;
  int64_t top = 0;
  std::string labels;
  std::vector<std::string> label_names;  // of --labels, for classes by number; an output with more is an error
  std::vector<std::string> class_names;  // of the model, for outputs of so many classes
  ImageArguments image;
  // Writes ONNX's .pb files; empty where that is not possible.
  std::function<Status(const std::string& path, const Datum& datum, const std::string& name)> write_pb;
};

// Adds --input, --output, --seed, --threads, --top, --labels and the flags of pictures.
void add_run_arguments(CLI::App& command, RunArguments& arguments);
// Reads what the flags name; `shapes` are the --shape arguments.
Status settle_run_arguments(RunArguments& arguments, const std::vector<std::string>& shapes);
// What the model's metadata say of pictures and names, where no flag says otherwise.
Status apply_model_metadata(RunArguments& arguments, const Metadata& metadata);
// The inputs, one line printed for each.
Result<std::vector<Datum>> announced_inputs(std::span<const InputSpec> specs, const RunArguments& arguments);
// Writes every output into the folder that the arguments name.
Status write_outputs(std::span<const std::string> names, std::span<const Datum> outputs, const RunArguments& arguments,
                     bool quiet = false);
// Prints every output and writes them where asked for.
Status report_outputs(std::span<const std::string> names, std::span<const Datum> outputs, const RunArguments& arguments);

}  // namespace gannet
