// Elementwise functions of one tensor. NaN in gives NaN out, as in PyTorch.
//
// Layout: `pixels` runs of `channels` floats, a run every `stride`. In place when x and y are the same runs.

inline float16 esp_unary16(int kind, float16 x, float s0, float s1) {
  switch (kind) {
    case ESP_NEGATE: return -x;
    case ESP_ABS: return fabs(x);
    case ESP_EXP: return exp(x);
    case ESP_LOG: return log(x);
    case ESP_SQRT: return sqrt(x);
    case ESP_RSQRT: return 1.0f / sqrt(x);
    case ESP_RECIPROCAL: return 1.0f / x;
    case ESP_SQUARE: return x * x;
    case ESP_SIGN: return x > 0.0f ? (float16)1.0f : (x < 0.0f ? (float16)-1.0f : x);
    case ESP_ERF: return erf(x);
    case ESP_RELU: return x < 0.0f ? (float16)0.0f : x;
    case ESP_RELU6: x = x < 0.0f ? (float16)0.0f : x; return x > 6.0f ? (float16)6.0f : x;
    case ESP_LEAKY_RELU: return x > 0.0f ? x : x * s0;
    case ESP_SIGMOID: return 1.0f / (1.0f + exp(-x));
    case ESP_TANH: return tanh(x);
    case ESP_HARD_SWISH: {
      float16 t = x + 3.0f;
      t = t < 0.0f ? (float16)0.0f : t;
      return x * (t > 6.0f ? (float16)6.0f : t) * (1.0f / 6.0f);
    }
    case ESP_GELU: return x * 0.5f * (1.0f + erf(x * 0.70710678118654752440f));
    case ESP_SILU: return x / (1.0f + exp(-x));
    case ESP_AFFINE: return fma(x, (float16)s0, (float16)s1);
    case ESP_CLAMP: x = x < s0 ? (float16)s0 : x; return x > s1 ? (float16)s1 : x;
    case ESP_POW: return pow(x, (float16)s0);
  }
  return x;
}

// items: (pixels · channels + 1023) / 1024
__kernel void esp_unary(__global const float *restrict x, __global float *restrict y,
                        __global const esp_unary_row *restrict rows) {
  ESP_ROW(esp_unary_row);
  const int kind = row->kind, pixels = row->pixels, channels = row->channels;
  const int xs = row->operand[0].stride, ys = row->operand[1].stride;
  const float s0 = row->scalar[0], s1 = row->scalar[1];
  x = ESP_AT(x, 0);
  y = ESP_AT(y, 1);
  ESP_ITEMS(item, ESP_CHUNKS((long)pixels * channels)) {
    ESP_RUNS(item, pixels, channels, xs == channels && ys == channels) {
      const __global float *p = x + pixel * xs + channel;
      __global float *q = y + pixel * ys + channel;
      for (int i = 0; i < length; i += 16) {
        const int n = min(16, (int)length - i);
        esp_store_float(esp_unary16(kind, esp_load_float(p + i, n), s0, s1), q + i, n);
      }
    }
  }
}
