// y = condition ? a : b over strided views. The condition is bytes; a and b keep their bits, so int32 is float.
#ifndef ESP_ISA
#define ESP_SELF "select.c"
#include "dispatch.h"
#include "reference.h"
ESP_DISPATCH(esp_select_f32)
void esp_select_i32(void *const *base, const void *rows, int32_t count) { esp_select_f32(base, rows, count); }
#else
#include "lanes.h"
#include "split.h"
#include "view.h"

#define view_of ESP_NAME(select_view_of)
#define measure ESP_NAME(select_measure)
#define body ESP_NAME(select_body)

static inline esp_view view_of(const esp_select_row *r) {
  const esp_i32 *strides[] = {r->stride_c, r->stride_a, r->stride_b, r->stride_y};
  return esp_view_make(r->size, strides, 4);
}

static esp_work measure(const void *row) {
  esp_view v = view_of(row);
  int64_t length = v.size[ESP_RANK - 1];
  return (esp_work){esp_view_units(&v), (double)(length < ESP_VIEW_BLOCK ? length : ESP_VIEW_BLOCK) * 0.3 + 2};
}

static void body(void *const *base, const void *row, int64_t from, int64_t to) {
  const esp_select_row *r = row;
  esp_view v = view_of(r);
  const int last = ESP_RANK - 1;
  int64_t sc = v.stride[0][last], sa = v.stride[1][last], sb = v.stride[2][last], sy = v.stride[3][last];
  bool plain = sc == 1 && sy == 1 && (sa == 0 || sa == 1) && (sb == 0 || sb == 1);
  while (from < to) {
    esp_piece piece = esp_view_next(&v, 4, &from, to);
    for (int64_t m = 0; m < piece.rows; m++) {
      const uint8_t *c = (const uint8_t *)base[0] + r->operand[0].offset + piece.offset[0] + m * v.stride[0][last - 1];
      const real *a = (const real *)base[1] + r->operand[1].offset + piece.offset[1] + m * v.stride[1][last - 1];
      const real *b = (const real *)base[2] + r->operand[2].offset + piece.offset[2] + m * v.stride[2][last - 1];
      real *y = (real *)base[3] + r->operand[3].offset + piece.offset[3] + m * v.stride[3][last - 1];
      if (plain) {
        const lanes first_a = lanes_splat(a[0]), first_b = lanes_splat(b[0]);
        for (int64_t i = 0; i < piece.length; i += LANES) {
          int64_t n = piece.length - i;
          lane_mask mask = lanes_bytes(c + i, n) != lanes_index(0);
          lanes p = sa ? lanes_load_part(a + i, n) : first_a, q = sb ? lanes_load_part(b + i, n) : first_b;
          lanes_store_part(y + i, lanes_select(mask, p, q), n);
        }
      } else {
        for (int64_t i = 0; i < piece.length; i++) y[i * sy] = c[i * sc] ? a[i * sa] : b[i * sb];
      }
    }
  }
}

void ESP_KERNEL(esp_select)(void *const *base, const void *rows, int32_t count) {
  esp_split(base, rows, sizeof(esp_select_row), count, measure, body);
}
#endif
