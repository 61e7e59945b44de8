// The geometry of a convolution, apart from where its operands lie, and how images group into partial gradients.
#ifndef ESP_CONV2D_SHAPE_H
#define ESP_CONV2D_SHAPE_H

#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include "../include/rows.h"

typedef struct {
  int32_t n, h, w, c, k, r, s, oh, ow;
  int32_t stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
} conv_shape;

// Both row types end in exactly these fields.
static inline conv_shape conv_shape_of(const esp_conv2d_row *row) {
  conv_shape shape;
  memcpy(&shape, &row->n, sizeof shape);
  return shape;
}
static inline conv_shape conv_weight_shape_of(const esp_conv2d_weight_row *row) {
  conv_shape shape;
  memcpy(&shape, &row->n, sizeof shape);
  return shape;
}
_Static_assert(sizeof(esp_conv2d_row) == 3 * sizeof(esp_operand) + sizeof(conv_shape), "the fields of conv_shape");
_Static_assert(sizeof(esp_conv2d_weight_row) == 4 * sizeof(esp_operand) + sizeof(conv_shape), "here too");

static inline int64_t conv_weight_size(const conv_shape *g) {
  return (int64_t)g->r * g->s * (g->c / g->groups) * g->k;
}

// Partial weight gradients depend on the batch alone: min(n, 8) groups of consecutive images.
static inline int weight_groups(int n) { return n < ESP_WEIGHT_GROUPS ? n : ESP_WEIGHT_GROUPS; }
static inline int weight_group_start(int n, int groups, int group) { return (int)((int64_t)n * group / groups); }
// dw = the sum of `groups` partial gradients, `size` elements apart, in order.
__attribute__((always_inline)) static inline void weight_sum(const float *partial, int64_t size, int groups, float *dw,
                                                             int64_t count) {
  memcpy(dw, partial, (size_t)count * sizeof(float));
  for (int group = 1; group < groups; group++) {
    partial += size;
    for (int64_t i = 0; i < count; i++) dw[i] += partial[i];
  }
}

// ---- one dimension of a convolution, forward or backward to the input ----

// Position first + i·spread of the output, i < out, sums over a < taps what position i·stride + shift + a·step of the
// input holds, where that lies in [0, in), through kernel position tap + a·tap_step. step is positive.
typedef struct {
  int32_t out, in, stride, shift, step, taps, tap, tap_step, first, spread;
} conv_axis;

static inline conv_axis conv_forward_axis(int out, int in, int stride, int pad, int dilation, int taps) {
  return (conv_axis){out, in, stride, -pad, dilation, taps, 0, 1, 0, 1};
}

// The input positions that are `phase` modulo the stride: they meet the same taps, at consecutive output positions, so
// each phase is a convolution of stride 1 with some of the taps in reverse, possibly none.
static inline conv_axis conv_backward_axis(int size, int out, int stride, int pad, int dilation, int taps, int phase) {
  conv_axis axis = {(size - phase + stride - 1) / stride, out, 1, 0, 1, 0, 0, 0, phase, stride};
  int divisor = stride, rest = dilation % stride;
  while (rest != 0) {
    const int next = divisor % rest;
    divisor = rest;
    rest = next;
  }
  const int every = stride / divisor;  // taps of one phase are this far apart
  for (int tap = 0; tap < taps && tap < every; tap++) {
    if ((phase + pad - tap * dilation) % stride != 0) continue;
    axis.taps = (taps - tap + every - 1) / every;
    axis.tap = tap + (axis.taps - 1) * every;
    axis.tap_step = -every;
    axis.step = dilation / divisor;
    axis.shift = (phase + pad - axis.tap * dilation) / stride;
    break;
  }
  return axis;
}

static inline int ceiling_divide(int a, int b) { return a > 0 ? (a + b - 1) / b : 0; }

// Taps [*begin, *end) of position i read inside the input.
static inline void conv_axis_taps(const conv_axis *axis, int i, int *begin, int *end) {
  const int start = i * axis->stride + axis->shift;
  const int above = ceiling_divide(axis->in - start, axis->step);
  *begin = ceiling_divide(-start, axis->step);
  *end = above < axis->taps ? above : axis->taps;
  if (*begin > *end) *begin = *end;
}

// Positions [*begin, *end), of all that there are, whose taps all read inside the input.
static inline void conv_axis_interior(const conv_axis *axis, int *begin, int *end) {
  *begin = ceiling_divide(-axis->shift, axis->stride);
  *end = ceiling_divide(axis->in - axis->shift - (axis->taps - 1) * axis->step, axis->stride);
  if (axis->taps == 0) *begin = 0, *end = axis->out;
  if (*end > axis->out) *end = axis->out;
  if (*begin >= *end) *begin = *end = 0;
}

// Both dimensions, and the steps between pixels and rows of the image read and the image written.
typedef struct {
  conv_axis rows, columns;
  int64_t x_stride, x_row, y_stride, y_row;
} conv_plane;

// Zeroes `channels` of rows [row_begin, row_end) of a plane without taps.
static inline void conv_zero_image(const conv_plane *plane, int channels, float *y, int row_begin, int row_end) {
  for (int i = row_begin; i < row_end; i++) {
    float *out = y + (plane->rows.first + i * plane->rows.spread) * plane->y_row;
    for (int j = 0; j < plane->columns.out; j++) {
      const int64_t column = plane->columns.first + j * plane->columns.spread;
      memset(out + column * plane->y_stride, 0, (size_t)channels * sizeof(float));
    }
  }
}

// Any convolution has the same two planes: forward, and backward to the input for one phase of the strides.
static inline conv_plane conv_forward_plane(const conv_shape *g, int64_t x_stride, int64_t y_stride) {
  return (conv_plane){
    conv_forward_axis(g->oh, g->h, g->stride_h, g->pad_h, g->dilation_h, g->r),
    conv_forward_axis(g->ow, g->w, g->stride_w, g->pad_w, g->dilation_w, g->s),
    x_stride, x_stride * g->w, y_stride, y_stride * g->ow,
  };
}
static inline conv_plane conv_backward_plane(const conv_shape *g, int64_t dy_stride, int64_t dx_stride, int phase_h,
                                             int phase_w) {
  return (conv_plane){
    conv_backward_axis(g->h, g->oh, g->stride_h, g->pad_h, g->dilation_h, g->r, phase_h),
    conv_backward_axis(g->w, g->ow, g->stride_w, g->pad_w, g->dilation_w, g->s, phase_w),
    dy_stride, dy_stride * g->ow, dx_stride, dx_stride * g->w,
  };
}

static inline bool conv_is_depthwise(const conv_shape *g) { return g->groups == g->c && g->groups == g->k; }
static inline bool conv_is_pointwise(const conv_shape *g) {
  return g->r == 1 && g->s == 1 && g->groups == 1 && g->pad_h == 0 && g->pad_w == 0 && g->stride_h == 1 &&
         g->stride_w == 1;
}

#endif
