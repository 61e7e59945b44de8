// Weighted sum of up to 16 tensors in one pass, and the gradient of its weights.
//
// Operands are [pixels, channels] with pixel strides of their own. Four vectors of the output stay in registers while
// the operands are added to them in order, so y is written once and the order does not depend on the strides.
#ifndef ESP_ISA
#define ESP_SELF "combine.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_combine_f32)
ESP_DISPATCH(esp_combine_backward_f32)
#else
#include "lanes.h"
#include "split.h"

// ---- forward ----

static inline bool ESP_NAME(combine_dense)(const esp_combine_row *r) {
  bool dense = r->operand[ESP_COMBINE_MAX + 1].stride == r->channels;
  for (int k = 0; k < r->count; k++) {
    dense &= (r->operand[k].flags & ESP_ABSENT) || r->operand[k].stride == r->channels;
  }
  return dense || r->pixels == 1;
}

static esp_work ESP_NAME(combine_measure)(const void *row) {
  const esp_combine_row *r = row;
  int64_t units = esp_run_units(r->pixels, r->channels, ESP_NAME(combine_dense)(r));
  int64_t total = (int64_t)r->pixels * r->channels;
  return (esp_work){units, units ? 0.06 * (r->count + 1) * (double)total / (double)units + 2 : 0};
}

// `groups` vectors of n ≤ LANES elements, one every step[k] elements of operand k: neighbours in a run, or pixels.
ESP_LANES_INLINE void ESP_NAME(combine_vectors)(int groups, int64_t n, int count, const real *const *x, real *y,
                                                const int64_t *step, int64_t step_y, const real *weight, int64_t at,
                                                bool pixels) {
  lanes sum[4] = {lanes_splat(0), lanes_splat(0), lanes_splat(0), lanes_splat(0)};
  for (int k = 0; k < count; k++) {
    const real *p = x[k] + (pixels ? at * step[k] : at);
    int64_t s = pixels ? step[k] : LANES;
    lanes w = lanes_splat(weight[k]);
#pragma clang loop unroll(full)
    for (int g = 0; g < groups; g++) sum[g] = lanes_fma(w, lanes_load_part(p + g * s, n), sum[g]);
  }
  real *q = y + (pixels ? at * step_y : at);
  int64_t s = pixels ? step_y : LANES;
#pragma clang loop unroll(full)
  for (int g = 0; g < groups; g++) lanes_store_part(q + g * s, sum[g], n);
}

static void ESP_NAME(combine_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_combine_row *r = row;
  const esp_operand *weights = &r->operand[ESP_COMBINE_MAX], *target = &r->operand[ESP_COMBINE_MAX + 1];
  esp_runs runs = esp_runs_of(r->pixels, r->channels, ESP_NAME(combine_dense)(r), from, to);
  const real *x[ESP_COMBINE_MAX];
  real weight[ESP_COMBINE_MAX];
  int64_t step[ESP_COMBINE_MAX];
  int count = 0;
  for (int k = 0; k < r->count; k++) {
    const esp_operand *o = &r->operand[k];
    if (o->flags & ESP_ABSENT) continue;
    bool ones = weights->flags & ESP_ABSENT;
    weight[count] = ones ? 1 : ((const real *)base[ESP_COMBINE_MAX])[(int64_t)weights->offset + r->index[k]];
    x[count] = (const real *)base[k] + o->offset + esp_runs_start(runs, o->stride);
    step[count++] = o->stride;
  }
  int64_t step_y = target->stride;
  real *y = (real *)base[ESP_COMBINE_MAX + 1] + target->offset + esp_runs_start(runs, step_y);
  int64_t pixel = 0, length = runs.length;
  if (length <= LANES) {
    for (; pixel + 4 <= runs.runs; pixel += 4) {
      if (length == LANES) ESP_NAME(combine_vectors)(4, LANES, count, x, y, step, step_y, weight, pixel, true);
      else ESP_NAME(combine_vectors)(4, length, count, x, y, step, step_y, weight, pixel, true);
    }
    for (; pixel < runs.runs; pixel++) {
      ESP_NAME(combine_vectors)(1, length, count, x, y, step, step_y, weight, pixel, true);
    }
    return;
  }
  for (; pixel < runs.runs; pixel++) {
    int64_t i = 0;
    for (; i + 4 * LANES <= length; i += 4 * LANES) {
      ESP_NAME(combine_vectors)(4, LANES, count, x, y, step, step_y, weight, i, false);
    }
    for (; i < length; i += LANES) {
      ESP_NAME(combine_vectors)(1, length - i, count, x, y, step, step_y, weight, i, false);
    }
    for (int k = 0; k < count; k++) x[k] += step[k];
    y += step_y;
  }
}

void ESP_KERNEL(esp_combine)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_combine_row), count, ESP_NAME(combine_measure), ESP_NAME(combine_body));
}

// ---- backward to the weights ----

static esp_work ESP_NAME(combine_backward_measure)(const void *row) {
  const esp_combine_backward_row *r = row;
  if (r->images <= 0) return (esp_work){0, 0};
  return (esp_work){r->images, 0.06 * (r->count + 1) * (double)(r->pixels / r->images) * r->channels + 10};
}

// Σ dy·x over `pixels` pixels of `length` elements; short enough for float sums.
ESP_LANES_INLINE double ESP_NAME(combine_dot)(const real *dy, int64_t stride_dy, const real *x, int64_t stride_x,
                                              int64_t pixels, int64_t length) {
  lanes a = lanes_splat(0), b = a, c = a, d = a;
  if (length <= LANES) {
    int64_t p = 0;
    for (; p + 4 <= pixels; p += 4, dy += 4 * stride_dy, x += 4 * stride_x) {
      a = lanes_fma(lanes_load_part(dy, length), lanes_load_part(x, length), a);
      b = lanes_fma(lanes_load_part(dy + stride_dy, length), lanes_load_part(x + stride_x, length), b);
      c = lanes_fma(lanes_load_part(dy + 2 * stride_dy, length), lanes_load_part(x + 2 * stride_x, length), c);
      d = lanes_fma(lanes_load_part(dy + 3 * stride_dy, length), lanes_load_part(x + 3 * stride_x, length), d);
    }
    for (; p < pixels; p++, dy += stride_dy, x += stride_x) {
      a = lanes_fma(lanes_load_part(dy, length), lanes_load_part(x, length), a);
    }
    return lanes_sum((a + b) + (c + d));
  }
  for (int64_t p = 0; p < pixels; p++, dy += stride_dy, x += stride_x) {
    int64_t i = 0;
    for (; i + 4 * LANES <= length; i += 4 * LANES) {
      a = lanes_fma(lanes_load(dy + i), lanes_load(x + i), a);
      b = lanes_fma(lanes_load(dy + i + LANES), lanes_load(x + i + LANES), b);
      c = lanes_fma(lanes_load(dy + i + 2 * LANES), lanes_load(x + i + 2 * LANES), c);
      d = lanes_fma(lanes_load(dy + i + 3 * LANES), lanes_load(x + i + 3 * LANES), d);
    }
    for (; i < length; i += LANES) {
      a = lanes_fma(lanes_load_part(dy + i, length - i), lanes_load_part(x + i, length - i), a);
    }
  }
  return lanes_sum((a + b) + (c + d));
}

// One partial an image and operand. Strips of about 2,048 elements are summed in float and added in double; a strip of
// dy stays in the first-level cache while every operand meets it.
static void ESP_NAME(combine_backward_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_combine_backward_row *r = row;
  const esp_operand *upstream = &r->operand[ESP_COMBINE_MAX], *space = &r->operand[ESP_COMBINE_MAX + 2];
  int64_t pixels = r->pixels / r->images, channels = r->channels, stride_dy = upstream->stride;
  int64_t strip = channels < 2048 ? 2048 / channels : 1;
  for (int64_t image = from; image < to; image++) {
    double *partial = (double *)base[ESP_COMBINE_MAX + 2] + space->offset + image * r->count;
    const real *dy = (const real *)base[ESP_COMBINE_MAX] + upstream->offset + image * pixels * stride_dy;
    for (int k = 0; k < r->count; k++) partial[k] = 0;
    for (int64_t first = 0; first < pixels; first += strip) {
      int64_t n = pixels - first < strip ? pixels - first : strip;
      const real *d = dy + first * stride_dy;
      for (int k = 0; k < r->count; k++) {
        const esp_operand *o = &r->operand[k];
        if (o->flags & ESP_ABSENT) continue;
        const real *x = (const real *)base[k] + o->offset + (image * pixels + first) * o->stride;
        if (channels == LANES) partial[k] += ESP_NAME(combine_dot)(d, stride_dy, x, o->stride, n, LANES);
        else partial[k] += ESP_NAME(combine_dot)(d, stride_dy, x, o->stride, n, channels);
      }
    }
  }
}

static esp_work ESP_NAME(combine_merge_measure)(const void *row) {
  const esp_combine_backward_row *r = row;
  return (esp_work){1, (double)r->count * r->images};
}
static void ESP_NAME(combine_merge)(void *const *base, const void *row, int64_t from, int64_t to) {
  (void)from, (void)to;
  const esp_combine_backward_row *r = row;
  const double *partial = (const double *)base[ESP_COMBINE_MAX + 2] + r->operand[ESP_COMBINE_MAX + 2].offset;
  real *target = (real *)base[ESP_COMBINE_MAX + 1] + r->operand[ESP_COMBINE_MAX + 1].offset;
  for (int k = 0; k < r->count; k++) {
    bool first = true;  // tensors that share a weight are added up where its index comes first
    for (int j = 0; j < k; j++) first &= r->index[j] != r->index[k];
    if (!first) continue;
    double sum = 0;
    for (int j = k; j < r->count; j++) {
      if (r->index[j] != r->index[k]) continue;
      for (int64_t image = 0; image < r->images; image++) sum += partial[image * r->count + j];
    }
    target[r->index[k]] = (real)sum;
  }
}

void ESP_KERNEL(esp_combine_backward)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_combine_backward_row);
  esp_split(base, rows, size, count, ESP_NAME(combine_backward_measure), ESP_NAME(combine_backward_body));
  esp_split(base, rows, size, count, ESP_NAME(combine_merge_measure), ESP_NAME(combine_merge));
}
#endif
