#include "runtime/data/image_gif.h"

#include <gif_lib.h>
#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <set>

#include "ir/base/random.h"
#include "runtime/data/color_palette.h"

namespace gannet {
namespace {

using testing::HasSubstr;

Image noise(int64_t height, int64_t width, int64_t channels, uint64_t seed) {
  Image image{height, width, channels, std::vector<uint8_t>(static_cast<size_t>(height * width * channels))};
  Random random(seed);
  for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(random.below(256));
  return image;
}

// A picture of smooth colours.
Image gradient(int64_t height, int64_t width, double phase) {
  Image image{height, width, 3, std::vector<uint8_t>(static_cast<size_t>(height * width * 3))};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      for (int64_t c = 0; c < 3; ++c)
        image.at(y, x, c) = static_cast<uint8_t>(
            127 + 120 * std::sin(phase + static_cast<double>((c + 1) * x + (3 - c) * y) * 0.02));
    }
  }
  return image;
}

struct Decoded {
  std::vector<Image> frames;
  std::vector<int> delays;
  bool loops = false;
};

struct Input {
  const std::string* bytes;
  size_t next = 0;
};

int read_some(GifFileType* file, GifByteType* out, int count) {
  auto* input = static_cast<Input*>(file->UserData);
  const size_t some = std::min(static_cast<size_t>(count), input->bytes->size() - input->next);
  std::memcpy(out, input->bytes->data() + input->next, some);
  input->next += some;
  return static_cast<int>(some);
}

Decoded decode(const std::string& bytes) {
  Input input{&bytes};
  int error = 0;
  GifFileType* file = DGifOpen(&input, read_some, &error);
  EXPECT_NE(file, nullptr);
  EXPECT_EQ(DGifSlurp(file), GIF_OK);
  Decoded decoded;
  for (int i = 0; i < file->ImageCount; ++i) {
    const SavedImage& saved = file->SavedImages[i];
    const ColorMapObject* map = saved.ImageDesc.ColorMap ? saved.ImageDesc.ColorMap : file->SColorMap;
    Image frame{saved.ImageDesc.Height, saved.ImageDesc.Width, 3, {}};
    for (int64_t k = 0; k < frame.height * frame.width; ++k) {
      const GifColorType color = map->Colors[saved.RasterBits[k]];
      for (const uint8_t level : {color.Red, color.Green, color.Blue}) frame.pixels.push_back(level);
    }
    decoded.frames.push_back(std::move(frame));
    GraphicsControlBlock control;
    EXPECT_EQ(DGifSavedExtensionToGCB(file, i, &control), GIF_OK);
    decoded.delays.push_back(control.DelayTime);
    for (int e = 0; e < saved.ExtensionBlockCount; ++e) {
      const ExtensionBlock& block = saved.ExtensionBlocks[e];
      decoded.loops |= block.ByteCount == 11 && std::memcmp(block.Bytes, "NETSCAPE2.0", 11) == 0;
    }
  }
  DGifCloseFile(file, &error);
  return decoded;
}

double mean_error(const Image& a, const Image& b) {
  double sum = 0;
  for (size_t i = 0; i < a.pixels.size(); ++i) sum += std::abs(a.pixels[i] - b.pixels[i]);
  return sum / static_cast<double>(a.pixels.size());
}

TEST(ImageGif, KeepsGreyFramesExactly) {
  const std::vector<Image> frames = {noise(20, 30, 1, 1), noise(20, 30, 1, 2), noise(20, 30, 1, 3)};
  const Result<std::string> bytes = encode_gif(frames, {.delay_ms = 250, .palette_per_frame = false});
  ASSERT_TRUE(bytes.ok());
  const Decoded decoded = decode(*bytes);
  ASSERT_EQ(decoded.frames.size(), 3u);
  EXPECT_TRUE(decoded.loops);
  EXPECT_THAT(decoded.delays, testing::Each(25));
  for (size_t i = 0; i < 3; ++i) EXPECT_EQ(decoded.frames[i].pixels, with_channels(frames[i], 3).pixels);
}

TEST(ImageGif, ColorsStayClose) {
  const std::vector<Image> frames = {gradient(96, 96, 0), gradient(96, 96, 2)};
  for (const bool per_frame : {false, true}) {
    const Result<std::string> bytes = encode_gif(frames, {.delay_ms = 100, .palette_per_frame = per_frame});
    ASSERT_TRUE(bytes.ok());
    const Decoded decoded = decode(*bytes);
    ASSERT_EQ(decoded.frames.size(), 2u);
    for (size_t i = 0; i < 2; ++i) EXPECT_LT(mean_error(decoded.frames[i], frames[i]), 8) << per_frame;
    EXPECT_EQ(*bytes, *encode_gif(frames, {.delay_ms = 100, .palette_per_frame = per_frame}));
  }
}

TEST(ImageGif, SaysWhatDoesNotFit) {
  EXPECT_THAT(encode_gif({}).error().message, HasSubstr("without pictures"));
  const std::vector<Image> two = {noise(4, 4, 1, 1), noise(4, 5, 1, 1)};
  EXPECT_THAT(encode_gif(two).error().message, HasSubstr("4 x 4 and 4 x 5"));
  EXPECT_THAT(encode_gif({two.data(), 1}, {.delay_ms = -1, .palette_per_frame = false}).error().message,
              HasSubstr("-1 ms"));
  EXPECT_THAT(write_gif("/nowhere/x.gif", {two.data(), 1}).error().message, HasSubstr("/nowhere/x.gif"));
}

TEST(ColorPalette, IsExactForFewColors) {
  Image image = noise(16, 16, 3, 7);
  for (uint8_t& pixel : image.pixels) pixel = static_cast<uint8_t>(pixel / 64 * 64);
  const ColorPalette palette = choose_palette({&image, 1});
  EXPECT_TRUE(palette.exact);
  const std::vector<uint8_t> indices = palette_indices(image, palette);
  for (size_t i = 0; i < indices.size(); ++i) {
    for (size_t c = 0; c < 3; ++c) EXPECT_EQ(palette.colors[indices[i]][c], image.pixels[3 * i + c]);
  }
}

// Passing errors on keeps the mean of an area, which no single colour of the palette has.
TEST(ColorPalette, KeepsMeansOfAreas) {
  const Image image = noise(64, 64, 3, 9);
  const ColorPalette palette = choose_palette({&image, 1});
  EXPECT_FALSE(palette.exact);
  EXPECT_EQ(palette.colors.size(), 256u);
  const std::vector<uint8_t> indices = palette_indices(image, palette);
  for (size_t c = 0; c < 3; ++c) {
    double is = 0, was = 0;
    for (size_t i = 0; i < indices.size(); ++i) {
      is += palette.colors[indices[i]][c];
      was += image.pixels[3 * i + c];
    }
    EXPECT_NEAR(is / was, 1, 0.01);
  }
}

}  // namespace
}  // namespace gannet
