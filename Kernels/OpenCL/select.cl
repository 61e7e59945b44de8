// y = condition ? a : b over strided views with broadcasting; the condition is bytes.

#define ESP_SELECT(name, type)                                                                     \
  __kernel void name(__global const uchar *restrict c, __global const type *restrict a,           \
                     __global const type *restrict b, __global type *restrict y,                   \
                     __global const esp_select_row *restrict rows) {                               \
    ESP_ROW(esp_select_row);                                                                       \
    esp_view view;                                                                                 \
    esp_view_begin(&view);                                                                         \
    for (int d = ESP_RANK - 1, to = ESP_RANK; d >= 0; d--) {                                       \
      to = esp_view_add(&view, to, 4, row->size[d], row->stride_c[d], row->stride_a[d], row->stride_b[d], \
                        row->stride_y[d]);                                                         \
    }                                                                                              \
    const int sc = view.stride[0][ESP_RANK - 1], sa = view.stride[1][ESP_RANK - 1];                \
    const int sb = view.stride[2][ESP_RANK - 1], sy = view.stride[3][ESP_RANK - 1];                \
    c = ESP_AT(c, 0);                                                                              \
    a = ESP_AT(a, 1);                                                                              \
    b = ESP_AT(b, 2);                                                                              \
    y = ESP_AT(y, 3);                                                                              \
    ESP_ITEMS(item, ESP_CHUNKS(view.total)) {                                                      \
      ESP_VIEW_RUNS(view, item) {                                                                  \
        const __global uchar *o = c + esp_view_offset(&view, 0);                               \
        const __global type *p = a + esp_view_offset(&view, 1), *q = b + esp_view_offset(&view, 2); \
        __global type *t = y + esp_view_offset(&view, 3);                                      \
        for (long i = 0; i < length; i += 16) {                                                    \
          const int n = min(16, (int)(length - i));                                                \
          const type##16 u = esp_gather_##type(p + i * sa, sa, n), v = esp_gather_##type(q + i * sb, sb, n); \
          const int16 take = convert_int16(esp_gather_uchar(o + i * sc, sc, n)) != 0;              \
          esp_scatter_##type(take ? u : v, t + i * sy, sy, n);                                     \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

// items: (product of size + 1023) / 1024
ESP_SELECT(esp_select, float)
// items: (product of size + 1023) / 1024
ESP_SELECT(esp_select_i32, int)
