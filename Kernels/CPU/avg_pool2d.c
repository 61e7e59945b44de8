// Average pooling of channels-last images and its backward.
//
// The divisor is a product of a row and a column count: taps inside the image, or, with count_include_pad, inside the
// padded image (a window may reach beyond that too, in ceil mode), as in PyTorch. So both directions are separable: a
// column of the window is summed first, and with stride 1 neighbouring windows share columns. The backward gathers, as
// in max pooling. A pixel may lie in at most 256 rows of windows.
#ifndef ESP_ISA
#define ESP_SELF "avg_pool2d.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_avg_pool2d_f32)
ESP_DISPATCH(esp_avg_pool2d_backward_f32)
#else
#include "lanes.h"
#include "split.h"

// The taps of window `o` along one dimension that lie inside the image, and what they count in the divisor.
typedef struct {
  int64_t first, end, count;
} ESP_NAME(avg_window);
static inline ESP_NAME(avg_window) ESP_NAME(avg_window_at)(int64_t o, int64_t step, int64_t pad, int64_t taps,
                                                           int64_t size, bool padding) {
  int64_t start = o * step - pad, end = start + taps, padded = end < size + pad ? taps : size + pad - start;
  int64_t from = start < 0 ? 0 : start, to = end < size ? end : size;
  return (ESP_NAME(avg_window)){from, to, padding ? padded : to - from};
}

// ---- forward ----

static esp_work ESP_NAME(avg_pool_measure)(const void *row) {
  const esp_avg_pool2d_row *r = row;
  return (esp_work){(int64_t)r->n * r->oh, (0.05 * (r->r + r->s) * r->stride_w + 0.05) * (double)r->ow * r->c + 5};
}

// Σ over `rows` pixels of a column, `step` elements apart.
ESP_LANES_INLINE lanes ESP_NAME(avg_column)(const real *x, int64_t step, int64_t rows, int64_t n) {
  if (rows == 3) {
    return (lanes_load_part(x, n) + lanes_load_part(x + step, n)) + lanes_load_part(x + 2 * step, n);
  }
  lanes sum = lanes_splat(0);
  for (int64_t i = 0; i < rows; i++) sum += lanes_load_part(x + i * step, n);
  return sum;
}

// One row of the output, n ≤ LANES channels; x is the image's.
ESP_LANES_INLINE void ESP_NAME(avg_pool_row)(const esp_avg_pool2d_row *r, const real *x, real *y, int64_t oh,
                                             int64_t n) {
  int64_t sx = r->operand[0].stride, sy = r->operand[1].stride, step = r->w * sx;
  ESP_NAME(avg_window) v = ESP_NAME(avg_window_at)(oh, r->stride_h, r->pad_h, r->r, r->h, r->count_include_pad);
  const int64_t rows = v.end - v.first, outputs = r->ow, width = r->w;
  const int64_t taps = r->s, stride_w = r->stride_w, pad = r->pad_w;
  int64_t ow = 0;
  const real *p = x + v.first * step;
  for (; ow < outputs; ow++, y += sy) {
    ESP_NAME(avg_window) u = ESP_NAME(avg_window_at)(ow, stride_w, pad, taps, width, r->count_include_pad);
    if (taps == 3 && stride_w == 1 && ow >= pad && u.end - u.first == 3) {
      // Whole windows, from here to the last but the padding: two columns are those of the window before.
      lanes inverse = lanes_splat((real)1 / (real)(3 * v.count));
      lanes a = ESP_NAME(avg_column)(p + u.first * sx, step, rows, n);
      lanes b = ESP_NAME(avg_column)(p + (u.first + 1) * sx, step, rows, n);
      int64_t w = u.first + 2;
      for (; w < width && ow < outputs; w++, ow++, y += sy) {
        lanes c = ESP_NAME(avg_column)(p + w * sx, step, rows, n);
        lanes_store_part(y, ((a + b) + c) * inverse, n);
        a = b;
        b = c;
      }
      ow--;
      y -= sy;
      continue;
    }
    lanes sum = lanes_splat(0);
    real inverse = (real)1 / (real)(v.count * u.count);
    for (int64_t w = u.first; w < u.end; w++) sum += ESP_NAME(avg_column)(p + w * sx, step, rows, n);
    lanes_store_part(y, sum * inverse, n);
  }
}

static void ESP_NAME(avg_pool_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_avg_pool2d_row *r = row;
  for (int64_t unit = from; unit < to; unit++) {
    int64_t image = unit / r->oh, oh = unit % r->oh;
    const real *x = (const real *)base[0] + r->operand[0].offset + image * r->h * r->w * r->operand[0].stride;
    real *y = (real *)base[1] + r->operand[1].offset + unit * r->ow * r->operand[1].stride;
    for (int64_t c = 0; c < r->c; c += LANES) {
      int64_t n = r->c - c;
      if (n >= LANES) ESP_NAME(avg_pool_row)(r, x + c, y + c, oh, LANES);
      else ESP_NAME(avg_pool_row)(r, x + c, y + c, oh, n);
    }
  }
}

void ESP_KERNEL(esp_avg_pool2d)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_avg_pool2d_row), count, ESP_NAME(avg_pool_measure), ESP_NAME(avg_pool_body));
}

// ---- backward ----

static esp_work ESP_NAME(avg_pool_backward_measure)(const void *row) {
  const esp_avg_pool2d_row *r = row;
  return (esp_work){(int64_t)r->n * r->h, 0.05 * (r->r + r->s + 2) * (double)r->w * r->c + 5};
}

// Σ over the covering output rows of dy / row count, in one output column; `share` holds 1 / row count.
ESP_LANES_INLINE lanes ESP_NAME(avg_share)(const real *dy, int64_t step, int64_t rows, const real *share, int64_t n) {
  if (rows == 3) {
    lanes sum = lanes_load_part(dy, n) * share[0];
    sum = lanes_fma(lanes_load_part(dy + step, n), lanes_splat(share[1]), sum);
    return lanes_fma(lanes_load_part(dy + 2 * step, n), lanes_splat(share[2]), sum);
  }
  lanes sum = lanes_splat(0);
  for (int64_t o = 0; o < rows; o++) sum = lanes_fma(lanes_load_part(dy + o * step, n), lanes_splat(share[o]), sum);
  return sum;
}

#define TALLEST 256  // output rows that may cover a pixel: taps / stride

// One row of the input, n ≤ LANES channels; dy is the image's.
ESP_LANES_INLINE void ESP_NAME(avg_pool_backward_row)(const esp_avg_pool2d_row *r, const real *dy, real *dx, int64_t h,
                                                      int64_t n) {
  int64_t sy = r->operand[0].stride, sx = r->operand[1].stride, step = r->ow * sy, o0 = 0, o1, p0 = 0, p1 = 0;
  real share[TALLEST];
  while (o0 * r->stride_h + r->r <= h + r->pad_h) o0++;
  for (o1 = o0; o1 < r->oh && o1 * r->stride_h <= h + r->pad_h && o1 - o0 < TALLEST; o1++) {
    ESP_NAME(avg_window) v = ESP_NAME(avg_window_at)(o1, r->stride_h, r->pad_h, r->r, r->h, r->count_include_pad);
    share[o1 - o0] = (real)1 / (real)v.count;
  }
  const real *d = dy + o0 * step;
  const real whole = (real)1 / (real)r->s;
  const int64_t rows = o1 - o0, width = r->w, outputs = r->ow, taps = r->s, stride_w = r->stride_w, pad = r->pad_w;
  // Columns of the output below `ready` are in the ring of the last four; wider overlaps compute them again.
  lanes kept[4] = {lanes_splat(0), lanes_splat(0), lanes_splat(0), lanes_splat(0)};
  int64_t ready = 0;
  const bool ring = taps <= 4 * stride_w;
  for (int64_t w = 0; w < width; w++, dx += sx) {
    int64_t at = w + pad;
    while (p1 < outputs && p1 * stride_w <= at) p1++;
    while (p0 < p1 && p0 * stride_w + taps <= at) p0++;
    if (taps == 3 && stride_w == 1 && p0 >= pad && p1 - p0 == 3) {
      // From here to the last whole window, two of a pixel's three columns are those of the pixel before.
      lanes a = ESP_NAME(avg_share)(d + p0 * sy, step, rows, share, n);
      lanes b = ESP_NAME(avg_share)(d + (p0 + 1) * sy, step, rows, share, n);
      int64_t p = p0 + 2;
      for (; p < outputs && p - pad + 3 <= width; p++, w++, dx += sx) {
        lanes c = ESP_NAME(avg_share)(d + p * sy, step, rows, share, n);
        lanes_store_part(dx, ((a + b) + c) * whole, n);
        a = b;
        b = c;
      }
      if (p > p0 + 2) {
        w--;
        dx -= sx;
        continue;
      }
    }
    lanes sum = lanes_splat(0);
    for (int64_t p = p0; p < p1; p++) {
      lanes column = kept[p & 3];
      if (p >= ready) {
        ESP_NAME(avg_window) u = ESP_NAME(avg_window_at)(p, stride_w, pad, taps, width, r->count_include_pad);
        real inverse = u.count == taps ? whole : (real)1 / (real)u.count;
        column = ESP_NAME(avg_share)(d + p * sy, step, rows, share, n) * inverse;
        kept[p & 3] = column;
        if (ring) ready = p + 1;
      }
      sum += column;
    }
    lanes_store_part(dx, sum, n);
  }
}

static void ESP_NAME(avg_pool_backward_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_avg_pool2d_row *r = row;
  for (int64_t unit = from; unit < to; unit++) {
    int64_t image = unit / r->h;
    const real *dy = (const real *)base[0] + r->operand[0].offset + image * r->oh * r->ow * r->operand[0].stride;
    real *dx = (real *)base[1] + r->operand[1].offset + unit * r->w * r->operand[1].stride;
    for (int64_t c = 0; c < r->c; c += LANES) {
      int64_t n = r->c - c;
      if (n >= LANES) ESP_NAME(avg_pool_backward_row)(r, dy + c, dx + c, unit % r->h, LANES);
      else ESP_NAME(avg_pool_backward_row)(r, dy + c, dx + c, unit % r->h, n);
    }
  }
}

void ESP_KERNEL(esp_avg_pool2d_backward)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_avg_pool2d_row);
  esp_split(base, rows, size, count, ESP_NAME(avg_pool_backward_measure), ESP_NAME(avg_pool_backward_body));
}
#endif
