// Average pooling of channels-last images and its backward.
//
// The divisor is a product of a row and a column count: taps inside the image, or, with count_include_pad, inside the
// padded image (a window may reach beyond that too, in ceil mode), as in PyTorch. The backward gathers, as in max pooling.
#ifndef ESP_ISA
#define ESP_SELF "avg_pool2d.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_avg_pool2d_f32)
ESP_DISPATCH(esp_avg_pool2d_backward_f32)
#else
#include "lanes.h"
#include "split.h"

// The taps of window `o` inside the image, and what it counts in the divisor.
static inline void ESP_NAME(avg_taps)(int64_t o, int64_t step, int64_t pad, int64_t taps, int64_t size, bool padding,
                                      int64_t *first, int64_t *end, int64_t *count) {
  int64_t start = o * step - pad;
  *first = start < 0 ? -start : 0;
  *end = size - start < taps ? size - start : taps;
  int64_t padded = size + pad - start < taps ? size + pad - start : taps;
  *count = padding ? padded : *end - *first;
}

static esp_work ESP_NAME(avg_pool_measure)(const void *row) {
  const esp_avg_pool2d_row *r = row;
  return (esp_work){(int64_t)r->n * r->oh, 0.04 * r->r * r->s * (double)r->ow * r->c + 5};
}

static void ESP_NAME(avg_pool_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_avg_pool2d_row *r = row;
  int64_t sx = r->operand[0].stride, sy = r->operand[1].stride;
  for (int64_t unit = from; unit < to; unit++) {
    int64_t image = unit / r->oh, oh = unit % r->oh, i0, i1, rows;
    ESP_NAME(avg_taps)(oh, r->stride_h, r->pad_h, r->r, r->h, r->count_include_pad, &i0, &i1, &rows);
    const real *x = (const real *)base[0] + r->operand[0].offset + image * r->h * r->w * sx;
    for (int64_t ow = 0; ow < r->ow; ow++) {
      int64_t j0, j1, columns;
      ESP_NAME(avg_taps)(ow, r->stride_w, r->pad_w, r->s, r->w, r->count_include_pad, &j0, &j1, &columns);
      real *y = (real *)base[1] + r->operand[1].offset + (unit * r->ow + ow) * sy;
      int64_t top = oh * r->stride_h - r->pad_h, left = ow * r->stride_w - r->pad_w;
      lanes inverse = lanes_splat((real)1 / (real)(rows * columns));
      for (int64_t c = 0; c < r->c; c += LANES) {
        int64_t n = r->c - c;
        lanes sum = lanes_splat(0);
        for (int64_t i = i0; i < i1; i++) {
          for (int64_t j = j0; j < j1; j++) sum += lanes_load_part(x + ((top + i) * r->w + left + j) * sx + c, n);
        }
        lanes_store_part(y + c, sum * inverse, n);
      }
    }
  }
}

void ESP_KERNEL(esp_avg_pool2d)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_avg_pool2d_row), count, ESP_NAME(avg_pool_measure), ESP_NAME(avg_pool_body));
}

// ---- backward ----

static esp_work ESP_NAME(avg_pool_backward_measure)(const void *row) {
  const esp_avg_pool2d_row *r = row;
  double windows = (double)r->r * r->s / ((double)r->stride_h * r->stride_w);
  return (esp_work){(int64_t)r->n * r->h, (0.05 * windows + 0.1) * (double)r->w * r->c + 5};
}

// The windows that cover position `at` (counted with the padding): first … end − 1.
static inline void ESP_NAME(avg_windows)(int64_t at, int64_t taps, int64_t step, int64_t windows, int64_t *first,
                                         int64_t *end) {
  *first = at < taps ? 0 : (at - taps) / step + 1;
  *end = at / step + 1 < windows ? at / step + 1 : windows;
}

static void ESP_NAME(avg_pool_backward_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_avg_pool2d_row *r = row;
  int64_t sy = r->operand[0].stride, sx = r->operand[1].stride;
  for (int64_t unit = from; unit < to; unit++) {
    int64_t image = unit / r->h, o0, o1, begin, stop;  // the last two are not needed
    ESP_NAME(avg_windows)(unit % r->h + r->pad_h, r->r, r->stride_h, r->oh, &o0, &o1);
    const real *dy = (const real *)base[0] + r->operand[0].offset + image * r->oh * r->ow * sy;
    for (int64_t w = 0; w < r->w; w++) {
      int64_t p0, p1;
      ESP_NAME(avg_windows)(w + r->pad_w, r->s, r->stride_w, r->ow, &p0, &p1);
      real *dx = (real *)base[1] + r->operand[1].offset + (unit * r->w + w) * sx;
      for (int64_t c = 0; c < r->c; c += LANES) {
        int64_t n = r->c - c;
        lanes sum = lanes_splat(0);
        for (int64_t o = o0; o < o1; o++) {
          int64_t rows, columns;
          ESP_NAME(avg_taps)(o, r->stride_h, r->pad_h, r->r, r->h, r->count_include_pad, &begin, &stop, &rows);
          for (int64_t p = p0; p < p1; p++) {
            ESP_NAME(avg_taps)(p, r->stride_w, r->pad_w, r->s, r->w, r->count_include_pad, &begin, &stop, &columns);
            lanes inverse = lanes_splat((real)1 / (real)(rows * columns));
            sum = lanes_fma(lanes_load_part(dy + (o * r->ow + p) * sy + c, n), inverse, sum);
          }
        }
        lanes_store_part(dx + c, sum, n);
      }
    }
  }
}

void ESP_KERNEL(esp_avg_pool2d_backward)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_avg_pool2d_row);
  esp_split(base, rows, size, count, ESP_NAME(avg_pool_backward_measure), ESP_NAME(avg_pool_backward_body));
}
#endif
