#include "runtime/training/checkpoint_json.h"

#include <fmt/format.h>

#include <cmath>
#include <nlohmann/json.hpp>

namespace gannet {

namespace {

using Json = nlohmann::ordered_json;

constexpr int64_t kSchema = 1;

// Reads fields of one object and remembers the first that is missing or of another kind.
class Fields {
 public:
  explicit Fields(const Json& json) : json_(json) {}

  void read(const char* name, int64_t& value) {
    const Json* field = find(name);
    if (field && field->is_number_integer() &&
        (!field->is_number_unsigned() || field->get<uint64_t>() <= INT64_MAX)) {
      value = field->get<int64_t>();
      if (value >= 0) return;
    }
    refuse(name);
  }
  void read(const char* name, uint64_t& value) {
    const Json* field = find(name);
    if (field && field->is_number_unsigned())
      value = field->get<uint64_t>();
    else
      refuse(name);
  }
  void read(const char* name, double& value) {
    const Json* field = find(name);
    if (field && field->is_number())
      value = field->get<double>();
    else
      refuse(name);
  }
  void read(const char* name, bool& value) {
    const Json* field = find(name);
    if (field && field->is_boolean())
      value = field->get<bool>();
    else
      refuse(name);
  }
  void read(const char* name, std::string& value) {
    const Json* field = find(name);
    if (field && field->is_string())
      value = field->get<std::string>();
    else
      refuse(name);
  }
  void read(const char* name, std::optional<double>& value) {
    const Json* field = find(name);
    if (field && field->is_number())
      value = field->get<double>();
    else if (field == nullptr || !field->is_null())
      refuse(name);
  }
  void read(const char* name, std::map<std::string, std::string>& value) {
    const Json* field = find(name);
    if (field == nullptr || !field->is_object()) return refuse(name);
    for (const auto& [key, text] : field->items()) {
      if (!text.is_string()) return refuse(name);
      value[key] = text.get<std::string>();
    }
  }
  // Checkpoints of older versions have none.
  void read_if_there(const char* name, std::map<std::string, double>& value) {
    const Json* field = find(name);
    if (field == nullptr) return;
    if (!field->is_object()) return refuse(name);
    for (const auto& [key, number] : field->items()) {
      if (!number.is_number()) return refuse(name);
      value[key] = number.get<double>();
    }
  }
  const std::string& refused() const { return refused_; }

 private:
  const Json* find(const char* name) const {
    const auto found = json_.find(name);
    return found == json_.end() ? nullptr : &*found;
  }
  void refuse(const char* name) {
    if (refused_.empty()) refused_ = name;
  }

  const Json& json_;
  std::string refused_;
};

}  // namespace

std::string to_json(const CheckpointRecord& record) {
  const TrainingPosition& position = record.position;
  Json json = {{"schema", kSchema},
               {"model", position.model},
               {"options", position.options},
               {"seed", position.seed},
               {"step", position.step},
               {"epoch", position.epoch},
               {"batch", position.batch},
               {"epoch_loss_sum", position.epoch_loss_sum},
               {"epoch_rows", position.epoch_rows},
               {"best", position.best ? Json(*position.best) : Json()},
               {"best_step", position.best_step},
               {"evaluations_since_best", position.evaluations_since_best},
               {"finished", position.finished},
               {"watched", position.watched},
               {"bytes", record.bytes},
               {"crc32c", int64_t{record.checksum}}};
  return json.dump(1, ' ', false, Json::error_handler_t::replace) + "\n";
}

Result<CheckpointRecord> parse_checkpoint_json(const std::string& text) {
  const Json json = Json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!json.is_object()) return invalid_input("is not a JSON object");
  CheckpointRecord record;
  TrainingPosition& position = record.position;
  int64_t schema = 0, checksum = 0;
  Fields fields(json);
  fields.read("schema", schema);
  if (fields.refused().empty() && schema != kSchema) {
    return unsupported(fmt::format("has schema {}, this version reads {}", schema, kSchema));
  }
  fields.read("model", position.model);
  fields.read("options", position.options);
  fields.read("seed", position.seed);
  fields.read("step", position.step);
  fields.read("epoch", position.epoch);
  fields.read("batch", position.batch);
  fields.read("epoch_loss_sum", position.epoch_loss_sum);
  fields.read("epoch_rows", position.epoch_rows);
  fields.read("best", position.best);
  fields.read("best_step", position.best_step);
  fields.read("evaluations_since_best", position.evaluations_since_best);
  fields.read("finished", position.finished);
  fields.read_if_there("watched", position.watched);
  fields.read("bytes", record.bytes);
  fields.read("crc32c", checksum);
  if (checksum > UINT32_MAX) return invalid_input("'crc32c' is not a checksum");
  if (!fields.refused().empty())
    return invalid_input(fmt::format("'{}' is missing or of another kind", fields.refused()));
  record.checksum = static_cast<uint32_t>(checksum);
  return record;
}

}  // namespace gannet
