// The weight gradient of a depthwise convolution over one image: one register of channels at a time. Segments of eight
// columns of dy lie in registers; each column of x is read once for a kernel row and multiplied by every dy that it
// meets, into one accumulator a tap. Accumulators live over the whole image, for as many kernel rows at once as there
// are registers (three of 3, two or three of 5), and are added to dw at its end.
#include "conv2d_shape.h"
#include "vreg.h"
#ifndef ESP_DEPTHWISE_WEIGHT_COMMON
#define ESP_DEPTHWISE_WEIGHT_COMMON
#define depthwise_weight_sweep ESP_NAME(depthwise_weight_sweep)
#define depthwise_weight_body ESP_NAME(depthwise_weight_body)
#define depthwise_weight_pixels ESP_NAME(depthwise_weight_pixels)
#define depthwise_weight_image ESP_NAME(depthwise_weight_image)

typedef struct {
  const conv_plane *plane;  // the forward one: y is dy
  const float *x, *dy;
  float *dw;  // [rows, columns] taps, `tap` floats apart
  int64_t tap;
  int32_t last;
} depthwise_weight_block;
#endif

#if (ESP_VECTOR == 16 && !defined(ESP_DEPTHWISE_WEIGHT_16)) || \
    (ESP_VECTOR == 8 && !defined(ESP_DEPTHWISE_WEIGHT_8)) || (ESP_VECTOR == 4 && !defined(ESP_DEPTHWISE_WEIGHT_4))
#if ESP_VECTOR == 16
#define ESP_DEPTHWISE_WEIGHT_16
#elif ESP_VECTOR == 8
#define ESP_DEPTHWISE_WEIGHT_8
#else
#define ESP_DEPTHWISE_WEIGHT_4
#endif

#define DEPTHWISE_WEIGHT_SEGMENT 8

// Kernel rows [a_first, a_first + R): R, K, D, S, part and relu are constants.
ESP_INLINE void depthwise_weight_sweep(const depthwise_weight_block *b, const int R, const int K, const int D,
                                       const int S, const bool part, const bool relu, int a_first) {
  enum { T = DEPTHWISE_WEIGHT_SEGMENT };
  const conv_axis *rows = &b->plane->rows, *columns = &b->plane->columns;
  const int edge = (K - 1) * D, width = (T - 1) * S + edge + 1, last = b->last;
  const int64_t stride = b->plane->x_stride;
  vreg sum[3][8];
  ESP_UNROLL for (int a = 0; a < R; a++) {
    ESP_UNROLL for (int k = 0; k < K; k++) sum[a][k] = (vreg){0};
  }
  for (int i = 0; i < rows->out; i++) {
    const int h = i * rows->stride + rows->shift + a_first * rows->step;
    if (h + (R - 1) * rows->step < 0 || h >= rows->in) continue;
    for (int j = 0; j < columns->out; j += T) {
      const float *from = b->dy + i * b->plane->y_row + j * b->plane->y_stride;
      const int left = columns->out - j;
      vreg dy[T];
      ESP_UNROLL for (int t = 0; t < T; t++) {  // columns beyond the end count as zero
        dy[t] = (vreg){0};
        const float *source = from + t * b->plane->y_stride;
        if (t < left) dy[t] = part ? rload_part(source, last) : rload(source);
      }
      const int column = j * S + columns->shift, low = -column, high = columns->in - column;
      ESP_UNROLL for (int a = 0; a < R; a++) {
        const int row = h + a * rows->step;
        if (row < 0 || row >= rows->in) continue;
        const float *in = b->x + row * b->plane->x_row + column * stride;
        ESP_UNROLL for (int q = 0; q < width; q++, in += stride) {
          if ((q < edge && q < low) || q >= high) continue;
          vreg value = part ? rload_part(in, last) : rload(in);
          if (relu) value = rrelu(value);
          ESP_UNROLL for (int k = 0; k < K; k++) {
            const int t = (q - k * D) / S;
            if (q >= k * D && (q - k * D) % S == 0 && t < T) sum[a][k] = rfma(value, dy[t], sum[a][k]);
          }
        }
      }
    }
  }
  ESP_UNROLL for (int a = 0; a < R; a++) {
    ESP_UNROLL for (int k = 0; k < K; k++) {
      float *dw = b->dw + ((a_first + a) * K + k) * b->tap;
      if (part) rstore_part(dw, rload_part(dw, last) + sum[a][k], last); else rstore(dw, rload(dw) + sum[a][k]);
    }
  }
}

// A kernel of K by K.
ESP_INLINE void depthwise_weight_body(const depthwise_weight_block *b, const int K, const int D, const int S,
                                      const bool part, const bool relu) {
#if ESP_MANY_REGISTERS
  depthwise_weight_sweep(b, 3, K, D, S, part, relu, 0);
  if (K == 5) depthwise_weight_sweep(b, 2, K, D, S, part, relu, 3);
  if (K == 7) depthwise_weight_sweep(b, 3, K, D, S, part, relu, 3);
  if (K == 7) depthwise_weight_sweep(b, 1, K, D, S, part, relu, 6);
#else
  for (int a = 0; a < K; a++) depthwise_weight_sweep(b, 1, K, D, S, part, relu, a);
#endif
}

// Any kernel, tap by tap.
ESP_INLINE void depthwise_weight_pixels(const depthwise_weight_block *b, const bool part, const bool relu) {
  const conv_axis *rows = &b->plane->rows, *columns = &b->plane->columns;
  const int64_t x_stride = columns->stride * b->plane->x_stride;
  for (int a = 0; a < rows->taps; a++) {
    for (int k = 0; k < columns->taps; k++) {
      const int h = a * rows->step + rows->shift, q = k * columns->step + columns->shift;
      const int begin = ceiling_divide(-q, columns->stride);
      int end = ceiling_divide(columns->in - q, columns->stride);
      if (end > columns->out) end = columns->out;
      vreg sum[2] = {{0}, {0}};
      for (int i = 0; i < rows->out; i++) {
        const int row = i * rows->stride + h;
        if (row < 0 || row >= rows->in) continue;
        const float *in = b->x + row * b->plane->x_row + q * b->plane->x_stride;
        const float *dy = b->dy + i * b->plane->y_row;
        for (int j = begin; j < end; j++) {
          vreg value = part ? rload_part(in + j * x_stride, b->last) : rload(in + j * x_stride);
          const float *from = dy + j * b->plane->y_stride;
          if (relu) value = rrelu(value);
          vreg swap = sum[0];  // two sums in turn, so that one addition need not wait for the one before
          sum[0] = sum[1];
          sum[1] = rfma(value, part ? rload_part(from, b->last) : rload(from), swap);
        }
      }
      float *dw = b->dw + (a * columns->taps + k) * b->tap;
      sum[0] += sum[1];
      if (part) rstore_part(dw, rload_part(dw, b->last) + sum[0], b->last); else rstore(dw, rload(dw) + sum[0]);
    }
  }
}

#define DEPTHWISE_WEIGHT_VARIANTS(X) \
  X(3, 1, 1) X(5, 1, 1) X(7, 1, 1) X(3, 2, 1) X(5, 2, 1) X(3, 1, 2) X(5, 1, 2) X(3, 2, 2) X(5, 2, 2)
#define DEPTHWISE_WEIGHT_NAME(K, D, S, kind) ESP_JOIN(depthwise_weight_##K##_##D##_##S##_##kind, ESP_ISA)
#define DEPTHWISE_WEIGHT_KIND(K, D, S, kind, relu)                                                                     \
  __attribute__((unused)) static void DEPTHWISE_WEIGHT_NAME(K, D, S, kind)(const depthwise_weight_block *b) {          \
    depthwise_weight_body(b, K, D, S, false, relu);                                                                    \
  }                                                                                                                    \
  __attribute__((unused)) static void DEPTHWISE_WEIGHT_NAME(K, D, S, kind##_part)(const depthwise_weight_block *b) {   \
    if (ESP_VECTOR > 4) depthwise_weight_body(b, K, D, S, true, relu);                                                 \
    else depthwise_weight_pixels(b, true, relu);                                                                       \
  }
#define DEPTHWISE_WEIGHT_DEFINE(K, D, S) \
  DEPTHWISE_WEIGHT_KIND(K, D, S, plain, false) DEPTHWISE_WEIGHT_KIND(K, D, S, relu, true)
DEPTHWISE_WEIGHT_VARIANTS(DEPTHWISE_WEIGHT_DEFINE)

// Adds one image's gradient to dw [r, s, channels] for channels [first, first + ESP_VECTOR) of `channels`; `relu` of x
// as it is read is a constant.
ESP_INLINE void depthwise_weight_image(const conv_plane *plane, int channels, int first, const float *x,
                                       const float *dy, float *dw, const bool relu) {
  const int last = channels - first < ESP_VECTOR ? channels - first : ESP_VECTOR;
  const depthwise_weight_block b = {plane, x + first, dy + first, dw + first, channels, last};
  const conv_axis *columns = &plane->columns;
  const bool part = last < ESP_VECTOR;
  if (-columns->shift <= (columns->taps - 1) * columns->step && plane->rows.taps == columns->taps) {
#define DEPTHWISE_WEIGHT_CALL(K, D, S, kind) \
  part ? DEPTHWISE_WEIGHT_NAME(K, D, S, kind##_part)(&b) : DEPTHWISE_WEIGHT_NAME(K, D, S, kind)(&b)
#define DEPTHWISE_WEIGHT_CASE(K, D, S)                                                                               \
  if (columns->taps == K && columns->step == D && columns->stride == S) {                                            \
    if (relu) DEPTHWISE_WEIGHT_CALL(K, D, S, relu); else DEPTHWISE_WEIGHT_CALL(K, D, S, plain);                      \
    return;                                                                                                          \
  }
    DEPTHWISE_WEIGHT_VARIANTS(DEPTHWISE_WEIGHT_CASE)
#undef DEPTHWISE_WEIGHT_CASE
#undef DEPTHWISE_WEIGHT_CALL
  }
  if (part) depthwise_weight_pixels(&b, true, relu); else depthwise_weight_pixels(&b, false, relu);
}
#endif
