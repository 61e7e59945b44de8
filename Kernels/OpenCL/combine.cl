// Weighted sum of up to 16 tensors in one pass, and the gradient of its weights.
//
// Operands are [pixels, channels] with pixel strides of their own; absent ones are skipped. Added in order, so the
// result does not depend on the strides.

#define ESP_COMBINE_X(type) \
  __global type *restrict x0, __global type *restrict x1, __global type *restrict x2, __global type *restrict x3, \
  __global type *restrict x4, __global type *restrict x5, __global type *restrict x6, __global type *restrict x7, \
  __global type *restrict x8, __global type *restrict x9, __global type *restrict x10, __global type *restrict x11, \
  __global type *restrict x12, __global type *restrict x13, __global type *restrict x14, __global type *restrict x15
#define ESP_COMBINE_BASES {x0, x1, x2, x3, x4, x5, x6, x7, x8, x9, x10, x11, x12, x13, x14, x15}

// items: (pixels · channels + 1023) / 1024
__kernel void esp_combine(ESP_COMBINE_X(const float), __global const float *restrict weights,
                          __global float *restrict y, __global const esp_combine_row *restrict rows) {
  ESP_ROW(esp_combine_row);
  const int pixels = row->pixels, channels = row->channels, ys = row->operand[ESP_COMBINE_MAX + 1].stride;
  const bool ones = !ESP_HERE(ESP_COMBINE_MAX);
  const __global float *base[ESP_COMBINE_MAX] = ESP_COMBINE_BASES, *x[ESP_COMBINE_MAX];
  float weight[ESP_COMBINE_MAX];
  int stride[ESP_COMBINE_MAX], count = 0;
  bool dense = ys == channels;
  weights = ESP_AT(weights, ESP_COMBINE_MAX);
  y = ESP_AT(y, ESP_COMBINE_MAX + 1);
  for (int k = 0; k < row->count; k++) {
    if (!ESP_HERE(k)) continue;
    x[count] = ESP_AT(base[k], k);
    stride[count] = row->operand[k].stride;
    dense = dense && stride[count] == channels;
    weight[count++] = ones ? 1.0f : weights[row->index[k]];
  }
  ESP_ITEMS(item, ESP_CHUNKS((long)pixels * channels)) {
    ESP_RUNS(item, pixels, channels, dense) {
      __global float *q = y + pixel * ys + channel;
      int i = 0;
      for (; i + 64 <= length; i += 64) {  // four vectors, so that finding an operand costs little
        float16 s0 = 0.0f, s1 = 0.0f, s2 = 0.0f, s3 = 0.0f;
        for (int k = 0; k < count; k++) {
          const __global float *p = x[k] + pixel * stride[k] + channel + i;
          const float16 w = (float16)weight[k];
          s0 = fma(w, vload16(0, p), s0);
          s1 = fma(w, vload16(1, p), s1);
          s2 = fma(w, vload16(2, p), s2);
          s3 = fma(w, vload16(3, p), s3);
        }
        vstore16(s0, 0, q + i);
        vstore16(s1, 1, q + i);
        vstore16(s2, 2, q + i);
        vstore16(s3, 3, q + i);
      }
      for (; i < length; i += 16) {
        const int n = min(16, (int)length - i);
        float16 sum = 0.0f;
        for (int k = 0; k < count; k++) {
          sum = fma((float16)weight[k], esp_load_float(x[k] + pixel * stride[k] + channel + i, n), sum);
        }
        esp_store_float(sum, q + i, n);
      }
    }
  }
}

// First of two: the partial of one image and operand. items: images · count
__kernel void esp_combine_backward(ESP_COMBINE_X(const float), __global const float *restrict dy,
                                   __global float *restrict dweights, __global esp_sum *restrict workspace,
                                   __global const esp_combine_backward_row *restrict rows) {
  ESP_ROW(esp_combine_backward_row);
  const int count = row->count, images = row->images, channels = row->channels;
  const int pixels = images > 0 ? row->pixels / images : 0, ds = row->operand[ESP_COMBINE_MAX].stride;
  const __global float *base[ESP_COMBINE_MAX] = ESP_COMBINE_BASES;
  workspace = ESP_AT(workspace, ESP_COMBINE_MAX + 2);
  ESP_ITEMS(item, images * count) {
    const int image = item / count, k = item % count;
    esp_sum sum = ESP_ZERO;
    if (ESP_HERE(k)) {
      const int xs = row->operand[k].stride;
      const bool dense = xs == channels && ds == channels;
      const long length = dense ? (long)pixels * channels : channels, runs = dense ? 1 : pixels;
      const __global float *p = ESP_AT(base[k], k) + (long)image * pixels * xs;
      const __global float *q = ESP_AT(dy, ESP_COMBINE_MAX) + (long)image * pixels * ds;
      esp_sum16_t sums = ESP_ZERO16;
      for (long run = 0; run < runs; run++, p += xs, q += ds) {
        for (long i = 0; i < length; i += 16) {
          const int n = (int)min((long)16, length - i);
          sums = esp_product16(sums, esp_load_float(p + i, n), esp_load_float(q + i, n));
        }
      }
      sum = esp_fold16(sums);
    }
    workspace[item] = sum;
  }
}

// Second of two: the partials in the order of images. items: count
__kernel void esp_combine_backward_merge(ESP_COMBINE_X(const float), __global const float *restrict dy,
                                         __global float *restrict dweights, __global const esp_sum *restrict workspace,
                                         __global const esp_combine_backward_row *restrict rows) {
  ESP_ROW(esp_combine_backward_row);
  const int count = row->count, images = row->images;
  workspace = ESP_AT(workspace, ESP_COMBINE_MAX + 2);
  dweights = ESP_AT(dweights, ESP_COMBINE_MAX + 1);
  ESP_ITEMS(k, count) {
    bool first = true;  // tensors that share a weight are added up where its index comes first
    for (int j = 0; j < k; j++) first = first && row->index[j] != row->index[k];
    if (!first) continue;
    esp_sum sum = ESP_ZERO;
    for (int j = k; j < count; j++) {
      if (row->index[j] != row->index[k]) continue;
      for (int image = 0; image < images; image++) sum = esp_add(sum, workspace[image * count + j]);
    }
    dweights[row->index[k]] = esp_narrow(sum);
  }
}
