// The backward of relu_depthwise_pointwise.cl through the batch norm of y.
//
// Item: a group of images x 16 channels of x, everything from dz to dx and both weights' partial gradients, one image
// after another: all but dy is local to those channels. t, and in its place dt = dy·wpᵀ, of one image lie in the item's
// part of the workspace, [oh·ow, 16] behind the partials; dy is made again from y and dz wherever it is read.

// One block of 16 channels of y: what turns dz into dy.
typedef struct {
  float16 centre, slope, scale, mean;
  bool is_plain;  // no batch norm: dy = dz
} esp_fused_norm;

inline float16 esp_fused_dy(const esp_fused_norm *norm, const __global float *y, const __global float *dz, int n) {
  const float16 g = esp_load_float(dz, n);
  if (norm->is_plain) return g;
  return norm->scale * (fma(norm->centre - esp_load_float(y, n), norm->slope, g) - norm->mean);
}

// partial[j, ·] += Σ_p t[p, j]·dy[p, ·] for 16 channels j of t; `first`: instead of adding.
inline void esp_fused_outer(const __global float *t, const esp_fused_norm *norm, const __global float *y, int ys,
                            const __global float *dz, int zs, int pixels, __global float *partial, int k, int rows,
                            int n, bool first) {
  float16 acc[16];
  ESP_UNROLL for (int j = 0; j < 16; j++) acc[j] = 0.0f;
  for (int i = 0; i < pixels; i++, t += 16, y += ys, dz += zs) {
    const float16 g = esp_fused_dy(norm, y, dz, n);
    ESP_UNROLL for (int j = 0; j < 16; j++) acc[j] = fma((float16)t[j], g, acc[j]);
  }
  float16 kept[16];
  ESP_UNROLL for (int j = 0; j < 16; j++) kept[j] = acc[j];
  for (int j = 0; j < rows; j++, partial += k) {
    esp_store_float(first ? kept[j] : esp_load_float(partial, n) + kept[j], partial, n);
  }
}

// dt[p, ·] += Σ_j dy[p, j]·block[j] for 16 channels j of y; `first`: instead of adding.
inline void esp_fused_inward(const float16 *block, const esp_fused_norm *norm, const __global float *y, int ys,
                             const __global float *dz, int zs, int pixels, __global float *dt, int n, bool first) {
  for (int p = 0; p < pixels; p += 8, dt += 128) {
    const int count = min(8, pixels - p);
    float dy[8 * 16];
    for (int i = 0; i < 8; i++) {
      const long at = p + min(i, count - 1);
      vstore16(esp_fused_dy(norm, y + at * ys, dz + at * zs, n), i, dy);
    }
    float16 acc[8];
    ESP_UNROLL for (int i = 0; i < 8; i++) acc[i] = first ? (float16)0.0f : vload16(min(i, count - 1), dt);
    ESP_UNROLL for (int j = 0; j < 16; j++) {
      ESP_UNROLL for (int i = 0; i < 8; i++) acc[i] = fma((float16)dy[i * 16 + j], block[j], acc[i]);
    }
    ESP_STORE8(acc, dt, 16, 16, count)
  }
}

// The gradients of one image to the taps and to x, any shape; t or dt is [oh·ow, 16].
inline void esp_fused_taps(const __global float *image, int xs, const __global float *dt, int h, int w, int c, int r,
                           int s, int oh, int ow, int stride, int pad, int dilation, int n, float16 centre, float16 scale,
                           __global float *partial, bool first) {
  for (int tap = 0; tap < r * s; tap++, partial += c) {
    const int row = tap / s * dilation - pad, column = tap % s * dilation - pad;
    const int ox0 = esp_first_output(column, stride), ox1 = esp_end_output(column, stride, w, ow);
    float16 sum = 0.0f;
    for (int oy = esp_first_output(row, stride); oy < esp_end_output(row, stride, h, oh); oy++) {
      for (int ox = ox0; ox < ox1; ox++) {
        const __global float *p = image + (long)((oy * stride + row) * w + ox * stride + column) * xs;
        sum = fma(esp_rectified((esp_load_float(p, n) - centre) * scale), vload16(oy * ow + ox, dt), sum);
      }
    }
    esp_store_float(first ? sum : esp_load_float(partial, n) + sum, partial, n);
  }
}
inline float16 esp_fused_input_pixel(const __global float *dt, const __global float *taps, int iy, int ix, int c, int r,
                                     int s, int oh, int ow, int stride, int pad, int dilation, int n) {
  float16 sum = 0.0f;
  for (int ky = 0; ky < r; ky++) {
    const int oy = esp_output_of(iy + pad - ky * dilation, stride, oh);
    if (oy < 0) continue;
    for (int kx = 0; kx < s; kx++) {
      const int ox = esp_output_of(ix + pad - kx * dilation, stride, ow);
      if (ox < 0) continue;
      sum = fma(vload16(oy * ow + ox, dt), esp_load_float(taps + (ky * s + kx) * c, n), sum);
    }
  }
  return sum;
}

#define ESP_FUSED_BLOCKS 4  // of 16 channels of y whose transposed weights stay with the item
// What goes to dx: v where relu(x̂) is positive, on top of what is there if the row adds.
#define ESP_FUSED_MASKED(v, ix)                                                                    \
  (((vload16(0, mask + (long)(ix) * ms) - centre) * scale > 0.0f ? (v) : (float16)0.0f) +           \
   (adds ? vload16(0, out + (long)(ix) * xs) : (float16)0.0f))
// WHEN: whether FORWARD (acc, eight pixels of t), WEIGHT (one image to tap row ky) and BACKWARD (one row of dx) exist.
#define ESP_FUSED_BACKWARD(name, WHEN, ROWS, FORWARD, START, WEIGHT, TAPS, BACKWARD)               \
  __kernel void name(ESP_FUSED_X, __global const float *restrict y, __global const float *restrict mean, \
                     __global const float *restrict variance, __global const float *restrict gamma, \
                     __global const float *restrict sums, __global const float *restrict dz,       \
                     __global float *restrict dx, __global float *restrict depthwise_gradient,     \
                     __global float *restrict pointwise_gradient, __global float *restrict workspace, \
                     __global float *restrict input_sums, __global esp_sum *restrict input_partials, \
                     __global const esp_relu_depthwise_pointwise_backward_row *restrict rows) {    \
    ESP_ROW(esp_relu_depthwise_pointwise_backward_row);                                            \
    const int h = row->h, w = row->w, c = row->c, k = row->k, r = row->r, s = row->s, oh = row->oh, ow = row->ow; \
    const int ph = row->pad, pw = row->pad, stride = row->stride, dilation = row->dilation, images = row->n; \
    const int parts = min(images, ESP_WEIGHT_GROUPS), blocks = ESP_BLOCKS(c), y_blocks = ESP_BLOCKS(k); \
    const int pixels = oh * ow, size = r * s * c + c * k;                                          \
    const int zs = row->operand[10].stride, dxs = row->operand[11].stride;                         \
    const bool wants_dx = ESP_HERE(11), wants_taps = ESP_HERE(12), wants_weights = ESP_HERE(13); \
    const bool adds = row->operand[11].flags & ESP_ACCUMULATE;                                     \
    ESP_ITEMS(item, parts * blocks) {                                                              \
      const int part = item / blocks, c0 = item % blocks * 16, n = min(16, c - c0);                \
      const int image0 = (int)((long)images * part / parts), image1 = (int)((long)images * (part + 1) / parts); \
      __global float *t = ESP_AT(workspace, 14) + (wants_taps || wants_weights ? (long)parts * size : 0) + \
                          (long)item * pixels * 16;                                                \
      __global float *partial = ESP_AT(workspace, 14) + (long)part * size + c0;                    \
      const __global float *wc = ESP_AT(depthwise, 3) + c0;                                        \
      float16 block[ESP_FUSED_BLOCKS * 16];                                                        \
      ESP_FUSED_COEFFICIENTS                                                                       \
      for (int at = image0; at < image1; at++) {                                                   \
        const bool first = at == image0;                                                           \
        const __global float *source = ESP_AT(x, 0) + (long)at * h * w * row->operand[0].stride + c0; \
        if (wants_weights) {                                                                       \
          const __global float *image = source;                                                    \
          const int xs = row->operand[0].stride;                                                   \
          for (int oy = 0; oy < oh; oy++) {                                                        \
            ROWS                                                                                   \
            for (int ox0 = 0; ox0 < ow; ox0 += 8) {                                                \
              const int count = min(8, ow - ox0);                                                  \
              __global float *q = t + (oy * ow + ox0) * 16;                                        \
              if (WHEN && n == 16) {                                                               \
                FORWARD                                                                            \
                ESP_STORE8(acc, q, 16, 16, count)                                                  \
              } else {                                                                             \
                for (int i = 0; i < count; i++) {                                                  \
                  vstore16(esp_fused_pixel(image, wc, oy * stride - ph, (ox0 + i) * stride - pw, h, w, c, r, s, \
                                           dilation, xs, n, centre, scale), i, q);                 \
                }                                                                                  \
              }                                                                                    \
            }                                                                                      \
          }                                                                                        \
        }                                                                                          \
        for (int pass = wants_weights ? 0 : 1; pass < (wants_dx || wants_taps ? 2 : 1); pass++) {  \
          for (int b = 0; b < y_blocks; b++) {                                                     \
            const int k0 = b * 16, kn = min(16, k - k0);                                           \
            const __global float *yb = y + row->operand[5].offset + (long)at * pixels * row->operand[5].stride + k0; \
            const __global float *zb = ESP_AT(dz, 10) + (long)at * pixels * zs + k0;               \
            esp_fused_norm norm;                                                                   \
            norm.is_plain = !ESP_HERE(5);                                                          \
            if (!norm.is_plain) {                                                                  \
              const float share = 1.0f / ((float)images * (float)pixels);                          \
              const float16 inverse = 1.0f / sqrt(esp_load_float(ESP_AT(variance, 7) + k0, kn) + row->scalar[1]); \
              norm.centre = esp_load_float(ESP_AT(mean, 6) + k0, kn);                              \
              norm.scale = ESP_HERE(8) ? inverse * esp_load_float(ESP_AT(gamma, 8) + k0, kn) : inverse; \
              norm.mean = esp_load_float(ESP_AT(sums, 9) + k0, kn) * share;                        \
              norm.slope = esp_load_float(ESP_AT(sums, 9) + k + k0, kn) * share * inverse;         \
            }                                                                                      \
            const int ys = row->operand[5].stride;                                                 \
            if (pass == 0) {                                                                       \
              __global float *to = partial - c0 + r * s * c + (long)c0 * k + k0;                   \
              esp_fused_outer(t, &norm, yb, ys, zb, zs, pixels, to, k, n, kn, first);              \
              continue;                                                                            \
            }                                                                                      \
            float16 *here = block + b % ESP_FUSED_BLOCKS * 16;                                     \
            if (first || y_blocks > ESP_FUSED_BLOCKS) {                                            \
              for (int i = 0; i < 16; i++) {                                                       \
                here[i] = i < n ? esp_load_float(ESP_AT(pointwise, 4) + (long)(c0 + i) * k + k0, kn) : (float16)0.0f; \
              }                                                                                    \
              esp_transpose16(here);                                                               \
            }                                                                                      \
            esp_fused_inward(here, &norm, yb, ys, zb, zs, pixels, t, kn, b == 0);                  \
          }                                                                                        \
        }                                                                                          \
        if (wants_taps) {                                                                          \
          const __global float *xi = source, *gi = t;                                              \
          const int xs = row->operand[0].stride, ys = 16;                                          \
          if (WHEN && n == 16) {                                                                   \
            for (int ky = 0; ky < r; ky++) {                                                       \
              START                                                                                \
              WEIGHT                                                                               \
              __global float *to = partial + ky * s * c;                                           \
              TAPS                                                                                 \
            }                                                                                      \
          } else {                                                                                 \
            esp_fused_taps(xi, xs, gi, h, w, c, r, s, oh, ow, stride, pw, dilation, n, centre, scale, partial, first); \
          }                                                                                        \
        }                                                                                          \
        if (wants_dx) {                                                                            \
          const __global float *image = t;                                                         \
          const int ys = 16, xs = dxs, ms = row->operand[0].stride;                                \
          for (int iy = 0; iy < h; iy++) {                                                         \
            const __global float *mask = source + (long)iy * w * ms;                               \
            __global float *out = ESP_AT(dx, 11) + ((long)at * h + iy) * w * dxs + c0;             \
            if (WHEN && n == 16) {                                                                 \
              BACKWARD                                                                             \
            } else {                                                                               \
              for (int ix = 0; ix < w; ix++) {                                                     \
                const float16 v = esp_fused_input_pixel(image, wc, iy, ix, c, r, s, oh, ow, stride, pw, dilation, n); \
                const float16 u = (esp_load_float(mask + (long)ix * ms, n) - centre) * scale;      \
                const float16 before = adds ? esp_load_float(out + (long)ix * xs, n) : (float16)0.0f; \
                esp_store_float((u > 0.0f ? v : (float16)0.0f) + before, out + (long)ix * xs, n);  \
              }                                                                                    \
            }                                                                                      \
          }                                                                                        \
        }                                                                                          \
      }                                                                                            \
    }                                                                                              \
  }

// First of two. items: min(n, 8) · ((c + 15) / 16)
ESP_FUSED_BACKWARD(esp_relu_depthwise_pointwise_backward, false, , float16 acc[8];, , , , )
#define ESP_FUSED_ADD_TAPS(K)                                                                      \
  ESP_UNROLL for (int kx = 0; kx < K; kx++) {                                                      \
    const float16 sum = acc[0][kx] + acc[1][kx];                                                   \
    vstore16(first ? sum : vload16(0, to + kx * c) + sum, 0, to + kx * c);                         \
  }
#define ESP_FUSED_BACKWARD_FIXED(K, D, S, suffix, LOAD)                                            \
  ESP_FUSED_BACKWARD(esp_relu_depthwise_pointwise_backward_k##K##_d##D##_s##S##suffix, true,       \
                     ESP_DW_FORWARD_ROWS(D, S), ESP_DW_FORWARD_TILE(K, D, S, LOAD),                \
                     ESP_DW_WEIGHT_START(K, D, S), ESP_DW_WEIGHT_IMAGE(K, D, S, LOAD), ESP_FUSED_ADD_TAPS(K), ESP_DW_BACKWARD_BODY(K, D, S, ESP_FUSED_MASKED))
ESP_FUSED_BACKWARD_FIXED(3, 1, 1, , ESP_FUSED_RELU)
ESP_FUSED_BACKWARD_FIXED(3, 1, 2, , ESP_FUSED_RELU)
ESP_FUSED_BACKWARD_FIXED(3, 2, 1, , ESP_FUSED_RELU)
ESP_FUSED_BACKWARD_FIXED(3, 2, 2, , ESP_FUSED_RELU)
ESP_FUSED_BACKWARD_FIXED(5, 1, 1, , ESP_FUSED_RELU)
ESP_FUSED_BACKWARD_FIXED(5, 1, 2, , ESP_FUSED_RELU)
ESP_FUSED_BACKWARD_FIXED(5, 2, 1, , ESP_FUSED_RELU)
ESP_FUSED_BACKWARD_FIXED(5, 2, 2, , ESP_FUSED_RELU)
ESP_FUSED_BACKWARD_FIXED(3, 1, 1, _n, ESP_FUSED_NORMALIZED)
ESP_FUSED_BACKWARD_FIXED(5, 1, 1, _n, ESP_FUSED_NORMALIZED)

// Second of two: the partials in order. items: (r · s · c + c · k + 1023) / 1024
__kernel void esp_relu_depthwise_pointwise_backward_merge(
    ESP_FUSED_X, __global const float *restrict y, __global const float *restrict mean,
    __global const float *restrict variance, __global const float *restrict gamma, __global const float *restrict sums,
    __global const float *restrict dz, __global const float *restrict dx, __global float *restrict depthwise_gradient,
    __global float *restrict pointwise_gradient, __global const float *restrict workspace,
    __global float *restrict input_sums, __global esp_sum *restrict input_partials,
    __global const esp_relu_depthwise_pointwise_backward_row *restrict rows) {
  ESP_ROW(esp_relu_depthwise_pointwise_backward_row);
  const int parts = min(row->n, ESP_WEIGHT_GROUPS), taps = row->r * row->s * row->c, size = taps + row->c * row->k;
  ESP_ITEMS(item, ESP_CHUNKS(size)) {
    for (int of = 0; of < 2; of++) {
      if (!ESP_HERE(12 + of)) continue;
      __global float *gradient = of == 0 ? ESP_AT(depthwise_gradient, 12) : ESP_AT(pointwise_gradient, 13) - taps;
      const int begin = max(item * ESP_CHUNK, of == 0 ? 0 : taps);
      const int end = min((item + 1) * ESP_CHUNK, of == 0 ? taps : size);
      for (int i = begin; i < end; i += 16) {
        const int n = min(16, end - i);
        float16 sum = 0.0f;
        for (int part = 0; part < parts; part++) {
          sum += esp_load_float(ESP_AT(workspace, 14) + (long)part * size + i, n);
        }
        esp_store_float(sum, gradient + i, n);
      }
    }
  }
}
