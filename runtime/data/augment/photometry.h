// What becomes of the values of pixels. Blending with factor f between a degenerate picture d and the picture
// x is d + f (x - d), rounded and cut to 0 to 255: 0 gives d, 1 the picture, more goes beyond it. Grey is
// ITU-R 601 luma, as with_channels makes it.
#pragma once

#include <cstdint>

#include "runtime/data/image.h"

namespace gannet {

void change_brightness(Image& image, double factor);  // against black
void change_contrast(Image& image, double factor);    // against the mean of its grey values, rounded
void change_saturation(Image& image, double factor);  // against its grey
// Against its neighbours: each inner pixel smoothed by (1 1 1; 1 5 1; 1 1 1) / 13; the outermost stay.
void change_sharpness(Image& image, double factor);
// Turns hues by this share of the colour circle (HSV); grey stays.
void turn_hue(Image& image, double turn);
void make_grey(Image& image);  // keeps the number of channels
void invert(Image& image);
// Convolves with a Gaussian cut off at three deviations, the edge repeated outside; columns after rows, each
// rounded.
void blur(Image& image, double deviation);
void posterize(Image& image, int bits);      // keeps the highest `bits` (0 to 8) of each value
void solarize(Image& image, int threshold);  // inverts values of at least `threshold`
void stretch_contrast(Image& image);         // each channel from its least and largest value to 0 and 255
void equalize(Image& image);                 // each channel's histogram made flat, as Pillow does it
// Sets the part of a square that lies inside the picture to `value`.
void cut_out(Image& image, int64_t top, int64_t left, int64_t height, int64_t width, uint8_t value);

}  // namespace gannet
