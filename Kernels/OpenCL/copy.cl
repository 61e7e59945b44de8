// Copies between strided views by element size, fills, and casts. Operands are passed as bits: 8 = uchar, 32 = int,
// 64 = ulong. The views are walked in the order of `size`; a y that is contiguous there is written in vectors.

#define ESP_COPY(name, type)                                                                       \
  __kernel void name(__global const type *restrict x, __global type *restrict y,                  \
                     __global const esp_copy_row *restrict rows) {                                 \
    ESP_ROW(esp_copy_row);                                                                         \
    esp_view view;                                                                                 \
    esp_view_begin(&view);                                                                         \
    for (int d = ESP_RANK - 1, to = ESP_RANK; d >= 0; d--) {                                       \
      to = esp_view_add(&view, to, 2, row->size[d], row->stride_x[d], row->stride_y[d], 0, 0);     \
    }                                                                                              \
    const int sx = view.stride[0][ESP_RANK - 1], sy = view.stride[1][ESP_RANK - 1];                \
    x = ESP_AT(x, 0) + row->base_x;                                                                \
    y = ESP_AT(y, 1) + row->base_y;                                                                \
    ESP_ITEMS(item, ESP_CHUNKS(view.total)) {                                                      \
      ESP_VIEW_RUNS(view, item) {                                                                  \
        const __global type *p = x + esp_view_offset(&view, 0);                                \
        __global type *q = y + esp_view_offset(&view, 1);                                      \
        if (sx == 1 && sy == 1) {                                                                  \
          for (long i = 0; i < length; i += 16) {                                                  \
            const int n = min(16, (int)(length - i));                                              \
            esp_store_##type(esp_load_##type(p + i, n), q + i, n);                                 \
          }                                                                                        \
        } else {                                                                                   \
          for (long i = 0; i < length; i++) q[i * sy] = p[i * sx];                                 \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

// items: (product of size + 1023) / 1024
ESP_COPY(esp_copy_8, uchar)
// items: (product of size + 1023) / 1024
ESP_COPY(esp_copy_32, int)
// items: (product of size + 1023) / 1024
ESP_COPY(esp_copy_64, ulong)

#define ESP_FILL(name, type, value)                                                                \
  __kernel void name(__global type *restrict y, __global const esp_fill_row *restrict rows) {     \
    ESP_ROW(esp_fill_row);                                                                         \
    const int pixels = row->pixels, channels = row->channels, ys = row->operand[0].stride;         \
    const type##16 v = (type##16)(value);                                                          \
    y = ESP_AT(y, 0);                                                                              \
    ESP_ITEMS(item, ESP_CHUNKS((long)pixels * channels)) {                                         \
      ESP_RUNS(item, pixels, channels, ys == channels) {                                           \
        __global type *q = y + pixel * ys + channel;                                               \
        for (int i = 0; i < length; i += 16) esp_store_##type(v, q + i, min(16, (int)length - i)); \
      }                                                                                            \
    }                                                                                              \
  }

// items: (pixels · channels + 1023) / 1024
ESP_FILL(esp_fill, float, row->scalar[0])
// items: (pixels · channels + 1023) / 1024
ESP_FILL(esp_fill_i32, int, as_int(row->scalar[0]))
// items: (pixels · channels + 1023) / 1024
ESP_FILL(esp_fill_8, uchar, (uchar)as_int(row->scalar[0]))

// To int32: towards zero; saturates, NaN gives 0. A byte is a Bool: what is not zero becomes 1; a byte is copied.
inline float esp_cast_float(const __global uchar *x, int from, long i) {
  if (from == ESP_FLOAT32) return ((const __global float *)x)[i];
  return from == ESP_INT32 ? (float)((const __global int *)x)[i] : (float)x[i];
}
inline int esp_cast_int(const __global uchar *x, int from, long i) {
  if (from == ESP_INT32) return ((const __global int *)x)[i];
  if (from == ESP_BYTE) return x[i];
  const float v = ((const __global float *)x)[i];
  return v == v ? convert_int_sat_rtz(v) : 0;
}
inline uchar esp_cast_byte(const __global uchar *x, int from, long i) {
  if (from == ESP_BYTE) return x[i];
  return from == ESP_INT32 ? ((const __global int *)x)[i] != 0 : ((const __global float *)x)[i] != 0;
}
// items: (pixels · channels + 1023) / 1024. Operands of any element type but float64, by their bytes.
__kernel void esp_cast(__global const uchar *restrict x, __global uchar *restrict y,
                       __global const esp_cast_row *restrict rows) {
  ESP_ROW(esp_cast_row);
  const int from = row->from, to = row->to, pixels = row->pixels, channels = row->channels;
  const int xs = row->operand[0].stride, ys = row->operand[1].stride;
  const long x0 = row->operand[0].offset, y0 = row->operand[1].offset;
  ESP_ITEMS(item, ESP_CHUNKS((long)pixels * channels)) {
    ESP_RUNS(item, pixels, channels, xs == channels && ys == channels) {
      const long p = x0 + pixel * xs + channel, q = y0 + pixel * ys + channel;
      for (long i = 0; i < length; i++) {
        if (to == ESP_FLOAT32) ((__global float *)y)[q + i] = esp_cast_float(x, from, p + i);
        else if (to == ESP_INT32) ((__global int *)y)[q + i] = esp_cast_int(x, from, p + i);
        else y[q + i] = esp_cast_byte(x, from, p + i);
      }
    }
  }
}
