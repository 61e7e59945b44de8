// What the pooling stems share: the fields of their rows and which windows meet which positions.
//
// Item: one image row x 16 channels, of the result forward (`oy`), of the gradient backward (`iy`).

#define ESP_POOL_FIELDS                                                                            \
  const int h = row->h, w = row->w, c = row->c, r = row->r, s = row->s, oh = row->oh, ow = row->ow; \
  const int sh = row->stride_h, sw = row->stride_w, ph = row->pad_h, pw = row->pad_w, blocks = ESP_BLOCKS(c);

// Image row `y` of `height` and the first channels of an item: line = image · height + y, channels [c0, c0 + n).
#define ESP_POOL_ITEM(y, height)                                                                   \
  const int line = item / blocks, y = line % (height), image = line / (height);                    \
  const int c0 = item % blocks * 16, n = min(16, c - c0);

// The taps [ky0, ky1) of a window that begins at iy0 which lie inside the image.
#define ESP_POOL_TAPS const int iy0 = oy * sh - ph, ky0 = max(0, -iy0), ky1 = min(r, h - iy0);

// Windows that hold position i form [first, end): o·stride − pad ≤ i < o·stride − pad + size.
inline int esp_first_window(int i, int pad, int size, int stride) { return max(0, (i + pad - size + stride) / stride); }
inline int esp_end_window(int i, int pad, int stride, int outputs) { return min(outputs, (i + pad) / stride + 1); }

// Runs the statement for each window (oy, ox) that holds pixel (iy, ix), in order; `o` is the window's pixel.
#define ESP_POOL_WINDOWS(ix)                                                                       \
  for (int oy = esp_first_window(iy, ph, r, sh), oy1 = esp_end_window(iy, ph, sh, oh); oy < oy1; oy++) \
    for (long ox = esp_first_window(ix, pw, s, sw), ox1 = esp_end_window(ix, pw, sw, ow),          \
              o = ((long)image * oh + oy) * ow + ox;                                               \
         ox < ox1; ox++, o++)
