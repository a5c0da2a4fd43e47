// Tensor data in files beside the model. The model names them, and a model may come from anywhere: a name
// must lead to a regular file inside the model's folder, without links of any kind, or it is refused.
#pragma once

#include <algorithm>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "frontend/file_bytes.h"
#include "ir/base/error.h"
#include "ir/base/file.h"
#include "ir/base/limits.h"

namespace gannet {

// Where a tensor with external data keeps it.
struct ExternalLocation {
  std::string location;  // path relative to the model's folder
  int64_t offset = 0;
  std::optional<int64_t> length;  // without one: as many bytes as the tensor needs
};

// Bytes of an external file.
struct ExternalBytes {
  FileBytes file;
  int64_t offset = 0, length = 0;
};

// Reads the key/value entries of TensorProto.external_data. Unknown keys and the checksum are not looked at.
// Errors: no location, an offset or length that is not a number from 0 to 2^63-1.
Result<ExternalLocation> parse_external_location(
    const std::vector<std::pair<std::string, std::string>>& entries);

// Opens `location` below the folder `folder` for reading: relative, without "..", without symbolic links, a
// regular file with one name. `components` forces the way of kernels without openat2: one component after the
// other.
Result<FileDescriptor> open_beneath(const std::string& folder, const std::string& location,
                                    bool components = false);

// The external files of one model; each is mapped once, when it is first asked for. For one thread at a time.
class ExternalData {
 public:
  // `folder` is the model's; "" stands for a model without one (from memory), which cannot have external
  // data.
  explicit ExternalData(std::string folder) : folder_(std::move(folder)) {}

  // The bytes at `where`, `needed` of them. Errors give both numbers: a length other than `needed`, a range
  // beyond the end of the file.
  Result<ExternalBytes> bytes(const ExternalLocation& where, int64_t needed, const Limits& limits);
  // From now on `location` stands for `bytes`, whatever is in the folder.
  void provide(const std::string& location, FileBytes bytes) { files_.insert_or_assign(location, std::move(bytes)); }
  // The paths of those that have been read.
  std::vector<std::string> paths() const;
  bool maps(const void* address) const {
    return std::ranges::any_of(files_, [&](const auto& entry) { return entry.second.maps(address); });
  }
  // FileBytes::release of all of them.
  void release() const {
    for (const auto& [location, file] : files_) file.release(0, file.size);
  }

 private:
  std::string folder_;
  std::map<std::string, FileBytes, std::less<>> files_;
};

}  // namespace gannet
