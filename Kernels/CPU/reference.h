// Compiles a kernel file's text once more with `real` = double: the reference that every float kernel is held to.
// Include it after dispatch.h.
#define ESP_ISA f64
#define ESP_DOUBLE
#define ESP_HAS_FMA 0
#include ESP_SELF
#undef ESP_ISA
#undef ESP_DOUBLE
#undef ESP_HAS_FMA
