#include "backend/onednn/contraction.h"

namespace gannet::onednn {

Refusal lower_recurrent(const Node&, ProgramBuilder&) { return "a recurrent layer"; }

}  // namespace gannet::onednn
