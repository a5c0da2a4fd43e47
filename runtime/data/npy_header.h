// The header of a .npy file: a Python dictionary with the element type, the order and the shape.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "ir/base/dtype.h"
#include "ir/base/error.h"

namespace gannet {

struct NpyHeader {
  DType dtype = DType::kUndefined;  // kString for U and S
  bool big_endian = false;
  bool unicode = false;    // U: four bytes a character
  int64_t item_bytes = 0;  // of one element in the file
  bool fortran_order = false;
  std::vector<int64_t> extents;
};

// Reads "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 3), }"; keys may be in any order.
Result<NpyHeader> parse_npy_header(std::string_view text);
// The whole start of a file of version 1, padded so that the elements begin at a multiple of 64.
std::string npy_preamble(std::string_view descriptor, const std::vector<int64_t>& extents);

}  // namespace gannet
