#include "tools/driver/generate_arguments.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "tools/driver/command.h"
#include "tools/driver/compile.h"
#include "tools/driver/row_flags.h"

namespace gannet {

namespace {

void add_latent_flags(CLI::App& command, GenerateArguments& a) {
  command
      .add_option("-n,--count", a.count,
                  "pictures [64]; of each class with --class [8]; lines with --interpolate [1]")
      ->check(CLI::Range(1, 10'000'000));
  add_seed(command, a.seed, "of the latents");
  command.add_option("--grid", a.grid, "all pictures beside each other")->type_name("FILE.png");
}

void add_more_latent_flags(CLI::App& command, GenerateArguments& a) {
  command.add_option("--gif", a.gif, "an animation")->type_name("FILE.gif");
  command
      .add_option("--class", a.classes,
                  "classes, one a line of the grid: 'all' or numbers such as 3,5 [taking turns]")
      ->type_name("LIST");
  command.add_option("--interpolate", a.interpolate, "from the latents of one seed to those of another")
      ->type_name("SEED SEED")
      ->expected(2);
  command.add_option("--steps", a.steps, "pictures of an interpolation")
      ->check(CLI::Range(2, 10'000))
      ->capture_default_str();
  add_generator_flags(command, a.generator, kMoreFlags);
}

void add_drawing_flags(CLI::App& command, GenerateArguments& a) {
  command.add_option("--columns", a.columns, "of the grid [a square]")
      ->check(CLI::Range(1, 10'000))
      ->group(kMoreFlags);
  command.add_option("--delay", a.delay_ms, "milliseconds between the pictures of an animation")
      ->check(CLI::Range(10, 600'000))
      ->capture_default_str()
      ->group(kMoreFlags);
}

void add_picture_flags(CLI::App& command, GenerateArguments& arguments) {
  ImageToImageArguments& a = arguments.image_to_image;
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

void add_generate_flags(CLI::App& command, GenerateArguments& a) {
  add_model_arguments(command, a.model.model);
  collect_flags(command, a.of_latents, [&] { add_latent_flags(command, a); });
  command.add_option("-o,--output", a.output, "a folder of pictures, or the values as FILE.npy")
      ->type_name("PATH");
  collect_flags(command, a.of_latents, [&] { add_more_latent_flags(command, a); });
  a.of_latents.erase("--output-range");
  command
      .add_option("--image", a.images,
                  "make pictures of these, with a model that takes pictures (repeatable)")
      ->type_name("FILE")
      ->take_all();
  collect_flags(command, a.of_pictures, [&] { add_picture_flags(command, a); });
  add_threads(command, a.model.threads);
  collect_flags(command, a.of_latents, [&] { add_drawing_flags(command, a); });
  const std::vector<CLI::Option*> before = command.get_options(nullptr);
  add_backend_argument(command, a.model.backend);
  add_compile_arguments(command, a.model.compile);
  for (CLI::Option* option : command.get_options(nullptr)) {
    if (std::ranges::find(before, option) == before.end()) option->group(kMoreFlags);
  }
}

Status check_generate_flags(const GenerateArguments& arguments) {
  const bool of_pictures = !arguments.images.empty();
  for (const std::string& flag : arguments.given) {
    if (of_pictures && arguments.of_latents.contains(flag))
      return invalid_input(flag + " is for pictures from random numbers, --image makes pictures of pictures");
    if (!of_pictures && arguments.of_pictures.contains(flag))
      return invalid_input(flag + " is for pictures of pictures, which --image names");
  }
  const auto given = [&](const char* flag) { return arguments.given.contains(flag); };
  if (given("--seed") && given("--interpolate"))
    return invalid_input("--seed does not go together with --interpolate, which has two seeds of its own");
  if (given("--steps") && !given("--interpolate"))
    return invalid_input("--steps are those of --interpolate, which is not given");
  if (given("--columns") && !given("--grid"))
    return invalid_input("--columns are those of --grid, which is not given");
  if (given("--delay") && !given("--gif"))
    return invalid_input("--delay is that of --gif, which is not given");
  if (!of_pictures && arguments.grid.empty() && arguments.gif.empty() && arguments.output.empty())
    return invalid_input("give --grid FILE.png, --gif FILE.gif, -o FOLDER or -o FILE.npy");
  if (of_pictures && arguments.output.empty())
    return invalid_input("--image needs -o: a file, or a folder for several pictures");
  return {};
}

}  // namespace gannet
