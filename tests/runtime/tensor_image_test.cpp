#include "runtime/data/tensor_image.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cmath>

#include "runtime/data/image_grid.h"

namespace gannet {
namespace {

using testing::ElementsAre;
using testing::HasSubstr;

TEST(TensorImage, ScoresAreNoPictures) {
  EXPECT_FALSE(images_of(Tensor::zeros(DType::kF32, {4, 1})).ok());
  EXPECT_TRUE(images_of(Tensor::zeros(DType::kF32, {4, 4})).ok());
}

TEST(TensorImage, ReadsEveryLayout) {
  const Tensor planar = Tensor::from<float>({1, 3, 1, 2}, {-1, 1, 0, -3, 5, NAN});
  EXPECT_THAT((*images_of(planar))[0].pixels, ElementsAre(0, 128, 255, 255, 0, 128));
  TensorImageOptions bgr;
  bgr.order = ChannelOrder::kBgr;
  EXPECT_THAT((*images_of(planar, bgr))[0].pixels, ElementsAre(255, 128, 0, 128, 0, 255));
  const Tensor pixels = Tensor::from<uint8_t>({1, 1, 2, 3}, {1, 2, 3, 4, 5, 6});
  TensorImageOptions bytes;
  bytes.range = {0, 255};
  bytes.layout = ImageLayout::kNhwc;
  EXPECT_THAT((*images_of(pixels, bytes))[0].pixels, ElementsAre(1, 2, 3, 4, 5, 6));
  bytes.layout.reset();
  EXPECT_EQ((*images_of(pixels, bytes))[0].channels, 1);
  const Tensor flat = Tensor::from<float>({2, 4}, {0, 51, 102, 153, 204, 255, 0, 300});
  const std::vector<Image> images = *images_of(flat, bytes);
  ASSERT_EQ(images.size(), 2u);
  EXPECT_EQ(images[0].height, 2);
  EXPECT_THAT(images[1].pixels, ElementsAre(204, 255, 0, 255));
  EXPECT_EQ((*images_of(Tensor::zeros(DType::kF32, {1, 12})))[0].channels, 3);
  EXPECT_EQ((*images_of(Tensor::zeros(DType::kF16, {2, 5, 6})))[1].width, 6);
}

TEST(TensorImage, SaysWhatIsNoPicture) {
  EXPECT_THAT(images_of(Tensor::zeros(DType::kF32, {1, 2, 5, 5})).error().message,
              HasSubstr("f32[1, 2, 5, 5]"));
  EXPECT_THAT(images_of(Tensor::zeros(DType::kF32, {1, 7})).error().message, HasSubstr("f32[1, 7]"));
  TensorImageOptions options;
  options.range = {1, 1};
  EXPECT_THAT(images_of(Tensor::zeros(DType::kF32, {1, 4}), options).error().message, HasSubstr("no range"));
}

TEST(TensorImage, GridsAreSquare) {
  EXPECT_EQ(square_columns(1), 1);
  EXPECT_EQ(square_columns(64), 8);
  EXPECT_EQ(square_columns(65), 9);
  const Image grid = *tensor_grid(Tensor::zeros(DType::kF32, {5, 1, 4, 4}));
  EXPECT_EQ(grid.width, 3 * 6 + 2);
  EXPECT_EQ(grid.height, 2 * 6 + 2);
}

}  // namespace
}  // namespace gannet
