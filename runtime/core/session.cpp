#include "runtime/core/session.h"

#include "runtime/core/executor.h"

namespace gannet {

Result<std::unique_ptr<Session>> Session::create(std::shared_ptr<const Program> program, SessionOptions options) {
  auto executor = std::make_unique<Executor>(std::move(program), std::move(options), nullptr);
  TRY(executor->load());
  return std::unique_ptr<Session>(std::move(executor));
}

}  // namespace gannet
