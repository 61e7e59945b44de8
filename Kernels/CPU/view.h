// Strided views of several operands over one index space: dimensions are collapsed where every operand allows it, and
// walked as rows of the two innermost dimensions. A unit of work is one innermost run, or a block of a long one.
#ifndef ESP_VIEW_H
#define ESP_VIEW_H

#include <stdint.h>
#include "../include/rows.h"

#define ESP_VIEW_OPERANDS 4
#define ESP_VIEW_BLOCK 4096

typedef struct {
  int64_t size[ESP_RANK], stride[ESP_VIEW_OPERANDS][ESP_RANK];
  int64_t outer;   // product of all sizes but the last
  int64_t blocks;  // of an innermost run
} esp_view;

static inline void esp_view_finish(esp_view *v) {
  v->outer = 1;
  for (int d = 0; d < ESP_RANK - 1; d++) v->outer *= v->size[d];
  v->blocks = (v->size[ESP_RANK - 1] + ESP_VIEW_BLOCK - 1) / ESP_VIEW_BLOCK;
}
static inline int64_t esp_view_units(const esp_view *v) { return v->outer * v->blocks; }

// Drops dimensions of size 1 and merges neighbours that are contiguous in every operand; the result is right-aligned.
static inline esp_view esp_view_make(const esp_i32 *size, const esp_i32 *const *stride, int operands) {
  esp_view v = {0};
  int to = ESP_RANK;
  int empty = 0;
  for (int d = ESP_RANK - 1; d >= 0; d--) {
    if (size[d] == 0) empty = 1;
    if (size[d] == 1) continue;
    int merges = to < ESP_RANK;
    for (int k = 0; k < operands && merges; k++) merges = stride[k][d] == v.stride[k][to] * v.size[to];
    if (merges) {
      v.size[to] *= size[d];
    } else {
      to--;
      v.size[to] = size[d];
      for (int k = 0; k < operands; k++) v.stride[k][to] = stride[k][d];
    }
  }
  while (to > 0) v.size[--to] = 1;
  if (empty) v.size[0] = 0;
  esp_view_finish(&v);
  return v;
}

// The next piece of units `from` … `to` − 1: `rows` runs of `length` elements (along the last two dimensions), with the
// offset of the first element of each operand. Moves `from` on.
typedef struct {
  int64_t rows, length, offset[ESP_VIEW_OPERANDS];
} esp_piece;
static inline esp_piece esp_view_next(const esp_view *v, int operands, int64_t *from, int64_t to) {
  const int last = ESP_RANK - 1, row = ESP_RANK - 2;
  int64_t run = *from / v->blocks, block = *from % v->blocks;
  int64_t start = block * ESP_VIEW_BLOCK, left = v->size[last] - start;
  int64_t in_row = v->size[row] > 0 ? run % v->size[row] : 0;
  esp_piece piece = {1, left, {0}};
  if (v->blocks > 1) {
    if (left > ESP_VIEW_BLOCK) piece.length = ESP_VIEW_BLOCK;
    *from += 1;
  } else {
    piece.rows = v->size[row] - in_row;
    if (piece.rows > to - *from) piece.rows = to - *from;
    *from += piece.rows;
  }
  for (int k = 0; k < operands; k++) piece.offset[k] = start * v->stride[k][last];
  for (int d = row; d >= 0; d--) {
    int64_t i = run % v->size[d];
    run /= v->size[d];
    for (int k = 0; k < operands; k++) piece.offset[k] += i * v->stride[k][d];
  }
  return piece;
}

#endif
