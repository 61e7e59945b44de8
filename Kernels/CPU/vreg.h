// `vreg`: one register of the instruction set being compiled, ESP_VECTOR floats. Kernels that keep a block of
// accumulators in registers count in these; everything else is simpler with `vec` of simd.h.
#include "simd.h"
#ifndef ESP_VREG_COMMON
#define ESP_VREG_COMMON
#define vreg ESP_NAME(vreg)
#define vreg_unaligned ESP_NAME(vreg_unaligned)
#define vreg_mask ESP_NAME(vreg_mask)
#define rload ESP_NAME(rload)
#define rstore ESP_NAME(rstore)
#define rsplat ESP_NAME(rsplat)
#define rfma ESP_NAME(rfma)
#define rrelu ESP_NAME(rrelu)
#define rkeep_positive ESP_NAME(rkeep_positive)
#define rload_part ESP_NAME(rload_part)
#define rstore_part ESP_NAME(rstore_part)
#endif

#if (ESP_VECTOR == 16 && !defined(ESP_VREG_16)) || (ESP_VECTOR == 8 && !defined(ESP_VREG_8)) || \
    (ESP_VECTOR == 4 && !defined(ESP_VREG_4))
#if ESP_VECTOR == 16
#define ESP_VREG_16
#elif ESP_VECTOR == 8
#define ESP_VREG_8
#else
#define ESP_VREG_4
#endif

// 32 registers allow larger blocks than 16.
#undef ESP_MANY_REGISTERS
#if ESP_VECTOR == 16 || defined(__aarch64__)
#define ESP_MANY_REGISTERS 1
#else
#define ESP_MANY_REGISTERS 0
#endif

typedef float vreg __attribute__((vector_size(4 * ESP_VECTOR)));
typedef float vreg_unaligned __attribute__((vector_size(4 * ESP_VECTOR), aligned(4)));
typedef int32_t vreg_mask __attribute__((vector_size(4 * ESP_VECTOR)));

ESP_INLINE vreg rload(const float *p) { return *(const vreg_unaligned *)p; }
ESP_INLINE void rstore(float *p, vreg v) { *(vreg_unaligned *)p = v; }
ESP_INLINE vreg rsplat(float x) {
#if ESP_VECTOR == 16
  return (vreg){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x};
#elif ESP_VECTOR == 8
  return (vreg){x, x, x, x, x, x, x, x};
#else
  return (vreg){x, x, x, x};
#endif
}
ESP_INLINE vreg rfma(vreg a, vreg b, vreg c) {
#if ESP_HAS_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}
// x where x > 0 or x is not a number, else 0.
ESP_INLINE vreg rrelu(vreg x) { return (vreg)((vreg_mask)x & ~(x < (vreg){0})); }
// x where sign > 0, else 0.
ESP_INLINE vreg rkeep_positive(vreg x, vreg sign) { return (vreg)((vreg_mask)x & (sign > (vreg){0})); }

// The first n floats, 1 ≤ n ≤ ESP_VECTOR; nothing beyond them is touched, the other lanes are 0.
ESP_INLINE vreg rload_part(const float *p, int n) {
#if ESP_VECTOR == 16
  return vload_part(p, n);
#elif ESP_VECTOR == 8
  const vreg_mask lane = {0, 1, 2, 3, 4, 5, 6, 7};
  return __builtin_ia32_maskloadps256((const vreg *)p, lane < n);
#else
  const float a = p[0], b = n > 1 ? p[1] : 0, c = n > 2 ? p[2] : 0, d = n > 3 ? p[3] : 0;
  return (vreg){a, b, c, d};
#endif
}
ESP_INLINE void rstore_part(float *p, vreg v, int n) {
#if ESP_VECTOR == 16
  vstore_part(p, v, n);
#elif ESP_VECTOR == 8
  const vreg_mask lane = {0, 1, 2, 3, 4, 5, 6, 7};
  __builtin_ia32_maskstoreps256((vreg *)p, lane < n, v);
#else
  p[0] = v[0];
  if (n > 1) p[1] = v[1];
  if (n > 2) p[2] = v[2];
  if (n > 3) p[3] = v[3];
#endif
}
#endif
