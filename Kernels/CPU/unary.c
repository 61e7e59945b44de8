// Elementwise functions of one tensor, over runs of contiguous channels. In place when x and y are the same run.
//
// NaN in gives NaN out, as in PyTorch: every comparison below is written so that an unordered operand passes through.
#ifndef ESP_ISA
#define ESP_SELF "unary.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_unary_f32)
#else
#include "lanes.h"
#include "split.h"

#define apply ESP_NAME(unary_apply)
#define loop ESP_NAME(unary_loop)
#define measure ESP_NAME(unary_measure)
#define body ESP_NAME(unary_body)

// f(x) for a constant kind.
ESP_LANES_INLINE lanes apply(int kind, lanes x, real s0, real s1) {
  const lanes zero = lanes_splat(0), one = lanes_splat(1);
  switch (kind) {
    case ESP_NEGATE: return -x;
    case ESP_ABS: return lanes_abs(x);
    case ESP_EXP: return lanes_exp(x);
    case ESP_LOG: return lanes_log(x);
    case ESP_SQRT: return lanes_sqrt(x);
    case ESP_RSQRT: return one / lanes_sqrt(x);
    case ESP_RECIPROCAL: return one / x;
    case ESP_SQUARE: return x * x;
    case ESP_SIGN: return lanes_select(x > zero, one, lanes_select(x < zero, -one, x));
    case ESP_ERF: return lanes_erf(x);
    case ESP_RELU: return lanes_max(zero, x);
    case ESP_RELU6: return lanes_min(lanes_splat(6), lanes_max(zero, x));
    case ESP_LEAKY_RELU: return lanes_select(x > zero, x, x * s0);
    case ESP_SIGMOID: return lanes_sigmoid(x);
    case ESP_TANH: return lanes_tanh(x);
    case ESP_HARD_SWISH: return x * lanes_min(lanes_splat(6), lanes_max(zero, x + 3)) * (real)(1.0 / 6);
    case ESP_GELU: return x * (real)0.5 * (one + lanes_erf(x * (real)0.70710678118654752440));
    case ESP_SILU: return x / (one + lanes_exp(-x));
    case ESP_AFFINE: return lanes_fma(x, lanes_splat(s0), lanes_splat(s1));
    case ESP_CLAMP: return lanes_min(lanes_splat(s1), lanes_max(lanes_splat(s0), x));
    case ESP_POW: {
      union { lanes whole; real lane[LANES]; } v = {x};
      for (int i = 0; i < LANES; i++) v.lane[i] = R(pow)(v.lane[i], s0);
      return v.whole;
    }
  }
  return x;
}

ESP_LANES_INLINE void loop(int kind, const real *x, real *y, int64_t stride_x, int64_t stride_y, esp_runs runs, real s0,
                           real s1) {
  for (int64_t run = 0; run < runs.runs; run++, x += stride_x, y += stride_y) {
    int64_t i = 0;
    for (; i + LANES <= runs.length; i += LANES) lanes_store(y + i, apply(kind, lanes_load(x + i), s0, s1));
    if (i < runs.length) {
      int64_t left = runs.length - i;
      lanes_store_part(y + i, apply(kind, lanes_load_part(x + i, left), s0, s1), left);
    }
  }
}

static inline int ESP_NAME(unary_dense)(const esp_unary_row *r) {
  return r->pixels == 1 || (r->operand[0].stride == r->channels && r->operand[1].stride == r->channels);
}

static esp_work measure(const void *row) {
  const esp_unary_row *r = row;
  double element;  // ns
  switch (r->kind) {
    case ESP_POW: element = 6; break;
    case ESP_ERF: case ESP_GELU: element = 1; break;
    case ESP_EXP: case ESP_LOG: case ESP_SIGMOID: case ESP_TANH: case ESP_SILU: element = 0.4; break;
    default: element = 0.1;
  }
  int64_t units = esp_run_units(r->pixels, r->channels, ESP_NAME(unary_dense)(r));
  int64_t total = (int64_t)r->pixels * r->channels;
  return (esp_work){units, units ? element * (double)total / (double)units + 1 : 0};
}

// A function a kind: without optimisation the frames of one function's inlined calls add up, here to megabytes.
#define KINDS(X)                                                                                                  \
  X(ESP_NEGATE) X(ESP_ABS) X(ESP_EXP) X(ESP_LOG) X(ESP_SQRT) X(ESP_RSQRT) X(ESP_RECIPROCAL) X(ESP_SQUARE)         \
  X(ESP_SIGN) X(ESP_ERF) X(ESP_RELU) X(ESP_RELU6) X(ESP_LEAKY_RELU) X(ESP_SIGMOID) X(ESP_TANH) X(ESP_HARD_SWISH)  \
  X(ESP_GELU) X(ESP_SILU) X(ESP_AFFINE) X(ESP_CLAMP) X(ESP_POW)
#define DEFINE(kind)                                                                                              \
  static __attribute__((noinline)) void ESP_NAME(unary_##kind)(const real *x, real *y, int64_t stride_x,          \
                                                               int64_t stride_y, esp_runs runs, real s0, real s1) { \
    loop(kind, x, y, stride_x, stride_y, runs, s0, s1);                                                           \
  }
KINDS(DEFINE)
#undef DEFINE

static void body(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_unary_row *r = row;
  esp_runs runs = esp_runs_of(r->pixels, r->channels, ESP_NAME(unary_dense)(r), from, to);
  int64_t stride_x = r->operand[0].stride, stride_y = r->operand[1].stride;
  const real *x = (const real *)base[0] + r->operand[0].offset + esp_runs_start(runs, stride_x);
  real *y = (real *)base[1] + r->operand[1].offset + esp_runs_start(runs, stride_y);
  real s0 = r->scalar[0], s1 = r->scalar[1];
#define CASE(kind) case kind: ESP_NAME(unary_##kind)(x, y, stride_x, stride_y, runs, s0, s1); break;
  switch (r->kind) {
    KINDS(CASE)
  }
#undef CASE
}

void ESP_KERNEL(esp_unary)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_unary_row), count, measure, body);
}
#endif
