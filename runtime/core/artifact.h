// A compiled model as one file that needs no compiler: a Program for each of the machines that it was
// compiled for, weights that are used where they stand in the mapped file, and machine code. It is to be
// trusted like a shared library: checksums find damage, not malice. docs/artifact.md specifies the format.
#pragma once

#include <memory>
#include <span>
#include <string>
#include <vector>

#include "ir/base/error.h"
#include "runtime/core/program.h"
#include "runtime/core/training_part.h"

namespace gannet {

// Grows with every change of what a Program holds, of MathTable, or of how kernels are called.
inline constexpr uint32_t kArtifactFormat = 9;

// A Program and the machines it is for, by the names of ir/named_target.h.
struct TargetProgram {
  std::string target;  // what it was compiled for
  std::string needed;  // what it runs on: less than `target` where the program does not use all that this has
  std::shared_ptr<const Program> program;
  std::shared_ptr<const TrainingPart> training = nullptr;  // null: it cannot be fine-tuned
};

struct Artifact {
  std::vector<TargetProgram> programs;  // a machine runs the first one that it can
  std::string compilation;  // what whoever compiled keeps for later work on the file; not read for running
};

// Replaces `path` as a whole or not at all. What several programs have in common stands once.
Status write_artifact(const std::string& path, const Artifact& artifact);
// The same for one program, compiled on this machine.
Status write_artifact(const std::string& path, std::shared_ptr<const Program> program);
// The program for this machine. Errors name the file and why it is refused: not an artifact, of another
// format, cut off, damaged, for other machines only. What it gives is consistent: every index in it is within
// what it indexes.
Result<std::shared_ptr<const Program>> read_artifact(const std::string& path);
// The same for an artifact in memory, at a multiple of 64 bytes, which `owner` keeps there; it is used where it stands.
Result<std::shared_ptr<const Program>> read_artifact(std::span<const uint8_t> bytes, std::shared_ptr<const void> owner);
// The same with the training part; an error where there is none.
Result<TargetProgram> read_trainable_artifact(const std::string& path);
// All of a file, whatever machines it is for.
Result<Artifact> read_whole_artifact(const std::string& path);
// Whether the file begins as an artifact does.
bool is_artifact(const std::string& path);

}  // namespace gannet
