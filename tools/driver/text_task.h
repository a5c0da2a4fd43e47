// Tuning on texts: tables of sentences and labels, tokenized for an encoder or a classifier.
#pragma once

#include <memory>

#include "tools/driver/text_arguments.h"
#include "tools/driver/tune_task.h"

namespace gannet {

std::unique_ptr<TuneTask> make_text_task(const NamedTextTask& task);

}  // namespace gannet
