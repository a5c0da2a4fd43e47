#include "runtime/kernels/prepare.h"

namespace gannet {

Result<std::shared_ptr<const Primitive>> prepare_recurrent(const RecurrentRecipe&, const Preparation&) {
  return unsupported("recurrent layers have no primitive");
}

}  // namespace gannet
