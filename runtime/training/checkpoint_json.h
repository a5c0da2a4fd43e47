// The JSON half of a checkpoint.
#pragma once

#include <string>

#include "runtime/training/checkpoint.h"

namespace gannet {

struct CheckpointRecord {
  TrainingPosition position;
  int64_t bytes = 0;      // of the file with the States
  uint32_t checksum = 0;  // its CRC-32C
};

std::string to_json(const CheckpointRecord& record);
// One error for anything that to_json does not write; a later schema is said to be one.
Result<CheckpointRecord> parse_checkpoint_json(const std::string& text);

}  // namespace gannet
