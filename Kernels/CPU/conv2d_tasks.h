// How the rows of one convolution call split into tasks.
#ifndef ESP_CONV2D_TASKS_H
#define ESP_CONV2D_TASKS_H

#include "../include/CKernels.h"
#include "conv2d_shape.h"

// Tasks are numbered through all rows: of each row, `images` images a task times `parts` of an image, or as the kernel
// says.
typedef struct {
  void *const *base;
  const void *rows;
  int32_t count, images, parts;
} conv_job;

// Few images are split, so that there are four tasks a thread, and many are taken together, to share their preparation.
static inline void conv_divide(conv_job *job, int32_t images) {
  const int32_t wanted = 4 * esp_threads();
  job->images = images > wanted ? images / wanted : 1;
  job->parts = images < wanted && images > 0 ? (wanted + images - 1) / images : 1;
}
static inline int part_start(int size, int parts, int part) { return (int)((int64_t)size * part / parts); }

#endif
