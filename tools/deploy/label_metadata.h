// What a model's metadata say about its task. Keys and forms are those of Hugging Face's config.json:
// "id2label" is a JSON object from class numbers to names, "problem_type" one of single_label_classification,
// multi_label_classification, regression; "max_length" is a number of tokens.
#pragma once

#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace gannet {

using Metadata = std::vector<std::pair<std::string, std::string>>;

// In front of the keys of a model's metadata in a safetensors file of weights for it.
inline const std::string kModelMetadata = "model/";
// Those of a file with such keys.
Metadata model_metadata_of(const std::map<std::string, std::string>& file_metadata);

// {"0": "negative", "1": "positive"}
std::string id_to_label_text(const std::vector<std::string>& names);
// Names by class number: of "id2label", or of "names" in the form of Ultralytics ({0: 'cat', 1: 'dog'}).
// Empty where there are none that are whole.
std::vector<std::string> label_names_of(const Metadata& metadata);
// `metadata` with `entries`, in place of ones of the same key.
Metadata with_entries(Metadata metadata, const Metadata& entries);
// The value of a key, or nothing.
std::optional<std::string> metadata_value(const Metadata& metadata, const std::string& key);

}  // namespace gannet
