#include "tools/driver/latent_pictures.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <cstring>
#include <filesystem>
#include <iterator>
#include <set>
#include <utility>

#include "runtime/data/image_gif.h"
#include "runtime/data/image_grid.h"
#include "runtime/data/image_list.h"
#include "runtime/data/npy.h"
#include "tools/deploy/arguments.h"
#include "tools/driver/picture_plan.h"
#include "tools/driver/picture_targets.h"

namespace gannet {

namespace {

// What a generator gives for the pictures of a plan, in its own batches, so that each is what a run of all
// would give.
class Pieces {
 public:
  Pieces(const Generator& generator, const PicturePlan& plan) : generator_(generator), plan_(plan) {}

  int64_t count() const { return (plan_.count() + generator_.batch_size() - 1) / generator_.batch_size(); }
  int64_t first_of(int64_t piece) const { return piece * generator_.batch_size(); }

  // With `keep`, where all that is kept is no more than kMostKept, the next call for this piece does not
  // compute it again.
  Result<Tensor> values(int64_t piece, bool keep = false) {
    const auto place = static_cast<size_t>(piece);
    if (!keep && place < kept_.size()) return std::exchange(kept_[place], Tensor());
    std::vector<GeneratorRow> rows;
    for (int64_t i = first_of(piece); i < std::min(first_of(piece + 1), plan_.count()); ++i)
      rows.push_back(plan_.row(i));
    Tensor values = TRY(generator_.run(rows));
    if (!row_extents_.defined()) row_extents_ = row_extents(values);
    if (row_extents(values).ints() != row_extents_.ints())
      return unsupported(fmt::format("{}: pictures of several sizes", generator_.model().path));
    constexpr int64_t kMostKept = int64_t{1} << 29;
    if (keep && place == kept_.size() && kept_bytes_ + values.bytes() <= kMostKept) {
      kept_bytes_ += values.bytes();
      kept_.push_back(values);
    }
    return values;
  }

 private:
  static Tensor row_extents(const Tensor& values) {
    return Tensor::of_ints(std::span(values.extents()).subspan(1));
  }

  const Generator& generator_;
  const PicturePlan& plan_;
  std::vector<Tensor> kept_;  // of the first pieces
  int64_t kept_bytes_ = 0;
  Tensor row_extents_;
};

class Making {
 public:
  Making(Generator& generator, const PicturePlan& plan, const GenerateArguments& arguments)
      : generator_(generator), plan_(plan), arguments_(arguments), pieces_(generator, plan) {
    const std::string& output = arguments.output;
    array_ = output.ends_with(".npy");
    single_ = !array_ && plan.count() == 1 && is_image_name(output);
    folder_ = !array_ && !single_ && !output.empty();
    keeps_images_ = !arguments.grid.empty() || !arguments.gif.empty();
  }

  // What would be wrong once pictures have been made.
  Status check() const {
    if (!folder_) return {};
    if (is_image_name(arguments_.output)) {
      return invalid_input(
          fmt::format("{}: is the name of one picture, and {} are made: give -o FOLDER or --grid {}",
                      arguments_.output, plan_.count(), arguments_.output));
    }
    std::error_code ignored;
    if (!std::filesystem::exists(arguments_.output, ignored)) return {};
    const Result<ImageList> present = list_unlabelled_images(arguments_.output);
    if (!present.ok()) return present.error().kind == ErrorKind::kIo ? Status(present.error()) : Status();
    for (const std::string& file : present->files) {
      if (!is_target(file))
        return invalid_input(
            fmt::format("{}: {} would stay among the new pictures: remove it, or name another folder",
                        arguments_.output, file));
    }
    return {};
  }

  Status make() {
    if (folder_) TRY(make_folder(arguments_.output));
    const bool draws = folder_ || single_ || keeps_images_;
    if (draws && !generator_.knows_range()) TRY(find_range());
    for (int64_t piece = 0; piece < pieces_.count(); ++piece) {
      const Tensor values = TRY(pieces_.values(piece));
      if (array_) TRY(put(values, pieces_.first_of(piece)));
      if (!draws) continue;
      std::vector<Image> images = TRY(generator_.images(values));
      if (folder_) TRY(write_pictures(images, pieces_.first_of(piece)));
      if (single_) TRY(write_png(arguments_.output, images[0]));
      if (keeps_images_) std::ranges::move(images, std::back_inserter(images_));
    }
    for (const std::string& note : generator_.notes()) fmt::print("{}\n", printable(note));
    return finish();
  }

 private:
  std::string path_of(int64_t index) const {
    const std::filesystem::path folder = arguments_.output;
    const std::string name = fmt::format("{:05}.png", index);
    if (!generator_.has_classes()) return (folder / name).string();
    return (folder / fmt::to_string(plan_.label(index)) / name).string();
  }

  // Whether the plan overwrites `file`.
  bool is_target(const std::filesystem::path& file) const {
    const std::string stem = file.stem().string();
    int64_t index = -1;
    const auto [end, error] = std::from_chars(stem.data(), stem.data() + stem.size(), index);
    if (error != std::errc() || end != stem.data() + stem.size() || index < 0 || index >= plan_.count())
      return false;
    return std::filesystem::path(path_of(index)).lexically_normal() == file.lexically_normal();
  }

  // From all values, so that one picture has one range whatever others come first.
  Status find_range() {
    double low = 0, high = 0;
    for (int64_t piece = 0; piece < pieces_.count(); ++piece) {
      const Tensor values = TRY(convert(TRY(pieces_.values(piece, true)), DType::kF32));
      if (values.elements() == 0) return invalid_input(generator_.model().path + ": makes empty pictures");
      const auto [least, most] = std::ranges::minmax(values.data<float>());
      low = piece == 0 ? static_cast<double>(least) : std::min(low, static_cast<double>(least));
      high = piece == 0 ? static_cast<double>(most) : std::max(high, static_cast<double>(most));
    }
    generator_.settle_range(low, high);
    return {};
  }

  Status put(const Tensor& values, int64_t first) {
    if (!all_.defined()) {
      std::vector<int64_t> extents = values.extents();
      extents[0] = plan_.count();
      all_ = TRY(Tensor::allocate(values.dtype(), extents));
    }
    const int64_t row_bytes = values.bytes() / values.extent(0);
    std::memcpy(static_cast<std::byte*>(all_.mutable_raw()) + first * row_bytes, values.raw(),
                static_cast<size_t>(values.bytes()));
    return {};
  }

  // A picture each; of a generator with classes in a folder for each, as training takes them.
  Status write_pictures(const std::vector<Image>& images, int64_t first) {
    for (size_t i = 0; i < images.size(); ++i) {
      const int64_t index = first + static_cast<int64_t>(i);
      const std::string path = path_of(index);
      if (generator_.has_classes() && classes_.insert(plan_.label(index)).second)
        TRY(make_folder(std::filesystem::path(path).parent_path().string()));
      TRY(write_png(path, images[i]));
    }
    return {};
  }

  // What is made of all pictures.
  Status finish() {
    const int64_t count = plan_.count();
    if (array_) {
      TRY(write_npy(arguments_.output, all_));
      fmt::print("wrote {}: {}\n", arguments_.output, type_string(all_));
    }
    if (folder_ || single_)
      fmt::print("wrote {}: {} picture{}\n", arguments_.output, count, count == 1 ? "" : "s");
    if (!arguments_.grid.empty()) {
      int64_t columns = arguments_.columns > 0 ? arguments_.columns : plan_.columns();
      if (columns == 0) columns = square_columns(count);
      TRY(write_png(arguments_.grid, image_grid(images_, columns)));
      fmt::print("wrote {}: a grid of {} pictures\n", arguments_.grid, count);
    }
    if (!arguments_.gif.empty()) {
      TRY(write_animation());
      fmt::print("wrote {}: an animation\n", arguments_.gif);
    }
    return {};
  }

  // With an interpolation each frame is one step of all lines, there and back; else each picture is a frame.
  Status write_animation() const {
    GifOptions options;
    options.delay_ms = arguments_.delay_ms;
    if (arguments_.interpolate.empty()) return write_gif(arguments_.gif, images_, options);
    std::vector<Image> frames;
    const auto columns = static_cast<size_t>(plan_.columns());
    for (size_t step = 0; step < columns; ++step) {
      std::vector<Image> cells;
      for (size_t i = step; i < images_.size(); i += columns) cells.push_back(images_[i]);
      frames.push_back(image_grid(cells, square_columns(static_cast<int64_t>(cells.size()))));
    }
    for (size_t step = columns; step-- > 1;) {
      if (step + 1 < columns) frames.push_back(frames[step]);
    }
    return write_gif(arguments_.gif, frames, options);
  }

  Generator& generator_;
  const PicturePlan& plan_;
  const GenerateArguments& arguments_;
  Pieces pieces_;
  bool array_ = false, single_ = false, folder_ = false, keeps_images_ = false;
  Tensor all_;                 // of an array
  std::vector<Image> images_;  // of a grid and an animation
  std::set<int64_t> classes_;  // whose folders are made
};

// What the names of files say, before the model is read.
Status check_names(const GenerateArguments& arguments) {
  std::vector<std::string> files;
  const auto add = [&](const std::string& file, const std::string& extension) -> Status {
    if (file.empty()) return {};
    files.push_back(file);
    return check_picture_file(file, extension);
  };
  TRY(add(arguments.grid, ".png"));
  TRY(add(arguments.gif, ".gif"));
  const std::string& output = arguments.output;
  if (output.ends_with(".npy") || is_image_name(output))
    TRY(add(output, ".png"));
  else if (!output.empty())
    TRY(check_output_folder(output));
  return check_targets(files, std::vector<std::string>{arguments.model.model.path});
}

}  // namespace

Status make_latent_pictures(const GenerateArguments& arguments) {
  TRY(check_names(arguments));
  Generator generator = TRY(Generator::load(arguments.model, arguments.generator));
  fmt::print("{}: {}\n", printable(arguments.model.model.path), printable(generator.description()));
  const PicturePlan plan = TRY(PicturePlan::make(generator, arguments));
  Making making(generator, plan, arguments);
  TRY(making.check());
  return making.make();
}

}  // namespace gannet
