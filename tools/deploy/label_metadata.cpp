#include "tools/deploy/label_metadata.h"

#include <algorithm>
#include <charconv>
#include <map>
#include <nlohmann/json.hpp>

namespace gannet {

namespace {

constexpr int64_t kMostClasses = int64_t{1} << 24;

// A Python dictionary of names as JSON, as far as such names go: 'x' becomes "x", a bare number "number".
std::string from_python(const std::string& text) {
  std::string json;
  bool inside = false, number = false;
  char quote = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    const char c = text[i];
    if (inside) {
      if (c == '\\' && i + 1 < text.size()) {
        if (text[i + 1] != '\'') json += c;
        json += text[++i];
      } else if (c == quote) {
        inside = false;
        json += '"';
      } else {
        if (c == '"') json += '\\';
        json += c;
      }
      continue;
    }
    const bool digit = c >= '0' && c <= '9';
    if (digit != number) json += '"';
    number = digit;
    if (c == '\'' || c == '"') {
      inside = true;
      quote = c;
      json += '"';
    } else {
      json += c;
    }
  }
  return json;
}

std::vector<std::string> names_of(const std::string& text) {
  const auto object = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (!object.is_object() || static_cast<int64_t>(object.size()) > kMostClasses) return {};
  std::map<int64_t, std::string> names;
  for (const auto& [key, value] : object.items()) {
    int64_t number = 0;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), number);
    if (error != std::errc() || end != key.data() + key.size() || !value.is_string()) return {};
    names[number] = value.get<std::string>();
  }
  std::vector<std::string> result;
  for (auto& [number, name] : names) {
    if (number != static_cast<int64_t>(result.size())) return {};
    result.push_back(std::move(name));
  }
  return result;
}

}  // namespace

Metadata model_metadata_of(const std::map<std::string, std::string>& file_metadata) {
  Metadata metadata;
  for (const auto& [key, value] : file_metadata) {
    if (key.starts_with(kModelMetadata)) metadata.emplace_back(key.substr(kModelMetadata.size()), value);
  }
  return metadata;
}

std::string id_to_label_text(const std::vector<std::string>& names) {
  std::string text = "{";
  for (size_t i = 0; i < names.size(); ++i) {
    if (i > 0) text += ',';
    // Names of folders may be no UTF-8, which JSON is.
    text += '"' + std::to_string(i) + "\":" + nlohmann::json(names[i]).dump(-1, ' ', false, nlohmann::json::error_handler_t::replace);
  }
  text += '}';
  return text;
}

std::vector<std::string> label_names_of(const Metadata& metadata) {
  if (const auto text = metadata_value(metadata, "id2label")) return names_of(*text);
  if (const auto text = metadata_value(metadata, "names")) return names_of(from_python(*text));
  return {};
}

Metadata with_entries(Metadata metadata, const Metadata& entries) {
  for (const auto& entry : entries) {
    const auto found = std::ranges::find(metadata, entry.first, &std::pair<std::string, std::string>::first);
    if (found == metadata.end())
      metadata.push_back(entry);
    else
      found->second = entry.second;
  }
  return metadata;
}

std::optional<std::string> metadata_value(const Metadata& metadata, const std::string& key) {
  const auto found = std::ranges::find(metadata, key, &std::pair<std::string, std::string>::first);
  if (found == metadata.end()) return std::nullopt;
  return found->second;
}

}  // namespace gannet
