#include "tools/driver/array_task.h"

#include "tools/deploy/array_rows.h"
#include "tools/driver/model_inputs.h"

namespace gannet {

namespace {

class ArrayTask final : public TuneTask {
 public:
  RowKind rows_are() const override { return RowKind::kArrays; }
  Status settle(const ImportedModel&, TuneArguments& arguments) override {
    fill_in(arguments, TuneDefaults{});
    return {};
  }
  Result<std::unique_ptr<LabelledRows>> training_rows(const Graph& model,
                                                      const TuneArguments& arguments) override {
    return read_array_rows(arguments.train, input_specs(model), arguments.target,
                           TRY(limits_of(arguments.model)));
  }
  Result<std::unique_ptr<LabelledRows>> held_out_rows(const Graph& model,
                                                      const TuneArguments& arguments) override {
    return read_array_rows(arguments.eval, input_specs(model), arguments.target,
                           TRY(limits_of(arguments.model)));
  }
};

}  // namespace

std::unique_ptr<TuneTask> make_array_task() { return std::make_unique<ArrayTask>(); }

}  // namespace gannet
