#include <fmt/format.h>
#include <png.h>

#include <csetjmp>
#include <cstring>
#include <new>

#include "runtime/data/image_codecs.h"

namespace gannet {
namespace {

// libpng reports errors by longjmp, which skips destructors: between a setjmp and the calls it covers nothing
// with a destructor is created; memory is taken before.
struct Failure {
  char text[160] = {};
};

void fail(png_structp png, png_const_charp message) {
  Failure* failure = static_cast<Failure*>(png_get_error_ptr(png));
  std::strncpy(failure->text, message, sizeof failure->text - 1);
  png_longjmp(png, 1);
}
void ignore_warning(png_structp, png_const_charp) {}

struct Input {
  const uint8_t* next = nullptr;
  size_t left = 0;
};

void read_bytes(png_structp png, png_bytep out, size_t count) {
  Input* input = static_cast<Input*>(png_get_io_ptr(png));
  if (count > input->left) png_error(png, "the data is truncated");
  std::memcpy(out, input->next, count);
  input->next += count;
  input->left -= count;
}

struct Reader {
  Failure failure;
  Input input;
  png_structp png = nullptr;
  png_infop info = nullptr;
  Reader() {
    png = png_create_read_struct(PNG_LIBPNG_VER_STRING, &failure, fail, ignore_warning);
    if (png) info = png_create_info_struct(png);
  }
  Reader(const Reader&) = delete;
  ~Reader() { png_destroy_read_struct(&png, &info, nullptr); }
};

struct Layout {
  int64_t height = 0, width = 0, channels = 0;
  size_t row_bytes = 0;
};

bool read_extents(Reader& reader, const ImageDecodeOptions& options, Layout& layout) {
  if (setjmp(png_jmpbuf(reader.png))) return false;
  png_set_read_fn(reader.png, &reader.input, read_bytes);
  png_set_user_limits(reader.png, static_cast<png_uint_32>(options.max_side),
                      static_cast<png_uint_32>(options.max_side));
  png_read_info(reader.png, reader.info);
  layout.height = png_get_image_height(reader.png, reader.info);
  layout.width = png_get_image_width(reader.png, reader.info);
  return true;
}

bool choose_format(Reader& reader, Layout& layout) {
  if (setjmp(png_jmpbuf(reader.png))) return false;
  png_set_expand(reader.png);  // palettes to RGB, 1- to 4-bit grey to 8-bit
  png_set_scale_16(reader.png);
  png_set_strip_alpha(reader.png);
  png_set_interlace_handling(reader.png);
  png_read_update_info(reader.png, reader.info);
  layout.channels = png_get_channels(reader.png, reader.info);
  layout.row_bytes = png_get_rowbytes(reader.png, reader.info);
  return true;
}

bool read_rows(Reader& reader, png_bytepp rows) {
  if (setjmp(png_jmpbuf(reader.png))) return false;
  png_read_image(reader.png, rows);
  png_read_end(reader.png, nullptr);
  return true;
}

struct Writer {
  Failure failure;
  std::string output;
  png_structp png = nullptr;
  png_infop info = nullptr;
  Writer() {
    png = png_create_write_struct(PNG_LIBPNG_VER_STRING, &failure, fail, ignore_warning);
    if (png) info = png_create_info_struct(png);
  }
  Writer(const Writer&) = delete;
  ~Writer() { png_destroy_write_struct(&png, &info); }
};

void write_bytes(png_structp png, png_bytep bytes, size_t count) {
  bool written = true;
  try {
    static_cast<std::string*>(png_get_io_ptr(png))->append(reinterpret_cast<const char*>(bytes), count);
  } catch (const std::bad_alloc&) {
    written = false;
  }
  if (!written) png_error(png, "no memory");
}
void flush_bytes(png_structp) {}

bool write_rows(Writer& writer, const Image& image, png_bytepp rows) {
  if (setjmp(png_jmpbuf(writer.png))) return false;
  png_set_write_fn(writer.png, &writer.output, write_bytes, flush_bytes);
  png_set_IHDR(writer.png, writer.info, static_cast<png_uint_32>(image.width),
               static_cast<png_uint_32>(image.height), 8,
               image.channels == 1 ? PNG_COLOR_TYPE_GRAY : PNG_COLOR_TYPE_RGB, PNG_INTERLACE_NONE,
               PNG_COMPRESSION_TYPE_DEFAULT, PNG_FILTER_TYPE_DEFAULT);
  png_write_info(writer.png, writer.info);
  png_write_image(writer.png, rows);
  png_write_end(writer.png, writer.info);
  return true;
}

std::vector<png_bytep> row_pointers(uint8_t* pixels, int64_t height, size_t row_bytes) {
  std::vector<png_bytep> rows(static_cast<size_t>(height));
  for (size_t y = 0; y < rows.size(); ++y) rows[y] = pixels + y * row_bytes;
  return rows;
}

}  // namespace

Result<Image> decode_png(std::span<const uint8_t> bytes, const ImageDecodeOptions& options) {
  Reader reader;
  if (!reader.info) return io_error("libpng has no memory");
  reader.input = {bytes.data(), bytes.size()};
  auto refused = [&] { return invalid_input(fmt::format("PNG: {}", reader.failure.text)); };
  Layout layout;
  if (!read_extents(reader, options, layout)) return refused();
  TRY(check_extents(layout.height, layout.width, options));
  if (!choose_format(reader, layout)) return refused();
  bool plain = layout.channels == 1 || layout.channels == 3;
  if (!plain || layout.row_bytes != static_cast<size_t>(layout.width * layout.channels)) {
    return unsupported(fmt::format("PNG: {} channels and {} bytes for a row of {} pixels", layout.channels,
                                   layout.row_bytes, layout.width));
  }
  Image image{layout.height, layout.width, layout.channels, {}};
  image.pixels.resize(layout.row_bytes * static_cast<size_t>(layout.height));
  std::vector<png_bytep> rows = row_pointers(image.pixels.data(), image.height, layout.row_bytes);
  if (!read_rows(reader, rows.data())) return refused();
  return image;
}

Result<std::string> encode_png(const Image& image) {
  CHECK(image.channels == 1 || image.channels == 3, "{} channels", image.channels);
  CHECK(static_cast<int64_t>(image.pixels.size()) == image.height * image.width * image.channels,
        "{} pixel bytes", image.pixels.size());
  if (image.height < 1 || image.width < 1 || image.height > 1'000'000 || image.width > 1'000'000) {
    return invalid_input(
        fmt::format("a picture of {} x {} cannot be written as PNG", image.height, image.width));
  }
  Writer writer;
  if (!writer.info) return io_error("libpng has no memory");
  uint8_t* pixels = const_cast<uint8_t*>(image.pixels.data());  // libpng's rows are not const but only read
  std::vector<png_bytep> rows =
      row_pointers(pixels, image.height, static_cast<size_t>(image.width * image.channels));
  if (!write_rows(writer, image, rows.data())) return io_error(fmt::format("PNG: {}", writer.failure.text));
  return std::move(writer.output);
}

}  // namespace gannet
