// The geometry of a convolution, apart from where its operands lie, and how images group into partial gradients.
#ifndef ESP_CONV2D_SHAPE_H
#define ESP_CONV2D_SHAPE_H

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
_Static_assert(sizeof(esp_conv2d_weight_row) == 4 * sizeof(esp_operand) + sizeof(conv_shape), "the fields of conv_shape");

static inline int64_t conv_weight_size(const conv_shape *g) {
  return (int64_t)g->r * g->s * (g->c / g->groups) * g->k;
}

// Partial weight gradients depend on the batch alone: min(n, 8) groups of consecutive images.
static inline int weight_groups(int n) { return n < ESP_WEIGHT_GROUPS ? n : ESP_WEIGHT_GROUPS; }
static inline int weight_group_start(int n, int groups, int group) { return (int)((int64_t)n * group / groups); }

#endif
