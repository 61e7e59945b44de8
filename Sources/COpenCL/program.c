// Programs, kernels and launches. Results of builds, failures too, are remembered by a 128-bit hash of texts and
// options.
#include "internal.h"

#if ESP_HAVE_CL

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void hash(uint64_t key[2], const char *bytes, size_t length) {
  for (size_t i = 0; i < length; i++) {
    key[0] = (key[0] ^ (unsigned char)bytes[i]) * 0x100000001b3u;
    key[1] = (key[1] + (unsigned char)bytes[i]) * 0x9e3779b97f4a7c15u;
    key[1] ^= key[1] >> 29;
  }
  key[0] = (key[0] ^ length) * 0x100000001b3u;  // so that the cut between two texts counts
}

// The compiler's text. `#line` gives our own names; drivers that ignore it show a temporary file, cut here.
static char *build_log(cl_program program, cl_device_id device) {
  size_t size = 0;
  esp_cl.clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, 0, NULL, &size);
  char *log = calloc(1, size + 1);
  if (!log || size == 0) return log;
  if (esp_cl.clGetProgramBuildInfo(program, device, CL_PROGRAM_BUILD_LOG, size, log, NULL)) *log = 0;
  char *to = log;
  for (char *from = log; *from;) {
    size_t word = strcspn(from, ": \n");
    bool path = *from == '/' && from[word] == ':';
    if (!path) {
      memmove(to, from, word);
      to += word;
    }
    from += path ? word + 1 : word;
    while (!path && *from && strchr(": \n", *from)) *to++ = *from++;
  }
  *to = 0;
  return log;
}

static int32_t compile(esp_cl_program *program, const char *const *names, const char *const *texts,
                       const size_t *lengths, int32_t count, const char *options) {
  const char **parts = calloc((size_t)count * 3, sizeof *parts);
  size_t *sizes = calloc((size_t)count * 3, sizeof *sizes);
  char *lines = calloc((size_t)count, 128);
  size_t room = strlen(options) + 32;
  char *all = malloc(room);
  cl_int status = CL_OUT_OF_HOST_MEMORY;
  if (parts && sizes && lines && all) {
    for (int32_t i = 0; i < count; i++) {
      snprintf(lines + i * 128, 128, "#line 1 \"%.100s\"\n", names[i]);
      parts[3 * i] = lines + i * 128, sizes[3 * i] = strlen(lines + i * 128);
      parts[3 * i + 1] = texts[i], sizes[3 * i + 1] = lengths[i];
      parts[3 * i + 2] = "\n", sizes[3 * i + 2] = 1;
    }
    snprintf(all, room, "-cl-std=CL1.2 %s", options);
    esp_cl_context *context = program->context;
    unsigned char key[32];
    if (context->binaries) {
      esp_cl_binary_key(&context->entry->device, all, parts, sizes, count * 3, key);
      program->program = esp_cl_binary_load(context, key, all);
    }
    if (program->program) {
      program->is_binary = true;
      status = 0;
    } else {
      program->program =
          esp_cl.clCreateProgramWithSource(context->context, (cl_uint)count * 3, parts, sizes, &status);
      if (!status) {
        status = esp_cl.clBuildProgram(program->program, 1, &context->entry->id, all, NULL, NULL);
        program->log = build_log(program->program, context->entry->id);
      }
      if (!status && context->binaries) esp_cl_binary_save(context, key, program->program);
    }
  }
  free(parts), free(sizes), free(lines), free(all);
  return status;
}

int32_t esp_cl_build(esp_cl_context *context, const char *const *names, const char *const *texts,
                     const size_t *lengths, int32_t count, const char *options, esp_cl_program **out, char *log,
                     size_t capacity) {
  *out = NULL;
  if (!options) options = "";
  uint64_t key[2] = {0xcbf29ce484222325u, 0};
  hash(key, options, strlen(options));
  for (int32_t i = 0; i < count; i++) hash(key, texts[i], lengths[i]);
  esp_cl_program *program = context->programs;
  while (program && memcmp(program->key, key, sizeof key)) program = program->next;
  if (!program) {
    program = calloc(1, sizeof *program);
    if (!program) return esp_cl_fail(CL_OUT_OF_HOST_MEMORY, log, capacity, "out of host memory");
    memcpy(program->key, key, sizeof key);
    program->context = context;
    program->status = compile(program, names, texts, lengths, count, options);
    program->next = context->programs;
    context->programs = program;
  }
  esp_cl_fail(0, log, capacity, "%s",
              program->log && *program->log ? program->log
              : program->status             ? esp_cl_status_name(program->status)
                                            : "");
  if (!program->status) *out = program;
  return program->status;
}

int32_t esp_cl_program_is_binary(const esp_cl_program *program) { return program->is_binary; }

void esp_cl_program_release_all(esp_cl_context *context) {
  for (esp_cl_program *program = context->programs, *next; program; program = next) {
    next = program->next;
    for (esp_cl_kernel *kernel = program->kernels, *after; kernel; kernel = after) {
      after = kernel->next;
      if (kernel->kernel) esp_cl.clReleaseKernel(kernel->kernel);
      free(kernel->bound), free(kernel->is_bound), free(kernel);
    }
    if (program->program) esp_cl.clReleaseProgram(program->program);
    free(program->log), free(program);
  }
  context->programs = context->fill_program = NULL;
}

void esp_cl_program_forget(esp_cl_context *context, cl_mem memory) {
  for (esp_cl_program *program = context->programs; program; program = program->next) {
    for (esp_cl_kernel *kernel = program->kernels; kernel; kernel = kernel->next) {
      for (int32_t i = 0; i < kernel->arguments; i++) {
        if (kernel->bound[i] == memory) kernel->is_bound[i] = false;
      }
    }
  }
}

int32_t esp_cl_kernel_named(esp_cl_program *program, const char *name, esp_cl_kernel **out, char *error,
                            size_t capacity) {
  *out = NULL;
  esp_cl_kernel *kernel = program->kernels;
  while (kernel && strcmp(kernel->name, name)) kernel = kernel->next;
  if (!kernel) {
    size_t length = strlen(name) + 1;
    kernel = calloc(1, sizeof *kernel + length);
    if (!kernel) return esp_cl_fail(CL_OUT_OF_HOST_MEMORY, error, capacity, "out of host memory");
    memcpy(kernel->name, name, length);
    kernel->kernel = esp_cl.clCreateKernel(program->program, name, &kernel->status);
    if (kernel->status) kernel->kernel = NULL;
    cl_uint arguments = 0;
    if (!kernel->status) {
      kernel->status =
          esp_cl.clGetKernelInfo(kernel->kernel, CL_KERNEL_NUM_ARGS, sizeof arguments, &arguments, NULL);
      kernel->arguments = (int32_t)arguments;
      kernel->bound = calloc(arguments + 1, sizeof *kernel->bound);
      kernel->is_bound = calloc(arguments + 1, sizeof *kernel->is_bound);
      if (!kernel->bound || !kernel->is_bound) kernel->status = CL_OUT_OF_HOST_MEMORY;
    }
    kernel->next = program->kernels;
    program->kernels = kernel;
  }
  if (kernel->status) {
    return esp_cl_fail(kernel->status, error, capacity, "kernel %s: %s", name, esp_cl_status_name(kernel->status));
  }
  *out = kernel;
  return 0;
}

int32_t esp_cl_kernel_arguments(const esp_cl_kernel *kernel) { return kernel->arguments; }

static int32_t bind(esp_cl_kernel *kernel, int32_t index, const esp_cl_buffer *buffer) {
  cl_mem memory = buffer ? buffer->memory : NULL;
  if (kernel->is_bound[index] && kernel->bound[index] == memory) return 0;
  cl_int status = esp_cl.clSetKernelArg(kernel->kernel, (cl_uint)index, sizeof memory, buffer ? &memory : NULL);
  if (status) return status;
  kernel->bound[index] = memory;
  kernel->is_bound[index] = true;
  return 0;
}

static int32_t enqueue(esp_cl_context *context, esp_cl_kernel *kernel, esp_cl_buffer *const *buffers, int32_t count,
                       esp_cl_buffer *rows, uint64_t first_row, uint64_t global_x, uint64_t global_y,
                       uint32_t local_x, uint32_t local_y, cl_event *event) {
  if (count + 1 != kernel->arguments || !rows || local_x == 0 || local_y == 0 || global_y > ESP_CL_DIMENSION_MAX ||
      (uint64_t)local_x * local_y > context->entry->device.max_group) {
    return ESP_CL_BAD_ARGUMENT;
  }
  for (int32_t i = 0; i <= count; i++) {
    int32_t status = bind(kernel, i, i < count ? buffers[i] : rows);
    if (status) return status;
  }
  if (global_x > ESP_CL_DIMENSION_MAX) global_x = ESP_CL_DIMENSION_MAX;
  size_t local[2] = {local_x, local_y};
  size_t global[2] = {(global_x + local_x - 1) / local_x * local_x, (global_y + local_y - 1) / local_y * local_y};
  // A rounded-up first dimension may pass 65,535 by less than a group: one group less, and the items loop.
  if (global[0] > ESP_CL_DIMENSION_MAX && local_x < ESP_CL_DIMENSION_MAX) global[0] -= local_x;
  size_t offset[2] = {0, first_row};
  return esp_cl.clEnqueueNDRangeKernel(context->queue, kernel->kernel, 2, first_row ? offset : NULL, global, local, 0,
                                       NULL, event);
}

int32_t esp_cl_launch(esp_cl_context *context, esp_cl_kernel *kernel, esp_cl_buffer *const *buffers, int32_t count,
                      esp_cl_buffer *rows, uint64_t global_x, uint64_t global_y, uint32_t local_x, uint32_t local_y) {
  if (global_x == 0 || global_y == 0) return 0;
  return enqueue(context, kernel, buffers, count, rows, 0, global_x, global_y, local_x, local_y, NULL);
}

int32_t esp_cl_launch_from(esp_cl_context *context, esp_cl_kernel *kernel, esp_cl_buffer *const *buffers,
                           int32_t count, esp_cl_buffer *rows, uint64_t first_row, uint64_t global_x,
                           uint64_t global_y, uint32_t local_x) {
  if (global_x == 0 || global_y == 0) return 0;
  return enqueue(context, kernel, buffers, count, rows, first_row, global_x, global_y, local_x, 1, NULL);
}

int32_t esp_cl_launch_timed(esp_cl_context *context, esp_cl_kernel *kernel, esp_cl_buffer *const *buffers,
                            int32_t count, esp_cl_buffer *rows, uint64_t global_x, uint64_t global_y,
                            uint32_t local_x, uint32_t local_y, uint64_t *nanoseconds) {
  *nanoseconds = 0;
  if (global_x == 0 || global_y == 0) return 0;
  if (!context->profiling) return ESP_CL_BAD_ARGUMENT;
  cl_event event;
  int32_t status = enqueue(context, kernel, buffers, count, rows, 0, global_x, global_y, local_x, local_y, &event);
  if (status) return status;
  cl_ulong start = 0, end = 0;
  status = esp_cl.clWaitForEvents(1, &event);
  if (!status) status = esp_cl.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_START, sizeof start, &start, NULL);
  if (!status) status = esp_cl.clGetEventProfilingInfo(event, CL_PROFILING_COMMAND_END, sizeof end, &end, NULL);
  *nanoseconds = end - start;
  esp_cl.clReleaseEvent(event);
  return status;
}

#endif
