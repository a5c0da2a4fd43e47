#include "tools/driver/generate_command.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <filesystem>
#include <memory>
#include <numeric>
#include <set>

#include "runtime/data/image_gif.h"
#include "runtime/data/image_grid.h"
#include "runtime/data/npy.h"
#include "tools/driver/command.h"
#include "tools/driver/compile.h"
#include "tools/driver/generator.h"
#include "tools/driver/image_to_image.h"

namespace gannet {

namespace {

struct GenerateArguments {
  RunnableOptions model;
  GeneratorArguments generator;
  ImageToImageArguments image_to_image;
  std::optional<int64_t> count;
  uint64_t seed = 0;
  std::vector<uint64_t> interpolate;
  int64_t steps = 8, columns = 0, delay_ms = 100;
  std::string classes, grid, gif, output;
  std::vector<std::string> images;
};

// What is to be made: `rows` lines of `columns` pictures that belong together, or with 0 columns just
// pictures.
struct Plan {
  std::vector<GeneratorRow> pictures;
  int64_t columns = 0;
};

// --class: "all", or numbers between commas.
Result<std::vector<int64_t>> wanted_classes(const Generator& generator, const std::string& text) {
  std::vector<int64_t> classes;
  if (text.empty()) return classes;
  if (!generator.has_classes())
    return invalid_input(fmt::format("{}: has no class, which --class asks for", generator.model().path));
  if (text == "all") {
    if (generator.classes() == 0)
      return invalid_input(fmt::format("{}: does not say how many classes it has: give --class 0,1,2",
                                       generator.model().path));
    classes.resize(static_cast<size_t>(generator.classes()));
    std::iota(classes.begin(), classes.end(), 0);
    return classes;
  }
  for (const Dim& dim : TRY(parse_extents(text))) {
    if (!dim.is_constant())
      return invalid_input(fmt::format("--class takes numbers or 'all', got '{}'", text));
    classes.push_back(dim.constant());
  }
  return classes;
}

// Lines from the latent of one seed to that of the other; their classes take turns.
Plan interpolation(const Generator& generator, const GenerateArguments& arguments,
                   const std::vector<int64_t>& classes) {
  Plan plan;
  plan.columns = arguments.steps;
  const int64_t lines = arguments.count.value_or(std::max<int64_t>(static_cast<int64_t>(classes.size()), 1));
  for (int64_t line = 0; line < lines; ++line) {
    const std::vector<float> from = generator.draw(arguments.interpolate[0], line),
                             to = generator.draw(arguments.interpolate[1], line);
    for (int64_t step = 0; step < arguments.steps; ++step) {
      const double share =
          static_cast<double>(step) / static_cast<double>(std::max<int64_t>(arguments.steps - 1, 1));
      GeneratorRow row{interpolate_latents(from, to, share, generator.latents().uniform), 0};
      if (!classes.empty()) row.label = classes[static_cast<size_t>(line) % classes.size()];
      plan.pictures.push_back(std::move(row));
    }
  }
  return plan;
}

Result<Plan> plan_of(const Generator& generator, const GenerateArguments& arguments) {
  const std::vector<int64_t> classes = TRY(wanted_classes(generator, arguments.classes));
  if (generator.has_classes() && classes.empty() && generator.classes() == 0)
    return invalid_input(fmt::format("{}: makes pictures of a class: give --class", generator.model().path));
  if (!arguments.interpolate.empty()) return interpolation(generator, arguments, classes);
  Plan plan;
  constexpr int64_t kUsual = 64, kUsualOfClass = 8;
  const int64_t count = arguments.count.value_or(classes.empty() ? kUsual : kUsualOfClass);
  const int64_t turns = std::max<int64_t>(static_cast<int64_t>(classes.size()), 1);
  if (!classes.empty()) plan.columns = count;
  for (int64_t turn = 0; turn < turns; ++turn) {
    for (int64_t i = 0; i < count; ++i) {
      const int64_t any = generator.classes() > 0 ? i % generator.classes() : 0;
      plan.pictures.push_back(
          {generator.draw(arguments.seed, i), classes.empty() ? any : classes[static_cast<size_t>(turn)]});
    }
  }
  return plan;
}

Status make_folder(const std::string& path) {
  std::error_code error;
  std::filesystem::create_directories(path, error);
  if (error) return io_error(fmt::format("{}: {}", path, error.message()));
  return {};
}

// A picture each; of a generator with classes in a folder for each, as training takes them.
Status write_pictures(const std::string& folder, const std::vector<Image>& images, const Plan& plan,
                      bool by_class) {
  TRY(make_folder(folder));
  std::set<int64_t> seen;
  for (size_t i = 0; i < images.size(); ++i) {
    const int64_t label = plan.pictures[i].label;
    const std::string place = by_class ? fmt::format("{}/{}", folder, label) : folder;
    if (by_class && seen.insert(label).second) TRY(make_folder(place));
    TRY(write_png(fmt::format("{}/{:05}.png", place, i), images[i]));
  }
  return {};
}

// With an interpolation each frame is one step of all lines, there and back; else each picture is a frame.
Status write_animation(const std::vector<Image>& images, const Plan& plan,
                       const GenerateArguments& arguments) {
  GifOptions options;
  options.delay_ms = arguments.delay_ms;
  if (arguments.interpolate.empty()) return write_gif(arguments.gif, images, options);
  std::vector<Image> frames;
  const auto columns = static_cast<size_t>(plan.columns);
  for (size_t step = 0; step < columns; ++step) {
    std::vector<Image> cells;
    for (size_t i = step; i < images.size(); i += columns) cells.push_back(images[i]);
    frames.push_back(image_grid(cells, square_columns(static_cast<int64_t>(cells.size()))));
  }
  for (size_t step = columns; step-- > 1;) {
    if (step + 1 < columns) frames.push_back(frames[step]);
  }
  return write_gif(arguments.gif, frames, options);
}

Status generate_pictures(const GenerateArguments& arguments) {
  for (const std::string& file : {arguments.grid, arguments.gif}) {
    if (!file.empty()) TRY(check_output_path(file));
  }
  const bool array = arguments.output.ends_with(".npy");
  if (array) TRY(check_output_path(arguments.output));
  Generator generator = TRY(Generator::load(arguments.model, arguments.generator));
  fmt::print("{}: {}\n", printable(arguments.model.model.path), printable(generator.description()));
  const Plan plan = TRY(plan_of(generator, arguments));
  const Tensor output = TRY(generator.run(plan.pictures));
  const size_t count = plan.pictures.size();
  if (array) {
    TRY(write_npy(arguments.output, output));
    fmt::print("wrote {}: {}\n", arguments.output, type_string(output));
    if (arguments.grid.empty() && arguments.gif.empty()) return {};
  }
  const std::vector<Image> images = TRY(generator.images(output));
  for (const std::string& note : generator.notes()) fmt::print("{}\n", printable(note));
  if (!array && !arguments.output.empty()) {
    const bool single = arguments.output.ends_with(".png") && count == 1;
    TRY(single ? write_png(arguments.output, images[0])
               : write_pictures(arguments.output, images, plan, generator.has_classes()));
    fmt::print("wrote {}: {} picture{}\n", arguments.output, count, count == 1 ? "" : "s");
  }
  if (!arguments.grid.empty()) {
    int64_t columns = arguments.columns > 0 ? arguments.columns : plan.columns;
    if (columns == 0) columns = square_columns(static_cast<int64_t>(count));
    TRY(write_png(arguments.grid, image_grid(images, columns)));
    fmt::print("wrote {}: a grid of {} pictures\n", arguments.grid, count);
  }
  if (!arguments.gif.empty()) {
    TRY(write_animation(images, plan, arguments));
    fmt::print("wrote {}: an animation\n", arguments.gif);
  }
  return {};
}

Status convert_pictures(const GenerateArguments& arguments) {
  const bool single = arguments.images.size() == 1;
  if (arguments.output.empty())
    return invalid_input("--image needs -o: a file, or a folder for several pictures");
  if (single) TRY(check_output_path(arguments.output));
  if (!single) TRY(make_folder(arguments.output));
  ImageToImageArguments settled = arguments.image_to_image;
  settled.output_range = arguments.generator.range;
  const ImageToImage model = TRY(ImageToImage::load(arguments.model, settled));
  fmt::print("{}: {}\n", printable(arguments.model.model.path), printable(model.description()));
  for (const std::string& file : arguments.images) {
    const Image image = TRY(read_image(file));
    Result<ImageToImage::Output> output = model.run(image);
    if (!output.ok()) return with_prefix(file + ": ", output.error());
    const std::string stem = std::filesystem::path(file).stem().string();
    const std::string path = single ? arguments.output : fmt::format("{}/{}.png", arguments.output, stem);
    TRY(path.ends_with(".npy") ? write_npy(path, output->values) : write_png(path, output->picture));
    fmt::print("wrote {}: {} x {} from {} x {}", path, output->picture.height, output->picture.width,
               image.height, image.width);
    fmt::print("{}\n", output->parts > 1 ? fmt::format(", in {} parts", output->parts) : "");
  }
  return {};
}

Status generate(GenerateArguments& arguments) {
  arguments.model.inference_form = true;
  if (!arguments.images.empty()) return convert_pictures(arguments);
  if (arguments.grid.empty() && arguments.gif.empty() && arguments.output.empty())
    return invalid_input("give --grid FILE.png, --gif FILE.gif, -o FOLDER or -o FILE.npy");
  return generate_pictures(arguments);
}

void add_image_to_image_flags(CLI::App& command, GenerateArguments& arguments) {
  ImageToImageArguments& a = arguments.image_to_image;
  command
      .add_option("--image", arguments.images,
                  "make pictures of these, with a model that takes pictures (repeatable)")
      ->type_name("FILE")
      ->take_all();
  command
      .add_option("--input-range", a.input_range,
                  "values of black and white in the input [told by the model, else 0..1]")
      ->type_name("LOW..HIGH");
  command
      .add_option("--tile", a.tile, "side of the parts in which a model of any size gets a picture [whole]")
      ->check(CLI::Range(8, 65'535))
      ->group(kMoreFlags);
  command.add_option("--overlap", a.overlap, "what neighbouring parts have in common [an eighth]")
      ->check(CLI::Range(0, 65'535))
      ->group(kMoreFlags);
  add_image_arguments(command, a.image, kMoreFlags);
}

}  // namespace

CLI::App* add_generate_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<GenerateArguments>();
  GenerateArguments& a = *arguments;
  CLI::App* command = add_command(app, "generate", "Make pictures with a generator, or of pictures.",
                                  "gannet generate generator.onnx -n 64 --seed 1 --grid grid.png", run,
                                  [arguments] { return generate(*arguments); });
  add_model_arguments(*command, a.model.model);
  command
      ->add_option("-n,--count", a.count,
                   "pictures [64]; of each class with --class [8]; lines with --interpolate [1]")
      ->check(CLI::Range(1, 10'000'000));
  add_seed(*command, a.seed, "of the latents");
  command->add_option("--grid", a.grid, "all pictures beside each other")->type_name("FILE.png");
  command->add_option("-o,--output", a.output, "a folder of pictures, or the values as FILE.npy")
      ->type_name("PATH");
  command->add_option("--gif", a.gif, "an animation")->type_name("FILE.gif");
  command
      ->add_option("--class", a.classes,
                   "classes, one a line of the grid: 'all' or numbers such as 3,5 [taking turns]")
      ->type_name("LIST");
  command->add_option("--interpolate", a.interpolate, "from the latents of one seed to those of another")
      ->type_name("SEED SEED")
      ->expected(2);
  command->add_option("--steps", a.steps, "pictures of an interpolation")
      ->check(CLI::Range(2, 10'000))
      ->capture_default_str();
  add_generator_flags(*command, a.generator, kMoreFlags);
  add_image_to_image_flags(*command, a);
  add_threads(*command, a.model.threads);
  command->add_option("--columns", a.columns, "of the grid [a square]")
      ->check(CLI::Range(1, 10'000))
      ->group(kMoreFlags);
  command->add_option("--delay", a.delay_ms, "milliseconds between the pictures of an animation")
      ->check(CLI::Range(10, 600'000))
      ->capture_default_str()
      ->group(kMoreFlags);
  const std::vector<CLI::Option*> before = command->get_options(nullptr);
  add_backend_argument(*command, a.model.backend);
  add_compile_arguments(*command, a.model.compile);
  for (CLI::Option* option : command->get_options(nullptr)) {
    if (std::ranges::find(before, option) == before.end()) option->group(kMoreFlags);
  }
  add_help_all(*command);
  return command;
}

}  // namespace gannet
