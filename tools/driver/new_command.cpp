#include "tools/driver/new_command.h"

#include <CLI/CLI.hpp>
#include <fmt/core.h>

#include <array>
#include <charconv>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "frontend/templates.h"
#include "ir/base/error.h"
#include "ir/base/file.h"
#include "ir/base/nearest.h"
#include "tools/deploy/output_path.h"
#include "tools/driver/command.h"
#include "tools/driver/new_samples.h"
#include "tools/driver/new_texts.h"
#include "tools/driver/picture_samples.h"

namespace gannet {
namespace {

constexpr int64_t kMostSamples = 10'000'000;
constexpr int64_t kMostLayers = 100'000;

// What every architecture can be told.
struct Request {
  TemplateOptions options;
  std::string output;
  std::string sample_file;
  std::string sample_vocabulary;  // beside a table of texts
  int64_t samples = 256;
};

struct Architecture {
  std::string name;
  std::string summary;
  std::function<Result<OnnxWriter>(const TemplateOptions&)> model;
  std::function<Result<NamedTensors>(int64_t samples, uint64_t seed)> samples;
  bool takes_texts = false;
};

// A table of texts, and the vocabulary that they take.
Result<std::string> write_texts(const Architecture& architecture, const Request& request) {
  if (request.sample_vocabulary.empty()) {
    return invalid_input(architecture.takes_texts
                             ? fmt::format("{}: texts need a vocabulary, --sample-vocab FILE", request.sample_file)
                             : fmt::format("{}: {} takes arrays, .npz", request.sample_file, architecture.name));
  }
  const TextSamples texts = opinion_samples(request.samples, request.options.seed);
  std::string lines;
  for (const std::string& token : texts.vocabulary) lines += token + "\n";
  TRY(write_file_atomically(request.sample_file, texts.table));
  TRY(write_file_atomically(request.sample_vocabulary, lines));
  return fmt::format("{}: {} texts\n{}: {} tokens\n", request.sample_file, request.samples, request.sample_vocabulary,
                     texts.vocabulary.size());
}

Result<std::string> write_request(const Architecture& architecture, const Request& request) {
  if (request.samples < 1 || request.samples > kMostSamples) {
    return invalid_input(fmt::format("samples is {}, it must be 1 to {}", request.samples, kMostSamples));
  }
  const bool is_folder = !request.sample_file.ends_with(".npz") && !request.sample_file.ends_with(".tsv");
  TRY(check_outputs({request.output}, {}, {is_folder ? "" : request.sample_file, request.sample_vocabulary}));
  std::string report;
  {
    OnnxWriter model = TRY(architecture.model(request.options));
    int64_t bytes = TRY(model.save(request.output));
    report = fmt::format("{}: {}, {} nodes, {} parameters, {} bytes\n", request.output, architecture.name,
                         model.nodes(), model.parameters(), bytes);
  }
  if (request.sample_file.empty()) return report;
  if (request.sample_file.ends_with(".tsv")) return report + TRY(write_texts(architecture, request));
  NamedTensors samples = TRY(architecture.samples(request.samples, request.options.seed));
  TRY(request.sample_file.ends_with(".npz") ? write_npz(request.sample_file, samples)
                                            : write_picture_samples(request.sample_file, samples));
  report += fmt::format("{}: {} samples\n", request.sample_file, request.samples);
  for (const auto& [name, tensor] : samples) report += fmt::format("  {} {}\n", name, type_string(tensor));
  return report;
}

int run_request(const Architecture& architecture, const Request& request) {
  if (request.output.empty()) {
    return report(invalid_input(fmt::format("gannet new {}: -o FILE is missing; see gannet new {} --help", architecture.name,
                                            architecture.name)));
  }
  Result<std::string> summary = write_request(architecture, request);
  if (!summary.ok()) return report(with_prefix(fmt::format("gannet new {}: ", architecture.name), summary.error()));
  fmt::print("{}", *summary);
  return kSuccess;
}

CLI::App* add_architecture(CLI::App& parent, std::function<int()>& run, Architecture architecture) {
  CLI::App* app = parent.add_subcommand(architecture.name, architecture.summary)->group("Architectures");
  auto request = std::make_shared<Request>();
  app->add_option("-o,--output", request->output, "the ONNX file to write")->type_name("FILE");
  add_seed(*app, request->options.seed, "of the random weights");
  app->add_option("--opset", request->options.opset, "version of the operator set, 13 to 21")
      ->capture_default_str();
  app->add_option("--sample-data", request->sample_file,
                  architecture.takes_texts ? "also write a small task to learn: arrays, .npz, or texts, .tsv"
                                           : "also write a small task to learn: a file .npz, or a folder for pictures")
      ->type_name("FILE");
  if (architecture.takes_texts)
    app->add_option("--sample-vocab", request->sample_vocabulary, "the vocabulary of these texts")->type_name("FILE");
  app->add_option("--samples", request->samples, "samples of that task")->capture_default_str();
  app->callback([&run, request, architecture = std::move(architecture)] {
    run = [request, architecture] { return run_request(architecture, *request); };
  });
  return app;
}

void add_size(CLI::App* app, const std::string& flag, int64_t& value, const std::string& meaning) {
  app->add_option(flag, value, meaning)->capture_default_str();
}

std::optional<int64_t> parse_number(std::string_view text) {
  int64_t number = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
  if (error != std::errc() || end != text.data() + text.size()) return std::nullopt;
  return number;
}

// "HxW", or "N" for NxN.
Status parse_image_size(std::string_view text, ImageClassifierOptions& image) {
  size_t by = text.find('x');
  std::optional<int64_t> height = parse_number(text.substr(0, by));
  std::optional<int64_t> width = by == std::string_view::npos ? height : parse_number(text.substr(by + 1));
  if (!height || !width)
    return invalid_input(fmt::format("image size '{}' is neither a number nor HxW", text));
  image.height = *height;
  image.width = *width;
  return {};
}

// "128x443,64": 443 layers of 128 units and one of 64.
Result<std::vector<int64_t>> parse_layers(std::string_view text) {
  std::vector<int64_t> hidden;
  while (!text.empty()) {
    size_t comma = text.find(',');
    std::string_view item = text.substr(0, comma);
    size_t by = item.find('x');
    std::optional<int64_t> units = parse_number(item.substr(0, by));
    std::optional<int64_t> count = by == std::string_view::npos ? 1 : parse_number(item.substr(by + 1));
    if (!units || !count)
      return invalid_input(fmt::format("layers '{}' are neither UNITS nor UNITSxCOUNT", item));
    if (*count < 0 || *count > kMostLayers - static_cast<int64_t>(hidden.size())) {
      return invalid_input(fmt::format("'{}' makes more than {} layers or fewer than 0", item, kMostLayers));
    }
    hidden.insert(hidden.end(), static_cast<size_t>(*count), *units);
    text = comma == std::string_view::npos ? std::string_view() : text.substr(comma + 1);
  }
  return hidden;
}

struct NamedActivation {
  std::string_view name;
  LayerActivation activation;
};
constexpr std::array<NamedActivation, 6> kActivations = {{{"relu", LayerActivation::kRelu},
                                                          {"leaky-relu", LayerActivation::kLeakyRelu},
                                                          {"tanh", LayerActivation::kTanh},
                                                          {"sigmoid", LayerActivation::kSigmoid},
                                                          {"gelu", LayerActivation::kGelu},
                                                          {"none", LayerActivation::kNone}}};

// `no activation 'than', did you mean 'tanh'? There are relu, tanh, ...`
std::string unknown_name(std::string_view kind, std::string_view word,
                         std::span<const std::string_view> candidates) {
  std::string name = nearest(word, candidates);
  std::string hint = name.empty() ? "." : fmt::format(", did you mean '{}'?", name);
  return fmt::format("no {} '{}'{} There are {}.", kind, word, hint, fmt::join(candidates, ", "));
}

Result<LayerActivation> parse_activation(std::string_view text) {
  std::vector<std::string_view> names;
  for (const NamedActivation& row : kActivations) {
    if (row.name == text) return row.activation;
    names.push_back(row.name);
  }
  return invalid_input(unknown_name("activation", text, names));
}

struct MlpFlags {
  MlpOptions mlp;
  std::string layers;
  std::vector<int64_t> units;
  std::optional<int64_t> depth;  // as many as there are units where not given
  std::string activation = "relu";
};

Result<MlpOptions> resolve(const MlpFlags& flags) {
  MlpOptions mlp = flags.mlp;
  mlp.activation = TRY(parse_activation(flags.activation));
  if (!flags.layers.empty()) {
    mlp.hidden = TRY(parse_layers(flags.layers));
    return mlp;
  }
  if (!flags.units.empty()) mlp.hidden = flags.units;
  if (!flags.depth) return mlp;
  if (*flags.depth < 0 || *flags.depth > kMostLayers) {
    return invalid_input(fmt::format("depth is {}, it must be 0 to {}", *flags.depth, kMostLayers));
  }
  if (flags.units.empty()) mlp.hidden = {mlp.hidden.front()};
  auto depth = static_cast<size_t>(*flags.depth);
  if (flags.units.size() > depth) {
    return invalid_input(
        fmt::format("depth {} is less than the {} layers of --units", depth, flags.units.size()));
  }
  mlp.hidden.resize(depth, mlp.hidden.back());
  return mlp;
}

void add_mlp(CLI::App& parent, std::function<int()>& run) {
  auto flags = std::make_shared<MlpFlags>();
  CLI::App* app = add_architecture(parent, run,
                                   {"mlp", "Dense layers with an activation, any number of any width",
                                    [flags](const TemplateOptions& options) -> Result<OnnxWriter> {
                                      return make_mlp(TRY(resolve(*flags)), options);
                                    },
                                    [flags](int64_t samples, uint64_t seed) -> Result<NamedTensors> {
                                      return vector_samples(TRY(resolve(*flags)), samples, seed);
                                    }});
  add_size(app, "--inputs", flags->mlp.inputs, "numbers of an input");
  CLI::Option* layers =
      app->add_option("--layers", flags->layers, "hidden layers, as 128x443 or 256,128x3,64");
  app->add_option("--units", flags->units, "units of each hidden layer [128,64]")
      ->delimiter(',')
      ->excludes(layers);
  app->add_option("--depth", flags->depth, "number of hidden layers; the last width is repeated")
      ->excludes(layers);
  app->add_option("--activation", flags->activation, "relu, leaky-relu, tanh, sigmoid, gelu or none")
      ->capture_default_str();
  add_size(app, "--outputs", flags->mlp.outputs, "numbers of an output");
  app->add_flag("--softmax", flags->mlp.softmax, "end in Softmax instead of logits");
}

struct ImageFlags {
  ImageClassifierOptions image;
  std::string size;
};

Result<ImageClassifierOptions> resolve(const ImageFlags& flags) {
  ImageClassifierOptions image = flags.image;
  TRY(parse_image_size(flags.size, image));
  return image;
}

using MakeImageModel =
    std::function<Result<OnnxWriter>(const ImageClassifierOptions&, const TemplateOptions&)>;

void add_image_classifier(CLI::App& parent, std::function<int()>& run, const std::string& name,
                          const std::string& summary, int64_t size, int64_t classes, MakeImageModel make) {
  auto flags = std::make_shared<ImageFlags>();
  flags->size = std::to_string(size);
  flags->image.classes = classes;
  CLI::App* app = add_architecture(
      parent, run,
      {name, summary,
       [flags, make = std::move(make)](const TemplateOptions& options) -> Result<OnnxWriter> {
         return make(TRY(resolve(*flags)), options);
       },
       [flags](int64_t samples, uint64_t seed) -> Result<NamedTensors> {
         return image_samples(TRY(resolve(*flags)), samples, seed);
       }});
  app->add_option("--image-size", flags->size, "height and width, as 128 or 96x128")
      ->type_name("HxW")
      ->capture_default_str();
  add_size(app, "--channels", flags->image.channels, "channels of an image");
  add_size(app, "--classes", flags->image.classes, "classes to tell apart");
}

void add_image_classifiers(CLI::App& parent, std::function<int()>& run) {
  add_image_classifier(parent, run, "cnn",
                       "Conv32-Pool-Conv64-Pool-Dense128-Dense-Softmax for images of any size", 128, 10,
                       make_cnn);
  for (int64_t depth : {8, 18, 50}) {
    bool small = depth == 8;
    std::string summary = small ? "Residual net of 8 layers, for images as small as CIFAR's"
                                : fmt::format("Residual net of {} layers, as for ImageNet", depth);
    add_image_classifier(parent, run, fmt::format("resnet{}", depth), summary, small ? 32 : 224,
                         small ? 10 : 1000,
                         [depth](const ImageClassifierOptions& image, const TemplateOptions& options) {
                           return make_resnet(depth, image, options);
                         });
  }
  add_image_classifier(parent, run, "mobilenet-v2", "Inverted residuals with depthwise convolutions, width 1",
                       224, 1000, make_mobilenet_v2);
}

void add_bert(CLI::App& parent, std::function<int()>& run, bool classifier) {
  auto bert = std::make_shared<BertOptions>();
  CLI::App* app = add_architecture(parent, run,
                                   {classifier ? "bert-classifier" : "bert-encoder",
                                    classifier ? "BERT with a classifier of the first token"
                                               : "BERT giving hidden states and a pooled vector",
                                    [bert, classifier](const TemplateOptions& options) {
                                      return classifier ? make_bert_classifier(*bert, options)
                                                        : make_bert_encoder(*bert, options);
                                    },
                                    [bert, classifier](int64_t samples, uint64_t seed) {
                                      return token_samples(*bert, samples, seed, classifier);
                                    },
                                    true});
  add_size(app, "--layers", bert->layers, "transformer layers");
  add_size(app, "--hidden", bert->hidden, "width of the hidden states");
  add_size(app, "--heads", bert->heads, "attention heads; they divide hidden");
  app->add_option("--intermediate", bert->intermediate,
                  "width inside the feed-forward part [4 * hidden]")
      ->check(CLI::PositiveNumber);
  add_size(app, "--vocab", bert->vocabulary, "tokens of the vocabulary");
  add_size(app, "--max-positions", bert->max_positions, "longest sequence");
  add_size(app, "--type-vocab", bert->type_vocabulary, "kinds of segments");
  if (classifier) add_size(app, "--labels", bert->labels, "classes to tell apart");
}

void add_dcgan(CLI::App& parent, std::function<int()>& run, bool generator) {
  auto dcgan = std::make_shared<DcganOptions>();
  CLI::App* app = add_architecture(parent, run,
                                   {generator ? "dcgan-generator" : "dcgan-discriminator",
                                    generator ? "Images from random vectors, by transposed convolutions"
                                              : "Tells real images from generated ones",
                                    [dcgan, generator](const TemplateOptions& options) {
                                      return generator ? make_dcgan_generator(*dcgan, options)
                                                       : make_dcgan_discriminator(*dcgan, options);
                                    },
                                    [dcgan, generator](int64_t samples, uint64_t seed) {
                                      return generator ? latent_samples(*dcgan, samples, seed)
                                                       : discriminator_samples(*dcgan, samples, seed);
                                    }});
  add_size(app, "--image-size", dcgan->image_size, "height and width, 28 to 128");
  add_size(app, "--channels", dcgan->channels, "channels of an image");
  add_size(app, "--features", dcgan->features,
           "channels at half the image size; they double with each halving");
  add_size(app, "--classes", dcgan->classes,
           "of pictures, which an input `label` chooses from; 0: no such input");
  if (generator)
    add_size(app, "--latent", dcgan->latent, "numbers of an input vector");
  else
    app->add_flag("--sigmoid", dcgan->sigmoid, "end in a probability instead of a logit");
}

// The end of a command line that names no architecture we know.
int explain_usage(const CLI::App& command, const std::vector<std::string>& words) {
  std::vector<std::string> names;
  for (const CLI::App* architecture : command.get_subcommands({})) names.push_back(architecture->get_name());
  std::vector<std::string_view> candidates(names.begin(), names.end());
  return report(invalid_input(
      words.empty() ? fmt::format("gannet new: which architecture? There are {}.", fmt::join(candidates, ", "))
                    : "gannet new: " + unknown_name("architecture", words.front(), candidates)));
}

}  // namespace

CLI::App* add_new_command(CLI::App& app, std::function<int()>& run) {
  CLI::App* command = app.add_subcommand("new", "Write an ONNX model with random weights from a template.");
  add_bert(*command, run, true);
  add_bert(*command, run, false);
  add_image_classifiers(*command, run);
  add_dcgan(*command, run, true);
  add_dcgan(*command, run, false);
  add_mlp(*command, run);
  // Only now, so that the architectures do not inherit it: a word that names none of them is explained by us.
  command->allow_extras();
  command->footer(
      "`gannet new ARCH --help` lists the flags of one.\n\nExample: gannet new mlp --layers 128x443 -o "
      "chain.onnx");
  command->callback([command, &run] {
    if (!command->get_subcommands().empty()) return;
    std::vector<std::string> words = command->remaining();
    if (!words.empty() && words.front().starts_with('-')) throw CLI::ExtrasError(command->get_name(), words);
    run = [command, words] { return explain_usage(*command, words); };
  });
  return command;
}

}  // namespace gannet
