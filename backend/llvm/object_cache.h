// Machine code of kernels on disk, shared by all processes of a user. Each kernel is a file of its own, named by the hash
// of what it depends on and holding all of that, so that neither a collision nor a damaged file gives wrong code: both
// count as absent.
#pragma once

#include <optional>
#include <string>

#include "backend/llvm/object_code.h"

namespace gannet {

class ObjectCache {
 public:
  // An empty folder: $XDG_CACHE_HOME/gannet, else ~/.cache/gannet. `most_bytes` bounds what trim leaves.
  explicit ObjectCache(std::string folder, int64_t most_bytes = int64_t{64} << 20);

  std::optional<KernelCode> find(const std::string& key) const;
  // A folder that cannot be written is no error: the next process compiles again.
  void keep(const std::string& key, const KernelCode& code) const;
  // Removes what was used longest ago until the rest fits, and what killed processes have left.
  void trim() const;

  const std::string& folder() const { return folder_; }

 private:
  std::string path_of(const std::string& key) const;

  std::string folder_;
  int64_t most_bytes_;
};

}  // namespace gannet
