// Softmax and log-softmax over the middle of [outer, size, inner], and their backward.
//
// inner = 1 is vectorised along the row; else LANES neighbours of `inner` go down their columns together.
#ifndef ESP_ISA
#define ESP_SELF "softmax.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_softmax_f32)
ESP_DISPATCH(esp_softmax_backward_f32)
#else
#include "lanes.h"
#include "split.h"

// A unit is a row, or LANES columns.
static inline int64_t ESP_NAME(softmax_groups)(int64_t inner) { return (inner + LANES - 1) / LANES; }

static esp_work ESP_NAME(softmax_measure)(const void *row) {
  const esp_softmax_row *r = row;
  double width = r->inner == 1 ? 1 : LANES;
  return (esp_work){r->outer * ESP_NAME(softmax_groups)(r->inner), 0.7 * r->size * width + 15};
}

static void ESP_NAME(softmax_line)(const real *x, real *y, int64_t size, bool logarithm) {
  lanes top = lanes_splat(-(real)INFINITY), sum = lanes_splat(0);
  for (int64_t i = 0; i < size; i += LANES) {
    // Lanes beyond the end repeat the row's first element, which cannot change the maximum.
    lanes v = i + LANES <= size ? lanes_load(x + i) : lanes_splat(x[0]);
    if (i + LANES > size) {
      real last[LANES];
      for (int64_t j = 0; j < LANES; j++) last[j] = i + j < size ? x[i + j] : x[0];
      v = lanes_load(last);
    }
    top = lanes_max(v, top);
  }
  real each[LANES], maximum;
  lanes_store(each, top);
  maximum = each[0];
  for (int j = 1; j < LANES; j++) maximum = each[j] > maximum ? each[j] : maximum;
  double total = 0;
  int64_t i = 0, since = 0;
  for (; i + LANES <= size; i += LANES) {
    lanes e = lanes_exp(lanes_load(x + i) - maximum);
    if (!logarithm) lanes_store(y + i, e);
    sum += e;
    if (++since == 256) {
      total += lanes_sum(sum);
      sum = lanes_splat(0);
      since = 0;
    }
  }
  if (i < size) {
    lanes_store_part(each, lanes_exp(lanes_load_part(x + i, size - i) - maximum), LANES);
    for (int64_t j = 0; j < size - i; j++) {
      if (!logarithm) y[i + j] = each[j];
      total += each[j];
    }
  }
  total += lanes_sum(sum);
  lanes shift = lanes_splat((real)(logarithm ? log(total) : 1 / total));
  const real *source = logarithm ? x : y;
  for (i = 0; i < size; i += LANES) {
    lanes v = lanes_load_part(source + i, size - i);
    lanes_store_part(y + i, logarithm ? v - maximum - shift : v * shift, size - i);
  }
}

#define RESTART 32  // vectors in a float sum of columns

ESP_LANES_INLINE lanes ESP_NAME(softmax_rounded)(const double *sum) {
  real each[LANES];
  for (int j = 0; j < LANES; j++) each[j] = (real)sum[j];
  return lanes_load(each);
}

static void ESP_NAME(softmax_columns)(const real *x, real *y, int64_t size, int64_t step, int64_t n, bool logarithm) {
  lanes top = lanes_splat(-(real)INFINITY), sum = lanes_splat(0);
  for (int64_t i = 0; i < size; i++) top = lanes_max(lanes_load_part(x + i * step, n), top);
  double total[LANES] = {0};
  for (int64_t i = 0; i < size; i++) {
    lanes e = lanes_exp(lanes_load_part(x + i * step, n) - top);
    if (!logarithm) lanes_store_part(y + i * step, e, n);
    sum += e;
    if (i % RESTART < RESTART - 1 && i < size - 1) continue;
    lanes_fold(total, sum);
    sum = lanes_splat(0);
  }
  sum = ESP_NAME(softmax_rounded)(total);
  if (logarithm) {
    lanes shift = lanes_log(sum);
    for (int64_t i = 0; i < size; i++) {
      lanes_store_part(y + i * step, lanes_load_part(x + i * step, n) - top - shift, n);
    }
  } else {
    lanes scale = (real)1 / sum;
    for (int64_t i = 0; i < size; i++) lanes_store_part(y + i * step, lanes_load_part(y + i * step, n) * scale, n);
  }
}

static void ESP_NAME(softmax_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_softmax_row *r = row;
  const real *x = (const real *)base[0] + r->operand[0].offset;
  real *y = (real *)base[1] + r->operand[1].offset;
  int64_t groups = ESP_NAME(softmax_groups)(r->inner);
  for (int64_t unit = from; unit < to; unit++) {
    int64_t column = unit % groups * LANES, at = unit / groups * r->size * r->inner + column;
    if (r->inner == 1) ESP_NAME(softmax_line)(x + at, y + at, r->size, r->logarithm);
    else ESP_NAME(softmax_columns)(x + at, y + at, r->size, r->inner, r->inner - column, r->logarithm);
  }
}

void ESP_KERNEL(esp_softmax)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_softmax_row), count, ESP_NAME(softmax_measure), ESP_NAME(softmax_body));
}

// ---- backward ----

static esp_work ESP_NAME(softmax_backward_measure)(const void *row) {
  const esp_softmax_backward_row *r = row;
  double width = r->inner == 1 ? 1 : LANES;
  return (esp_work){r->outer * ESP_NAME(softmax_groups)(r->inner), 0.5 * r->size * width + 10};
}

// dx from y, dy and the row's sum: Σ dy·y, or Σ dy.
ESP_LANES_INLINE lanes ESP_NAME(softmax_gradient)(lanes y, lanes dy, lanes sum, bool logarithm) {
  return logarithm ? dy - lanes_exp(y) * sum : y * (dy - sum);
}

static void ESP_NAME(softmax_backward_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_softmax_backward_row *r = row;
  int64_t groups = ESP_NAME(softmax_groups)(r->inner), step = r->inner;
  for (int64_t unit = from; unit < to; unit++) {
    int64_t column = unit % groups * LANES, at = unit / groups * r->size * r->inner + column, n = r->inner - column;
    const real *y = (const real *)base[0] + r->operand[0].offset + at;
    const real *dy = (const real *)base[1] + r->operand[1].offset + at;
    real *dx = (real *)base[2] + r->operand[2].offset + at;
    lanes sum = lanes_splat(0);
    if (r->inner == 1) {
      double total = 0;
      int64_t since = 0;
      for (int64_t i = 0; i < r->size; i += LANES) {
        lanes d = lanes_load_part(dy + i, r->size - i);
        sum = r->logarithm ? sum + d : lanes_fma(d, lanes_load_part(y + i, r->size - i), sum);
        if (++since == 256) {
          total += lanes_sum(sum);
          sum = lanes_splat(0);
          since = 0;
        }
      }
      sum = lanes_splat((real)(total + lanes_sum(sum)));
      for (int64_t i = 0; i < r->size; i += LANES) {
        lanes v = lanes_load_part(y + i, r->size - i), d = lanes_load_part(dy + i, r->size - i);
        lanes_store_part(dx + i, ESP_NAME(softmax_gradient)(v, d, sum, r->logarithm), r->size - i);
      }
      continue;
    }
    double total[LANES] = {0};
    for (int64_t i = 0; i < r->size; i++) {
      lanes d = lanes_load_part(dy + i * step, n);
      sum = r->logarithm ? sum + d : lanes_fma(d, lanes_load_part(y + i * step, n), sum);
      if (i % RESTART < RESTART - 1 && i < r->size - 1) continue;
      lanes_fold(total, sum);
      sum = lanes_splat(0);
    }
    sum = ESP_NAME(softmax_rounded)(total);
    for (int64_t i = 0; i < r->size; i++) {
      lanes v = lanes_load_part(y + i * step, n), d = lanes_load_part(dy + i * step, n);
      lanes_store_part(dx + i * step, ESP_NAME(softmax_gradient)(v, d, sum, r->logarithm), n);
    }
  }
}

void ESP_KERNEL(esp_softmax_backward)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_softmax_backward_row);
  esp_split(base, rows, size, count, ESP_NAME(softmax_backward_measure), ESP_NAME(softmax_backward_body));
}
#endif
