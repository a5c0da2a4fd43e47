// Any bytes as a picture: an error or pixels, never a crash.
#include <cstddef>
#include <cstdint>

#include "runtime/data/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  gannet::ImageDecodeOptions options;
  options.max_pixels = 1 << 20;
  (void)gannet::decode_image({data, size}, options);
  return 0;
}
