#include "tools/driver/augment_command.h"

#include <CLI/CLI.hpp>
#include <fmt/format.h>

#include <algorithm>
#include <filesystem>

#include "runtime/data/augment/augmentation.h"
#include "runtime/data/image_grid.h"
#include "tools/deploy/arguments.h"
#include "tools/deploy/image_arguments.h"
#include "tools/deploy/output_path.h"
#include "tools/driver/command.h"

namespace gannet {

namespace {

struct AugmentArguments {
  std::vector<std::string> paths;
  std::string augmentation = "none", preview;
  int64_t pictures = 8, columns = 8;
  bool list = false;
  uint64_t seed = 0;
  ImageArguments image;
};

// Pictures that are named, or in folders that are and below; of these as many as wanted, evenly spread.
Result<std::vector<std::string>> find_pictures(const AugmentArguments& arguments) {
  namespace fs = std::filesystem;
  std::vector<std::string> files;
  for (const std::string& path : arguments.paths) {
    std::error_code error;
    if (!fs::is_directory(path, error)) {
      files.push_back(path);
      continue;
    }
    std::vector<std::string> found;
    for (fs::recursive_directory_iterator it(path, error), end; !error && it != end; it.increment(error)) {
      if (is_image_name(it->path().string()) && it->is_regular_file()) found.push_back(it->path().string());
    }
    if (error) return io_error(fmt::format("{}: {}", path, error.message()));
    if (found.empty()) return invalid_input(fmt::format("{}: holds no pictures", path));
    std::ranges::sort(found);
    files.insert(files.end(), found.begin(), found.end());
  }
  const auto count = static_cast<int64_t>(files.size()), wanted = std::min(arguments.pictures, count);
  std::vector<std::string> chosen;
  for (int64_t i = 0; i < wanted; ++i) chosen.push_back(files[static_cast<size_t>(i * count / wanted)]);
  return chosen;
}

// What the preview takes for so many pictures a column, the largest of which has this size: it is held in memory as a whole.
Status check_preview(size_t rows, PictureSize cell, const AugmentArguments& arguments) {
  constexpr int64_t kGap = 2;
  const int64_t height = static_cast<int64_t>(rows) * (cell.height + kGap), width = arguments.columns * (cell.width + kGap);
  if (height <= kMaxImagePixels / width) return {};
  return invalid_input(fmt::format("--preview: {} columns of {} pictures of {} x {} are {} x {} pixels, more than {} in all; "
                                   "give fewer --columns or --pictures, or a smaller --image-size",
                                   arguments.columns, rows, cell.height, cell.width, height, width, kMaxImagePixels));
}

// The pictures, as far as a preview of them can be made.
Result<std::vector<Image>> read_originals(const std::vector<std::string>& files, const ImageOptions& options,
                                          const AugmentArguments& arguments) {
  std::vector<Image> originals;
  PictureSize largest = {options.height, options.width};
  TRY(check_preview(files.size(), largest, arguments));
  for (const std::string& file : files) {
    originals.push_back(TRY(read_image(file)));
    if (options.height == 0) largest.height = std::max(largest.height, originals.back().height);
    if (options.width == 0) largest.width = std::max(largest.width, originals.back().width);
    TRY(check_preview(files.size(), largest, arguments));
  }
  return originals;
}

// One version of all pictures, as one epoch would see them.
Result<std::vector<Image>> version_of(const std::vector<Image>& originals, const Augmentation& augmentation,
                                      const ImageOptions& options, uint64_t seed, int64_t epoch) {
  std::vector<Image> images;
  for (size_t i = 0; i < originals.size(); ++i) {
    const Image& original = originals[i];
    const PictureSize size = {options.height > 0 ? options.height : original.height,
                              options.width > 0 ? options.width : original.width};
    Image image = augmentation.resizes() ? original : TRY(fit_image(original, options));
    Random random = augment_random(seed, epoch, static_cast<int64_t>(i));
    augmentation.apply(image, size, random);
    images.push_back(std::move(image));
  }
  if (augmentation.mixing().empty()) return images;
  const bool one_size = std::ranges::all_of(images, [&](const Image& image) {
    return image.height == images[0].height && image.width == images[0].width;
  });
  if (!one_size) return invalid_input("mixup and cutmix take pictures of one size: give --image-size HxW");
  Tensor targets = Tensor::zeros(DType::kF32, {static_cast<int64_t>(images.size()), 1});
  Random random = mixing_random(seed, epoch, 0);
  for (Image& image : images) image = with_channels(image, 3);
  mix_batch(images, targets, augmentation.mixing(), random);
  return images;
}

Status augment(const AugmentArguments& arguments) {
  if (arguments.list) {
    for (const AugmentHelp& help : augmentations()) fmt::print("{:<34} {}\n", help.usage, help.meaning);
    return {};
  }
  const Augmentation augmentation = TRY(Augmentation::parse(arguments.augmentation));
  if (arguments.paths.empty() || arguments.preview.empty())
    return invalid_input("give pictures or folders of them, and --preview FILE.png");
  TRY(check_outputs({arguments.preview}, arguments.paths));
  const ImageOptions options = TRY(image_options_of(arguments.image));
  const std::vector<Image> originals = TRY(read_originals(TRY(find_pictures(arguments)), options, arguments));
  std::vector<Image> cells;
  std::vector<std::vector<Image>> columns;
  std::vector<Image> fitted;
  for (const Image& image : originals) fitted.push_back(TRY(fit_image(image, options)));
  columns.push_back(std::move(fitted));
  for (int64_t epoch = 0; epoch + 1 < arguments.columns; ++epoch)
    columns.push_back(TRY(version_of(originals, augmentation, options, arguments.seed, epoch)));
  for (size_t row = 0; row < originals.size(); ++row) {
    for (const std::vector<Image>& column : columns) cells.push_back(column[row]);
  }
  TRY(write_png(arguments.preview, image_grid(cells, arguments.columns)));
  fmt::print("wrote {}: {} pictures as they are, then {} times after {}\n", arguments.preview,
             originals.size(), arguments.columns - 1, augmentation.text());
  return {};
}

}  // namespace

CLI::App* add_augment_command(CLI::App& app, std::function<int()>& run) {
  auto arguments = std::make_shared<AugmentArguments>();
  CLI::App* command = add_command(app, "augment", "Show what an augmentation makes of pictures.",
                                  "gannet augment train/ --augment flip,crop=4,color=0.2 --preview grid.png",
                                  run, [arguments] { return augment(*arguments); });
  command->add_option("PICTURES", arguments->paths, "pictures, or folders of them");
  command->add_option("--augment", arguments->augmentation, "what to do, such as flip,crop=4,randaugment=2:9")
      ->type_name("LINE")
      ->capture_default_str();
  command
      ->add_option("--preview", arguments->preview, "a grid: each picture in a row, the first one as it is")
      ->type_name("FILE.png");
  command->add_option("--pictures", arguments->pictures, "at most so many, spread over all")
      ->capture_default_str()
      ->check(CLI::Range(1, 1000));
  command->add_option("--columns", arguments->columns, "of the grid")
      ->capture_default_str()
      ->check(CLI::Range(2, 1000));
  command->add_flag("--list", arguments->list, "print every augmentation with its numbers");
  add_seed(*command, arguments->seed, "of the augmentation");
  add_image_arguments(*command, arguments->image, kMoreFlags);
  add_help_all(*command);
  return command;
}

}  // namespace gannet
