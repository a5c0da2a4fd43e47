// Gradient rules of the reductions. Axes must be constants and the rank of the operand known.
#pragma once

#include "ir/vjp.h"

namespace gannet {

Status reduce_sum_vjp(VjpContext& c);
Status reduce_mean_vjp(VjpContext& c);
Status reduce_extremum_vjp(VjpContext& c);
Status reduce_prod_vjp(VjpContext& c);
Status reduce_l1_vjp(VjpContext& c);
Status reduce_l2_vjp(VjpContext& c);
Status reduce_sum_square_vjp(VjpContext& c);
Status reduce_log_sum_vjp(VjpContext& c);
Status reduce_log_sum_exp_vjp(VjpContext& c);

}  // namespace gannet
