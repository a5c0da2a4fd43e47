#include "tools/driver/gan_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <filesystem>
#include <functional>
#include <numeric>
#include <tuple>

#include "runtime/core/crc32c.h"
#include "runtime/data/npy.h"
#include "runtime/training/batches.h"
#include "runtime/training/checkpoint.h"
#include "runtime/training/prefetch.h"
#include "tools/deploy/arguments.h"
#include "tools/driver/image_rows.h"
#include "tools/driver/tune_arguments.h"
#include "tools/driver/tune_options.h"

namespace gannet {

namespace {

std::string range_text(double low, double high) { return fmt::format("{:g} to {:g}", low, high); }

// The largest class number that an input of a model tells apart, where its type says so.
std::optional<int64_t> classes_known(const Graph* graph, const std::optional<size_t>& input) {
  if (!input) return std::nullopt;
  const Type& type = graph->inputs()[*input]->type;
  if (!is_float(type.dtype)) return std::nullopt;
  return (*type.shape)[1].constant();
}

class Opening {
 public:
  Opening(const GanModels& models, const GanArguments& arguments) : m_(models), a_(arguments) {
    conditional_ = m_.pair.generator_class || m_.pair.discriminator_class;
  }

  Result<GanPictures> open() {
    TRY(settle_pixels());
    const bool archive = a_.images.ends_with(".npz") || a_.images.ends_with(".npy");
    TRY(archive ? open_archive() : open_files());
    TRY(check_classes());
    return std::move(result_);
  }

 private:
  // Pixels of 0 to 255 become the range of what is generated, unless the flags say otherwise.
  Status settle_pixels() {
    if (!m_.picture) return {};
    ImageOptions& options = result_.options;
    options = *m_.picture;
    options.dtype = DType::kF32;
    TRY(PixelWriter::make(options, options.channels));
    if (options.scale || !options.mean.empty() || !options.std.empty()) return {};
    const FoundRange& range = m_.range;
    options.scale = (range.high - range.low) / 255;
    if (range.low != 0) options.mean = {-range.low};
    const std::string why = range.ending.empty()
                                ? "the generator's ending does not say its range; --scale and --mean do"
                                : fmt::format("the range of the generator's {}", range.ending);
    pixels_note_ = fmt::format("pixels of 0 to 255 become {}: {}", range_text(range.low, range.high), why);
    return {};
  }

  Result<ImageReading> reading() const {
    ImageReading reading;
    reading.options = result_.options;
    reading.augmentation = TRY(Augmentation::parse(a_.augment));
    if (!reading.augmentation.mixing().empty()) return invalid_input("--augment: mixup and cutmix are for classifiers");
    reading.strict = a_.strict;
    reading.cache_bytes = TRY(parse_bytes(a_.cache, "--image-cache"));
    reading.threads = a_.threads;
    return reading;
  }

  Status open_files() {
    if (!m_.picture)
      return invalid_input(fmt::format("{}: rows of {} are no pictures of 1 or 3 channels; give them as arrays, .npz", a_.images,
                                       to_string(m_.pair.form)));
    std::error_code error;
    ImageListOptions options;
    options.label_column = a_.target;
    const ImageList list = TRY(conditional_ ? list_images(a_.images, options) : list_unlabelled_images(a_.images));
    if (conditional_ && list.labels != ImageLabels::kOne)
      return invalid_input(fmt::format("{}: conditional models need one class for each picture", a_.images));
    if (conditional_) result_.class_names = list.classes;
    std::string text;
    for (const std::string& file : list.files) {
      const auto size = std::filesystem::file_size(file, error);
      text += fmt::format("{} {}\n", std::filesystem::path(file).lexically_relative(a_.images).string(), error ? 0 : size);
    }
    text.append(static_cast<const char*>(list.target.raw()), static_cast<size_t>(list.target.bytes()));
    result_.identity = fmt::format("{} pictures, {:08x}", list.files.size(),
                                   crc32c({reinterpret_cast<const uint8_t*>(text.data()), text.size()}));
    return make_batches(TRY(open_pictures(list, TRY(reading()))));
  }

  Status make_batches(std::unique_ptr<PictureRows> rows) {
    if (!pixels_note_.empty()) result_.notes.push_back(pixels_note_);
    if (std::string text = left_out_text(*rows); !text.empty()) {
      if (text.ends_with('\n')) text.pop_back();
      result_.notes.push_back(std::move(text));
    }
    rows->target.values = TRY(class_numbers(rows->target.values));
    result_.batches = TRY(rows->batches(std::nullopt, {a_.batch_size, a_.seed, false}));
    result_.rows = std::move(rows);
    return {};
  }

  // The same as i64; without classes (-1 of a folder that is of none) zeros.
  Result<Tensor> class_numbers(const Tensor& given) {
    if (!conditional_) return Tensor::zeros(DType::kI64, {given.extent(0)});
    constexpr int64_t kMost = int64_t{1} << 24;
    Tensor numbers = TRY(convert(given, DType::kI64));
    for (const int64_t label : numbers.ints()) {
      if (label < 0 || label >= kMost)
        return invalid_input(fmt::format("{}: class {}: classes are numbers from 0 on, below {}", a_.images, label, kMost));
      most_ = std::max(most_, label);
    }
    return numbers;
  }

  Status open_archive() {
    Limits limits = default_limits();
    for (const std::string& assignment : a_.limits) TRY(set_limit(limits, assignment));
    NamedTensors arrays;
    if (a_.images.ends_with(".npy")) arrays.emplace_back("pictures", TRY(read_npy(a_.images, limits)));
    else arrays = TRY(read_npz(a_.images, limits));
    result_.identity = TRY(file_identity(a_.images));
    Tensor pictures, classes;
    std::string all;
    for (const auto& [name, tensor] : arrays) {
      all += fmt::format("{}{} {}", all.empty() ? "" : ", ", name, type_string(tensor));
      const bool labels = is_int(tensor.dtype()) && tensor.rank() == 1;
      if (a_.target.empty() ? labels && !classes.defined() : name == a_.target) classes = tensor;
      else if (!pictures.defined() && tensor.rank() >= 2) pictures = tensor;
    }
    if (!pictures.defined() || pictures.elements() == 0)
      return invalid_input(fmt::format("{}: holds no array of pictures; it holds {}", a_.images, all));
    if (!classes.defined() && conditional_)
      return invalid_input(fmt::format("{}: conditional models need classes, integers [rows]; it holds {}", a_.images, all));
    if (!conditional_) classes = Tensor::zeros(DType::kI64, {pictures.extent(0)});
    if (!is_int(classes.dtype()) || classes.rank() != 1 || classes.extent(0) != pictures.extent(0))
      return invalid_input(fmt::format("{}: {} pictures and classes {}; classes are integers, one for each picture", a_.images,
                                       pictures.extent(0), type_string(classes)));
    if (pictures.dtype() == DType::kU8 && m_.picture && pictures.rank() <= 4 && pictures.rank() >= 3)
      return make_batches(TRY(open_arrays({pictures, classes, "classes"}, a_.images, 0, TRY(reading()))));
    return open_numbers(pictures, classes);
  }

  Status open_numbers(const Tensor& given, const Tensor& classes) {
    std::vector<int64_t> extents = {given.extent(0)};
    for (const Dim& dim : m_.pair.form) extents.push_back(dim.constant());
    TRY(check_number_flags());
    Tensor rows = TRY(convert(given, DType::kF32));
    const int64_t wanted = std::accumulate(extents.begin() + 1, extents.end(), int64_t{1}, std::multiplies<>());
    if (rows.elements() != wanted * given.extent(0))
      return invalid_input(fmt::format("{}: rows of {} do not fit the models' {}", a_.images, type_string(given), to_string(m_.pair.form)));
    TRY(bring_into_range(rows));
    Tensor shaped = Tensor::zeros(DType::kF32, extents);
    std::ranges::copy(rows.data<float>(), shaped.mutable_data<float>().begin());
    auto batches = std::make_unique<Batches>(TRY(Batches::make({{"pictures", std::move(shaped)}, {"classes", TRY(class_numbers(classes))}},
                                                               a_.batch_size, a_.seed)));
    result_.batches = std::move(batches);
    return {};
  }

  Status check_number_flags() const {
    for (const char* flag : {"--augment", "--strict", "--image-cache", "--resize", "--shortest-edge", "--bgr", "--scale", "--mean", "--std"}) {
      if (a_.given.contains(flag))
        return invalid_input(fmt::format("{}: {} holds numbers, which are taken as they are, not pixels (u8 [rows, height, width])", flag, a_.images));
    }
    return {};
  }

  // Numbers of [-1, 1], [0, 1] or [0, 255] become those that the generator gives, unless they are of an unusual range that it has.
  Status bring_into_range(Tensor& rows) {
    const FoundRange& range = m_.range;
    const std::span<float> values = rows.mutable_data<float>();
    if (!std::ranges::all_of(values, [](float x) { return std::isfinite(x); }))
      return invalid_input(fmt::format("{}: holds numbers that are not finite", a_.images));
    const auto [least, most] = std::ranges::minmax_element(values);
    if (range.ending.empty()) {
      result_.notes.push_back(fmt::format("numbers of {} are taken as they are: the generator's ending does not say its range", range_text(*least, *most)));
      return {};
    }
    constexpr double kSlack = 1e-3;
    double low = range.low, high = range.high;
    const auto within = [&](double from, double to) { return *least >= from - kSlack && *most <= to + kSlack; };
    const bool usual = range == ValueRange{-1, 1} || range == ValueRange{0, 1} || range == ValueRange{0, 255};
    if (!usual && within(range.low, range.high)) return {};
    if (within(0, 1)) std::tie(low, high) = std::pair(0.0, 1.0);
    else if (within(-1, 1)) std::tie(low, high) = std::pair(-1.0, 1.0);
    else if (within(0, 255)) std::tie(low, high) = std::pair(0.0, 255.0);
    else if (!within(range.low, range.high))
      return invalid_input(fmt::format("{}: holds numbers of {}, and the generator's {} gives {}", a_.images,
                                       range_text(*least, *most), range.ending, range_text(range.low, range.high)));
    if (low == range.low && high == range.high) return {};
    for (float& x : values)
      x = static_cast<float>(range.low + (static_cast<double>(x) - low) / (high - low) * (range.high - range.low));
    result_.notes.push_back(fmt::format("numbers of {} become {}, the range of the generator's {}", range_text(low, high),
                                        range_text(range.low, range.high), range.ending));
    return {};
  }

  Status check_classes() {
    if (!conditional_) return {};
    result_.classes = most_ + 1;
    for (const auto& [graph, input, path] : {std::tuple(m_.pair.generator, m_.pair.generator_class, a_.generator.path),
                                             {m_.pair.discriminator, m_.pair.discriminator_class, a_.discriminator.path}}) {
      const auto known = classes_known(graph, input);
      if (known && *known < result_.classes)
        return invalid_input(fmt::format("{}: holds {} classes, {} knows {}", a_.images, result_.classes, path, *known));
    }
    return {};
  }

  const GanModels& m_;
  const GanArguments& a_;
  bool conditional_ = false;
  int64_t most_ = 0;  // class number
  std::string pixels_note_;
  GanPictures result_;
};

}  // namespace

Result<GanPictures> open_gan_pictures(const GanModels& models, const GanArguments& arguments) {
  return Opening(models, arguments).open();
}

}  // namespace gannet
