// How a model wants its pictures, as its metadata say it. Keys and forms are those of Hugging Face's
// preprocessor_config.json: "rescale_factor" is a number, "image_mean" and "image_std" are lists of numbers,
// "do_center_crop" and "do_flip_channel_order" true or false, "size" and "crop_size" {"height": 224, "width": 224}
// or, of a size before the crop, {"shortest_edge": 256}.
#pragma once

#include <string>
#include <vector>

#include "runtime/data/image.h"
#include "tools/deploy/label_metadata.h"

namespace gannet {

inline constexpr const char* kImageTask = "image-classification";

// What a classifier of pictures has learned: its task, the names of the classes by number, and image_metadata.
Metadata classifier_metadata(const std::vector<std::string>& classes, bool several_labels, const ImageOptions& options);
// What `options`, with height and width filled in, say beyond the shape of an input.
Metadata image_metadata(const ImageOptions& options);
// Fills in what is open: extents and shortest edge of 0, a scale that is not given, an empty mean and std; how
// pictures are fitted where `fit_is_open`; and the order of channels where it is RGB. Entries of other forms are
// passed over.
void apply_image_metadata(const Metadata& metadata, bool fit_is_open, ImageOptions& options);

}  // namespace gannet
