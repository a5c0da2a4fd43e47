// oneDNN as a library that is loaded when the first program needs it, so that a program of our own kernels and of generated
// code starts without it and runs where there is none.
#pragma once

#include "ir/base/error.h"

namespace gannet {

// Loads libdnnl, or what GANNET_ONEDNN names, unless that has been done; the same answer for the rest of the process.
// Nothing of runtime/kernels/onednn.h may be called before this has succeeded. Unsupported where there is no library or
// one of another version; the message names it.
Status load_onednn();

}  // namespace gannet
