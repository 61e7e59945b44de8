// Depthwise convolution of one image, forward and backward to the input: one register of channels at a time.
//
// Forward: a segment of 16, 8 or 4 output columns lives in registers with the weights of one kernel row; each input
// column is read once a kernel row and added into every output that it meets. Kernel width, dilation, stride and
// segment are constants, so which outputs those are is known when compiling; only the (kernel − 1)·dilation columns at
// either end may lie outside the image and are tested. Kernel rows outside the image are skipped. Backward to the input
// is the same convolution with reversed taps (stride 1), or one of stride 1 and fewer taps for each phase of the
// stride. Other kernels, and images narrower than four columns, take a plain loop over pixels.
#include "conv2d_shape.h"
#include "vreg.h"
#ifndef ESP_DEPTHWISE_COMMON
#define ESP_DEPTHWISE_COMMON
#define depthwise_segment ESP_NAME(depthwise_segment)
#define depthwise_rows ESP_NAME(depthwise_rows)
#define depthwise_pixels ESP_NAME(depthwise_pixels)
#define depthwise_run ESP_NAME(depthwise_run)
#define depthwise_image ESP_NAME(depthwise_image)

// What happens on the way; always a constant, so that a file holds only the variants that it uses.
enum depthwise_kind {
  DEPTHWISE_PLAIN,
  DEPTHWISE_RELU,    // relu of x as it is read
  DEPTHWISE_MASKED,  // what is written or added is 0 where mask, of the size of y, is not positive
};

// One register of channels of one image: pointers are at the first of these channels.
typedef struct {
  const conv_plane *plane;
  const float *x, *w;  // w: first tap; taps are wa (rows) and wb (columns) apart, which may be negative
  float *y;
  const float *mask;
  int64_t wa, wb;
  int64_t mask_stride, mask_row;  // between pixels and rows of the mask
  int32_t row_begin, row_end, last;  // last: channels, 1 … ESP_VECTOR
  int32_t accumulate;                // y += instead of y =
} depthwise_block;
#endif

#if (ESP_VECTOR == 16 && !defined(ESP_DEPTHWISE_16)) || (ESP_VECTOR == 8 && !defined(ESP_DEPTHWISE_8)) || \
    (ESP_VECTOR == 4 && !defined(ESP_DEPTHWISE_4))
#if ESP_VECTOR == 16
#define ESP_DEPTHWISE_16
#elif ESP_VECTOR == 8
#define ESP_DEPTHWISE_8
#else
#define ESP_DEPTHWISE_4
#endif
#undef DEPTHWISE_SEGMENT
#define DEPTHWISE_SEGMENT (ESP_MANY_REGISTERS ? 16 : 8)
// Where registers are short, a part of one is rare, and loading it is many instructions: not worth variants.
#undef DEPTHWISE_PARTS
#define DEPTHWISE_PARTS (ESP_VECTOR > 4)

// T output columns from j on, in row i. K taps a row, D apart; S: stride of the output; all constants, and so are
// `part` (fewer channels than a register), `relu` (of x as it is read) and `masked`.
ESP_INLINE void depthwise_segment(const depthwise_block *b, const int K, const int D, const int S, const int T,
                                  const bool part, const bool relu, const bool masked, int i, int j, int a_begin,
                                  int a_end) {
  const conv_plane *plane = b->plane;
  const int edge = (K - 1) * D, width = (T - 1) * S + edge + 1;  // input columns that may lie outside, and all of them
  const int column = j * S + plane->columns.shift, low = -column, high = plane->columns.in - column;
  const int64_t stride = plane->x_stride;
  vreg sum[16];
  ESP_UNROLL for (int t = 0; t < T; t++) sum[t] = (vreg){0};
  const int64_t y_stride = plane->columns.spread * plane->y_stride;
  for (int a = a_begin; a < a_end; a++) {
    const float *w = b->w + a * b->wa;
    const float *in = b->x + (i * plane->rows.stride + plane->rows.shift + a * plane->rows.step) * plane->x_row +
                      column * stride;
    vreg tap[8];
    ESP_UNROLL for (int k = 0; k < K; k++) {
      tap[k] = part ? rload_part(w + k * b->wb, b->last) : rload(w + k * b->wb);
    }
    ESP_UNROLL for (int q = 0; q < width; q++, in += stride) {
      if ((q < edge && q < low) || (q >= width - edge && q >= high)) continue;
      vreg value = part ? rload_part(in, b->last) : rload(in);
      if (relu) value = rrelu(value);
      ESP_UNROLL for (int k = 0; k < K; k++) {
        const int t = (q - k * D) / S;
        if (q >= k * D && (q - k * D) % S == 0 && t < T) sum[t] = rfma(value, tap[k], sum[t]);
      }
    }
  }
  const int64_t row = plane->rows.first + i * plane->rows.spread;
  const int64_t first = plane->columns.first + j * plane->columns.spread;
  float *y = b->y + row * plane->y_row + first * plane->y_stride;
  ESP_UNROLL for (int t = 0; t < T; t++) {
    float *out = y + t * y_stride;
    if (masked) {
      const float *sign = b->mask + row * b->mask_row + (first + t * plane->columns.spread) * b->mask_stride;
      sum[t] = rkeep_positive(sum[t], part ? rload_part(sign, b->last) : rload(sign));
    }
    if (b->accumulate) sum[t] += part ? rload_part(out, b->last) : rload(out);
    if (part) rstore_part(out, sum[t], b->last); else rstore(out, sum[t]);
  }
}

// Any kernel and any size, pixel by pixel, from column j_begin on.
ESP_INLINE void depthwise_pixels(const depthwise_block *b, const bool part, const bool relu, const bool masked,
                                 int j_begin) {
  const conv_axis *rows = &b->plane->rows, *columns = &b->plane->columns;
  for (int i = b->row_begin; i < b->row_end; i++) {
    int a_begin, a_end;
    conv_axis_taps(rows, i, &a_begin, &a_end);
    for (int j = j_begin; j < columns->out; j++) {
      int k_begin, k_end;
      conv_axis_taps(columns, j, &k_begin, &k_end);
      vreg sum = {0};
      for (int a = a_begin; a < a_end; a++) {
        const float *in = b->x + (i * rows->stride + rows->shift + a * rows->step) * b->plane->x_row +
                          (j * columns->stride + columns->shift) * b->plane->x_stride;
        for (int k = k_begin; k < k_end; k++) {
          const float *w = b->w + a * b->wa + k * b->wb, *from = in + k * columns->step * b->plane->x_stride;
          vreg value = part ? rload_part(from, b->last) : rload(from);
          if (relu) value = rrelu(value);
          sum = rfma(value, part ? rload_part(w, b->last) : rload(w), sum);
        }
      }
      const int64_t row = rows->first + i * rows->spread, column = columns->first + j * columns->spread;
      float *out = b->y + row * b->plane->y_row + column * b->plane->y_stride;
      if (masked) {
        const float *sign = b->mask + row * b->mask_row + column * b->mask_stride;
        sum = rkeep_positive(sum, part ? rload_part(sign, b->last) : rload(sign));
      }
      if (b->accumulate) sum += part ? rload_part(out, b->last) : rload(out);
      if (part) rstore_part(out, sum, b->last); else rstore(out, sum);
    }
  }
}

// Rows of segments. The last segment of a row ends at its end and may repeat columns; if y accumulates, up to three
// columns are left to depthwise_pixels instead.
ESP_INLINE void depthwise_rows(const depthwise_block *b, const int K, const int D, const int S, const bool part,
                               const bool relu, const bool masked) {
  const int columns = b->plane->columns.out, whole = b->accumulate ? columns / 4 * 4 : columns;
  for (int i = b->row_begin; i < b->row_end; i++) {
    int a_begin, a_end, j = 0;
    conv_axis_taps(&b->plane->rows, i, &a_begin, &a_end);
    for (; whole - j >= DEPTHWISE_SEGMENT; j += DEPTHWISE_SEGMENT) {
      depthwise_segment(b, K, D, S, DEPTHWISE_SEGMENT, part, relu, masked, i, j, a_begin, a_end);
    }
    while (j < whole) {
      const int left = whole - j;
      if (left > 4 && whole >= 8) {
        if (left < 8) j = whole - 8;
        depthwise_segment(b, K, D, S, 8, part, relu, masked, i, j, a_begin, a_end);
        j += 8;
      } else {
        if (left < 4) j = whole - 4;
        depthwise_segment(b, K, D, S, 4, part, relu, masked, i, j, a_begin, a_end);
        j += 4;
      }
    }
  }
  if (whole < columns) depthwise_pixels(b, part, relu, masked, whole);
}

// Kernel width, dilation and stride of the variants that are compiled; 1, 2 and 3 taps also arise as phases of a
// stride.
#define DEPTHWISE_VARIANTS(X)                                      \
  X(1, 1, 1) X(2, 1, 1) X(3, 1, 1) X(5, 1, 1) X(7, 1, 1)           \
  X(3, 2, 1) X(5, 2, 1) X(3, 1, 2) X(5, 1, 2) X(3, 2, 2) X(5, 2, 2)

#define DEPTHWISE_NAME(K, D, S, kind) ESP_JOIN(depthwise_##K##_##D##_##S##_##kind, ESP_ISA)
#define DEPTHWISE_KIND(K, D, S, kind, relu, masked)                                                      \
  __attribute__((unused)) static void DEPTHWISE_NAME(K, D, S, kind)(const depthwise_block *b) {          \
    depthwise_rows(b, K, D, S, false, relu, masked);                                                     \
  }                                                                                                      \
  __attribute__((unused)) static void DEPTHWISE_NAME(K, D, S, kind##_part)(const depthwise_block *b) {   \
    if (DEPTHWISE_PARTS) depthwise_rows(b, K, D, S, true, relu, masked);                                 \
    else depthwise_pixels(b, true, relu, masked, 0);                                                      \
  }
#define DEPTHWISE_DEFINE(K, D, S)                  \
  DEPTHWISE_KIND(K, D, S, plain, false, false)     \
  DEPTHWISE_KIND(K, D, S, relu, true, false)       \
  DEPTHWISE_KIND(K, D, S, masked, false, true)
DEPTHWISE_VARIANTS(DEPTHWISE_DEFINE)

// Runs the block: the compiled variant for the plane, or else pixel by pixel.
ESP_INLINE void depthwise_run(const depthwise_block *b, const enum depthwise_kind kind) {
  const conv_axis *columns = &b->plane->columns;
  const bool part = b->last < ESP_VECTOR, relu = kind == DEPTHWISE_RELU, masked = kind == DEPTHWISE_MASKED;
  const int edge = (columns->taps - 1) * columns->step;
  // At either end no more may lie outside than the segments test for.
  const int beyond = (columns->out - 1) * columns->stride + columns->shift + edge + 1 - columns->in;
  if (columns->out >= 4 && -columns->shift <= edge && beyond <= edge) {
#define DEPTHWISE_CALL(K, D, S, kind) \
  part ? DEPTHWISE_NAME(K, D, S, kind##_part)(b) : DEPTHWISE_NAME(K, D, S, kind)(b)
#define DEPTHWISE_CASE(K, D, S)                                                                       \
  if (columns->taps == K && (columns->step == D || K == 1) && columns->stride == S) {                 \
    if (relu) DEPTHWISE_CALL(K, D, S, relu);                                                          \
    else if (masked) DEPTHWISE_CALL(K, D, S, masked);                                                 \
    else DEPTHWISE_CALL(K, D, S, plain);                                                              \
    return;                                                                                           \
  }
    DEPTHWISE_VARIANTS(DEPTHWISE_CASE)
#undef DEPTHWISE_CASE
#undef DEPTHWISE_CALL
  }
  if (part) depthwise_pixels(b, true, relu, masked, 0); else depthwise_pixels(b, false, relu, masked, 0);
}

// All `channels` of one image, given x, w [r, s, channels], y, the rows of y and whether to accumulate in `all`, and
// mask if kind, a constant, is MASKED; kernel_columns is s.
ESP_INLINE void depthwise_image(const conv_plane *plane, int channels, int kernel_columns, const depthwise_block *all,
                                const enum depthwise_kind kind) {
  depthwise_block b = *all;
  b.plane = plane;
  b.wa = (int64_t)plane->rows.tap_step * kernel_columns * channels;
  b.wb = (int64_t)plane->columns.tap_step * channels;
  const float *w = all->w + ((int64_t)plane->rows.tap * kernel_columns + plane->columns.tap) * channels;
  for (int first = 0; first < channels; first += ESP_VECTOR) {
    b.last = channels - first < ESP_VECTOR ? channels - first : ESP_VECTOR;
    b.x = all->x + first;
    b.w = w + first;
    b.y = all->y + first;
    b.mask = kind == DEPTHWISE_MASKED ? all->mask + first : NULL;
    depthwise_run(&b, kind);
  }
}
#endif
