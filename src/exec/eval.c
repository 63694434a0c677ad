/* eval.c: compiles bound expressions to nodes and runs them over batches (eval.h). */
#include "exec/eval.h"
