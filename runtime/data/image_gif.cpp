#include "runtime/data/image_gif.h"

#include <fmt/format.h>
#include <gif_lib.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <memory>
#include <new>

#include "ir/base/file.h"
#include "runtime/data/color_palette.h"

namespace gannet {

namespace {

int append(GifFileType* file, const GifByteType* bytes, int count) {
  try {
    static_cast<std::string*>(file->UserData)
        ->append(reinterpret_cast<const char*>(bytes), static_cast<size_t>(count));
    return count;
  } catch (const std::bad_alloc&) {
    return 0;
  }
}

struct MapDeleter {
  void operator()(ColorMapObject* map) const { GifFreeMapObject(map); }
};
using ColorMap = std::unique_ptr<ColorMapObject, MapDeleter>;

// The format's tables have 2, 4, 8 ... 256 colours.
ColorMap make_map(const ColorPalette& palette) {
  const size_t size = std::max<size_t>(std::bit_ceil(palette.colors.size()), 2);
  ColorMap map(GifMakeMapObject(static_cast<int>(size), nullptr));
  if (!map) return map;
  for (size_t i = 0; i < size; ++i) {
    const Rgb color = i < palette.colors.size() ? palette.colors[i] : Rgb{};
    map->Colors[i] = {color[0], color[1], color[2]};
  }
  return map;
}

// Closes the file when it ends; the error of a call that failed is giflib's.
class GifWriter {
 public:
  GifWriter() : file_(EGifOpen(&bytes_, append, &error_)) {
    if (file_) EGifSetGifVersion(file_, true);
  }
  ~GifWriter() {
    if (file_) EGifCloseFile(file_, &error_);
  }
  GifWriter(const GifWriter&) = delete;
  GifWriter& operator=(const GifWriter&) = delete;

  Status begin(int width, int height, const ColorMapObject* map) {
    if (!file_) return refused();
    constexpr int kResolution = 8;
    TRY(check(EGifPutScreenDesc(file_, width, height, kResolution, 0, map)));
    // Netscape's extension: a sub-block 1 with a number of loops, 0 of which is for ever.
    constexpr GifByteType kForever[] = {1, 0, 0};
    TRY(check(EGifPutExtensionLeader(file_, APPLICATION_EXT_FUNC_CODE)));
    TRY(check(EGifPutExtensionBlock(file_, 11, "NETSCAPE2.0")));
    TRY(check(EGifPutExtensionBlock(file_, sizeof kForever, kForever)));
    return check(EGifPutExtensionTrailer(file_));
  }
  Status frame(const Image& image, std::vector<uint8_t> indices, const ColorMapObject* map, int hundredths) {
    const GraphicsControlBlock control{DISPOSE_DO_NOT, false, hundredths, NO_TRANSPARENT_COLOR};
    GifByteType block[4];
    const size_t length = EGifGCBToExtension(&control, block);
    TRY(check(EGifPutExtension(file_, GRAPHICS_EXT_FUNC_CODE, static_cast<int>(length), block)));
    const int width = static_cast<int>(image.width), height = static_cast<int>(image.height);
    TRY(check(EGifPutImageDesc(file_, 0, 0, width, height, false, map)));
    for (int y = 0; y < height; ++y) TRY(check(EGifPutLine(file_, indices.data() + y * image.width, width)));
    return {};
  }
  Result<std::string> finish() {
    const bool closed = EGifCloseFile(file_, &error_) == GIF_OK;
    file_ = nullptr;
    if (!closed) return refused();
    return std::move(bytes_);
  }

 private:
  Status check(int status) {
    if (status == GIF_OK) return {};
    error_ = file_->Error;
    return refused();
  }
  Error refused() const {
    const char* reason = GifErrorString(error_);
    return io_error(fmt::format("GIF: {}", reason ? reason : "no memory"));
  }

  std::string bytes_;
  int error_ = 0;
  GifFileType* file_ = nullptr;
};

Status check_frames(std::span<const Image> frames, const GifOptions& options) {
  if (frames.empty()) return invalid_input("an animation without pictures");
  const Image& first = frames[0];
  if (first.height < 1 || first.width < 1 || std::max(first.height, first.width) > kMaxImageSide) {
    return invalid_input(
        fmt::format("a picture of {} x {} cannot be written as GIF", first.height, first.width));
  }
  for (const Image& frame : frames) {
    CHECK(frame.channels == 1 || frame.channels == 3, "{} channels", frame.channels);
    if (frame.height != first.height || frame.width != first.width) {
      return invalid_input(fmt::format("an animation of pictures of {} x {} and {} x {}", first.height,
                                       first.width, frame.height, frame.width));
    }
  }
  if (options.delay_ms < 0 || options.delay_ms / 10 > std::numeric_limits<uint16_t>::max()) {
    return invalid_input(
        fmt::format("a delay of {} ms between pictures: from 0 to 655350", options.delay_ms));
  }
  return {};
}

}  // namespace

Result<std::string> encode_gif(std::span<const Image> frames, const GifOptions& options) {
  TRY(check_frames(frames, options));
  try {
    const int hundredths = static_cast<int>(std::min<int64_t>((options.delay_ms + 5) / 10, 65'535));
    ColorPalette palette;
    ColorMap shared;
    if (!options.palette_per_frame) {
      palette = choose_palette(frames);
      shared = make_map(palette);
    }
    GifWriter writer;
    TRY(writer.begin(static_cast<int>(frames[0].width), static_cast<int>(frames[0].height), shared.get()));
    for (const Image& frame : frames) {
      ColorMap own;
      if (options.palette_per_frame) {
        palette = choose_palette({&frame, 1});
        own = make_map(palette);
      }
      if (!own && !shared) return io_error("GIF: no memory");
      TRY(writer.frame(frame, palette_indices(frame, palette), own.get(), hundredths));
    }
    return writer.finish();
  } catch (const std::bad_alloc&) {
    return io_error("no memory for the animation");
  }
}

Status write_gif(const std::string& path, std::span<const Image> frames, const GifOptions& options) {
  Result<std::string> encoded = encode_gif(frames, options);
  if (!encoded.ok()) return with_prefix(path + ": ", encoded.error());
  return write_file_atomically(path, *encoded);
}

}  // namespace gannet
