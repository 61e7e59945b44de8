// `vec`: sixteen floats on every instruction set (one register on AVX-512, two on AVX2, four elsewhere), and the few
// operations that the compiler's vector types (+ − * / & | <) do not have.
//
// Include it in the part of a kernel file that is compiled once an instruction set. Names are per instruction set
// behind macros: write vload, get vload_avx512. Kernels use `vec` only inside functions, never as the argument or
// result of one that is not inlined, so no calling convention is involved.
#ifndef ESP_SIMD_COMMON
#define ESP_SIMD_COMMON
// Every function that passes a vector here is inlined, so its calling convention does not matter.
#pragma clang diagnostic ignored "-Wpsabi"
#define VLANES 16
typedef float vec __attribute__((vector_size(64)));
typedef float vec_unaligned __attribute__((vector_size(64), aligned(4)));
typedef int32_t veci __attribute__((vector_size(64)));
typedef float vec_half __attribute__((vector_size(32)));
typedef int32_t veci_half __attribute__((vector_size(32)));
typedef double vecd __attribute__((vector_size(64)));  // eight: a half of a vec

#define ESP_INLINE static inline __attribute__((always_inline, unused))
#define ESP_PRAGMA(text) _Pragma(#text)
// Unrolls the next loop fully: without it accumulator arrays stay in memory.
#define ESP_UNROLL ESP_PRAGMA(clang loop unroll(full))

#define vload ESP_NAME(vload)
#define vstore ESP_NAME(vstore)
#define vsplat ESP_NAME(vsplat)
#define vfma ESP_NAME(vfma)
#define vselect ESP_NAME(vselect)
#define vmax ESP_NAME(vmax)
#define vmin ESP_NAME(vmin)
#define vrelu ESP_NAME(vrelu)
#define vlanes ESP_NAME(vlanes)
#define vload_part ESP_NAME(vload_part)
#define vstore_part ESP_NAME(vstore_part)
#define vsum ESP_NAME(vsum)
#define vlow ESP_NAME(vlow)
#define vhigh ESP_NAME(vhigh)
#endif

#if (ESP_VECTOR == 16 && !defined(ESP_SIMD_16)) || (ESP_VECTOR == 8 && !defined(ESP_SIMD_8)) || \
    (ESP_VECTOR == 4 && !defined(ESP_SIMD_4))
#if ESP_VECTOR == 16
#define ESP_SIMD_16
#elif ESP_VECTOR == 8
#define ESP_SIMD_8
#else
#define ESP_SIMD_4
#endif

ESP_INLINE vec vload(const float *p) { return *(const vec_unaligned *)p; }
ESP_INLINE void vstore(float *p, vec v) { *(vec_unaligned *)p = v; }
ESP_INLINE vec vsplat(float x) { return (vec){x, x, x, x, x, x, x, x, x, x, x, x, x, x, x, x}; }

// a·b + c, rounded once where the processor can.
ESP_INLINE vec vfma(vec a, vec b, vec c) {
#if ESP_HAS_FMA
  return __builtin_elementwise_fma(a, b, c);
#else
  return a * b + c;
#endif
}

// mask ? x : y, lane by lane; mask is a comparison, or vlanes.
ESP_INLINE vec vselect(veci mask, vec x, vec y) { return (vec)(((veci)x & mask) | ((veci)y & ~mask)); }
// x > y ? x : y, lane by lane: y where either is not a number.
ESP_INLINE vec vmax(vec x, vec y) { return vselect(x > y, x, y); }
ESP_INLINE vec vmin(vec x, vec y) { return vselect(x < y, x, y); }
// x where x > 0 or x is not a number, else 0.
ESP_INLINE vec vrelu(vec x) { return vmax((vec){0}, x); }

// All ones in the first n lanes.
ESP_INLINE veci vlanes(int n) {
  veci lane = {0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15};
  return lane < n;
}

// The first n of 16 floats, 0 ≤ n ≤ 16; nothing beyond them is touched, the other lanes are 0.
ESP_INLINE vec vload_part(const float *p, int n) {
#if ESP_VECTOR == 16
  return __builtin_ia32_loadups512_mask(p, (vec){0}, (uint16_t)((1u << n) - 1));
#elif ESP_VECTOR == 8
  veci mask = vlanes(n);
  union { veci whole; veci_half half[2]; } m = {mask};
  union { vec whole; vec_half half[2]; } v;
  v.half[0] = __builtin_ia32_maskloadps256((const vec_half *)p, m.half[0]);
  v.half[1] = __builtin_ia32_maskloadps256((const vec_half *)(p + 8), m.half[1]);
  return v.whole;
#else
  union { vec whole; float lane[16]; } v = {(vec){0}};
  for (int i = 0; i < n; i++) v.lane[i] = p[i];
  return v.whole;
#endif
}
ESP_INLINE void vstore_part(float *p, vec v, int n) {
#if ESP_VECTOR == 16
  __builtin_ia32_storeups512_mask(p, v, (uint16_t)((1u << n) - 1));
#elif ESP_VECTOR == 8
  union { veci whole; veci_half half[2]; } m = {vlanes(n)};
  union { vec whole; vec_half half[2]; } u = {v};
  __builtin_ia32_maskstoreps256((vec_half *)p, m.half[0], u.half[0]);
  __builtin_ia32_maskstoreps256((vec_half *)(p + 8), m.half[1], u.half[1]);
#else
  union { vec whole; float lane[16]; } u = {v};
  for (int i = 0; i < n; i++) p[i] = u.lane[i];
#endif
}

// Sum of all lanes, halving, in the same order on every instruction set.
ESP_INLINE float vsum(vec v) {
  typedef float four __attribute__((vector_size(16)));
  union { vec whole; vec_half half[2]; } a = {v};
  union { vec_half whole; four half[2]; } b = {a.half[0] + a.half[1]};
  four c = b.half[0] + b.half[1];
  return (c[0] + c[2]) + (c[1] + c[3]);
}
// Lanes 0–7 and 8–15 as doubles.
ESP_INLINE vecd vlow(vec v) {
  return __builtin_convertvector(__builtin_shufflevector(v, v, 0, 1, 2, 3, 4, 5, 6, 7), vecd);
}
ESP_INLINE vecd vhigh(vec v) {
  return __builtin_convertvector(__builtin_shufflevector(v, v, 8, 9, 10, 11, 12, 13, 14, 15), vecd);
}
#endif
