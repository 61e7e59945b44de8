// Elementwise functions of two tensors over strided views, with broadcasting (stride 0). Comparisons write bytes.
//
// Dimensions are collapsed first; the innermost is then contiguous, or broadcast on one side, in nearly every call, and
// has vector loops. In place when y is one of the operands with the same view. An absent operand is one zero for all
// elements: nothing of it is read.
#ifndef ESP_ISA
#include "view.h"

static inline esp_view binary_view(const esp_binary_row *r) {
  static const esp_i32 none[ESP_RANK] = {0};
  const esp_i32 *strides[] = {
    r->operand[0].flags & ESP_ABSENT ? none : r->stride_a, r->operand[1].flags & ESP_ABSENT ? none : r->stride_b,
    r->stride_y,
  };
  return esp_view_make(r->size, strides, 3);
}
// Where operand `k` begins, in elements of `bytes` bytes.
static inline const void *binary_operand(void *const *base, const esp_binary_row *r, int k, int64_t bytes) {
  static const double zero = 0;
  const esp_operand *o = &r->operand[k];
  return o->flags & ESP_ABSENT ? (const void *)&zero : (const char *)base[k] + o->offset * bytes;
}

#define ESP_SELF "binary.c"
#include "dispatch.h"
#include "reference.h"
#include "split.h"
ESP_DISPATCH(esp_binary_f32)

// ---- int32: wraps around; a division by zero gives 0 ----

static esp_work integer_measure(const void *row) {
  const esp_binary_row *r = row;
  esp_view v = binary_view(r);
  int64_t length = v.size[ESP_RANK - 1];
  return (esp_work){esp_view_units(&v), (double)(length < ESP_VIEW_BLOCK ? length : ESP_VIEW_BLOCK) * 0.5 + 2};
}

static int32_t integer_power(int32_t a, int32_t b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
  uint32_t result = 1, factor = (uint32_t)a;
  for (; b > 0; b >>= 1, factor *= factor) {
    if (b & 1) result *= factor;
  }
  return (int32_t)result;
}

static void integer_body(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_binary_row *r = row;
  esp_view v = binary_view(r);
  const int last = ESP_RANK - 1;
  int64_t sa = v.stride[0][last], sb = v.stride[1][last], sy = v.stride[2][last];
  while (from < to) {
    esp_piece piece = esp_view_next(&v, 3, &from, to);
    for (int64_t m = 0; m < piece.rows; m++) {
      const int32_t *a = (const int32_t *)binary_operand(base, r, 0, 4) + piece.offset[0] + m * v.stride[0][last - 1];
      const int32_t *b = (const int32_t *)binary_operand(base, r, 1, 4) + piece.offset[1] + m * v.stride[1][last - 1];
      int64_t offset = (int64_t)r->operand[2].offset + piece.offset[2] + m * v.stride[2][last - 1];
      int32_t *y = (int32_t *)base[2] + offset;
      uint8_t *z = (uint8_t *)base[2] + offset;
#define CASE(kind, target, expression)                          \
  case kind:                                                    \
    for (int64_t i = 0; i < piece.length; i++) {                \
      int32_t p = a[i * sa], q = b[i * sb];                     \
      target[i * sy] = (__typeof__(*target))(expression);       \
    }                                                           \
    break;
      switch (r->kind) {
        CASE(ESP_ADD, y, (uint32_t)p + (uint32_t)q)
        CASE(ESP_SUBTRACT, y, (uint32_t)p - (uint32_t)q)
        CASE(ESP_MULTIPLY, y, (uint32_t)p * (uint32_t)q)
        CASE(ESP_DIVIDE, y, q == 0 ? 0 : q == -1 ? (int32_t)(0 - (uint32_t)p) : p / q)
        CASE(ESP_POWER, y, integer_power(p, q))
        CASE(ESP_MAXIMUM, y, p > q ? p : q)
        CASE(ESP_MINIMUM, y, p < q ? p : q)
        CASE(ESP_RELU_MASK, y, q > 0 ? p : 0)
        CASE(ESP_RELU6_MASK, y, q > 0 && q < 6 ? p : 0)
        CASE(ESP_GREATER, z, p > q)
        CASE(ESP_GREATER_EQUAL, z, p >= q)
        CASE(ESP_LESS, z, p < q)
        CASE(ESP_LESS_EQUAL, z, p <= q)
        CASE(ESP_EQUAL, z, p == q)
        CASE(ESP_NOT_EQUAL, z, p != q)
      }
#undef CASE
    }
  }
}

void esp_binary_i32(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_binary_row), count, integer_measure, integer_body);
}

#else
#include "lanes.h"
#include "split.h"

#define combine ESP_NAME(binary_combine)
#define compare ESP_NAME(binary_compare)
#define rows_loop ESP_NAME(binary_rows_loop)
#define strided_loop ESP_NAME(binary_strided_loop)
#define piece_loop ESP_NAME(binary_piece_loop)
#define measure ESP_NAME(binary_measure)
#define body ESP_NAME(binary_body)

// f(a, b) for a constant kind.
ESP_LANES_INLINE lanes combine(int kind, lanes a, lanes b) {
  const lanes zero = lanes_splat(0);
  switch (kind) {
    case ESP_ADD: return a + b;
    case ESP_SUBTRACT: return a - b;
    case ESP_MULTIPLY: return a * b;
    case ESP_DIVIDE: return a / b;
    case ESP_POWER: {
      union { lanes whole; real lane[LANES]; } u = {a}, v = {b};
      for (int i = 0; i < LANES; i++) u.lane[i] = R(pow)(u.lane[i], v.lane[i]);
      return u.whole;
    }
    // A NaN on either side wins, as in torch.maximum.
    case ESP_MAXIMUM: return lanes_select((a > b) | (a != a), a, b);
    case ESP_MINIMUM: return lanes_select((a < b) | (a != a), a, b);
    case ESP_RELU_MASK: return lanes_select(b > zero, a, zero);
    case ESP_RELU6_MASK: return lanes_select((b > zero) & (b < lanes_splat(6)), a, zero);
  }
  return a;
}
ESP_LANES_INLINE lane_mask compare(int kind, lanes a, lanes b) {
  switch (kind) {
    case ESP_GREATER: return (a > b) & 1;
    case ESP_GREATER_EQUAL: return (a >= b) & 1;
    case ESP_LESS: return (a < b) & 1;
    case ESP_LESS_EQUAL: return (a <= b) & 1;
    case ESP_EQUAL: return (a == b) & 1;
  }
  return (a != b) & 1;
}

typedef struct {
  const real *a, *b;
  void *y;
  int64_t rows, length, row_a, row_b, row_y, stride_a, stride_b, stride_y;
} ESP_NAME(binary_piece);

// Rows whose innermost stride is 1 in y and 0 or 1 in a and b.
ESP_LANES_INLINE void rows_loop(int kind, bool whole_a, bool whole_b, const ESP_NAME(binary_piece) *p) {
  const real *a = p->a, *b = p->b;
  real *y = p->y;
  uint8_t *z = p->y;
  for (int64_t m = 0; m < p->rows; m++, a += p->row_a, b += p->row_b, y += p->row_y, z += p->row_y) {
    const lanes first_a = lanes_splat(a[0]), first_b = lanes_splat(b[0]);
    int64_t i = 0;
    for (; i + LANES <= p->length; i += LANES) {
      lanes u = whole_a ? lanes_load(a + i) : first_a, v = whole_b ? lanes_load(b + i) : first_b;
      if (kind >= ESP_GREATER) lanes_store_bytes(z + i, compare(kind, u, v), LANES);
      else lanes_store(y + i, combine(kind, u, v));
    }
    if (i < p->length) {
      int64_t left = p->length - i;
      lanes u = whole_a ? lanes_load_part(a + i, left) : first_a, v = whole_b ? lanes_load_part(b + i, left) : first_b;
      if (kind >= ESP_GREATER) lanes_store_bytes(z + i, compare(kind, u, v), left);
      else lanes_store_part(y + i, combine(kind, u, v), left);
    }
  }
}

// Any strides: gathered into lanes, so that values and special cases are those of the vector loop.
ESP_LANES_INLINE void strided_loop(int kind, const ESP_NAME(binary_piece) *p) {
  for (int64_t m = 0; m < p->rows; m++) {
    const real *a = p->a + m * p->row_a, *b = p->b + m * p->row_b;
    real *y = (real *)p->y + m * p->row_y;
    uint8_t *z = (uint8_t *)p->y + m * p->row_y;
    for (int64_t i = 0; i < p->length; i += LANES) {
      int64_t n = p->length - i < LANES ? p->length - i : LANES;
      real u[LANES] = {0}, v[LANES] = {0};
      uint8_t bytes[LANES];
      for (int64_t j = 0; j < n; j++) {
        u[j] = a[(i + j) * p->stride_a];
        v[j] = b[(i + j) * p->stride_b];
      }
      if (kind >= ESP_GREATER) {
        lanes_store_bytes(bytes, compare(kind, lanes_load(u), lanes_load(v)), LANES);
        for (int64_t j = 0; j < n; j++) z[(i + j) * p->stride_y] = bytes[j];
      } else {
        lanes_store(u, combine(kind, lanes_load(u), lanes_load(v)));
        for (int64_t j = 0; j < n; j++) y[(i + j) * p->stride_y] = u[j];
      }
    }
  }
}

ESP_LANES_INLINE void piece_loop(int kind, const ESP_NAME(binary_piece) *p) {
  if (p->stride_y == 1 && p->stride_a == 1 && p->stride_b == 1) rows_loop(kind, true, true, p);
  else if (p->stride_y == 1 && p->stride_a == 1 && p->stride_b == 0) rows_loop(kind, true, false, p);
  else if (p->stride_y == 1 && p->stride_a == 0 && p->stride_b == 1) rows_loop(kind, false, true, p);
  else strided_loop(kind, p);
}

static esp_work measure(const void *row) {
  const esp_binary_row *r = row;
  esp_view v = binary_view(r);
  int64_t length = v.size[ESP_RANK - 1];
  double element = r->kind == ESP_POWER ? 20 : v.stride[2][ESP_RANK - 1] == 1 ? 0.15 : 1;
  return (esp_work){esp_view_units(&v), (double)(length < ESP_VIEW_BLOCK ? length : ESP_VIEW_BLOCK) * element + 1};
}

static void body(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_binary_row *r = row;
  esp_view v = binary_view(r);
  const int last = ESP_RANK - 1;
  int64_t element = r->kind >= ESP_GREATER ? 1 : (int64_t)sizeof(real);
  while (from < to) {
    esp_piece next = esp_view_next(&v, 3, &from, to);
    ESP_NAME(binary_piece) piece = {
      (const real *)binary_operand(base, r, 0, sizeof(real)) + next.offset[0],
      (const real *)binary_operand(base, r, 1, sizeof(real)) + next.offset[1],
      (char *)base[2] + ((int64_t)r->operand[2].offset + next.offset[2]) * element,
      next.rows, next.length, v.stride[0][last - 1], v.stride[1][last - 1], v.stride[2][last - 1],
      v.stride[0][last], v.stride[1][last], v.stride[2][last],
    };
#define CASE(kind) case kind: piece_loop(kind, &piece); break;
    switch (r->kind) {
      CASE(ESP_ADD) CASE(ESP_SUBTRACT) CASE(ESP_MULTIPLY) CASE(ESP_DIVIDE) CASE(ESP_POWER) CASE(ESP_MAXIMUM)
      CASE(ESP_MINIMUM) CASE(ESP_RELU_MASK) CASE(ESP_RELU6_MASK) CASE(ESP_GREATER) CASE(ESP_GREATER_EQUAL)
      CASE(ESP_LESS) CASE(ESP_LESS_EQUAL) CASE(ESP_EQUAL) CASE(ESP_NOT_EQUAL)
    }
#undef CASE
  }
}

void ESP_KERNEL(esp_binary)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_binary_row), count, measure, body);
}
#endif
