#include <fmt/format.h>

#include <cstdio>  // jpeglib.h needs it and does not include it

#include <jpeglib.h>

#include <jerror.h>

#include <algorithm>
#include <csetjmp>
#include <cstring>

#include "runtime/data/image_codecs.h"

namespace gannet {
namespace {

constexpr int kExifMarker = JPEG_APP0 + 1;
// A few bytes may ask a progressive decoder for hundreds of passes over a large picture.
constexpr int kMaxScans = 200;

// libjpeg reports errors through error_exit, which must not return; it leaves by longjmp. Between a setjmp
// and the calls it covers nothing with a destructor is created; memory is taken before.
struct ErrorHandler {
  jpeg_error_mgr base;  // first: libjpeg hands back a pointer to it
  std::jmp_buf target;
  char text[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave(j_common_ptr common) {
  ErrorHandler* handler = reinterpret_cast<ErrorHandler*>(common->err);
  (*common->err->format_message)(common, handler->text);
  std::longjmp(handler->target, 1);
}

// libjpeg goes on after damage and invents the rest of the picture; a warning about the pixels is an error
// here.
void judge_message(j_common_ptr common, int level) {
  if (level >= 0) return;
  int code = common->err->msg_code;
  bool harmless = code == JWRN_EXTRANEOUS_DATA || code == JWRN_ADOBE_XFORM || code == JWRN_JFIF_MAJOR ||
                  code == JWRN_BOGUS_ICC;
  if (!harmless) leave(common);
}

void print_nothing(j_common_ptr) {}

void count_scans(j_common_ptr common) {
  if (!common->is_decompressor) return;
  jpeg_decompress_struct* jpeg = reinterpret_cast<jpeg_decompress_struct*>(common);
  if (jpeg->input_scan_number <= kMaxScans) return;
  ErrorHandler* handler = reinterpret_cast<ErrorHandler*>(common->err);
  std::snprintf(handler->text, sizeof handler->text, "more than %d scans", kMaxScans);
  std::longjmp(handler->target, 1);
}

struct Reader {
  ErrorHandler handler = {};
  jpeg_progress_mgr progress = {};
  jpeg_decompress_struct jpeg = {};

  Reader() {
    jpeg.err = jpeg_std_error(&handler.base);
    handler.base.error_exit = leave;
    handler.base.emit_message = judge_message;
    handler.base.output_message = print_nothing;
    progress.progress_monitor = count_scans;
  }
  Reader(const Reader&) = delete;
  ~Reader() { jpeg_destroy_decompress(&jpeg); }
};

bool read_header(Reader& reader, std::span<const uint8_t> bytes) {
  if (setjmp(reader.handler.target)) return false;
  jpeg_create_decompress(&reader.jpeg);
  reader.jpeg.progress = &reader.progress;
  jpeg_save_markers(&reader.jpeg, kExifMarker, 0xffff);
  jpeg_mem_src(&reader.jpeg, bytes.data(), static_cast<unsigned long>(bytes.size()));
  jpeg_read_header(&reader.jpeg, TRUE);
  switch (reader.jpeg.jpeg_color_space) {
    case JCS_GRAYSCALE:
      reader.jpeg.out_color_space = JCS_GRAYSCALE;
      break;
    case JCS_CMYK:
    case JCS_YCCK:
      reader.jpeg.out_color_space = JCS_CMYK;
      break;
    default:
      reader.jpeg.out_color_space = JCS_RGB;
      break;
  }
  jpeg_calc_output_dimensions(&reader.jpeg);
  return true;
}

bool read_rows(Reader& reader, uint8_t* pixels, size_t row_bytes) {
  if (setjmp(reader.handler.target)) return false;
  jpeg_start_decompress(&reader.jpeg);
  while (reader.jpeg.output_scanline < reader.jpeg.output_height) {
    JSAMPROW row = pixels + reader.jpeg.output_scanline * row_bytes;
    jpeg_read_scanlines(&reader.jpeg, &row, 1);
  }
  jpeg_finish_decompress(&reader.jpeg);
  return true;
}

// Files with Adobe's marker store ink inverted: 255 is none.
Image cmyk_to_rgb(const Image& cmyk, bool inverted) {
  Image rgb{cmyk.height, cmyk.width, 3,
            std::vector<uint8_t>(static_cast<size_t>(cmyk.height * cmyk.width * 3))};
  const uint8_t* in = cmyk.pixels.data();
  for (size_t out = 0; out < rgb.pixels.size(); out += 3, in += 4) {
    int light = inverted ? in[3] : 255 - in[3];
    for (size_t c = 0; c < 3; ++c) {
      int without_ink = inverted ? in[c] : 255 - in[c];
      rgb.pixels[out + c] = static_cast<uint8_t>((without_ink * light + 127) / 255);
    }
  }
  return rgb;
}

int orientation_of(const jpeg_decompress_struct& jpeg) {
  for (jpeg_saved_marker_ptr marker = jpeg.marker_list; marker; marker = marker->next) {
    if (marker->marker != kExifMarker) continue;
    int orientation = exif_orientation({marker->data, marker->data_length});
    if (orientation != 1) return orientation;
  }
  return 1;
}

}  // namespace

int exif_orientation(std::span<const uint8_t> segment) {
  constexpr size_t kTiff = 6;
  if (segment.size() < kTiff + 8 || std::memcmp(segment.data(), "Exif\0\0", kTiff) != 0) return 1;
  std::span<const uint8_t> tiff = segment.subspan(kTiff);
  bool little = tiff[0] == 'I';
  auto number = [&](size_t at, size_t width) {
    uint32_t value = 0;
    for (size_t i = 0; i < width; ++i) value = value << 8 | tiff[at + (little ? width - 1 - i : i)];
    return value;
  };
  size_t directory = number(4, 4);
  if (directory > tiff.size() || tiff.size() - directory < 2) return 1;
  size_t entries = number(directory, 2);
  constexpr size_t kEntryBytes = 12;
  for (size_t i = 0; i < entries; ++i) {
    size_t at = directory + 2 + i * kEntryBytes;
    if (at + kEntryBytes > tiff.size()) return 1;
    constexpr uint32_t kOrientationTag = 0x0112;
    if (number(at, 2) != kOrientationTag) continue;
    uint32_t value = number(at + 8, 2);
    return value >= 1 && value <= 8 ? static_cast<int>(value) : 1;
  }
  return 1;
}

Result<Image> decode_jpeg(std::span<const uint8_t> bytes, const ImageDecodeOptions& options) {
  Reader reader;
  auto refused = [&] { return invalid_input(fmt::format("JPEG: {}", reader.handler.text)); };
  if (!read_header(reader, bytes)) return refused();
  const jpeg_decompress_struct& jpeg = reader.jpeg;
  TRY(check_extents(jpeg.output_height, jpeg.output_width, options));
  int64_t channels = jpeg.out_color_components;
  CHECK(channels == 1 || channels == 3 || channels == 4, "{} channels", channels);
  Image image{jpeg.output_height, jpeg.output_width, channels, {}};
  int orientation =
      options.apply_orientation ? orientation_of(jpeg) : 1;  // the markers are gone after the last row
  size_t row_bytes = static_cast<size_t>(image.width * channels);
  image.pixels.resize(row_bytes * static_cast<size_t>(image.height));
  if (!read_rows(reader, image.pixels.data(), row_bytes)) return refused();
  if (channels == 4) image = cmyk_to_rgb(image, jpeg.saw_Adobe_marker);
  return oriented(std::move(image), orientation);
}

}  // namespace gannet
