#include "runtime/data/image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include "ir/base/random.h"
#include "runtime/data/image_codecs.h"
#include "tests/runtime/sample_pictures.h"
#include "tests/support/temporary_folder.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;
using testing::StartsWith;

Image ramp(int64_t height, int64_t width, int64_t channels) {
  Image image{height, width, channels, std::vector<uint8_t>(static_cast<size_t>(height * width * channels))};
  for (size_t i = 0; i < image.pixels.size(); ++i) image.pixels[i] = static_cast<uint8_t>(i * 7 + i / 5);
  return image;
}

TEST(Image, DecodesEveryFlavour) {
  for (const SamplePicture& sample : sample_pictures()) {
    Result<Image> image = decode_image(sample.file);
    ASSERT_TRUE(image.ok()) << sample.name << ": " << image.error().message;
    EXPECT_EQ(image->height, sample.height) << sample.name;
    EXPECT_EQ(image->width, sample.width) << sample.name;
    EXPECT_EQ(image->channels, sample.channels) << sample.name;
    int worst = 0;
    for (size_t i = 0; i < sample.pixels.size(); ++i)
      worst = std::max(worst, std::abs(image->pixels[i] - sample.pixels[i]));
    // Versions of libjpeg differ in the last bits.
    EXPECT_LE(worst, sample.name.starts_with("png") ? 0 : 3) << sample.name;
  }
}

TEST(Image, TruncatedFilesAreErrors) {
  for (const SamplePicture& sample : sample_pictures()) {
    for (size_t size = 0; size < sample.file.size(); ++size) {
      EXPECT_FALSE(decode_image(std::span(sample.file).first(size)).ok())
          << sample.name << " cut to " << size;
    }
  }
}

TEST(Image, DamagedFilesEndInPixelsOrAnError) {
  ImageDecodeOptions options;
  options.max_pixels = 1 << 20;
  Random random(2);
  for (const SamplePicture& sample : sample_pictures()) {
    for (int trial = 0; trial < 300; ++trial) {
      std::vector<uint8_t> file = sample.file;
      for (uint64_t i = 0; i <= random.below(3); ++i) file[random.below(file.size())] = static_cast<uint8_t>(random.below(256));
      const Result<Image> image = decode_image(file, options);
      if (image.ok()) {
        EXPECT_EQ(static_cast<int64_t>(image->pixels.size()), image->height * image->width * image->channels);
      }
    }
  }
}

TEST(Image, NamesOfPictures) {
  for (const char* name : {"a.png", "b/c.JPG", "x.y.jpeg", "d.WebP", "e.bmp"}) EXPECT_TRUE(is_image_name(name)) << name;
  for (const char* name : {"png", "a.txt", "a.png.bak", ""}) EXPECT_FALSE(is_image_name(name)) << name;
}

TEST(Image, ErrorsNameTheFileAndTheReason) {
  TemporaryFolder folder;
  SamplePicture sample = sample_pictures()[0];
  sample.file.resize(100);
  std::string path = folder.write("x.png", sample.file);
  EXPECT_EQ(read_image(path).error().message, path + ": PNG: the data is truncated");
  path = folder.write("x.jpg", "no picture");
  EXPECT_EQ(read_image(path).error().message, path + ": not a PNG, JPEG, WebP or BMP picture");
  EXPECT_THAT(read_image(folder.path("none.png")).error().message, HasSubstr("No such file"));
}

TEST(Image, RefusesWhatIsTooLarge) {
  ImageDecodeOptions options;
  options.max_pixels = 34;
  for (const SamplePicture& sample : sample_pictures()) {
    EXPECT_THAT(decode_image(sample.file, options).error().message, HasSubstr("the limits are"))
        << sample.name;
  }
}

TEST(Image, OrientationIsOptional) {
  ImageDecodeOptions options;
  options.apply_orientation = false;
  SamplePicture sample = sample_pictures().back();
  ASSERT_EQ(sample.name, "jpeg-turned");
  EXPECT_EQ(decode_image(sample.file, options)->height, sample.width);
}

TEST(Image, TurnsAllEightWays) {
  Image image{2, 3, 1, {1, 2, 3, 4, 5, 6}};
  auto pixels = [&](int orientation) { return oriented(image, orientation).pixels; };
  EXPECT_THAT(pixels(1), ElementsAre(1, 2, 3, 4, 5, 6));
  EXPECT_THAT(pixels(2), ElementsAre(3, 2, 1, 6, 5, 4));
  EXPECT_THAT(pixels(3), ElementsAre(6, 5, 4, 3, 2, 1));
  EXPECT_THAT(pixels(4), ElementsAre(4, 5, 6, 1, 2, 3));
  EXPECT_THAT(pixels(5), ElementsAre(1, 4, 2, 5, 3, 6));
  EXPECT_THAT(pixels(6), ElementsAre(4, 1, 5, 2, 6, 3));
  EXPECT_THAT(pixels(7), ElementsAre(6, 3, 5, 2, 4, 1));
  EXPECT_THAT(pixels(8), ElementsAre(3, 6, 2, 5, 1, 4));
}

TEST(Image, PngRoundTrips) {
  for (int64_t channels : {1, 3}) {
    Image image = ramp(9, 4, channels);
    std::string png = *encode_png(image);
    Image again = *decode_image({reinterpret_cast<const uint8_t*>(png.data()), png.size()});
    EXPECT_EQ(again.channels, channels);
    EXPECT_EQ(again.pixels, image.pixels);
  }
  TemporaryFolder folder;
  ASSERT_TRUE(write_png(folder.path("x.png"), ramp(2, 2, 3)).ok());
  EXPECT_EQ(read_image(folder.path("x.png"))->pixels, ramp(2, 2, 3).pixels);
  EXPECT_THAT(write_png(folder.path("x.png"), Image{0, 2, 3, {}}).error().message,
              StartsWith(folder.path("x.png")));
}

TEST(Image, BicubicIsThatOfPillow) {
  Image image{5, 6, 1, {}};
  for (int i = 0; i < 30; ++i) image.pixels.push_back(static_cast<uint8_t>((i * 7 + i / 5) % 256 * 3 % 256));
  EXPECT_THAT(resize(image, 2, 3, ResizeFilter::kBicubic).pixels, ElementsAre(69, 111, 154, 72, 115, 157));
  const std::vector<uint8_t> larger = {
      0,   1,   17,  30,  46,  58,  72,  90,  103, 80,  90,  106, 119, 133, 147, 162, 180, 190, 103, 113, 129,
      142, 156, 172, 187, 204, 213, 1,   11,  26,  40,  56,  72,  86,  101, 111, 104, 113, 130, 146, 161, 175,
      189, 204, 214, 82,  92,  110, 125, 140, 154, 167, 183, 193, 0,   7,   25,  39,  53,  67,  80,  96,  106};
  EXPECT_EQ(resize(image, 7, 9, ResizeFilter::kBicubic).pixels, larger);
}

TEST(Image, BilinearCountsEveryPixelWhenShrinking) {
  Image image{1, 8, 1, {0, 0, 0, 0, 80, 80, 80, 80}};
  // Pillow: Image.fromarray(...).resize((2, 1), Image.BILINEAR).
  EXPECT_THAT(resize(image, 1, 2, ResizeFilter::kBilinear).pixels, ElementsAre(11, 69));
  EXPECT_THAT(resize(image, 1, 4, ResizeFilter::kBilinear).pixels, ElementsAre(0, 10, 70, 80));
  Image two{1, 2, 1, {0, 100}};
  EXPECT_THAT(resize(two, 1, 4, ResizeFilter::kBilinear).pixels, ElementsAre(0, 25, 75, 100));
  EXPECT_THAT(resize(two, 2, 4, ResizeFilter::kNearest).pixels, ElementsAre(0, 0, 100, 100, 0, 0, 100, 100));
}

TEST(Image, CropsTheMiddle) {
  Image image{3, 4, 1, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11}};
  EXPECT_THAT(center_crop(image, 1, 2)->pixels, ElementsAre(5, 6));
  EXPECT_THAT(center_crop(image, 4, 2).error().message, HasSubstr("3 x 4 cannot be cut to 4 x 2"));
}

TEST(ImageToTensor, LaysOutPlanesOrPixels) {
  Image image{1, 2, 3, {0, 51, 102, 153, 204, 255}};
  Tensor planes = *image_to_tensor(image, {});
  EXPECT_THAT(planes.extents(), ElementsAre(1, 3, 1, 2));
  EXPECT_THAT(planes.data<float>(), ElementsAre(0, 0.6f, 0.2f, 0.8f, 0.4f, 1));
  ImageOptions options;
  options.layout = ImageLayout::kNhwc;
  options.order = ChannelOrder::kBgr;
  options.dtype = DType::kU8;
  Tensor pixels = *image_to_tensor(image, options);
  EXPECT_THAT(pixels.extents(), ElementsAre(1, 1, 2, 3));
  EXPECT_THAT(pixels.data<uint8_t>(), ElementsAre(102, 51, 0, 255, 204, 153));
}

TEST(ImageToTensor, NormalizesInTheOrderOfTheTensor) {
  Image image{1, 1, 3, {10, 20, 30}};
  ImageOptions options;
  options.order = ChannelOrder::kBgr;
  options.scale = 1;
  options.mean = {30, 10, 0};
  options.std = {1, 2, 5};
  EXPECT_THAT(image_to_tensor(image, options)->data<float>(), ElementsAre(0, 5, 2));
  options.dtype = DType::kF16;
  EXPECT_EQ(image_to_tensor(image, options)->double_at(1), 5);
  options.mean = {1, 2};
  EXPECT_THAT(image_to_tensor(image, options).error().message, HasSubstr("mean has 2 values for 3 channels"));
  options.mean = {};
  options.std = {0};
  EXPECT_THAT(image_to_tensor(image, options).error().message, HasSubstr("std 0"));
}

TEST(ImageToTensor, ChangesChannels) {
  Image grey{1, 1, 1, {51}};
  ImageOptions options;
  options.channels = 3;
  EXPECT_THAT(image_to_tensor(grey, options)->data<float>(), ElementsAre(0.2f, 0.2f, 0.2f));
  options.channels = 1;
  options.dtype = DType::kU8;
  EXPECT_THAT(image_to_tensor(Image{1, 1, 3, {255, 0, 0}}, options)->data<uint8_t>(), ElementsAre(76));
  options.channels = 2;
  EXPECT_THAT(image_to_tensor(grey, options).error().message, HasSubstr("1 or 3 channels, not 2"));
}

TEST(ImageToTensor, FitsTheSize) {
  ImageOptions options;
  options.height = 4;
  options.width = 6;
  EXPECT_THAT(image_to_tensor(ramp(20, 11, 3), options)->extents(), ElementsAre(1, 3, 4, 6));
  options.fit = ImageFit::kCenterCrop;
  for (auto [height, width] : {std::pair{20, 11}, {11, 20}, {1, 1}, {3, 100}}) {
    EXPECT_THAT(image_to_tensor(ramp(height, width, 3), options)->extents(), ElementsAre(1, 3, 4, 6));
  }
  options.shortest_edge = 3;
  EXPECT_THAT(image_to_tensor(ramp(20, 11, 3), options).error().message, HasSubstr("shortest edge of 3"));
  options.shortest_edge = 8;
  EXPECT_THAT(image_to_tensor(ramp(20, 11, 3), options)->extents(), ElementsAre(1, 3, 4, 6));
  options.shortest_edge = 60'000;
  EXPECT_THAT(image_to_tensor(ramp(1, 60'000, 1), options).error().message, HasSubstr("too large"));
  options.height = 1 << 20;
  EXPECT_FALSE(image_to_tensor(ramp(1, 1, 1), options).ok());
}

}  // namespace
}  // namespace gannet
