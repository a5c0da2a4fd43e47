// Products with constant weights whose number of rows differs from run to run: rows are computed in pieces of
// few sizes, so that few primitives of the library serve every number of rows, and a number that has not been
// there before costs nothing. Pieces follow from the shape alone and are computed on one thread each, so
// results do not depend on the number of threads.
#pragma once

#include <memory>

#include "runtime/kernels/product.h"

namespace gannet {

// Rows of x and y one after the other, operands of the epilogue of whole rows or repeated.
bool suits_row_pieces(const ProductRequest& r);
// Null where the library does better: few rows with much work, and forms that it does not compute by blocks
// of rows.
Result<std::shared_ptr<const Primitive>> make_row_pieces(const ProductRequest& r, const Preparation& p,
                                                         int threads);

}  // namespace gannet
