// How the rows of one convolution call split into tasks.
#ifndef ESP_CONV2D_TASKS_H
#define ESP_CONV2D_TASKS_H

#include "../include/CKernels.h"
#include "conv2d_shape.h"

// Tasks are numbered through all rows: images times `parts` each, or as the kernel says.
typedef struct {
  void *const *base;
  const void *rows;
  int32_t count, parts;
} conv_job;

// Parts of an image, so that all images of all rows make at least four tasks a thread.
static inline int32_t conv_parts(int32_t images) {
  const int32_t wanted = 4 * esp_threads();
  return images >= wanted || images < 1 ? 1 : (wanted + images - 1) / images;
}
static inline int part_start(int size, int parts, int part) { return (int)((int64_t)size * part / parts); }

#endif
