// Reads the fields of one JSON object. Every error says where the object stands: "normalizer.normalizers[1]:
// ...".
#pragma once

#include <cstdint>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <vector>

#include "ir/base/error.h"

namespace gannet::tokenization {

class JsonFields {
 public:
  // An error where `json` is no object.
  static Result<JsonFields> of(const nlohmann::json& json, std::string where);

  // The field, or null where it is absent or null.
  const nlohmann::json* find(const char* name) const;
  // Whether the field is there, be it null.
  bool has(const char* name) const { return json_->contains(name); }
  std::string where_of(const char* name) const { return where_.empty() ? name : where_ + "." + name; }

  Result<std::string> text(const char* name) const;
  Result<std::string> text(const char* name, const std::string& otherwise) const;
  Result<std::optional<std::string>> optional_text(const char* name) const;
  Result<bool> flag(const char* name, bool otherwise) const;
  Result<int64_t> integer(const char* name) const;
  Result<int64_t> integer(const char* name, int64_t otherwise) const;
  // An array of objects, each with its place; an error where it is absent.
  Result<std::vector<JsonFields>> objects(const char* name) const;
  Result<JsonFields> object(const char* name) const;

  Error invalid(const std::string& message) const;
  Error not_supported(const std::string& message) const;

 private:
  JsonFields(const nlohmann::json& json, std::string where) : json_(&json), where_(std::move(where)) {}
  Error wrong(const char* name, const char* wanted) const;

  const nlohmann::json* json_;
  std::string where_;
};

}  // namespace gannet::tokenization
