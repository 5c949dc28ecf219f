/* The engine on a static tree, against a host that says anything: engine_fuzz.c once more. */
#define ENGINE_FUZZ_SOURCE (&sf_static_tree)
/* NOLINTNEXTLINE(bugprone-suspicious-include): one peer for all */
#include "tests/fuzz/engine_fuzz.c"
