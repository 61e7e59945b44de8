// Pointwise convolution of one image: y[p, k] = Σ_c x[p, c]·w[c, k] for pixels p that follow one another, on the
// register-blocked product; backward to the input is the same with the weight transposed (transpose.h). Also its weight
// gradient. `kind` is a constant: with ROWS_RELU the input is relu(x), with ROWS_MASKED the result is 0 where mask is
// not positive.
#include "product.h"
#ifndef ESP_POINTWISE_COMMON
#define ESP_POINTWISE_COMMON
#define pointwise_image ESP_NAME(pointwise_image)
#define pointwise_weight_image ESP_NAME(pointwise_weight_image)

// Strides are between pixels; rows of w are w_row apart.
typedef struct {
  const float *x, *w;
  float *y;
  const float *mask;
  int64_t x_stride, w_row, y_stride, mask_stride;
  int32_t c, k;
  int32_t accumulate;  // y += instead of y =
} pointwise;
#endif

#if (ESP_VECTOR == 16 && !defined(ESP_POINTWISE_16)) || (ESP_VECTOR == 8 && !defined(ESP_POINTWISE_8)) || \
    (ESP_VECTOR == 4 && !defined(ESP_POINTWISE_4))
#if ESP_VECTOR == 16
#define ESP_POINTWISE_16
#elif ESP_VECTOR == 8
#define ESP_POINTWISE_8
#else
#define ESP_POINTWISE_4
#endif

ESP_INLINE void pointwise_image(const pointwise *p, int pixels, const enum product_kind kind) {
  product g = {
    .x = p->x, .xp = p->x_stride, .xc = 1, .wc = p->w_row, .yp = p->y_stride, .mp = p->mask_stride,
    .na = 1, .nb = 1, .nc = p->c, .accumulate = p->accumulate,
  };
  for (int first = 0; first < p->k;) {
    const int left = p->k - first, registers = product_registers((left + ESP_VECTOR - 1) / ESP_VECTOR);
    const int taken = left < registers * ESP_VECTOR ? left : registers * ESP_VECTOR;
    g.w = p->w + first;
    g.y = p->y + first;
    g.mask = p->mask ? p->mask + first : NULL;
    g.last = taken - (registers - 1) * ESP_VECTOR;
    product_rows(&g, pixels, registers, kind);
    first += taken;
  }
}

// dw[c, k] += Σ_p x[p, c]·dy[p, k]: here w is dy, with y_stride unused, and y is dw with rows w_row apart; kind is
// COLUMNS or COLUMNS_RELU.
ESP_INLINE void pointwise_weight_image(const pointwise *p, int64_t dy_stride, int pixels,
                                       const enum product_kind kind) {
  product g = {
    .x = p->x, .xp = 1, .xc = p->x_stride, .wc = dy_stride, .yp = p->w_row,
    .na = 1, .nb = 1, .nc = pixels, .accumulate = 1,
  };
  for (int first = 0; first < p->k;) {
    const int left = p->k - first, registers = product_registers((left + ESP_VECTOR - 1) / ESP_VECTOR);
    const int taken = left < registers * ESP_VECTOR ? left : registers * ESP_VECTOR;
    g.w = p->w + first;
    g.y = p->y + first;
    g.last = taken - (registers - 1) * ESP_VECTOR;
    product_rows(&g, p->c, registers, kind);
    first += taken;
  }
}
#endif
