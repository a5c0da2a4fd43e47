// A compiled model run once: `gannet-run FILE`, and `gannet run` where it is given such a file.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "runtime/core/session.h"
#include "tools/deploy/run_model.h"

namespace gannet {

// What the command line asks for each input of a program, and what its outputs are called.
std::vector<InputSpec> input_specs(const Program& program);
std::vector<std::string> output_names(const Program& program);
// A session of the program with the library of primitives of this build.
Result<std::unique_ptr<Session>> make_session(std::shared_ptr<const Program> program, int threads, uint64_t seed, const Limits& limits);
// Whether the --shape arguments agree with what the program was compiled for.
Status check_shapes(const Program& program, const std::map<std::string, Shape>& shapes);
// Loads the compiled model at `path`, runs it on the inputs that `arguments` name, and reports its outputs.
Status run_artifact(const std::string& path, const RunArguments& arguments);

}  // namespace gannet
