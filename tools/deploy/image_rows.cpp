#include "tools/deploy/image_rows.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <numeric>

#include "runtime/data/npy.h"
#include "runtime/training/batches.h"
#include "runtime/training/prefetch.h"
#include "tools/deploy/arguments.h"

namespace gannet {

namespace {

// A picture as it is kept: ready, or where parts of it will be cut out, not much larger than they will be.
Result<Image> prepared(const Image& image, const ImageReading& reading) {
  if (!reading.augmentation.resizes()) return fit_image(image, reading.options);
  constexpr double kRoom = 1.5;
  const double shorter = static_cast<double>(std::min(image.height, image.width));
  const double wanted = kRoom * static_cast<double>(std::max(reading.options.height, reading.options.width));
  const Image colored = with_channels(image, reading.options.channels);
  if (shorter <= wanted) return colored;
  auto scaled = [&](int64_t side) {
    return std::max<int64_t>(std::llround(static_cast<double>(side) * wanted / shorter), 1);
  };
  return resize(colored, scaled(image.height), scaled(image.width), reading.options.filter);
}

// One row of numbers for each class from class numbers.
Tensor shares_of(std::span<const int64_t> labels, int64_t classes) {
  Tensor shares = Tensor::zeros(DType::kF32, {static_cast<int64_t>(labels.size()), classes});
  for (size_t i = 0; i < labels.size(); ++i)
    shares.mutable_data<float>()[i * static_cast<size_t>(classes) + static_cast<size_t>(labels[i])] = 1;
  return shares;
}

// Class numbers of rows, made shares where pictures will be mixed.
Status set_labels(PictureRows& rows, Tensor target, int64_t classes) {
  const bool numbers = is_int(target.dtype()) && target.rank() == 1;
  if (numbers) {
    rows.class_of_row = target.ints();
    rows.groups = target;
    const auto [least, most] = std::ranges::minmax(rows.class_of_row);
    const bool mixes = !rows.reading.augmentation.mixing().empty();
    if (mixes && (least < 0 || most >= classes))
      return invalid_input(fmt::format("{}: labels are {} to {}, there are {} classes", rows.target.file,
                                       least, most, classes));
    if (mixes) target = shares_of(rows.class_of_row, classes);
  }
  rows.target.values = std::move(target);
  if (rows.reading.balanced && rows.class_of_row.empty())
    return invalid_input("--balanced-sampling needs one class for each picture");
  return {};
}

// Scans the store and keeps the rows whose pictures can be read.
Status keep_readable(PictureRows& rows, const std::string& path) {
  ImageStore& store = *rows.images.store;
  const std::vector<ImageStore::Problem> problems = store.scan(rows.reading.threads, rows.reading.strict);
  if (!problems.empty() && rows.reading.strict) return invalid_input(problems[0].text);
  for (const ImageStore::Problem& problem : problems) rows.left_out.push_back(problem.text);
  size_t next = 0;
  for (int64_t i = 0; i < store.count(); ++i) {
    if (next < problems.size() && problems[next].index == i)
      ++next;
    else
      rows.images.pictures.push_back(i);
  }
  if (rows.images.pictures.empty()) return invalid_input(fmt::format("{}: no picture can be read", path));
  return {};
}

bool is_usual(const std::string& name, std::initializer_list<const char*> usual) {
  return std::ranges::any_of(usual, [&](const char* candidate) { return name == candidate; });
}

}  // namespace

Result<std::unique_ptr<BatchSource>> PictureRows::batches(std::optional<std::span<const int64_t>> chosen,
                                                          const BatchRequest& request) const {
  auto source = std::make_shared<ImageRows>(images);
  source->target = target.values;
  source->target_of_class = target_of_class.values;
  std::vector<int64_t> numbers;
  if (chosen) {
    numbers.assign(chosen->begin(), chosen->end());
  } else {
    numbers.resize(static_cast<size_t>(rows()));
    std::iota(numbers.begin(), numbers.end(), 0);
  }
  if (request.synthetic && synthetic_beside)
    source->synthetic = synthetic_beside(static_cast<int64_t>(numbers.size()));
  ImageBatchOptions options;
  options.batch_size = request.batch_size;
  options.seed = request.seed;
  options.join_lone_row = request.join_lone_row;
  options.image = reading.options;
  options.augmentation = reading.augmentation;
  options.threads = reading.threads;
  if (reading.balanced) options.balance_by = class_of_row;
  std::unique_ptr<BatchSource> batches =
      TRY(ImageBatches::make(std::move(source), std::move(numbers), std::move(options)));
  return std::unique_ptr<BatchSource>(std::make_unique<Prefetch>(std::move(batches)));
}

Result<std::unique_ptr<PictureRows>> open_pictures(const ImageList& list, const ImageReading& reading) {
  auto rows = std::make_unique<PictureRows>();
  rows->reading = reading;
  rows->target = {list.path, "labels", {}};
  auto reader = [files = list.files, reading](int64_t index) -> Result<Image> {
    return prepared(TRY(read_image(files[static_cast<size_t>(index)])), reading);
  };
  rows->images.store = std::make_shared<ImageStore>(static_cast<int64_t>(list.files.size()),
                                                    std::move(reader), reading.cache_bytes);
  TRY(keep_readable(*rows, list.path));
  for (const int64_t picture : rows->images.pictures)
    rows->names.push_back(list.files[static_cast<size_t>(picture)]);
  Tensor target = take_rows({{"", list.target}}, rows->images.pictures)[0].second;
  TRY(set_labels(*rows, std::move(target), static_cast<int64_t>(list.classes.size())));
  return rows;
}

namespace {

// Without labels the target stays undefined.
Result<PictureArrays> find_picture_arrays(const std::string& path, const std::string& input,
                                          const std::string& target, const Limits& limits, std::string& all) {
  PictureArrays result;
  for (const auto& [name, tensor] : TRY(read_npz(path, limits))) {
    all += fmt::format("{}{} {}", all.empty() ? "" : ", ", name, type_string(tensor));
    const bool pixels = tensor.dtype() == DType::kU8 && (tensor.rank() == 3 || tensor.rank() == 4);
    if (pixels && (!result.pixels.defined() || name == input || is_usual(name, {"images", "image", "x"}))) {
      result.pixels = tensor;
    } else if (target.empty() ? is_usual(name, {"labels", "label", "targets", "target", "y"})
                              : name == target) {
      result.target = tensor;
      result.target_name = name;
    }
  }
  if (!result.pixels.defined())
    return invalid_input(fmt::format(
        "{}: holds no u8 array of pictures; it holds {}. Other arrays train without --task", path, all));
  return result;
}

}  // namespace

Result<PictureArrays> read_picture_arrays(const std::string& path, const std::string& input,
                                          const std::string& target, const Limits& limits) {
  std::string all;
  PictureArrays result = TRY(find_picture_arrays(path, input, target, limits, all));
  if (!result.target.defined())
    return invalid_input(
        fmt::format("{}: which array are the labels? give --target; it holds {}", path, all));
  if (result.target.rank() == 0 || result.target.extent(0) != result.pixels.extent(0) ||
      result.pixels.elements() == 0)
    return invalid_input(fmt::format("{}: {} pictures and labels {}", path, result.pixels.extent(0),
                                     type_string(result.target)));
  return result;
}

Result<PictureArrays> read_unlabelled_arrays(const std::string& path, const std::string& input,
                                             const std::string& target, int64_t classes,
                                             const Limits& limits) {
  std::string all;
  PictureArrays result = TRY(find_picture_arrays(path, input, target, limits, all));
  const int64_t rows = result.pixels.extent(0);
  if (result.pixels.elements() == 0) return invalid_input(fmt::format("{}: holds no pictures", path));
  const Tensor& given = result.target;
  const bool known = given.defined() && is_int(given.dtype()) && given.rank() == 1 && given.extent(0) == rows;
  std::vector<int64_t> labels(static_cast<size_t>(rows), -1);
  for (int64_t i = 0; known && i < rows; ++i) {
    const int64_t label = given.int_at(i);
    if (label >= 0 && label < classes) labels[static_cast<size_t>(i)] = label;
  }
  result.target = Tensor::of_ints(labels);
  return result;
}

Result<std::unique_ptr<PictureRows>> open_arrays(const PictureArrays& arrays, const std::string& path,
                                                 int64_t classes, const ImageReading& reading) {
  const Tensor& pixels = arrays.pixels;
  const auto is_channels = [&](int64_t axis) { return pixels.extent(axis) == 1 || pixels.extent(axis) == 3; };
  const bool planar = pixels.rank() == 4 && !is_channels(3);
  if (pixels.rank() == 4 && !is_channels(3) && !is_channels(1))
    return invalid_input(fmt::format("{}: pictures of 1 or 3 channels, not {}", path, type_string(pixels)));
  Image like{pixels.extent(planar ? 2 : 1),
             pixels.extent(planar ? 3 : 2),
             pixels.rank() == 3 ? 1 : pixels.extent(planar ? 1 : 3),
             {}};
  auto reader = [pixels, planar, like, reading](int64_t index) -> Result<Image> {
    Image image = like;
    const int64_t size = pixels.elements() / pixels.extent(0), area = like.height * like.width;
    const uint8_t* from = pixels.data<uint8_t>().data() + index * size;
    image.pixels.assign(from, from + size);
    for (int64_t i = 0; planar && i < area; ++i) {
      for (int64_t c = 0; c < like.channels; ++c)
        image.pixels[static_cast<size_t>(i * like.channels + c)] = from[c * area + i];
    }
    return prepared(image, reading);
  };
  auto rows = std::make_unique<PictureRows>();
  rows->reading = reading;
  rows->target = {path, arrays.target_name, {}};
  rows->images.store = std::make_shared<ImageStore>(pixels.extent(0), std::move(reader), reading.cache_bytes);
  TRY(keep_readable(*rows, path));
  for (const int64_t picture : rows->images.pictures) rows->names.push_back(fmt::format("row {}", picture));
  TRY(set_labels(*rows, arrays.target, classes));
  return rows;
}

void add_synthetic(PictureRows& rows, int64_t classes, std::function<SyntheticRows(int64_t files)> beside) {
  std::vector<int64_t> numbers(static_cast<size_t>(classes));
  std::iota(numbers.begin(), numbers.end(), 0);
  const bool shares = rows.target.values.rank() == 2;
  rows.target_of_class = {"--synthetic", "classes",
                          shares ? shares_of(numbers, classes) : Tensor::of_ints(numbers)};
  rows.synthetic_beside = std::move(beside);
}

std::string left_out_text(const PictureRows& rows) {
  constexpr size_t kShown = 10;
  const size_t count = rows.left_out.size();
  if (count == 0) return "";
  std::string text = fmt::format("{}: {} of {} pictures cannot be read and are left out\n",
                                 printable(rows.target.file), count, rows.images.store->count());
  for (size_t i = 0; i < std::min(count, kShown); ++i)
    text += fmt::format("  {}\n", printable(rows.left_out[i]));
  return count > kShown ? fmt::format("{}  and {} more\n", text, count - kShown) : text;
}

}  // namespace gannet
