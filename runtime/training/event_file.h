// TensorBoard's event files: records in TFRecord framing (length, masked CRC-32C of the length, data, masked
// CRC-32C of the data), each an `Event` message of tensorboard/compat/proto/event.proto in protobuf's wire
// format.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "ir/base/error.h"
#include "ir/base/file.h"

namespace gannet {

class EventFile {
 public:
  // A new file in `folder`, which exists. TensorBoard reads all files of a folder as one run, in the order of
  // their names, which begin with the time.
  static Result<EventFile> create(const std::string& folder);

  const std::string& path() const { return path_; }
  // Each record is handed to the system at once, so that a reader beside the run sees it.
  Status scalar(std::string_view tag, int64_t step, double value);
  // `png` is an encoded picture; channels: 1 grey, 3 colour, 4 with transparency.
  Status image(std::string_view tag, int64_t step, std::string_view png, int64_t height, int64_t width,
               int64_t channels);
  // What an earlier file holds for steps after `step` is not shown: the run went back to it.
  Status restart_after(int64_t step);

 private:
  Status record(std::string_view event);

  std::string path_;
  FileDescriptor descriptor_;
};

}  // namespace gannet
