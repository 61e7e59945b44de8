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
  return (esp_work){(int64_t)r->n * r->oh, (r->r == 3 ? 0.3 : 0.06 * r->r * r->s) * (double)r->ow * r->c + 5};
}

// One row of the output by the definition: any window, any value.
static void ESP_NAME(max_pool_row)(const esp_max_pool2d_row *r, const real *x, int64_t oh, real *y, uint8_t *index) {
  int64_t sx = r->operand[0].stride, top = oh * r->stride_h - r->pad_h, i0, i1;
  ESP_NAME(pool_taps)(top, r->r, r->h, &i0, &i1);
  for (int64_t ow = 0; ow < r->ow; ow++, y += r->operand[1].stride, index += r->operand[2].stride) {
    int64_t left = ow * r->stride_w - r->pad_w, j0, j1;
    ESP_NAME(pool_taps)(left, r->s, r->w, &j0, &j1);
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

// ---- 3x3, strides 1 and 2: rows first, then columns of row maxima ----

#define TILE 64  // outputs of a row that are kept for three input rows: 15 KiB

typedef struct {
  lanes best[TILE];
  lane_bytes column[TILE];
} ESP_NAME(pool_ring);

// Horizontal maxima of outputs w0 … w1 − 1 over one input row. Adds 0·v to `nan` for every v, so that a NaN (or an
// infinity) shows there and the row is done again by the definition; comparisons here need not care for NaN.
ESP_LANES_INLINE lanes ESP_NAME(pool_line)(const esp_max_pool2d_row *r, const real *x, int64_t n, int64_t w0,
                                           int64_t w1, ESP_NAME(pool_ring) *ring, lanes nan) {
  int64_t sx = r->operand[0].stride;
  const lanes zero = lanes_splat(0);
  const int64_t step = r->stride_w, pad = r->pad_w, width = r->w;
  bool every = step != 1;  // with stride 1 every pixel but the first is the last of a window or of the line
  for (int64_t ow = w0; ow < w1; ow++) {
    int64_t left = ow * step - pad;
    const real *p = x + left * sx;
    lanes best;
    lane_bytes column;
    if (left >= 0 && left + 3 <= width) {
      lanes a = lanes_load_part(p, n), b = lanes_load_part(p + sx, n), c = lanes_load_part(p + 2 * sx, n);
      if (every || ow == w0) nan = lanes_fma(a, zero, lanes_fma(b, zero, nan));
      nan = lanes_fma(c, zero, nan);
      lane_mask second = b > a;
      best = lanes_select(second, b, a);
      lane_mask third = c > best;
      best = lanes_select(third, c, best);
      column = lanes_choose_bytes(second, lanes_byte(1), lanes_byte(0));
      column = lanes_choose_bytes(third, lanes_byte(2), column);
    } else {
      int64_t j0, j1;
      ESP_NAME(pool_taps)(left, 3, width, &j0, &j1);
      best = lanes_load_part(p + j0 * sx, n);
      nan = lanes_fma(best, zero, nan);
      column = lanes_byte((uint8_t)j0);
      for (int64_t j = j0 + 1; j < j1; j++) {
        lanes v = lanes_load_part(p + j * sx, n);
        nan = lanes_fma(v, zero, nan);
        lane_mask wins = v > best;
        best = lanes_select(wins, v, best);
        column = lanes_choose_bytes(wins, lanes_byte((uint8_t)j), column);
      }
    }
    ring->best[ow - w0] = best;
    ring->column[ow - w0] = column;
  }
  return nan;
}

// Rows oh0 … oh1 − 1 of an image, n ≤ LANES channels; false where the input has a value that is not finite.
ESP_LANES_INLINE bool ESP_NAME(pool_3x3)(const esp_max_pool2d_row *r, const real *x, int64_t n, int64_t oh0,
                                         int64_t oh1, real *y, uint8_t *index) {
  ESP_NAME(pool_ring) ring[3];
  lanes nan = lanes_splat(0);
  const int64_t sy = r->operand[1].stride, si = r->operand[2].stride;
  for (int64_t w0 = 0; w0 < r->ow; w0 += TILE) {
    int64_t w1 = r->ow - w0 < TILE ? r->ow : w0 + TILE, done = -1;  // input rows up to `done` are in the ring
    for (int64_t oh = oh0; oh < oh1; oh++) {
      int64_t top = oh * r->stride_h - r->pad_h, i0, i1;
      ESP_NAME(pool_taps)(top, 3, r->h, &i0, &i1);
      for (int64_t i = i0; i < i1; i++) {
        if (top + i <= done) continue;
        done = top + i;
        nan = ESP_NAME(pool_line)(r, x + done * r->w * r->operand[0].stride, n, w0, w1, &ring[done % 3], nan);
      }
      const ESP_NAME(pool_ring) *row[3];
      for (int64_t i = 0; i < 3; i++) row[i] = &ring[(top + (i < i0 ? i0 : i < i1 ? i : i1 - 1)) % 3];
      real *to_y = y + ((oh - oh0) * r->ow + w0) * sy;
      uint8_t *to_index = index + ((oh - oh0) * r->ow + w0) * si;
      const uint8_t first = (uint8_t)(3 * i0);
      for (int64_t ow = w0; ow < w1; ow++, to_y += sy, to_index += si) {
        // A row outside the image repeats one inside, which cannot win: only `first` needs its number.
        lanes best = row[0]->best[ow - w0], b = row[1]->best[ow - w0], c = row[2]->best[ow - w0];
        lane_bytes tap = row[0]->column[ow - w0] + lanes_byte(first);
        lane_mask second = b > best;
        best = lanes_select(second, b, best);
        tap = lanes_choose_bytes(second, row[1]->column[ow - w0] + lanes_byte(3), tap);
        lane_mask third = c > best;
        best = lanes_select(third, c, best);
        tap = lanes_choose_bytes(third, row[2]->column[ow - w0] + lanes_byte(6), tap);
        lanes_store_part(to_y, best, n);
        lanes_put_bytes(to_index, tap, n);
      }
    }
  }
  return lanes_sum(nan) == 0;
}

static void ESP_NAME(max_pool_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_max_pool2d_row *r = row;
  bool fast = r->r == 3 && r->s == 3 && r->pad_h <= 1 && r->pad_w <= 1 && r->stride_h <= 3;
  for (int64_t unit = from, end; unit < to; unit = end) {
    int64_t image = unit / r->oh, oh0 = unit % r->oh;
    end = (image + 1) * r->oh < to ? (image + 1) * r->oh : to;
    const real *x = (const real *)base[0] + r->operand[0].offset + image * r->h * r->w * r->operand[0].stride;
    real *y = (real *)base[1] + r->operand[1].offset + unit * r->ow * r->operand[1].stride;
    uint8_t *index = (uint8_t *)base[2] + r->operand[2].offset + unit * r->ow * r->operand[2].stride;
    bool done = fast;
    for (int64_t c = 0; c < r->c && done; c += LANES) {
      int64_t n = r->c - c, oh1 = oh0 + end - unit;
      if (n >= LANES) done = ESP_NAME(pool_3x3)(r, x + c, LANES, oh0, oh1, y + c, index + c);
      else done = ESP_NAME(pool_3x3)(r, x + c, n, oh0, oh1, y + c, index + c);
    }
    for (int64_t at = unit; at < end && !done; at++) {
      ESP_NAME(max_pool_row)(r, x, oh0 + at - unit, y, index);
      y += r->ow * r->operand[1].stride;
      index += r->ow * r->operand[2].stride;
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

// Adds the windows of one output row that cover a pixel: taps `tap`, tap − step, … from the left.
ESP_LANES_INLINE lanes ESP_NAME(pool_hits)(const real *dy, int64_t sy, const uint8_t *index, int64_t si,
                                           int64_t windows, int64_t tap, int64_t step, int64_t n, lanes sum) {
  for (int64_t p = 0; p < windows; p++) {
    lane_mask hit = lanes_bytes_equal(index + p * si, n, (uint8_t)(tap - p * step));
    sum = lanes_select(hit, sum + lanes_load_part(dy + p * sy, n), sum);
  }
  return sum;
}

// One row of the input, n ≤ LANES channels; o0 … o1 − 1 are the output rows that cover it.
ESP_LANES_INLINE void ESP_NAME(max_pool_backward_row)(const esp_max_pool2d_row *r, const real *dy, const uint8_t *index,
                                                      real *dx, int64_t at_h, int64_t o0, int64_t o1, int64_t n) {
  const int64_t sy = r->operand[0].stride, si = r->operand[1].stride, sx = r->operand[2].stride, step = r->stride_w;
  const int64_t width = r->w, outputs = r->ow, taps = r->s, pad = r->pad_w, step_h = r->stride_h;
  const bool plain = r->r == 3 && taps == 3 && step_h == 1 && step == 1 && o1 - o0 == 3;
  const int64_t row_y = outputs * sy, row_i = outputs * si;
  dy += o0 * row_y;
  index += o0 * row_i;
  int64_t p0 = 0, p1 = 0;  // moved along instead of divided out for every pixel
  for (int64_t w = 0; w < width; w++, dx += sx) {
    int64_t at_w = w + pad;
    while (p1 < outputs && p1 * step <= at_w) p1++;
    while (p0 < p1 && p0 * step + taps <= at_w) p0++;
    if (plain && p1 - p0 == 3) {
      const real *d = dy + p0 * sy, *end = dx + (outputs - 2 - p0 < width - w ? outputs - 2 - p0 : width - w) * sx;
      const uint8_t *i = index + p0 * si;
      for (; dx != end; dx += sx, d += sy, i += si, w++) {
        const lanes zero = lanes_splat(0);
        lanes a = ESP_NAME(pool_hits)(d, sy, i, si, 3, 8, 1, n, zero);
        lanes b = ESP_NAME(pool_hits)(d + row_y, sy, i + row_i, si, 3, 5, 1, n, zero);
        lanes c = ESP_NAME(pool_hits)(d + 2 * row_y, sy, i + 2 * row_i, si, 3, 2, 1, n, zero);
        lanes_store_part(dx, (a + b) + c, n);
      }
      w--;
      dx -= sx;
      continue;
    }
    lanes sum = lanes_splat(0);
    const real *d = dy + p0 * sy;
    const uint8_t *i = index + p0 * si;
    int64_t tap = (at_h - o0 * step_h) * taps + (at_w - p0 * step);
    for (int64_t o = o0; o < o1; o++, d += row_y, i += row_i, tap -= step_h * taps) {
      if (p1 - p0 == 1) sum = ESP_NAME(pool_hits)(d, sy, i, si, 1, tap, 0, n, sum);
      else if (p1 - p0 == 2) sum = ESP_NAME(pool_hits)(d, sy, i, si, 2, tap, step, n, sum);
      else sum = ESP_NAME(pool_hits)(d, sy, i, si, p1 - p0, tap, step, n, sum);
    }
    lanes_store_part(dx, sum, n);
  }
}

static void ESP_NAME(max_pool_backward_body)(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_max_pool2d_row *r = row;
  for (int64_t unit = from; unit < to; unit++) {
    int64_t image = unit / r->h, at_h = unit % r->h + r->pad_h, o0, o1, first = image * r->oh * r->ow;
    ESP_NAME(pool_windows)(at_h, r->r, r->stride_h, r->oh, &o0, &o1);
    const real *dy = (const real *)base[0] + r->operand[0].offset + first * r->operand[0].stride;
    const uint8_t *index = (const uint8_t *)base[1] + r->operand[1].offset + first * r->operand[1].stride;
    real *dx = (real *)base[2] + r->operand[2].offset + unit * r->w * r->operand[2].stride;
    for (int64_t c = 0; c < r->c; c += LANES) {
      int64_t n = r->c - c;
      if (n >= LANES) ESP_NAME(max_pool_backward_row)(r, dy + c, index + c, dx + c, at_h, o0, o1, LANES);
      else ESP_NAME(max_pool_backward_row)(r, dy + c, index + c, dx + c, at_h, o0, o1, n);
    }
  }
}

void ESP_KERNEL(esp_max_pool2d_backward)(void *const *base, const void *rows, int32_t count) {
  size_t size = sizeof(esp_max_pool2d_row);
  esp_split(base, rows, size, count, ESP_NAME(max_pool_backward_measure), ESP_NAME(max_pool_backward_body));
}
#endif
