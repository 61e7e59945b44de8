// Copies between strided views, fills, and casts. No arithmetic, so one compilation serves every instruction set.
//
// A copy's dimensions may be visited in any order: they are sorted so that y is written contiguously. Where x is
// contiguous along another dimension (channels-last to planes and back) the two are copied in tiles.
#include <math.h>
#include <string.h>
#include "split.h"
#include "view.h"

// ---- copy ----

static esp_view copy_view(const esp_copy_row *r) {
  esp_i32 size[ESP_RANK], x[ESP_RANK], y[ESP_RANK];
  for (int d = 0; d < ESP_RANK; d++) {  // insertion sort, stable, by the stride of y, largest first
    int to = d;
    for (; to > 0 && y[to - 1] < r->stride_y[d] && r->size[d] != 1; to--) {
      size[to] = size[to - 1];
      x[to] = x[to - 1];
      y[to] = y[to - 1];
    }
    size[to] = r->size[d];
    x[to] = r->stride_x[d];
    y[to] = r->stride_y[d];
  }
  const esp_i32 *strides[] = {x, y};
  esp_view v = esp_view_make(size, strides, 2);
  const int last = ESP_RANK - 1, row = ESP_RANK - 2;
  if (v.stride[0][last] != 1) {
    for (int d = row; d >= 0; d--) {
      if (v.stride[0][d] != 1 || v.size[d] == 1) continue;
      int64_t size_d = v.size[d], y_d = v.stride[1][d];
      v.size[d] = v.size[row], v.stride[0][d] = v.stride[0][row], v.stride[1][d] = v.stride[1][row];
      v.size[row] = size_d, v.stride[0][row] = 1, v.stride[1][row] = y_d;
      break;
    }
  }
  return v;
}

static esp_work copy_measure(const void *row) {
  esp_view v = copy_view(row);
  int64_t length = v.size[ESP_RANK - 1];
  double element = v.stride[0][ESP_RANK - 1] == 1 ? 0.1 : 0.6;
  return (esp_work){esp_view_units(&v), (double)(length < ESP_VIEW_BLOCK ? length : ESP_VIEW_BLOCK) * element + 2};
}

// y[m·step_y + i] = x[m + i·step_x] in squares of four. Cache lines are finished one after the other on the side where
// they lie further apart: planes a power of two apart share the sets of a cache.
typedef uint32_t four __attribute__((vector_size(16), aligned(4)));
static inline void transpose_four(const uint32_t *x, uint32_t *y, int64_t step_x, int64_t step_y) {
  four a = *(const four *)x, b = *(const four *)(x + step_x);
  four c = *(const four *)(x + 2 * step_x), d = *(const four *)(x + 3 * step_x);
  four e = __builtin_shufflevector(a, b, 0, 4, 1, 5), f = __builtin_shufflevector(c, d, 0, 4, 1, 5);
  four g = __builtin_shufflevector(a, b, 2, 6, 3, 7), h = __builtin_shufflevector(c, d, 2, 6, 3, 7);
  *(four *)y = __builtin_shufflevector(e, f, 0, 1, 4, 5);
  *(four *)(y + step_y) = __builtin_shufflevector(e, f, 2, 3, 6, 7);
  *(four *)(y + 2 * step_y) = __builtin_shufflevector(g, h, 0, 1, 4, 5);
  *(four *)(y + 3 * step_y) = __builtin_shufflevector(g, h, 2, 3, 6, 7);
}
static void transpose_32(const uint32_t *x, uint32_t *y, int64_t rows, int64_t length, int64_t step_y, int64_t step_x) {
  const int64_t whole_m = rows & ~(int64_t)3, whole_i = length & ~(int64_t)3, tile = 16;
  for (int64_t m0 = 0; m0 < whole_m; m0 += tile) {
    int64_t m1 = m0 + tile < whole_m ? m0 + tile : whole_m;
    for (int64_t i0 = 0; i0 < whole_i; i0 += tile) {
      int64_t i1 = i0 + tile < whole_i ? i0 + tile : whole_i;
      if (step_x > step_y) {
        for (int64_t i = i0; i < i1; i += 4) {
          for (int64_t m = m0; m < m1; m += 4) transpose_four(x + m + i * step_x, y + m * step_y + i, step_x, step_y);
        }
      } else {
        for (int64_t m = m0; m < m1; m += 4) {
          for (int64_t i = i0; i < i1; i += 4) transpose_four(x + m + i * step_x, y + m * step_y + i, step_x, step_y);
        }
      }
    }
  }
  for (int64_t m = 0; m < rows; m++) {
    for (int64_t i = m < whole_m ? whole_i : 0; i < length; i++) y[m * step_y + i] = x[m + i * step_x];
  }
}

// Runs of `length` elements; `rows` of them.
#define DEFINE_COPY(bits)                                                                                         \
  static void copy_piece_##bits(const uint##bits##_t *x, uint##bits##_t *y, esp_piece p, int64_t row_x,           \
                                int64_t row_y, int64_t sx, int64_t sy) {                                          \
    typedef uint##bits##_t element;                                                                               \
    const int64_t tile = 16;                                                                                      \
    if (sx == 1 && sy == 1) {                                                                                     \
      for (int64_t m = 0; m < p.rows; m++, x += row_x, y += row_y) {                                              \
        if (p.length * (bits / 8) >= 256) {                                                                       \
          memcpy(y, x, (size_t)p.length * sizeof(element));                                                       \
        } else {                                                                                                  \
          for (int64_t i = 0; i < p.length; i++) y[i] = x[i];                                                     \
        }                                                                                                         \
      }                                                                                                           \
    } else if (sx == 0 && sy == 1) {                                                                              \
      for (int64_t m = 0; m < p.rows; m++, x += row_x, y += row_y) {                                              \
        element value = *x;                                                                                       \
        for (int64_t i = 0; i < p.length; i++) y[i] = value;                                                      \
      }                                                                                                           \
    } else if (row_x == 1 && p.rows > 1 && bits == 32 && sy == 1) {                                               \
      transpose_32((const uint32_t *)(const void *)x, (uint32_t *)(void *)y, p.rows, p.length, row_y, sx);        \
    } else if (row_x == 1 && p.rows > 1) {                                                                        \
      for (int64_t m0 = 0; m0 < p.rows; m0 += tile) {                                                             \
        int64_t m1 = m0 + tile < p.rows ? m0 + tile : p.rows;                                                     \
        for (int64_t i0 = 0; i0 < p.length; i0 += tile) {                                                         \
          int64_t i1 = i0 + tile < p.length ? i0 + tile : p.length;                                               \
          for (int64_t m = m0; m < m1; m++) {                                                                     \
            for (int64_t i = i0; i < i1; i++) y[m * row_y + i * sy] = x[m + i * sx];                              \
          }                                                                                                       \
        }                                                                                                         \
      }                                                                                                           \
    } else {                                                                                                      \
      for (int64_t m = 0; m < p.rows; m++, x += row_x, y += row_y) {                                              \
        for (int64_t i = 0; i < p.length; i++) y[i * sy] = x[i * sx];                                             \
      }                                                                                                           \
    }                                                                                                             \
  }                                                                                                               \
  static void copy_body_##bits(void *const *base, const void *row, int64_t from, int64_t to) {                    \
    const esp_copy_row *r = row;                                                                                  \
    esp_view v = copy_view(r);                                                                                    \
    const int last = ESP_RANK - 1;                                                                                \
    const uint##bits##_t *x = (const uint##bits##_t *)base[0] + ((int64_t)r->operand[0].offset + r->base_x);      \
    uint##bits##_t *y = (uint##bits##_t *)base[1] + ((int64_t)r->operand[1].offset + r->base_y);                  \
    while (from < to) {                                                                                           \
      esp_piece p = esp_view_next(&v, 2, &from, to);                                                              \
      copy_piece_##bits(x + p.offset[0], y + p.offset[1], p, v.stride[0][last - 1], v.stride[1][last - 1],        \
                        v.stride[0][last], v.stride[1][last]);                                                    \
    }                                                                                                             \
  }                                                                                                               \
  void esp_copy_##bits(void *const *base, const void *rows, int32_t count) {                                      \
    esp_split(base, rows, sizeof(esp_copy_row), count, copy_measure, copy_body_##bits);                           \
  }
DEFINE_COPY(8)
DEFINE_COPY(32)
DEFINE_COPY(64)

// ---- fill ----

static int fill_dense(const esp_fill_row *r) { return r->pixels == 1 || r->operand[0].stride == r->channels; }
static esp_work fill_measure(const void *row) {
  const esp_fill_row *r = row;
  int64_t units = esp_run_units(r->pixels, r->channels, fill_dense(r)), total = (int64_t)r->pixels * r->channels;
  return (esp_work){units, units ? 0.1 * (double)total / (double)units + 1 : 0};
}

#define DEFINE_FILL(name, element, value)                                                                        \
  static void name##_body(void *const *base, const void *row, int64_t from, int64_t to) {                        \
    const esp_fill_row *r = row;                                                                                 \
    esp_runs runs = esp_runs_of(r->pixels, r->channels, fill_dense(r), from, to);                                \
    int64_t stride = r->operand[0].stride;                                                                       \
    element *y = (element *)base[0] + r->operand[0].offset + esp_runs_start(runs, stride);                       \
    int32_t bits;                                                                                                \
    memcpy(&bits, r->scalar, sizeof bits);                                                                       \
    (void)bits;                                                                                                  \
    element filler = (element)(value);                                                                           \
    for (int64_t m = 0; m < runs.runs; m++, y += stride) {                                                       \
      for (int64_t i = 0; i < runs.length; i++) y[i] = filler;                                                   \
    }                                                                                                            \
  }                                                                                                              \
  void name(void *const *base, const void *rows, int32_t count) {                                                \
    esp_split(base, rows, sizeof(esp_fill_row), count, fill_measure, name##_body);                               \
  }
DEFINE_FILL(esp_fill_f32, float, r->scalar[0])
DEFINE_FILL(esp_fill_f64, double, r->scalar[0])
DEFINE_FILL(esp_fill_i32, int32_t, bits)
DEFINE_FILL(esp_fill_8, uint8_t, bits)

// ---- cast ----

// Towards zero; saturates, and NaN gives 0, where C leaves the result open.
static inline int32_t integer_of(double x) {
  return x >= 2147483647.0 ? INT32_MAX : x <= -2147483648.0 ? INT32_MIN : x == x ? (int32_t)x : 0;
}

static int cast_dense(const esp_cast_row *r) {
  return r->pixels == 1 || (r->operand[0].stride == r->channels && r->operand[1].stride == r->channels);
}
static esp_work cast_measure(const void *row) {
  const esp_cast_row *r = row;
  int64_t units = esp_run_units(r->pixels, r->channels, cast_dense(r)), total = (int64_t)r->pixels * r->channels;
  return (esp_work){units, units ? 0.5 * (double)total / (double)units + 1 : 0};
}

static void cast_body(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_cast_row *r = row;
  esp_runs runs = esp_runs_of(r->pixels, r->channels, cast_dense(r), from, to);
  int64_t stride_x = r->operand[0].stride, stride_y = r->operand[1].stride;
  int64_t first_x = (int64_t)r->operand[0].offset + esp_runs_start(runs, stride_x);
  int64_t first_y = (int64_t)r->operand[1].offset + esp_runs_start(runs, stride_y);
#define CAST(source, target, expression)                                          \
  {                                                                               \
    const source *x = (const source *)base[0] + first_x;                          \
    target *y = (target *)base[1] + first_y;                                      \
    for (int64_t m = 0; m < runs.runs; m++, x += stride_x, y += stride_y) {       \
      for (int64_t i = 0; i < runs.length; i++) {                                 \
        source v = x[i];                                                          \
        y[i] = expression;                                                        \
      }                                                                           \
    }                                                                             \
    break;                                                                        \
  }
  // A byte is a Bool: what is not zero becomes 1; a byte itself is copied.
  switch (r->from * 4 + r->to) {
    case ESP_FLOAT32 * 4 + ESP_FLOAT32: CAST(float, float, v)
    case ESP_FLOAT32 * 4 + ESP_FLOAT64: CAST(float, double, v)
    case ESP_FLOAT32 * 4 + ESP_INT32: CAST(float, int32_t, integer_of(v))
    case ESP_FLOAT32 * 4 + ESP_BYTE: CAST(float, uint8_t, v != 0)
    case ESP_FLOAT64 * 4 + ESP_FLOAT32: CAST(double, float, (float)v)
    case ESP_FLOAT64 * 4 + ESP_FLOAT64: CAST(double, double, v)
    case ESP_FLOAT64 * 4 + ESP_INT32: CAST(double, int32_t, integer_of(v))
    case ESP_FLOAT64 * 4 + ESP_BYTE: CAST(double, uint8_t, v != 0)
    case ESP_INT32 * 4 + ESP_FLOAT32: CAST(int32_t, float, (float)v)
    case ESP_INT32 * 4 + ESP_FLOAT64: CAST(int32_t, double, v)
    case ESP_INT32 * 4 + ESP_INT32: CAST(int32_t, int32_t, v)
    case ESP_INT32 * 4 + ESP_BYTE: CAST(int32_t, uint8_t, v != 0)
    case ESP_BYTE * 4 + ESP_FLOAT32: CAST(uint8_t, float, v)
    case ESP_BYTE * 4 + ESP_FLOAT64: CAST(uint8_t, double, v)
    case ESP_BYTE * 4 + ESP_INT32: CAST(uint8_t, int32_t, v)
    case ESP_BYTE * 4 + ESP_BYTE: CAST(uint8_t, uint8_t, v)
  }
#undef CAST
}

void esp_cast(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_cast_row), count, cast_measure, cast_body);
}
