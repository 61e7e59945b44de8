// Elementwise functions of two tensors over strided views, with broadcasting (stride 0). Comparisons write bytes.
//
// In place when y is one of the operands with the same view. An absent operand is one zero for all elements: nothing of
// it is read. int32 wraps around; a division by zero gives 0.

inline float16 esp_binary16(int kind, float16 a, float16 b) {
  switch (kind) {
    case ESP_ADD: return a + b;
    case ESP_SUBTRACT: return a - b;
    case ESP_MULTIPLY: return a * b;
    case ESP_DIVIDE: return a / b;
    case ESP_POWER: return pow(a, b);
    // A NaN on either side wins, as in torch.maximum.
    case ESP_MAXIMUM: return ((a > b) | (a != a)) ? a : b;
    case ESP_MINIMUM: return ((a < b) | (a != a)) ? a : b;
    case ESP_RELU_MASK: return b > 0.0f ? a : (float16)0.0f;
    case ESP_RELU6_MASK: return ((b > 0.0f) & (b < 6.0f)) ? a : (float16)0.0f;
  }
  return a;
}
inline int16 esp_compare16(int kind, float16 a, float16 b) {
  switch (kind) {
    case ESP_GREATER: return a > b;
    case ESP_GREATER_EQUAL: return a >= b;
    case ESP_LESS: return a < b;
    case ESP_LESS_EQUAL: return a <= b;
    case ESP_EQUAL: return a == b;
  }
  return a != b;
}
inline int esp_integer_power(int a, int b) {
  if (b < 0) return a == 1 ? 1 : a == -1 ? (b % 2 ? -1 : 1) : 0;
  uint result = 1, factor = (uint)a;
  for (; b > 0; b >>= 1, factor *= factor) {
    if (b & 1) result *= factor;
  }
  return (int)result;
}
inline int esp_binary_int(int kind, int a, int b) {
  switch (kind) {
    case ESP_ADD: return (int)((uint)a + (uint)b);
    case ESP_SUBTRACT: return (int)((uint)a - (uint)b);
    case ESP_MULTIPLY: return (int)((uint)a * (uint)b);
    case ESP_DIVIDE: return b == 0 ? 0 : b == -1 ? (int)(0u - (uint)a) : a / b;
    case ESP_POWER: return esp_integer_power(a, b);
    case ESP_MAXIMUM: return max(a, b);
    case ESP_MINIMUM: return min(a, b);
    case ESP_RELU_MASK: return b > 0 ? a : 0;
    case ESP_RELU6_MASK: return b > 0 && b < 6 ? a : 0;
    case ESP_GREATER: return a > b;
    case ESP_GREATER_EQUAL: return a >= b;
    case ESP_LESS: return a < b;
    case ESP_LESS_EQUAL: return a <= b;
    case ESP_EQUAL: return a == b;
  }
  return a != b;
}

#define ESP_BINARY_VIEW                                                                            \
  ESP_ROW(esp_binary_row);                                                                         \
  const int kind = row->kind;                                                                      \
  esp_view view;                                                                                   \
  esp_view_begin(&view);                                                                           \
  for (int d = ESP_RANK - 1, to = ESP_RANK; d >= 0; d--) {                                         \
    to = esp_view_add(&view, to, 3, row->size[d], row->stride_a[d], row->stride_b[d], row->stride_y[d], 0); \
  }                                                                                                \
  const int sa = view.stride[0][ESP_RANK - 1], sb = view.stride[1][ESP_RANK - 1];                  \
  const int sy = view.stride[2][ESP_RANK - 1];                                                     \
  const bool here_a = ESP_HERE(0), here_b = ESP_HERE(1);

// items: (product of size + 1023) / 1024. y: bytes for comparisons.
__kernel void esp_binary(__global const float *restrict a, __global const float *restrict b,
                         __global float *restrict y, __global const esp_binary_row *restrict rows) {
  ESP_BINARY_VIEW
  a = ESP_AT(a, 0);
  b = ESP_AT(b, 1);
  __global uchar *z = ESP_AT((__global uchar *)y, 2);
  y = ESP_AT(y, 2);
  ESP_ITEMS(item, ESP_CHUNKS(view.total)) {
    ESP_VIEW_RUNS(view, item) {
      const __global float *p = a + esp_view_offset(&view, 0), *q = b + esp_view_offset(&view, 1);
      const long o = esp_view_offset(&view, 2);
      for (long i = 0; i < length; i += 16) {
        const int n = min(16, (int)(length - i));
        const float16 u = here_a ? esp_gather_float(p + i * sa, sa, n) : (float16)0.0f;
        const float16 v = here_b ? esp_gather_float(q + i * sb, sb, n) : (float16)0.0f;
        if (kind >= ESP_GREATER) {
          esp_scatter_uchar(convert_uchar16(esp_compare16(kind, u, v) & 1), z + o + i * sy, sy, n);
        } else {
          esp_scatter_float(esp_binary16(kind, u, v), y + o + i * sy, sy, n);
        }
      }
    }
  }
}

// items: (product of size + 1023) / 1024. y: bytes for comparisons.
__kernel void esp_binary_i32(__global const int *restrict a, __global const int *restrict b, __global int *restrict y,
                             __global const esp_binary_row *restrict rows) {
  ESP_BINARY_VIEW
  a = ESP_AT(a, 0);
  b = ESP_AT(b, 1);
  __global uchar *z = ESP_AT((__global uchar *)y, 2);
  y = ESP_AT(y, 2);
  ESP_ITEMS(item, ESP_CHUNKS(view.total)) {
    ESP_VIEW_RUNS(view, item) {
      const __global int *p = a + esp_view_offset(&view, 0), *q = b + esp_view_offset(&view, 1);
      const long o = esp_view_offset(&view, 2);
      for (long i = 0; i < length; i++) {
        const int value = esp_binary_int(kind, here_a ? p[i * sa] : 0, here_b ? q[i * sb] : 0);
        if (kind >= ESP_GREATER) z[o + i * sy] = (uchar)value;
        else y[o + i * sy] = value;
      }
    }
  }
}
