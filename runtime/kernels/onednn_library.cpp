#include "runtime/kernels/onednn_library.h"

#include <dlfcn.h>
#include <fmt/format.h>

#include <cstdlib>
#include <dnnl.hpp>
#include <string>

namespace gannet {
namespace {

// The library's functions, set by load_onednn().
struct Functions {
#define FUNCTION(result, name, parameters, arguments) decltype(&::name) name = nullptr;
#include "runtime/kernels/onednn_functions.def"
};
constinit Functions functions;

Status unusable(const std::string& reason) {
  return unsupported(fmt::format("oneDNN is needed and cannot be loaded: {}; GANNET_ONEDNN=FILE says where it is, gannet compile "
                                 "--codegen-only makes files that do without",
                                 reason));
}

Status load() {
  const char* wanted = std::getenv("GANNET_ONEDNN");
  const std::string path = wanted ? wanted : fmt::format("libdnnl.so.{}", DNNL_VERSION_MAJOR);
  // Never closed: its kernels, and threads of OpenMP, may be running when the process ends.
  void* library = dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
  if (!library) return unusable(dlerror());
  using VersionFn = const dnnl_version_t* (*)();
  const auto version = reinterpret_cast<VersionFn>(dlsym(library, "dnnl_version"));
  if (!version) return unusable(fmt::format("{}: it has no dnnl_version", path));
  if (version()->major != DNNL_VERSION_MAJOR) {
    return unusable(fmt::format("{}: it is version {}, this program was built for {}", path, version()->major, DNNL_VERSION_MAJOR));
  }
#define FUNCTION(result, name, parameters, arguments)                                       \
  functions.name = reinterpret_cast<decltype(functions.name)>(dlsym(library, #name));       \
  if (!functions.name) return unusable(fmt::format("{}: it has no {}", path, #name));
#include "runtime/kernels/onednn_functions.def"
  return {};
}

}  // namespace

Status load_onednn() {
  static const Status loaded = load();
  return loaded;
}

}  // namespace gannet

// What the headers of oneDNN declare. Hidden, so that the library's calls of itself do not come here.
#define FUNCTION(result, name, parameters, arguments) \
  extern "C" __attribute__((visibility("hidden"))) result DNNL_API name parameters { return gannet::functions.name arguments; }
#include "runtime/kernels/onednn_functions.def"
