// Where pictures are written: what can be found wrong before they are made.
#pragma once

#include <span>
#include <string>

#include "ir/base/error.h"

namespace gannet {

// A file of one picture or array: its folder must be there, and a name of pictures must be one of `extension`
// (".png"), which is what is written.
Status check_picture_file(const std::string& path, const std::string& extension);
// A folder, there or to be made.
Status check_output_folder(const std::string& path);
Status make_folder(const std::string& path);
// No file of `targets` may be one of `sources`, which the run reads, or another target.
Status check_targets(std::span<const std::string> targets, std::span<const std::string> sources);

}  // namespace gannet
