// The weight gradient of a dense or grouped convolution over one image, on the register-blocked product: for one kernel
// position, channels of x by channels of dy, summed over the pixels where that position lies inside the image. With few
// channels, the neighbouring kernel columns of a row are taken together: their channels follow one another in x and dw.
#include "conv2d_shape.h"
#include "product.h"
#ifndef ESP_DENSE_WEIGHT_COMMON
#define ESP_DENSE_WEIGHT_COMMON
#define dense_weight_block ESP_NAME(dense_weight_block)
#define dense_weight_image ESP_NAME(dense_weight_image)
#endif

#if (ESP_VECTOR == 16 && !defined(ESP_DENSE_WEIGHT_16)) || (ESP_VECTOR == 8 && !defined(ESP_DENSE_WEIGHT_8)) || \
    (ESP_VECTOR == 4 && !defined(ESP_DENSE_WEIGHT_4))
#if ESP_VECTOR == 16
#define ESP_DENSE_WEIGHT_16
#elif ESP_VECTOR == 8
#define ESP_DENSE_WEIGHT_8
#else
#define ESP_DENSE_WEIGHT_4
#endif

// Adds the gradient of the weights of kernel row r, column s to dw [channels, registers], rows `row` apart, over the
// pixels in columns [begin, end) of dy. The plane is the forward one.
static void dense_weight_block(const conv_plane *plane, const float *x, const float *dy, float *dw, int64_t row,
                               int channels, int registers, int last, int r, int s, int begin, int end) {
  const conv_axis *rows = &plane->rows, *columns = &plane->columns;
  const int h = rows->shift + r * rows->step, q = columns->shift + s * columns->step;
  int i_begin = ceiling_divide(-h, rows->stride), i_end = ceiling_divide(rows->in - h, rows->stride);
  if (i_end > rows->out) i_end = rows->out;
  if (i_begin >= i_end || begin >= end) return;
  product g = {
    .x = x + (i_begin * rows->stride + h) * plane->x_row + (begin * columns->stride + q) * plane->x_stride,
    .w = dy + i_begin * plane->y_row + begin * plane->y_stride,
    .y = dw,
    .xp = 1, .xa = rows->stride * plane->x_row, .xc = columns->stride * plane->x_stride,
    .wa = plane->y_row, .wc = plane->y_stride,
    .yp = row,
    .na = i_end - i_begin, .nb = 1, .nc = end - begin,
    .last = last, .accumulate = 1,
  };
  if (g.xa == g.nc * g.xc && g.wa == g.nc * g.wc) g.nc *= g.na, g.na = 1;
  product_rows(&g, channels, registers, PRODUCT_COLUMNS);
}

// Adds one image's gradient of kernel row r to dw [s, c, k], for one group: `channels` of x by `width` of dy, of `row`
// channels of y in all.
static void dense_weight_image(const conv_plane *plane, const float *x, const float *dy, float *dw, int channels,
                               int width, int64_t row, int r) {
  const conv_axis *columns = &plane->columns;
  int inner_begin = 0, inner_end = 0;
  if (columns->step == 1 && columns->taps > 1 && channels < 8 && plane->x_stride == channels) {
    conv_axis_interior(columns, &inner_begin, &inner_end);
  }
  for (int first = 0; first < width;) {
    const int left = width - first, registers = product_registers((left + ESP_VECTOR - 1) / ESP_VECTOR);
    const int taken = left < registers * ESP_VECTOR ? left : registers * ESP_VECTOR;
    const int last = taken - (registers - 1) * ESP_VECTOR;
    if (inner_begin < inner_end) {
      dense_weight_block(plane, x, dy + first, dw + first, row, columns->taps * channels, registers, last, r, 0,
                         inner_begin, inner_end);
    }
    for (int s = 0; s < columns->taps; s++) {
      const int q = columns->shift + s * columns->step, begin = ceiling_divide(-q, columns->stride);
      int end = ceiling_divide(columns->in - q, columns->stride);
      if (end > columns->out) end = columns->out;
      float *tap = dw + first + s * channels * row;
      const int middle = inner_begin < inner_end ? inner_begin : end;
      dense_weight_block(plane, x, dy + first, tap, row, channels, registers, last, r, s, begin, middle);
      if (inner_begin < inner_end) {
        dense_weight_block(plane, x, dy + first, tap, row, channels, registers, last, r, s, inner_end, end);
      }
    }
    first += taken;
  }
}
#endif
