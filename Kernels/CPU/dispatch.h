// Compiles a kernel file once for each instruction set and dispatches at run time. A kernel file foo.c reads
//
//   #ifndef ESP_ISA
//   #define ESP_SELF "foo.c"
//   #include "dispatch.h"
//   ESP_DISPATCH(esp_foo_f32)
//   #else
//   void ESP_NAME(esp_foo_f32)(void *const *base, const void *rows, int32_t count) { … }
//   #endif
//
// The part after #else is compiled three times on x86-64 (AVX-512, AVX2 + FMA, baseline), elsewhere once. It may use
// the vector types of simd.h, whose width follows the instruction set. Only this file knows processors.
#ifndef ESP_DISPATCH_H
#define ESP_DISPATCH_H

#include <math.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "../include/CKernels.h"

// 2: AVX-512, 1: AVX2 + FMA, 0: baseline; read once from the processor and ESPALIER_ISA (parallel.c).
int esp_isa_level(void);
// Memory of the calling thread, aligned to 64 bytes, for what a task needs while it runs: the thread's next call may
// move it (parallel.c).
float *esp_thread_scratch(size_t bytes);

#define ESP_JOIN2(a, b) a##_##b
#define ESP_JOIN(a, b) ESP_JOIN2(a, b)
// The name of a function of the instruction set being compiled. Static helpers need it too.
#define ESP_NAME(name) ESP_JOIN(name, ESP_ISA)

#if defined(__x86_64__)
#define ESP_DISPATCH(name)                                                      \
  void name(void *const *base, const void *rows, int32_t count) {              \
    switch (esp_isa_level()) {                                                  \
      case 2: name##_avx512(base, rows, count); return;                         \
      case 1: name##_avx2(base, rows, count); return;                           \
      default: name##_baseline(base, rows, count); return;                      \
    }                                                                           \
  }

#define ESP_ISA avx512
#define ESP_VECTOR 16
#define ESP_HAS_FMA 1
#pragma clang attribute push(__attribute__((target("avx512f,avx512vl,avx512bw,avx512dq,avx2,fma,f16c,bmi,bmi2"))), apply_to = function)
#include ESP_SELF
#pragma clang attribute pop
#undef ESP_ISA
#undef ESP_VECTOR

#define ESP_ISA avx2
#define ESP_VECTOR 8
#pragma clang attribute push(__attribute__((target("avx2,fma,f16c,bmi,bmi2"))), apply_to = function)
#include ESP_SELF
#pragma clang attribute pop
#undef ESP_ISA
#undef ESP_VECTOR
#undef ESP_HAS_FMA

#define ESP_ISA baseline
#define ESP_VECTOR 4
#define ESP_HAS_FMA 0
#include ESP_SELF
#undef ESP_ISA
#undef ESP_VECTOR
#undef ESP_HAS_FMA

#else
#define ESP_DISPATCH(name)                                                      \
  void name(void *const *base, const void *rows, int32_t count) {              \
    name##_baseline(base, rows, count);                                         \
  }
#define ESP_ISA baseline
#define ESP_VECTOR 4
#define ESP_HAS_FMA 1
#include ESP_SELF
#undef ESP_ISA
#undef ESP_VECTOR
#undef ESP_HAS_FMA
#endif

#endif
