// Dense and grouped convolution of one image, forward and backward to the input, on the register-blocked product.
//
// An image splits into pixels whose taps all lie inside, taken along rows, border columns, taken downwards (their taps
// inside are the same from row to row), and corners, one by one: so no tap is computed that reads padding, and no
// padded copy is made. Backward to the input is the same with taps reversed and the weight transposed, a block of
// output channels at a time, into a panel on the stack.
#include "conv2d_shape.h"
#include "product.h"
#include "transpose.h"
#ifndef ESP_DENSE_COMMON
#define ESP_DENSE_COMMON
// Floats of a weight panel: 64 KiB, which the second-level cache holds beside the image.
#define DENSE_PANEL 16384
#define dense_image ESP_NAME(dense_image)
#define dense_pack ESP_NAME(dense_pack)
#define dense_pack_transposed ESP_NAME(dense_pack_transposed)
#endif

#if (ESP_VECTOR == 16 && !defined(ESP_DENSE_16)) || (ESP_VECTOR == 8 && !defined(ESP_DENSE_8)) || \
    (ESP_VECTOR == 4 && !defined(ESP_DENSE_4))
#if ESP_VECTOR == 16
#define ESP_DENSE_16
#elif ESP_VECTOR == 8
#define ESP_DENSE_8
#else
#define ESP_DENSE_4
#endif

// Output rows [row_begin, row_end) of the plane, `registers` registers of output channels. `weights` says where the
// first tap's weights lie, their steps, the number of input channels nc, and whether to accumulate.
static void dense_image(const conv_plane *plane, const product *weights, int registers, const float *x, float *y,
                        int row_begin, int row_end) {
  const conv_axis *rows = &plane->rows, *columns = &plane->columns;
  product g = *weights;
  g.xa = rows->step * plane->x_row;
  g.xb = columns->step * plane->x_stride;
  g.xc = 1;
  // Channels of neighbouring taps that follow one another, in x and in w, are one longer sum: it matters for few
  // channels.
  const bool joined = g.xb == g.nc && g.wb == g.nc * g.wc;
  int inner_begin, inner_end, middle_begin, middle_end;
  conv_axis_interior(columns, &inner_begin, &inner_end);
  conv_axis_interior(rows, &middle_begin, &middle_end);
  if (middle_begin < row_begin) middle_begin = row_begin;
  if (middle_end > row_end) middle_end = row_end;
  const int64_t x_down = rows->stride * plane->x_row, x_right = columns->stride * plane->x_stride;
  const int64_t y_down = rows->spread * plane->y_row, y_right = columns->spread * plane->y_stride;
  x += rows->shift * plane->x_row + columns->shift * plane->x_stride;
  y += rows->first * plane->y_row + columns->first * plane->y_stride;
#define DENSE_BLOCK(i, j, a_begin, a_end, b_begin, b_end, n)                   \
  do {                                                                         \
    g.na = (a_end) - (a_begin);                                                \
    g.nb = (b_end) - (b_begin);                                                \
    g.nc = weights->nc;                                                        \
    if (joined) g.nc *= g.nb, g.nb = 1;                                        \
    g.x = x + (i) * x_down + (j) * x_right + (a_begin) * g.xa + (b_begin) * g.xb; \
    g.w = weights->w + (a_begin) * g.wa + (b_begin) * g.wb;                    \
    g.y = y + (i) * y_down + (j) * y_right;                                    \
    product_rows(&g, n, registers, PRODUCT_ROWS);                                     \
  } while (0)

  g.xp = x_right;
  g.yp = y_right;
  if (inner_begin < inner_end) {
    const bool whole = rows->taps == 1 && inner_end - inner_begin == columns->out && middle_begin == row_begin &&
                       middle_end == row_end && x_down == columns->out * x_right && y_down == columns->out * y_right;
    if (whole) {  // one tap, always inside: pixels follow one another from row to row
      DENSE_BLOCK(row_begin, 0, 0, 1, 0, columns->taps, (row_end - row_begin) * columns->out);
      return;
    }
    for (int i = row_begin; i < row_end; i++) {
      int a_begin, a_end;
      conv_axis_taps(rows, i, &a_begin, &a_end);
      DENSE_BLOCK(i, inner_begin, a_begin, a_end, 0, columns->taps, inner_end - inner_begin);
    }
  }
  g.xp = x_down;
  g.yp = y_down;
  for (int j = 0; j < columns->out; j++) {
    if (j == inner_begin && inner_begin < inner_end) j = inner_end;
    if (j >= columns->out) break;
    int b_begin, b_end;
    conv_axis_taps(columns, j, &b_begin, &b_end);
    for (int i = row_begin; i < row_end; i++) {
      int a_begin, a_end;
      conv_axis_taps(rows, i, &a_begin, &a_end);
      const int n = i == middle_begin && middle_begin < middle_end ? middle_end - middle_begin : 1;
      DENSE_BLOCK(i, j, a_begin, a_end, b_begin, b_end, n);
      i += n - 1;
    }
  }
#undef DENSE_BLOCK
}

// Copies, for every tap of the plane, columns [0, width) of rows [0, nc) of its weights to the panel, and points
// `weights` at it. `w`: the block's first element of tap (0, 0); rows are `row` apart, taps `tap` apart.
static void dense_pack(const conv_plane *plane, product *weights, const float *w, int64_t row, int64_t tap,
                       int kernel_columns, float *panel, int panel_row, int width) {
  const conv_axis *rows = &plane->rows, *columns = &plane->columns;
  float *to = panel;
  for (int a = 0; a < rows->taps; a++) {
    for (int b = 0; b < columns->taps; b++) {
      const int r = rows->tap + a * rows->tap_step, s = columns->tap + b * columns->tap_step;
      const float *from = w + ((int64_t)r * kernel_columns + s) * tap;
      for (int c = 0; c < weights->nc; c++) {
        memcpy(to, from + c * row, (size_t)width * sizeof(float));
        to += panel_row;
      }
    }
  }
  weights->w = panel;
  weights->wc = panel_row;
  weights->wb = (int64_t)weights->nc * panel_row;
  weights->wa = columns->taps * weights->wb;
}

// The same of the transpose: rows of the panel are columns [0, nc) of w, its columns are rows [0, width) of w.
static void dense_pack_transposed(const conv_plane *plane, product *weights, const float *w, int64_t row, int64_t tap,
                                  int kernel_columns, float *panel, int panel_row, int width) {
  const conv_axis *rows = &plane->rows, *columns = &plane->columns;
  float *to = panel;
  for (int a = 0; a < rows->taps; a++) {
    for (int b = 0; b < columns->taps; b++) {
      const int r = rows->tap + a * rows->tap_step, s = columns->tap + b * columns->tap_step;
      const float *from = w + ((int64_t)r * kernel_columns + s) * tap;
      pack_transposed(from, row, to, panel_row, weights->nc, width);
      to += weights->nc * panel_row;
    }
  }
  weights->w = panel;
  weights->wc = panel_row;
  weights->wb = (int64_t)weights->nc * panel_row;
  weights->wa = columns->taps * weights->wb;
}
#endif
