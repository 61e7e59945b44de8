// Maximum pooling, channels-last, and its gradient through the stored window index (byte: row·s + column).
//
// Item: one image row x 16 channels. The first maximum in row-major order of the window wins, padding never wins; a NaN
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
  const int h = row->h, w = row->w, c = row->c, r = row->r, s = row->s, oh = row->oh, ow = row->ow;
  const int sh = row->stride_h, sw = row->stride_w, ph = row->pad_h, pw = row->pad_w, blocks = ESP_BLOCKS(c);
  const int xs = row->operand[0].stride, ys = row->operand[1].stride, is = row->operand[2].stride;
  x = ESP_AT(x, 0);
  y = ESP_AT(y, 1);
  index = ESP_AT(index, 2);
  ESP_ITEMS(item, row->n * oh * blocks) {
    const int block = item % blocks, line = item / blocks, oy = line % oh, image = line / oh;
    const int c0 = block * 16, n = min(16, c - c0);
    const int iy0 = oy * sh - ph, ky0 = max(0, -iy0), ky1 = min(r, h - iy0);
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
  const int h = row->h, w = row->w, c = row->c, r = row->r, s = row->s, oh = row->oh, ow = row->ow;
  const int sh = row->stride_h, sw = row->stride_w, ph = row->pad_h, pw = row->pad_w, blocks = ESP_BLOCKS(c);
  const int ys = row->operand[0].stride, is = row->operand[1].stride, xs = row->operand[2].stride;
  dy = ESP_AT(dy, 0);
  index = ESP_AT(index, 1);
  dx = ESP_AT(dx, 2);
  ESP_ITEMS(item, row->n * h * blocks) {
    const int block = item % blocks, line = item / blocks, iy = line % h, image = line / h;
    const int c0 = block * 16, n = min(16, c - c0);
    // Windows that hold row iy: oy·sh − ph ≤ iy < oy·sh − ph + r.
    const int oy0 = max(0, (iy + ph - r + sh) / sh), oy1 = min(oh, (iy + ph) / sh + 1);
    for (int ix = 0; ix < w; ix++) {
      const int ox0 = max(0, (ix + pw - s + sw) / sw), ox1 = min(ow, (ix + pw) / sw + 1);
      float16 sum = 0.0f;
      for (int oy = oy0; oy < oy1; oy++) {
        for (int ox = ox0; ox < ox1; ox++) {
          const int tap = (iy + ph - oy * sh) * s + ix + pw - ox * sw;
          const long o = ((long)image * oh + oy) * ow + ox;
          const int16 mine = convert_int16(esp_load_uchar(index + o * is + c0, n)) == tap;
          sum += mine ? esp_load_float(dy + o * ys + c0, n) : (float16)0.0f;
        }
      }
      esp_store_float(sum, dx + ((long)line * w + ix) * xs + c0, n);
    }
  }
}
