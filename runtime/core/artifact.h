// A Program as one file that needs no compiler: a description, weights that are used where they stand in the mapped
// file, and machine code. It is to be trusted like a shared library: checksums find damage, not malice.
//
//   magic, format, number of sections, file size, then for each section its kind, checksum, position and
//   length, then the checksum of all this; then the sections, each at a multiple of 64 bytes with zeros between.
//
// Checksums are CRC-32C; that of a section is the checksum of those of its parts of 8 MiB, so that several threads can
// make it.
#pragma once

#include <memory>
#include <span>
#include <string>

#include "ir/base/error.h"
#include "runtime/core/program.h"

namespace gannet {

// Grows with every change of what a Program holds, of MathTable, or of how kernels are called.
inline constexpr uint32_t kArtifactFormat = 5;

// Replaces `path` as a whole or not at all.
Status write_artifact(const std::string& path, const Program& program);
// Errors name the file and why it is refused: not an artifact, of another format, cut off, damaged, code for a machine
// with more instructions. What it gives is consistent: every index in it is within what it indexes.
Result<std::shared_ptr<const Program>> read_artifact(const std::string& path);
// The same for an artifact in memory, at a multiple of 64 bytes, which `owner` keeps there; it is used where it stands.
Result<std::shared_ptr<const Program>> read_artifact(std::span<const uint8_t> bytes, std::shared_ptr<const void> owner);
// Whether the file begins as an artifact does.
bool is_artifact(const std::string& path);

}  // namespace gannet
