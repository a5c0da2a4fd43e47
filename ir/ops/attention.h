// Attention as a composition of products and a softmax.
#pragma once

#include "ir/builder.h"

namespace gannet {

// Defined in attention_composition.cpp. An Unsupported error where the composition would need to know extents
// that are symbols: a head size without attribute `scale`, or a mask that may be shorter than the keys.
Status decompose_attention(DecomposeContext& context);

}  // namespace gannet
