#include "tools/deploy/image_metadata.h"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace gannet {
namespace {

using testing::ElementsAre;

TEST(ImageMetadata, SaysWhatItWasGiven) {
  ImageOptions options;
  options.height = 224;
  options.width = 192;
  options.fit = ImageFit::kCenterCrop;
  options.shortest_edge = 256;
  options.order = ChannelOrder::kBgr;
  options.scale = 1;
  options.mean = {104, 117.5, 123};
  options.std = {2};
  ImageOptions read;
  apply_image_metadata(image_metadata(options), true, read);
  EXPECT_EQ(read.height, 224);
  EXPECT_EQ(read.width, 192);
  EXPECT_EQ(read.fit, ImageFit::kCenterCrop);
  EXPECT_EQ(read.shortest_edge, 256);
  EXPECT_EQ(read.order, ChannelOrder::kBgr);
  EXPECT_EQ(read.scale, 1);
  EXPECT_THAT(read.mean, ElementsAre(104, 117.5, 123));
  EXPECT_THAT(read.std, ElementsAre(2));
}

TEST(ImageMetadata, FlagsGoFirst) {
  ImageOptions options;
  options.height = options.width = 32;
  options.scale = 0.5;
  options.std = {3};
  apply_image_metadata({{"size", R"({"height":224,"width":224})"},
                        {"do_center_crop", "true"},
                        {"rescale_factor", "0.00392156862745098"},
                        {"image_mean", "[0.485, 0.456,0.406]"},
                        {"image_std", "0.5"}},
                       false, options);
  EXPECT_EQ(options.height, 32);
  EXPECT_EQ(options.fit, ImageFit::kStretch);
  EXPECT_EQ(options.scale, 0.5);
  EXPECT_THAT(options.mean, ElementsAre(0.485, 0.456, 0.406));
  EXPECT_THAT(options.std, ElementsAre(3));
}

TEST(ImageMetadata, OtherFormsArePassedOver) {
  ImageOptions options;
  apply_image_metadata({{"size", "large"},
                        {"rescale_factor", "one"},
                        {"image_mean", "[0.5, red]"},
                        {"image_std", "[]"},
                        {"do_flip_channel_order", "perhaps"}},
                       true, options);
  EXPECT_EQ(options.height, 0);
  EXPECT_FALSE(options.scale);
  EXPECT_TRUE(options.mean.empty());
  EXPECT_TRUE(options.std.empty());
  EXPECT_EQ(options.order, ChannelOrder::kRgb);
  apply_image_metadata({{"size", R"({"height": -5, "width": 99999999999999999999})"}}, true, options);
  EXPECT_EQ(options.height, 0);
}

}  // namespace
}  // namespace gannet
