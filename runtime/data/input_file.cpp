#include "runtime/data/input_file.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <bit>
#include <filesystem>
#include <limits>

#include "ir/base/checked.h"
#include "ir/base/file.h"
#include "runtime/data/npy.h"
#include "runtime/data/zip.h"

namespace gannet {
namespace {

enum class Content { kArray, kArchive, kPicture, kOther };

struct Place {
  std::string path;
  std::string member;  // after '#'
};

bool opens(const std::string& path) { return ReadableFile::open(path).ok(); }

// A file whose own name holds a '#' wins over a member of an archive.
Place split_path(const std::string& path) {
  size_t hash = path.rfind('#');
  if (hash == std::string::npos || hash == 0 || opens(path)) return {path, ""};
  return {path.substr(0, hash), path.substr(hash + 1)};
}

Result<Content> content_of(const ReadableFile& file) {
  std::array<uint8_t, kImageMagicBytes> start{};
  size_t count = static_cast<size_t>(std::min<int64_t>(file.size(), static_cast<int64_t>(start.size())));
  TRY(file.read_at(0, std::span(start).first(count)));
  std::string_view text(reinterpret_cast<const char*>(start.data()), count);
  if (text.starts_with("\x93NUMPY")) return Content::kArray;
  if (text.starts_with("PK\x03\x04") || text.starts_with("PK\x05\x06")) return Content::kArchive;
  std::span<const uint8_t> bytes(start.data(), count);
  if (looks_like_image(bytes)) return Content::kPicture;
  return Content::kOther;
}

// ".npy" of "folder/X.NPY".
std::string ending_of(const std::string& path) {
  std::string ending = std::filesystem::path(path).extension().string();
  std::ranges::transform(ending, ending.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  return ending;
}

// What the name promises when the content says nothing, so that a damaged picture is not taken for raw
// elements.
Content content_of_name(const std::string& path) {
  const std::string ending = ending_of(path);
  if (ending == ".npy") return Content::kArray;
  if (ending == ".npz") return Content::kArchive;
  return is_image_name(path) ? Content::kPicture : Content::kOther;
}

// Any other name promises something that nobody here reads, such as .gif or .csv. Numbers are no ending: "frame.0001".
bool may_be_raw(const std::string& path) {
  const std::string ending = ending_of(path);
  return ending.find_first_not_of(".0123456789") == std::string::npos || ending == ".bin" || ending == ".raw" || ending == ".dat";
}

std::string wanted_text(DType dtype, const std::optional<std::vector<int64_t>>& extents) {
  std::string type(dtype == DType::kUndefined ? "any type" : name_of(dtype));
  if (!extents) return type;
  std::vector<std::string> parts;
  for (int64_t extent : *extents) parts.push_back(extent < 0 ? "?" : std::to_string(extent));
  return fmt::format("{}[{}]", type, fmt::join(parts, ", "));
}

bool fits(const std::vector<int64_t>& extents, const std::optional<std::vector<int64_t>>& wanted) {
  if (!wanted) return true;
  return std::equal(extents.begin(), extents.end(), wanted->begin(), wanted->end(),
                    [](int64_t extent, int64_t want) { return want < 0 || extent == want; });
}

// The type that .npy files hold in place of `dtype`.
DType stand_in(DType dtype) {
  if (dtype == DType::kBF16 || is_small_float(dtype)) return DType::kF32;
  if (dtype == DType::kI4 || dtype == DType::kI2) return DType::kI8;
  if (dtype == DType::kU4 || dtype == DType::kU2) return DType::kU8;
  return dtype;
}

// An error when an integer of the array does not fit the narrow type.
Status check_narrow_range(const Tensor& tensor, DType dtype) {
  if (!is_int(dtype)) return {};
  int64_t bits = element_bits(dtype);
  int64_t least = is_signed_int(dtype) ? -(int64_t{1} << (bits - 1)) : 0;
  int64_t most = least + (int64_t{1} << bits) - 1;
  for (int64_t i = 0; i < tensor.elements(); ++i) {
    int64_t value = tensor.int_at(i);
    if (value < least || value > most) {
      return invalid_input(
          fmt::format("element {} is {}; {} holds {} to {}", i, value, name_of(dtype), least, most));
    }
  }
  return {};
}

Result<Tensor> matched(Tensor tensor, DType dtype, const std::optional<std::vector<int64_t>>& extents) {
  bool narrowed = dtype != DType::kUndefined && dtype != tensor.dtype() && stand_in(dtype) == tensor.dtype();
  bool same_type = dtype == DType::kUndefined || dtype == tensor.dtype() || narrowed;
  if (!same_type || !fits(tensor.extents(), extents)) {
    return invalid_input(
        fmt::format("holds {}, the input is {}", type_string(tensor), wanted_text(dtype, extents)));
  }
  if (!narrowed) return tensor;
  TRY(check_narrow_range(tensor, dtype));
  return convert(tensor, dtype);
}

Result<Tensor> read_archive(const Place& place, const ReadableFile& file, const Limits& limits) {
  if (!place.member.empty()) return read_npz_array(place.path, place.member, limits);
  std::vector<ZipMember> members = TRY(list_zip(file));
  if (members.size() == 1 && members[0].name.ends_with(".npy")) {
    return read_npz_array(place.path, members[0].name.substr(0, members[0].name.size() - 4), limits);
  }
  return invalid_input(fmt::format("holds {} arrays; choose one by '#' and its name", members.size()));
}

bool may_be_channels(int64_t extent) { return extent == 1 || extent == 3; }

Result<Tensor> read_picture(const std::string& path, DType dtype,
                            const std::optional<std::vector<int64_t>>& extents,
                            const ImageOptions& image_options) {
  ImageOptions options = TRY(image_options_for(image_options, dtype, extents));
  if (options.channels > 0) TRY(check_image_options(options, options.channels));
  Image image = TRY(read_image(path));
  Tensor tensor = TRY(image_to_tensor(image, options));
  if (extents && extents->size() == 3) {
    tensor = tensor.reshaped({tensor.extents().begin() + 1, tensor.extents().end()});
  }
  return tensor;
}

// The extents with an open one computed from the number of elements.
Result<std::vector<int64_t>> settle(const std::vector<int64_t>& wanted, DType dtype, int64_t bytes) {
  std::vector<int64_t> extents = wanted;
  auto open = std::find_if(extents.begin(), extents.end(), [](int64_t extent) { return extent < 0; });
  if (std::find_if(open == extents.end() ? open : open + 1, extents.end(),
                   [](int64_t extent) { return extent < 0; }) != extents.end()) {
    return invalid_input(
        fmt::format("raw elements need a shape with at most one open extent, the input is {}",
                    wanted_text(dtype, wanted)));
  }
  if (open != extents.end()) {
    *open = 1;
    std::optional<int64_t> others = checked_product(extents);
    std::optional<int64_t> row = others ? checked_mul(*others, element_size(dtype)) : std::nullopt;
    if (!row || *row == 0 || bytes % *row != 0) {
      return invalid_input(fmt::format("{} bytes do not fit {}", bytes, wanted_text(dtype, wanted)));
    }
    *open = bytes / *row;
  }
  std::optional<int64_t> elements = checked_product(extents);
  std::optional<int64_t> needed = elements ? checked_mul(*elements, element_size(dtype)) : std::nullopt;
  if (!needed || *needed != bytes) {
    return invalid_input(fmt::format("is {} bytes long, {} takes {}", bytes, wanted_text(dtype, wanted),
                                     needed ? std::to_string(*needed) : "more than 2^63"));
  }
  return extents;
}

Result<Tensor> read_raw(const ReadableFile& file, DType dtype,
                        const std::optional<std::vector<int64_t>>& wanted, const Limits& limits) {
  static_assert(std::endian::native == std::endian::little);
  if (dtype == DType::kUndefined || !wanted) {
    return invalid_input("is neither an array nor a picture; raw elements need a type and a shape");
  }
  if (dtype == DType::kString || element_bits(dtype) < 8) {
    return unsupported(fmt::format("raw elements of {} are not read; use .npy", name_of(dtype)));
  }
  std::vector<int64_t> extents = TRY(settle(*wanted, dtype, file.size()));
  Tensor tensor = TRY(Tensor::allocate(dtype, extents, limits));
  if (tensor.elements() == 0) return tensor;
  std::span<uint8_t> bytes(static_cast<uint8_t*>(tensor.mutable_raw()), static_cast<size_t>(tensor.bytes()));
  TRY(file.read_at(0, bytes));
  if (dtype == DType::kBool) {
    for (uint8_t& byte : bytes) byte = byte != 0;  // any other value in a bool is undefined behaviour
  }
  return tensor;
}

Result<Tensor> read_place(const Place& place, DType dtype, const std::optional<std::vector<int64_t>>& extents,
                          const InputOptions& options) {
  ReadableFile file = TRY(ReadableFile::open(place.path));
  Content content = TRY(content_of(file));
  if (content == Content::kOther) content = content_of_name(place.path);
  if (!place.member.empty() && content != Content::kArchive) {
    return invalid_input(fmt::format("is not an archive of arrays, so it has no '{}'", place.member));
  }
  Tensor tensor;
  switch (content) {
    case Content::kArray:
      tensor = TRY(read_npy(place.path, options.limits));
      break;
    case Content::kArchive:
      tensor = TRY(read_archive(place, file, options.limits));
      break;
    case Content::kPicture:
      tensor = TRY(read_picture(place.path, dtype, extents, options.image));
      break;
    case Content::kOther:
      if (!may_be_raw(place.path))
        return invalid_input("is neither an array nor a picture; inputs are .npy, .npz, .png, .jpg, .webp and .bmp files, "
                             "and elements as they are in .bin, .raw, .dat and files without an ending");
      tensor = TRY(read_raw(file, dtype, extents, options.limits));
      break;
  }
  return matched(std::move(tensor), dtype, extents);
}

}  // namespace

Result<ImageOptions> image_options_for(ImageOptions options, DType dtype,
                              const std::optional<std::vector<int64_t>>& extents) {
  if (dtype != DType::kUndefined) options.dtype = dtype;
  if (!extents) return options;
  size_t rank = extents->size();
  if (rank != 3 && rank != 4) {
    return invalid_input(
        fmt::format("a picture gives a tensor of rank 4 or 3, the input is {}", wanted_text(dtype, extents)));
  }
  const int64_t* dims = extents->data() + (rank - 3);
  if (!options.layout) {
    bool channels_last = !may_be_channels(dims[0]) && may_be_channels(dims[2]);
    options.layout = channels_last ? ImageLayout::kNhwc : ImageLayout::kNchw;
  }
  bool planar = options.layout == ImageLayout::kNchw;
  int64_t channels = planar ? dims[0] : dims[2];
  int64_t height = planar ? dims[1] : dims[0], width = planar ? dims[2] : dims[1];
  if (options.channels == 0) options.channels = channels < 0 ? 3 : channels;
  if (options.height == 0) options.height = std::max<int64_t>(height, 0);
  if (options.width == 0) options.width = std::max<int64_t>(width, 0);
  return options;
}

Result<Tensor> read_input(const std::string& path, DType dtype,
                          const std::optional<std::vector<int64_t>>& extents, const InputOptions& options) {
  Place place = split_path(path);
  Result<Tensor> tensor = read_place(place, dtype, extents, options);
  if (tensor.ok() || tensor.error().message.starts_with(place.path)) return tensor;
  return with_prefix(path + ": ", tensor.error());
}

bool is_recognized_input(const std::string& path) {
  Result<ReadableFile> file = ReadableFile::open(split_path(path).path);
  if (!file.ok()) return false;
  Result<Content> content = content_of(*file);
  return content.ok() && *content != Content::kOther;
}

}  // namespace gannet
