// `lanes`: what one text of a kernel needs to be compiled for float and for double. For float it is the sixteen-lane
// `vec` of simd.h; for double it is one plain double, which makes the same text the scalar reference.
//
// Included by the part of a kernel file that is compiled once an instruction set, and once more by reference.h. `real`
// is the element type; LANES divides nothing: every loop has a part for the last few elements.
#ifndef ESP_LANES_COMMON
#define ESP_LANES_COMMON
#define lanes_load ESP_NAME(lanes_load)
#define lanes_load_part ESP_NAME(lanes_load_part)
#define lanes_store ESP_NAME(lanes_store)
#define lanes_store_part ESP_NAME(lanes_store_part)
#define lanes_splat ESP_NAME(lanes_splat)
#define lanes_fma ESP_NAME(lanes_fma)
#define lanes_select ESP_NAME(lanes_select)
#define lanes_choose ESP_NAME(lanes_choose)
#define lanes_index ESP_NAME(lanes_index)
#define lanes_bytes ESP_NAME(lanes_bytes)
#define lanes_store_bytes ESP_NAME(lanes_store_bytes)
#define lanes_sum ESP_NAME(lanes_sum)
#define lanes_fold ESP_NAME(lanes_fold)
#define lanes_sqrt ESP_NAME(lanes_sqrt)
#define lanes_abs ESP_NAME(lanes_abs)
#define lanes_bytes_equal ESP_NAME(lanes_bytes_equal)
#define lanes_load_bytes ESP_NAME(lanes_load_bytes)
#define lanes_put_bytes ESP_NAME(lanes_put_bytes)
#define lanes_byte ESP_NAME(lanes_byte)
#define lanes_choose_bytes ESP_NAME(lanes_choose_bytes)
#define lanes_exp ESP_NAME(lanes_exp)
#define lanes_log ESP_NAME(lanes_log)
#define lanes_turn ESP_NAME(lanes_turn)
#define lanes_erf ESP_NAME(lanes_erf)
#define lanes_tanh ESP_NAME(lanes_tanh)
#define lanes_sigmoid ESP_NAME(lanes_sigmoid)
#define lanes_max ESP_NAME(lanes_max)
#define lanes_min ESP_NAME(lanes_min)
// The kernel's name: esp_foo_f32_avx512, or esp_foo_f64.
#define ESP_KERNEL(name) ESP_KERNEL_NAME(name)
#endif

#undef ESP_KERNEL_NAME
#undef real
#undef lanes
#undef lane_mask
#undef lane_bytes
#undef LANES
#undef R
#undef ESP_LANES_INLINE

#ifdef ESP_DOUBLE

#define ESP_KERNEL_NAME(name) name##_f64
#define real double
#define lanes double
#define lane_mask int32_t
#define lane_bytes uint8_t
#define LANES 1
#define R(function) function

#define ESP_LANES_INLINE static inline __attribute__((always_inline, unused))
ESP_LANES_INLINE lanes lanes_load(const real *p) { return *p; }
ESP_LANES_INLINE lanes lanes_load_part(const real *p, int64_t n) { return n > 0 ? *p : 0; }
ESP_LANES_INLINE void lanes_store(real *p, lanes v) { *p = v; }
ESP_LANES_INLINE void lanes_store_part(real *p, lanes v, int64_t n) {
  if (n > 0) *p = v;
}
ESP_LANES_INLINE lanes lanes_splat(real x) { return x; }
ESP_LANES_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) { return a * b + c; }
ESP_LANES_INLINE lanes lanes_select(lane_mask m, lanes a, lanes b) { return m ? a : b; }
ESP_LANES_INLINE lane_mask lanes_choose(lane_mask m, lane_mask a, lane_mask b) { return m ? a : b; }
ESP_LANES_INLINE lane_mask lanes_index(int32_t i) { return i; }
ESP_LANES_INLINE lane_mask lanes_bytes(const uint8_t *p, int64_t n) { return n > 0 ? *p : 0; }
ESP_LANES_INLINE void lanes_store_bytes(uint8_t *p, lane_mask v, int64_t n) {
  if (n > 0) *p = (uint8_t)v;
}
ESP_LANES_INLINE lane_mask lanes_bytes_equal(const uint8_t *p, int64_t n, uint8_t value) {
  return n > 0 && *p == value;
}
ESP_LANES_INLINE lane_bytes lanes_byte(uint8_t x) { return x; }
ESP_LANES_INLINE lane_bytes lanes_choose_bytes(lane_mask m, lane_bytes a, lane_bytes b) { return m ? a : b; }
ESP_LANES_INLINE void lanes_put_bytes(uint8_t *p, lane_bytes v, int64_t n) {
  if (n > 0) *p = v;
}
ESP_LANES_INLINE double lanes_sum(lanes v) { return v; }
ESP_LANES_INLINE void lanes_fold(double *sum, lanes v) { *sum += v; }
ESP_LANES_INLINE lanes lanes_sqrt(lanes x) { return sqrt(x); }
ESP_LANES_INLINE lanes lanes_abs(lanes x) { return fabs(x); }
ESP_LANES_INLINE lanes lanes_exp(lanes x) { return exp(x); }
ESP_LANES_INLINE lanes lanes_log(lanes x) { return log(x); }
ESP_LANES_INLINE lanes lanes_tanh(lanes x) { return tanh(x); }
ESP_LANES_INLINE lanes lanes_erf(lanes x) { return erf(x); }
ESP_LANES_INLINE void lanes_turn(lanes x, lanes *cosine, lanes *sine) {
  *cosine = cos(6.283185307179586 * x);
  *sine = sin(6.283185307179586 * x);
}

#else

#include "simd.h"
#define ESP_KERNEL_NAME(name) ESP_JOIN(name##_f32, ESP_ISA)
#define real float
#define lanes vec
#define lane_mask veci
#define lane_bytes esp_bytes
#define LANES 16
#define R(function) function##f

#define ESP_LANES_INLINE ESP_INLINE
ESP_INLINE lanes lanes_load(const real *p) { return vload(p); }
ESP_INLINE lanes lanes_load_part(const real *p, int64_t n) { return n >= 16 ? vload(p) : vload_part(p, (int)n); }
ESP_INLINE void lanes_store(real *p, lanes v) { vstore(p, v); }
ESP_INLINE void lanes_store_part(real *p, lanes v, int64_t n) {
  if (n >= 16) vstore(p, v);
  else vstore_part(p, v, (int)n);
}
ESP_INLINE lanes lanes_splat(real x) { return vsplat(x); }
ESP_INLINE lanes lanes_fma(lanes a, lanes b, lanes c) { return vfma(a, b, c); }
ESP_INLINE lanes lanes_select(lane_mask m, lanes a, lanes b) { return vselect(m, a, b); }
ESP_INLINE lane_mask lanes_choose(lane_mask m, lane_mask a, lane_mask b) { return (a & m) | (b & ~m); }
ESP_INLINE lane_mask lanes_index(int32_t i) { return (veci){0} + i; }

// n bytes widened, the other lanes 0; where n bytes are `value`; and back.
typedef uint8_t esp_bytes __attribute__((vector_size(16)));
typedef char esp_signed_bytes __attribute__((vector_size(16)));
ESP_INLINE esp_bytes lanes_load_bytes(const uint8_t *p, int64_t n) {
  esp_bytes b = {0};
  if (n >= 16) {
    memcpy(&b, p, 16);
    return b;
  }
#if ESP_VECTOR == 16
  return (esp_bytes)__builtin_ia32_loaddquqi128_mask((const void *)p, (esp_signed_bytes)b, (uint16_t)((1u << n) - 1));
#else
  for (int64_t i = 0; i < n; i++) b[i] = p[i];
  return b;
#endif
}
ESP_INLINE lane_mask lanes_bytes(const uint8_t *p, int64_t n) {
  return __builtin_convertvector(lanes_load_bytes(p, n), veci);
}
ESP_INLINE lane_mask lanes_bytes_equal(const uint8_t *p, int64_t n, uint8_t value) {
  return __builtin_convertvector(lanes_load_bytes(p, n) == value, veci);
}
ESP_INLINE void lanes_put_bytes(uint8_t *p, lane_bytes v, int64_t n) {
  if (n >= 16) {
    memcpy(p, &v, 16);
    return;
  }
#if ESP_VECTOR == 16
  __builtin_ia32_storedquqi128_mask((void *)p, (esp_signed_bytes)v, (uint16_t)((1u << n) - 1));
#else
  for (int64_t i = 0; i < n; i++) p[i] = v[i];
#endif
}
ESP_INLINE void lanes_store_bytes(uint8_t *p, lane_mask v, int64_t n) {
  lanes_put_bytes(p, __builtin_convertvector(v, esp_bytes), n);
}
ESP_INLINE lane_bytes lanes_byte(uint8_t x) { return (esp_bytes){0} + x; }
// m ? a : b with the mask of a comparison of floats.
ESP_INLINE lane_bytes lanes_choose_bytes(lane_mask m, lane_bytes a, lane_bytes b) {
  esp_bytes mask = __builtin_convertvector(m, esp_bytes);
  return (a & mask) | (b & ~mask);
}

ESP_INLINE double lanes_sum(lanes v) { return vsum(v); }
// Adds the lanes to as many doubles.
ESP_INLINE void lanes_fold(double *sum, lanes v) {
  vecd low, high;
  memcpy(&low, sum, sizeof low);
  memcpy(&high, sum + 8, sizeof high);
  low += vlow(v);
  high += vhigh(v);
  memcpy(sum, &low, sizeof low);
  memcpy(sum + 8, &high, sizeof high);
}
ESP_INLINE lanes lanes_sqrt(lanes x) { return __builtin_elementwise_sqrt(x); }
ESP_INLINE lanes lanes_abs(lanes x) { return (vec)((veci)x & 0x7fffffff); }

// exp x = 2^n · exp r, n = round(x / ln 2); ln 2 is split so that n·high is exact without a fused multiply. 2^n is
// applied in two halves: n reaches −150 (denormals) and 128 (infinity).
ESP_INLINE lanes lanes_exp(lanes x) {
  x = vselect(x > 89.0f, vsplat(89.0f), x);
  x = vselect(x < -104.0f, vsplat(-104.0f), x);
  const float rounder = 12582912.0f;  // 1.5 · 2^23: adding it rounds to an integer in the low bits
  vec shifted = vfma(x, vsplat(1.44269504088896341f), vsplat(rounder));
  vec n = shifted - rounder;
  vec r = vfma(n, vsplat(-0.693359375f), x);
  r = vfma(n, vsplat(2.12194440e-4f), r);
  vec p = vsplat(1.9875691500e-4f);
  p = vfma(p, r, vsplat(1.3981999507e-3f));
  p = vfma(p, r, vsplat(8.3334519073e-3f));
  p = vfma(p, r, vsplat(4.1665795894e-2f));
  p = vfma(p, r, vsplat(1.6666665459e-1f));
  p = vfma(p, r, vsplat(5.0000001201e-1f));
  p = vfma(p, r * r, r) + 1.0f;
  veci power = (veci)shifted - 0x4b400000;
  veci half = power >> 1;
  return p * (vec)((half + 127) << 23) * (vec)((power - half + 127) << 23);
}
// x = 2^n·m with m in [√½, √2), log x = n·ln 2 + log m, log m from f = m − 1. Denormals count as 0.
ESP_INLINE lanes lanes_log(lanes x) {
  veci bits = (veci)x, n = (bits - 0x3f3504f3) >> 23;  // 0x3f3504f3: √½
  vec f = (vec)(bits - (n << 23)) - 1.0f, z = f * f, k = __builtin_convertvector(n, vec);
  vec p = vsplat(7.0376836292e-2f);
  p = vfma(p, f, vsplat(-1.1514610310e-1f));
  p = vfma(p, f, vsplat(1.1676998740e-1f));
  p = vfma(p, f, vsplat(-1.2420140846e-1f));
  p = vfma(p, f, vsplat(1.4249322787e-1f));
  p = vfma(p, f, vsplat(-1.6668057665e-1f));
  p = vfma(p, f, vsplat(2.0000714765e-1f));
  p = vfma(p, f, vsplat(-2.4999993993e-1f));
  p = vfma(p, f, vsplat(3.3333331174e-1f));
  p = p * f * z;
  p = vfma(k, vsplat(-2.12194440e-4f), p);
  p = vfma(z, vsplat(-0.5f), p);
  vec result = vfma(k, vsplat(0.693359375f), f + p);
  result = vselect(x == INFINITY, x, result);
  result = vselect(x < 1.17549435e-38f, vsplat(-INFINITY), result);
  return vselect((x < 0.0f) | (x != x), vsplat(NAN), result);
}
// x·P(x²) up to 1; above, 1 − erfc with erfc x = exp(−x²)·P(1 / x²) / x, where errors of erfc count for little.
ESP_INLINE lanes lanes_erf(lanes x) {
  vec z = x * x, a = lanes_abs(x);
  vec small = vsplat(7.853861353153693e-5f);
  small = vfma(small, z, vsplat(-8.010193625184903e-4f));
  small = vfma(small, z, vsplat(5.188327685732524e-3f));
  small = vfma(small, z, vsplat(-2.685381193529856e-2f));
  small = vfma(small, z, vsplat(1.128358514861418e-1f));
  small = vfma(small, z, vsplat(-3.761262582423300e-1f));
  small = x * vfma(small, z, vsplat(1.128379165726710f));
  vec q = 1.0f / a, y = q * q;
  vec middle = vsplat(2.326819970068386e-2f), far = vsplat(-1.047766399936249e+1f);
  middle = vfma(middle, y, vsplat(-1.387039388740657e-1f));
  middle = vfma(middle, y, vsplat(3.687424674597105e-1f));
  middle = vfma(middle, y, vsplat(-5.824733027278666e-1f));
  middle = vfma(middle, y, vsplat(6.210004621745983e-1f));
  middle = vfma(middle, y, vsplat(-4.944515323274145e-1f));
  middle = vfma(middle, y, vsplat(3.404879937665872e-1f));
  middle = vfma(middle, y, vsplat(-2.741127028184656e-1f));
  middle = vfma(middle, y, vsplat(5.638259427386472e-1f));
  far = vfma(far, y, vsplat(1.297719955372516e+1f));
  far = vfma(far, y, vsplat(-7.495518717768503f));
  far = vfma(far, y, vsplat(2.921019019210786f));
  far = vfma(far, y, vsplat(-1.015265279202700f));
  far = vfma(far, y, vsplat(4.218463358204948e-1f));
  far = vfma(far, y, vsplat(-2.820767439740514e-1f));
  far = vfma(far, y, vsplat(5.641895067754075e-1f));
  vec large = 1.0f - lanes_exp(-z) * q * vselect(a < 2.0f, middle, far);
  large = (vec)((veci)large | ((veci)x & (int32_t)0x80000000));
  return vselect(a < 1.0f, small, large);
}
// cos 2πx and sin 2πx, |x| ≤ 1: the nearest quarter turn is taken off exactly, so zeros and signs are right.
ESP_INLINE void lanes_turn(lanes x, lanes *cosine, lanes *sine) {
  const float rounder = 12582912.0f;
  vec shifted = x * 4.0f + rounder, quarters = shifted - rounder;
  vec a = (x - quarters * 0.25f) * 6.2831853071795865f, z = a * a;
  vec s = vsplat(-1.9515295891e-4f), c = vsplat(2.443315711809948e-5f);
  s = vfma(s, z, vsplat(8.3321608736e-3f));
  s = vfma(s, z, vsplat(-1.6666654611e-1f));
  s = vfma(s * z, a, a);
  c = vfma(c, z, vsplat(-1.388731625493765e-3f));
  c = vfma(c, z, vsplat(4.166664568298827e-2f));
  c = vfma(c * z, z, 1.0f - 0.5f * z);
  veci turn = (veci)shifted, odd = (turn & 1) != 0;
  veci sign_c = ((turn + 1) & 2) << 30, sign_s = (turn & 2) << 30;
  *cosine = (vec)((veci)vselect(odd, s, c) ^ sign_c);
  *sine = (vec)((veci)vselect(odd, c, s) ^ sign_s);
}
// Near 0 an odd polynomial, because 1 − 2 / (exp 2x + 1) loses bits there.
ESP_INLINE lanes lanes_tanh(lanes x) {
  vec z = x * x;
  vec p = vsplat(-5.70498872745e-3f);
  p = vfma(p, z, vsplat(2.06390887954e-2f));
  p = vfma(p, z, vsplat(-5.37397155531e-2f));
  p = vfma(p, z, vsplat(1.33314422036e-1f));
  p = vfma(p, z, vsplat(-3.33332819422e-1f));
  p = vfma(p * z, x, x);
  vec a = lanes_abs(x);
  vec large = 1.0f - 2.0f / (lanes_exp(a + a) + 1.0f);
  large = (vec)((veci)large | ((veci)x & (int32_t)0x80000000));
  return vselect(a < 0.625f, p, large);
}

#endif

// a > b ? a : b: b where either is not a number.
ESP_LANES_INLINE lanes lanes_max(lanes a, lanes b) { return lanes_select(a > b, a, b); }
ESP_LANES_INLINE lanes lanes_min(lanes a, lanes b) { return lanes_select(a < b, a, b); }
ESP_LANES_INLINE lanes lanes_sigmoid(lanes x) { return (real)1 / ((real)1 + lanes_exp(-x)); }
