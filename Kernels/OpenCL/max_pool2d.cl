// Maximum pooling, channels-last, and its gradient through the stored window index (byte: row·s + column).
//
// The first maximum in row-major order of the window wins, padding never wins; a NaN
// wins over all, the last one of several, as in PyTorch. The gradient is gathered: no atomics, one order.

#define ESP_MAX_TAP(value, number)                                                                 \
  {                                                                                                \
    const float16 v = value;                                                                       \
    const int16 wins = (v > best) | (v != v);                                                      \
    best = wins ? v : best;                                                                        \
    at = wins ? (int16)(number) : at;                                                              \
  }

// items: n · oh · ((c + 15) / 16)
__kernel void esp_max_pool2d(__global const float *restrict x, __global float *restrict y,
                             __global uchar *restrict index, __global const esp_max_pool2d_row *restrict rows) {
  ESP_ROW(esp_max_pool2d_row);
  ESP_POOL_FIELDS
  const int xs = row->operand[0].stride, ys = row->operand[1].stride, is = row->operand[2].stride;
  x = ESP_AT(x, 0);
  y = ESP_AT(y, 1);
  index = ESP_AT(index, 2);
  ESP_ITEMS(item, row->n * oh * blocks) {
    ESP_POOL_ITEM(oy, oh)
    ESP_POOL_TAPS
    const __global float *image_x = x + (long)image * h * w * xs + c0;
    const bool whole = n == 16 && r == 3 && s == 3 && ky1 - ky0 == 3;
    for (int ox = 0; ox < ow; ox++) {
      const int ix0 = ox * sw - pw, kx0 = max(0, -ix0), kx1 = min(s, w - ix0);
      const __global float *p = image_x + ((iy0 + ky0) * w + ix0) * xs;
      float16 best = -INFINITY;
      int16 at = ky0 * s + kx0;
      if (whole && ix0 >= 0 && ix0 + 3 <= w) {
        ESP_UNROLL for (int tap = 0; tap < 9; tap++) ESP_MAX_TAP(vload16(0, p + (tap / 3 * w + tap % 3) * xs), tap)
      } else {
        for (int ky = ky0; ky < ky1; ky++, p += w * xs) {
          for (int kx = kx0; kx < kx1; kx++) ESP_MAX_TAP(esp_load_float(p + kx * xs, n), ky * s + kx)
        }
      }
      const long o = (long)line * ow + ox;
      esp_store_float(best, y + o * ys + c0, n);
      esp_store_uchar(convert_uchar16(at), index + o * is + c0, n);
    }
  }
}

// items: n · h · ((c + 15) / 16). Operands: dy, index, dx.
__kernel void esp_max_pool2d_backward(__global const float *restrict dy, __global const uchar *restrict index,
                                      __global float *restrict dx,
                                      __global const esp_max_pool2d_row *restrict rows) {
  ESP_ROW(esp_max_pool2d_row);
  ESP_POOL_FIELDS
  const int ys = row->operand[0].stride, is = row->operand[1].stride, xs = row->operand[2].stride;
  dy = ESP_AT(dy, 0);
  index = ESP_AT(index, 1);
  dx = ESP_AT(dx, 2);
  ESP_ITEMS(item, row->n * h * blocks) {
    ESP_POOL_ITEM(iy, h)
    for (int ix = 0; ix < w; ix++) {
      float16 sum = 0.0f;
      ESP_POOL_WINDOWS(ix) {
        const int tap = (iy + ph - oy * sh) * s + ix + pw - (int)ox * sw;
        const int16 mine = convert_int16(esp_load_uchar(index + o * is + c0, n)) == tap;
        sum += mine ? esp_load_float(dy + o * ys + c0, n) : (float16)0.0f;
      }
      esp_store_float(sum, dx + ((long)line * w + ix) * xs + c0, n);
    }
  }
}
