#include "runtime/data/tokenizer/json_fields.h"

#include <fmt/format.h>

#include <limits>

namespace gannet::tokenization {

Result<JsonFields> JsonFields::of(const nlohmann::json& json, std::string where) {
  if (!json.is_object())
    return invalid_input(fmt::format("{}: is {}, not an object", where, json.type_name()));
  return JsonFields(json, std::move(where));
}

const nlohmann::json* JsonFields::find(const char* name) const {
  auto found = json_->find(name);
  return found == json_->end() || found->is_null() ? nullptr : &*found;
}

Error JsonFields::invalid(const std::string& message) const {
  return invalid_input(where_.empty() ? message : where_ + ": " + message);
}

Error JsonFields::not_supported(const std::string& message) const {
  return unsupported(where_.empty() ? message : where_ + ": " + message);
}

Error JsonFields::wrong(const char* name, const char* wanted) const {
  const nlohmann::json* value = find(name);
  return invalid(fmt::format("'{}' is {}, not {}", name, value ? value->type_name() : "absent", wanted));
}

Result<std::string> JsonFields::text(const char* name) const {
  const nlohmann::json* value = find(name);
  if (!value || !value->is_string()) return wrong(name, "a string");
  return value->get<std::string>();
}

Result<std::string> JsonFields::text(const char* name, const std::string& otherwise) const {
  if (!find(name)) return otherwise;
  return text(name);
}

Result<std::optional<std::string>> JsonFields::optional_text(const char* name) const {
  if (!find(name)) return std::optional<std::string>();
  return std::optional<std::string>(TRY(text(name)));
}

Result<bool> JsonFields::flag(const char* name, bool otherwise) const {
  const nlohmann::json* value = find(name);
  if (!value) return otherwise;
  if (!value->is_boolean()) return wrong(name, "true or false");
  return value->get<bool>();
}

Result<int64_t> JsonFields::integer(const char* name) const {
  const nlohmann::json* value = find(name);
  if (!value || !value->is_number_integer()) return wrong(name, "an integer");
  if (value->is_number_unsigned() &&
      value->get<uint64_t>() > static_cast<uint64_t>(std::numeric_limits<int64_t>::max())) {
    return wrong(name, "an integer below 2^63");
  }
  return value->get<int64_t>();
}

Result<int64_t> JsonFields::integer(const char* name, int64_t otherwise) const {
  if (!find(name)) return otherwise;
  return integer(name);
}

Result<std::vector<JsonFields>> JsonFields::objects(const char* name) const {
  const nlohmann::json* value = find(name);
  if (!value || !value->is_array()) return wrong(name, "an array");
  std::vector<JsonFields> fields;
  for (size_t i = 0; i < value->size(); ++i) {
    fields.push_back(TRY(JsonFields::of((*value)[i], fmt::format("{}[{}]", where_of(name), i))));
  }
  return fields;
}

Result<JsonFields> JsonFields::object(const char* name) const {
  const nlohmann::json* value = find(name);
  if (!value) return wrong(name, "an object");
  return JsonFields::of(*value, where_of(name));
}

}  // namespace gannet::tokenization
