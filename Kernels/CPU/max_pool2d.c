// Max pooling of channels-last images, with the winning tap of each window as a byte, and its backward.
//
// A later tap wins only when it is greater (or NaN, as in PyTorch), so of equal maxima the first in row-major order of
// the window wins. The backward gathers: each input pixel adds the windows that cover it in row-major order, so there
// are no races and one order.
#ifndef ESP_ISA
#define ESP_SELF "max_pool2d.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_max_pool2d_f32)
ESP_DISPATCH(esp_max_pool2d_backward_f32)
#else
#include "lanes.h"
#include "split.h"

// The taps of the window that starts at `start` and lie inside [0, size).
static inline void ESP_NAME(pool_taps)(int64_t start, int64_t taps, int64_t size, int64_t *first, int64_t *end) {
  *first = start < 0 ? -start : 0;
  *end = size - start < taps ? size - start : taps;
}

// A unit is a row of the output.
static esp_work ESP_NAME(max_pool_measure)(const void *row) {
  const esp_max_pool2d_row *r = row;
  return (esp_work){(int64_t)r->n * r->oh, 0.06 * r->r * r->s * (double)r->ow * r->c + 5};
}

static void ESP_NAME(max_pool_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_max_pool2d_row *r = row;
  int64_t sx = r->operand[0].stride, sy = r->operand[1].stride, si = r->operand[2].stride;
  for (int64_t unit = from; unit < to; unit++) {
    int64_t image = unit / r->oh, top = unit % r->oh * r->stride_h - r->pad_h, i0, i1;
    ESP_NAME(pool_taps)(top, r->r, r->h, &i0, &i1);
    const real *x = (const real *)base[0] + r->operand[0].offset + image * r->h * r->w * sx;
    for (int64_t ow = 0; ow < r->ow; ow++) {
      int64_t left = ow * r->stride_w - r->pad_w, j0, j1;
      ESP_NAME(pool_taps)(left, r->s, r->w, &j0, &j1);
      real *y = (real *)base[1] + r->operand[1].offset + (unit * r->ow + ow) * sy;
      uint8_t *index = (uint8_t *)base[2] + r->operand[2].offset + (unit * r->ow + ow) * si;
      for (int64_t c = 0; c < r->c; c += LANES) {
        int64_t n = r->c - c;
        lanes best = lanes_splat(-(real)INFINITY);
        lane_mask winner = lanes_index((int32_t)(i0 * r->s + j0));
        for (int64_t i = i0; i < i1; i++) {
          for (int64_t j = j0; j < j1; j++) {
            lanes v = lanes_load_part(x + ((top + i) * r->w + left + j) * sx + c, n);
            lane_mask wins = (v > best) | (v != v);
            best = lanes_select(wins, v, best);
            winner = lanes_choose(wins, lanes_index((int32_t)(i * r->s + j)), winner);
          }
        }
        lanes_store_part(y + c, best, n);
        lanes_store_bytes(index + c, winner, n);
      }
    }
  }
}

void ESP_KERNEL(esp_max_pool2d)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_max_pool2d_row), count, ESP_NAME(max_pool_measure), ESP_NAME(max_pool_body));
}

// ---- backward ----

// The windows that cover position `at` (counted with the padding): first … end − 1.
static inline void ESP_NAME(pool_windows)(int64_t at, int64_t taps, int64_t step, int64_t windows, int64_t *first,
                                          int64_t *end) {
  *first = at < taps ? 0 : (at - taps) / step + 1;
  *end = at / step + 1 < windows ? at / step + 1 : windows;
}

// A unit is a row of the input.
static esp_work ESP_NAME(max_pool_backward_measure)(const void *row) {
  const esp_max_pool2d_row *r = row;
  double windows = (double)r->r * r->s / ((double)r->stride_h * r->stride_w);
  return (esp_work){(int64_t)r->n * r->h, (0.07 * windows + 0.1) * (double)r->w * r->c + 5};
}

static void ESP_NAME(max_pool_backward_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_max_pool2d_row *r = row;
  int64_t sy = r->operand[0].stride, si = r->operand[1].stride, sx = r->operand[2].stride;
  for (int64_t unit = from; unit < to; unit++) {
    int64_t image = unit / r->h, at_h = unit % r->h + r->pad_h, o0, o1;
    ESP_NAME(pool_windows)(at_h, r->r, r->stride_h, r->oh, &o0, &o1);
    int64_t first = image * r->oh * r->ow;
    const real *dy = (const real *)base[0] + r->operand[0].offset + first * sy;
    const uint8_t *index = (const uint8_t *)base[1] + r->operand[1].offset + first * si;
    for (int64_t w = 0; w < r->w; w++) {
      int64_t at_w = w + r->pad_w, p0, p1;
      ESP_NAME(pool_windows)(at_w, r->s, r->stride_w, r->ow, &p0, &p1);
      real *dx = (real *)base[2] + r->operand[2].offset + (unit * r->w + w) * sx;
      for (int64_t c = 0; c < r->c; c += LANES) {
        int64_t n = r->c - c;
        lanes sum = lanes_splat(0);
        for (int64_t o = o0; o < o1; o++) {
          for (int64_t p = p0; p < p1; p++) {
            int64_t tap = (at_h - o * r->stride_h) * r->s + (at_w - p * r->stride_w);
            lane_mask hit = lanes_bytes(index + (o * r->ow + p) * si + c, n) == lanes_index((int32_t)tap);
            sum += lanes_select(hit, lanes_load_part(dy + (o * r->ow + p) * sy + c, n), lanes_splat(0));
          }
        }
        lanes_store_part(dx + c, sum, n);
      }
    }
  }
}

void ESP_KERNEL(esp_max_pool2d_backward)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_max_pool2d_row);
  esp_split(base, rows, size, count, ESP_NAME(max_pool_backward_measure), ESP_NAME(max_pool_backward_body));
}
#endif
