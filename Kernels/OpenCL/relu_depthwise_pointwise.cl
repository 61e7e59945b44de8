// y = pointwise(depthwise(relu(x̂))) and the moments of y; x̂ is x or x normalised.
//
// A row has a depthwise weight: without one the separate kernels take as long forward and less backward on PoCL.
//
// Item: one image row of y. Eight pixels x 16 channels of t are made in registers, as in depthwise_conv2d.cl, and
// multiplied at once: neither relu(x̂) nor t reaches memory. y accumulates in place over blocks of 16 channels of t.

#define ESP_FUSED_X                                                                                \
  __global const float *restrict x, __global const float *restrict input_mean,                    \
      __global const float *restrict input_variance, __global const float *restrict depthwise,    \
      __global const float *restrict pointwise

inline float16 esp_rectified(float16 v) { return v < 0.0f ? (float16)0.0f : v; }
// relu(x̂) where the block's centre and scale are at hand.
#define ESP_FUSED_RELU(p) esp_rectified(vload16(0, p))
#define ESP_FUSED_NORMALIZED(p) esp_rectified((vload16(0, p) - centre) * scale)
// Those of n channels from c0 on; 0 and 1 where x is taken as it is.
#define ESP_FUSED_COEFFICIENTS                                                                     \
  const float16 centre = ESP_HERE(1) ? esp_load_float(ESP_AT(input_mean, 1) + c0, n) : (float16)0.0f; \
  const float16 scale =                                                                            \
      ESP_HERE(2) ? 1.0f / sqrt(esp_load_float(ESP_AT(input_variance, 2) + c0, n) + row->scalar[0]) \
                  : (float16)1.0f;

// t of one pixel, any shape.
inline float16 esp_fused_pixel(const __global float *image, const __global float *taps, int iy0, int ix0, int h, int w,
                               int c, int r, int s, int dilation, int xs, int n, float16 centre, float16 scale) {
  float16 sum = 0.0f;
  for (int ky = 0; ky < r; ky++) {
    const int iy = iy0 + ky * dilation;
    if (iy < 0 || iy >= h) continue;
    for (int kx = 0; kx < s; kx++) {
      const int ix = ix0 + kx * dilation;
      if (ix < 0 || ix >= w) continue;
      const float16 v = esp_rectified((esp_load_float(image + (long)(iy * w + ix) * xs, n) - centre) * scale);
      sum = fma(v, esp_load_float(taps + (ky * s + kx) * c, n), sum);
    }
  }
  return sum;
}

// Adds eight pixels of t (`terms` channels) times rows of the weights to `n` channels of y; `first`: instead of adding.
inline void esp_fused_multiply(const float *t, const __global float *weight, int k, int terms, __global float *q,
                               int ys, int n, int count, bool first) {
  float16 acc[8];
  if (first) {
    ESP_UNROLL for (int i = 0; i < 8; i++) acc[i] = 0.0f;
  } else {
    const int last = count - 1;
    ESP_UNROLL for (int i = 0; i < 8; i++) acc[i] = esp_load_float(q + (long)min(i, last) * ys, n);
  }
  if (terms == 16 && n == 16) {
    ESP_UNROLL for (int j = 0; j < 16; j++) {
      const float16 v = vload16(0, weight + (long)j * k);
      ESP_UNROLL for (int i = 0; i < 8; i++) acc[i] = fma((float16)t[i * 16 + j], v, acc[i]);
    }
  } else {
    for (int j = 0; j < terms; j++) {
      const float16 v = esp_load_float(weight + (long)j * k, n);
      ESP_UNROLL for (int i = 0; i < 8; i++) acc[i] = fma((float16)t[i * 16 + j], v, acc[i]);
    }
  }
  ESP_STORE8(acc, q, ys, n, count)
}

// TILE makes acc, eight pixels of t from ox0 on, where the block has 16 channels; WHEN says whether there is one.
#define ESP_FUSED_FORWARD(name, WHEN, ROWS, TILE)                                                  \
  __kernel void name(ESP_FUSED_X, __global float *restrict y, __global float *restrict mean,      \
                     __global float *restrict variance, __global esp_sum *restrict workspace,      \
                     __global const esp_relu_depthwise_pointwise_row *restrict rows) {             \
    ESP_ROW(esp_relu_depthwise_pointwise_row);                                                     \
    const int h = row->h, w = row->w, c = row->c, k = row->k, oh = row->oh, ow = row->ow;          \
    const int ph = row->pad, pw = row->pad, stride = row->stride;                                  \
    const int xs = row->operand[0].stride, ys = row->operand[5].stride;                            \
    ESP_ITEMS(item, row->n * oh) {                                                                 \
      const int oy = item % oh;                                                                    \
      ROWS                                                                                         \
      __global float *out = ESP_AT(y, 5) + (long)item * ow * ys;                                   \
      for (int c0 = 0; c0 < c; c0 += 16) {                                                         \
        const int n = min(16, c - c0);                                                             \
        const __global float *image = ESP_AT(x, 0) + (long)(item / oh) * h * w * xs + c0;          \
        const __global float *wc = ESP_AT(depthwise, 3) + c0;                                      \
        const __global float *wp = ESP_AT(pointwise, 4) + (long)c0 * k;                            \
        ESP_FUSED_COEFFICIENTS                                                                     \
        for (int ox0 = 0; ox0 < ow; ox0 += 8) {                                                    \
          const int count = min(8, ow - ox0);                                                      \
          float t[8 * 16];                                                                         \
          if (WHEN && n == 16) {                                                                   \
            TILE                                                                                   \
            ESP_UNROLL for (int i = 0; i < 8; i++) vstore16(acc[i], i, t);                         \
          } else {                                                                                 \
            for (int i = 0; i < 8; i++) {                                                          \
              const int iy = oy * stride - ph, ix = (ox0 + min(i, count - 1)) * stride - pw;       \
              const float16 pixel = esp_fused_pixel(image, wc, iy, ix, h, w, c, row->r, row->s, row->dilation, xs, n, \
                                                    centre, scale);                                \
              vstore16(pixel, i, t);                                                               \
            }                                                                                      \
          }                                                                                        \
          for (int k0 = 0; k0 < k; k0 += 16) {                                                     \
            esp_fused_multiply(t, wp + k0, k, n, out + (long)ox0 * ys + k0, ys, min(16, k - k0), count, c0 == 0); \
          }                                                                                        \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

// First of three: y. items: n · oh
ESP_FUSED_FORWARD(esp_relu_depthwise_pointwise, false, , float16 acc[8];)
#define ESP_FUSED_FORWARD_FIXED(K, D, S, suffix, LOAD)                                             \
  ESP_FUSED_FORWARD(esp_relu_depthwise_pointwise_k##K##_d##D##_s##S##suffix, true, ESP_DW_FORWARD_ROWS(D, S), \
                    ESP_DW_FORWARD_TILE(K, D, S, LOAD))
ESP_FUSED_FORWARD_FIXED(3, 1, 1, , ESP_FUSED_RELU)
ESP_FUSED_FORWARD_FIXED(3, 1, 2, , ESP_FUSED_RELU)
ESP_FUSED_FORWARD_FIXED(3, 2, 1, , ESP_FUSED_RELU)
ESP_FUSED_FORWARD_FIXED(3, 2, 2, , ESP_FUSED_RELU)
ESP_FUSED_FORWARD_FIXED(5, 1, 1, , ESP_FUSED_RELU)
ESP_FUSED_FORWARD_FIXED(5, 1, 2, , ESP_FUSED_RELU)
ESP_FUSED_FORWARD_FIXED(5, 2, 1, , ESP_FUSED_RELU)
ESP_FUSED_FORWARD_FIXED(5, 2, 2, , ESP_FUSED_RELU)
ESP_FUSED_FORWARD_FIXED(3, 1, 1, _n, ESP_FUSED_NORMALIZED)
ESP_FUSED_FORWARD_FIXED(5, 1, 1, _n, ESP_FUSED_NORMALIZED)

// Second of three: the partials of the moments. items: n · ((k + 15) / 16)
__kernel void esp_relu_depthwise_pointwise_moments(ESP_FUSED_X, __global const float *restrict y,
                                                   __global float *restrict mean, __global float *restrict variance,
                                                   __global esp_sum *restrict workspace,
                                                   __global const esp_relu_depthwise_pointwise_row *restrict rows) {
  ESP_ROW(esp_relu_depthwise_pointwise_row);
  const int k = row->k, blocks = ESP_BLOCKS(k), pixels = row->oh * row->ow, ys = row->operand[5].stride;
  ESP_ITEMS(item, row->n * blocks) {
    const int image = item / blocks, k0 = item % blocks * 16;
    esp_moments_of_image(ESP_AT(y, 5) + (long)image * pixels * ys + k0, ys, pixels, min(16, k - k0),
                         ESP_AT(workspace, 8) + (long)image * 2 * k + k0, k);
  }
}

// Third of three. items: (k + 15) / 16
__kernel void esp_relu_depthwise_pointwise_merge(ESP_FUSED_X, __global const float *restrict y,
                                                 __global float *restrict mean, __global float *restrict variance,
                                                 __global const esp_sum *restrict workspace,
                                                 __global const esp_relu_depthwise_pointwise_row *restrict rows) {
  ESP_ROW(esp_relu_depthwise_pointwise_row);
  const int n = row->n, k = row->k;
  const float count = (float)n * (float)(row->oh * row->ow);
  ESP_ITEMS(item, ESP_BLOCKS(k)) {
    esp_moments_of_images(ESP_AT(workspace, 8), n, count, k, item * 16, ESP_AT(mean, 6), ESP_AT(variance, 7));
  }
}
