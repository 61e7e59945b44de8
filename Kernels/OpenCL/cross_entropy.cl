// Cross-entropy of logits [N, classes] with label smoothing, and its gradient. A label outside the classes has no
// target of its own. An item is a sample.

inline float esp_logits_max(const __global float *x, int size) {
  float best = -INFINITY;
  for (int i = 0; i < size; i++) best = fmax(best, x[i]);
  return best;
}
inline float16 esp_logits_exp(const __global float *x, int n, float top) {
  return esp_first(exp(esp_load_float(x, n) - top), n, 0.0f);
}
inline float esp_logits_exp_sum(const __global float *x, int size, float top) {
  float16 sum = 0.0f;
  for (int i = 0; i < size; i += 16) sum += esp_logits_exp(x + i, min(16, size - i), top);
  return esp_sum16(sum);
}

// items: samples
__kernel void esp_cross_entropy(__global const float *restrict logits, __global const int *restrict labels,
                                __global float *restrict loss,
                                __global const esp_cross_entropy_row *restrict rows) {
  ESP_ROW(esp_cross_entropy_row);
  const int classes = row->classes;
  const float smoothing = row->scalar[0];
  logits = ESP_AT(logits, 0);
  labels = ESP_AT(labels, 1);
  loss = ESP_AT(loss, 2);
  ESP_ITEMS(sample, row->samples) {
    const __global float *x = logits + (long)sample * classes;
    const int label = labels[sample];
    const float top = esp_logits_max(x, classes), log_sum = log(esp_logits_exp_sum(x, classes, top));
    float value = 0.0f;
    if (label >= 0 && label < classes) value = (1.0f - smoothing) * (log_sum - (x[label] - top));
    if (smoothing != 0.0f) {
      float16 sum = 0.0f;
      for (int i = 0; i < classes; i += 16) {
        const int n = min(16, classes - i);
        sum += esp_first(log_sum - (esp_load_float(x + i, n) - top), n, 0.0f);
      }
      value += smoothing / (float)classes * esp_sum16(sum);
    }
    loss[sample] = value;
  }
}

// items: samples
__kernel void esp_cross_entropy_backward(__global const float *restrict logits, __global const int *restrict labels,
                                         __global const float *restrict dloss, __global float *restrict dlogits,
                                         __global const esp_cross_entropy_backward_row *restrict rows) {
  ESP_ROW(esp_cross_entropy_backward_row);
  const int classes = row->classes;
  const float smoothing = row->scalar[0], share = smoothing / (float)classes;
  logits = ESP_AT(logits, 0);
  labels = ESP_AT(labels, 1);
  dloss = ESP_AT(dloss, 2);
  dlogits = ESP_AT(dlogits, 3);
  ESP_ITEMS(sample, row->samples) {
    const __global float *x = logits + (long)sample * classes;
    __global float *dx = dlogits + (long)sample * classes;
    const int label = labels[sample];
    const float top = esp_logits_max(x, classes), scale = 1.0f / esp_logits_exp_sum(x, classes, top);
    const float upstream = dloss[sample];
    const bool known = label >= 0 && label < classes;
    const float target = known ? exp(x[label] - top) * scale - share - (1.0f - smoothing) : 0.0f;
    for (int i = 0; i < classes; i += 16) {
      const int n = min(16, classes - i);
      esp_store_float((esp_logits_exp(x + i, n, top) * scale - share) * upstream, dx + i, n);
    }
    if (known) dx[label] = target * upstream;
  }
}
