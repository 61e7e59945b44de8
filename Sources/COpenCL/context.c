// Contexts, buffers and transfers. Bytes are counted here because some drivers abort where memory ends (PoCL takes it
// at first use, long after the buffer was granted).
#include "internal.h"

#if ESP_HAVE_CL

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

// What the machine can still give, for devices that share its memory: the smaller of free memory and the control
// group's limit; 0 where it cannot be told.
static uint64_t host_memory_available(void) {
  uint64_t available = 0, value;
  char line[256];
  FILE *file = fopen("/proc/meminfo", "re");
  while (file && fgets(line, sizeof line, file)) {
    if (sscanf(line, "MemAvailable: %llu kB", (unsigned long long *)&value) == 1) available = value * 1024;
  }
  if (file) fclose(file);
  uint64_t limit = 0, used = 0;
  if ((file = fopen("/sys/fs/cgroup/memory.max", "re"))) {
    if (fscanf(file, "%llu", (unsigned long long *)&limit) != 1) limit = 0;
    fclose(file);
  }
  if (limit && (file = fopen("/sys/fs/cgroup/memory.current", "re"))) {
    if (fscanf(file, "%llu", (unsigned long long *)&used) == 1 && used < limit && limit - used < available) {
      available = limit - used;
    }
    fclose(file);
  }
  return available;
}

int32_t esp_cl_open(int32_t device, int32_t profiling, esp_cl_context **out, char *error, size_t capacity) {
  *out = NULL;
  const esp_cl_entry *entry = esp_cl_entry_at(device);
  if (!entry) return esp_cl_fail(ESP_CL_NO_DEVICE, error, capacity, "no OpenCL device %d", device);
  esp_cl_context *context = calloc(1, sizeof *context);
  if (!context) return esp_cl_fail(CL_OUT_OF_HOST_MEMORY, error, capacity, "out of host memory");
  cl_int status = 0;
  cl_context_properties properties[] = {CL_CONTEXT_PLATFORM, (cl_context_properties)entry->platform, 0};
  context->entry = entry;
  context->profiling = profiling != 0;
  context->context = esp_cl.clCreateContext(properties, 1, &entry->id, NULL, NULL, &status);
  if (!status) {
    context->queue = esp_cl.clCreateCommandQueue(context->context, entry->id,
                                                 profiling ? CL_QUEUE_PROFILING_ENABLE : 0, &status);
    if (status) esp_cl.clReleaseContext(context->context);
  }
  if (status) {
    free(context);
    return esp_cl_fail(status, error, capacity, "cannot open %s: %s", entry->device.name, esp_cl_status_name(status));
  }
  uint64_t memory = entry->device.global_memory;
  if (entry->device.type == ESP_CL_CPU) {
    uint64_t available = host_memory_available();
    if (available && available < memory) memory = available;
  }
  context->binaries = esp_cl_binary_folder(&entry->device);
  context->limit = memory - memory / 8;  // the rest is the driver's: code, staging, local memory
  *out = context;
  return 0;
}

void esp_cl_close(esp_cl_context *context) {
  if (!context) return;
  esp_cl.clFinish(context->queue);
  esp_cl_program_release_all(context);
  esp_cl.clReleaseCommandQueue(context->queue);
  esp_cl.clReleaseContext(context->context);
  free(context->binaries), free(context);
}

uint64_t esp_cl_bytes_used(const esp_cl_context *context) { return context->used; }
uint64_t esp_cl_bytes_peak(const esp_cl_context *context) { return context->peak; }
uint64_t esp_cl_bytes_limit(const esp_cl_context *context) { return context->limit; }
void esp_cl_set_bytes_limit(esp_cl_context *context, uint64_t bytes) { context->limit = bytes; }

static int32_t wrap(cl_mem memory, uint64_t bytes, bool slice, esp_cl_buffer **out) {
  esp_cl_buffer *buffer = malloc(sizeof *buffer);
  if (!buffer) {
    esp_cl.clReleaseMemObject(memory);
    return CL_OUT_OF_HOST_MEMORY;
  }
  *buffer = (esp_cl_buffer){memory, bytes, slice};
  *out = buffer;
  return 0;
}

static int32_t create(esp_cl_context *context, uint64_t bytes, cl_mem_flags flags, esp_cl_buffer **out, char *error,
                      size_t capacity) {
  *out = NULL;
  const esp_cl_device *device = &context->entry->device;
  unsigned long long wanted = bytes, used = context->used, limit = context->limit;
  if (bytes == 0) return esp_cl_fail(ESP_CL_BAD_ARGUMENT, error, capacity, "a buffer of 0 bytes");
  if (bytes > device->max_allocation) {
    return esp_cl_fail(ESP_CL_TOO_LARGE, error, capacity, "%llu bytes wanted in one buffer, %s gives at most %llu",
                       wanted, device->name, (unsigned long long)device->max_allocation);
  }
  if (bytes > context->limit || context->used > context->limit - bytes) {
    return esp_cl_fail(ESP_CL_NO_MEMORY, error, capacity, "%llu bytes wanted on %s, %llu of %llu free", wanted,
                       device->name, limit > used ? limit - used : 0, limit);
  }
  cl_int status = 0;
  cl_mem memory = esp_cl.clCreateBuffer(context->context, CL_MEM_READ_WRITE | flags, bytes, NULL, &status);
  if (!status) status = wrap(memory, bytes, false, out);
  if (status) {
    return esp_cl_fail(status, error, capacity, "%llu bytes wanted on %s: %s", wanted, device->name,
                       esp_cl_status_name(status));
  }
  context->used += bytes;
  if (context->used > context->peak) context->peak = context->used;
  return 0;
}

int32_t esp_cl_buffer_create(esp_cl_context *context, uint64_t bytes, esp_cl_buffer **out, char *error,
                             size_t capacity) {
  return create(context, bytes, 0, out, error, capacity);
}

int32_t esp_cl_pinned_create(esp_cl_context *context, uint64_t bytes, esp_cl_buffer **out, void **memory, char *error,
                             size_t capacity) {
  *memory = NULL;
  int32_t status = create(context, bytes, CL_MEM_ALLOC_HOST_PTR, out, error, capacity);
  if (status) return status;
  *memory = esp_cl.clEnqueueMapBuffer(context->queue, (*out)->memory, CL_TRUE, CL_MAP_WRITE, 0, bytes, 0, NULL, NULL,
                                      &status);
  if (!status) return 0;
  esp_cl_buffer_release(context, *out);
  *out = NULL;
  *memory = NULL;
  return esp_cl_fail(status, error, capacity, "%llu bytes of host memory wanted: %s", (unsigned long long)bytes,
                     esp_cl_status_name(status));
}

void esp_cl_pinned_release(esp_cl_context *context, esp_cl_buffer *buffer, void *memory) {
  if (!buffer) return;
  esp_cl.clEnqueueUnmapMemObject(context->queue, buffer->memory, memory, 0, NULL, NULL);
  esp_cl_buffer_release(context, buffer);
}

int32_t esp_cl_buffer_slice(esp_cl_context *context, esp_cl_buffer *parent, uint64_t offset, uint64_t bytes,
                            esp_cl_buffer **out, char *error, size_t capacity) {
  *out = NULL;
  if (parent->slice || bytes == 0 || offset > parent->bytes || bytes > parent->bytes - offset ||
      offset % context->entry->device.alignment) {
    return esp_cl_fail(ESP_CL_BAD_ARGUMENT, error, capacity, "slice of %llu bytes at %llu of a buffer of %llu",
                       (unsigned long long)bytes, (unsigned long long)offset, (unsigned long long)parent->bytes);
  }
  cl_int status = 0;
  cl_buffer_region region = {offset, bytes};
  cl_mem memory = esp_cl.clCreateSubBuffer(parent->memory, 0, CL_BUFFER_CREATE_TYPE_REGION, &region, &status);
  if (!status) status = wrap(memory, bytes, true, out);
  return status ? esp_cl_fail(status, error, capacity, "slice: %s", esp_cl_status_name(status)) : 0;
}

void esp_cl_buffer_release(esp_cl_context *context, esp_cl_buffer *buffer) {
  if (!buffer) return;
  esp_cl_program_forget(context, buffer->memory);
  esp_cl.clReleaseMemObject(buffer->memory);
  if (!buffer->slice) context->used -= buffer->bytes;
  free(buffer);
}

uint64_t esp_cl_buffer_bytes(const esp_cl_buffer *buffer) { return buffer->bytes; }

static bool inside(const esp_cl_buffer *buffer, uint64_t offset, uint64_t bytes) {
  return buffer && offset <= buffer->bytes && bytes <= buffer->bytes - offset;
}

int32_t esp_cl_write(esp_cl_context *context, esp_cl_buffer *buffer, uint64_t offset, uint64_t bytes,
                     const void *host, int32_t blocking) {
  if (bytes == 0) return 0;
  if (!host || !inside(buffer, offset, bytes)) return ESP_CL_BAD_ARGUMENT;
  return esp_cl.clEnqueueWriteBuffer(context->queue, buffer->memory, blocking ? CL_TRUE : CL_FALSE, offset, bytes,
                                     host, 0, NULL, NULL);
}

int32_t esp_cl_read(esp_cl_context *context, esp_cl_buffer *buffer, uint64_t offset, uint64_t bytes, void *host,
                    int32_t blocking) {
  if (bytes == 0) return 0;
  if (!host || !inside(buffer, offset, bytes)) return ESP_CL_BAD_ARGUMENT;
  return esp_cl.clEnqueueReadBuffer(context->queue, buffer->memory, blocking ? CL_TRUE : CL_FALSE, offset, bytes,
                                    host, 0, NULL, NULL);
}

int32_t esp_cl_copy(esp_cl_context *context, esp_cl_buffer *from, uint64_t from_offset, esp_cl_buffer *to,
                    uint64_t to_offset, uint64_t bytes) {
  if (bytes == 0) return 0;
  if (!inside(from, from_offset, bytes) || !inside(to, to_offset, bytes)) return ESP_CL_BAD_ARGUMENT;
  return esp_cl.clEnqueueCopyBuffer(context->queue, from->memory, to->memory, from_offset, to_offset, bytes, 0, NULL,
                                    NULL);
}

int32_t esp_cl_flush(esp_cl_context *context) { return esp_cl.clFlush(context->queue); }
int32_t esp_cl_finish(esp_cl_context *context) { return esp_cl.clFinish(context->queue); }

// A kernel of our own: PoCL's clEnqueueFillBuffer uses one thread and takes 3 to 7 times as long; NVIDIA's has been
// reported broken for large buffers. Where the kernel does not build, the driver's fill serves.
static const char fill_name[] = "fill";
static const char fill_text[] =
    "__kernel void esp_cl_fill(__global uint *restrict y, ulong first, ulong words, uint pattern) {\n"
    "  for (ulong chunk = get_global_id(0); chunk * 1024 < words; chunk += get_global_size(0)) {\n"
    "    __global uint *p = y + first + chunk * 1024;\n"
    "    uint n = (uint)min(words - chunk * 1024, (ulong)1024), i = 0;\n"
    "    for (; i + 16 <= n; i += 16) vstore16((uint16)pattern, 0, p + i);\n"
    "    for (; i < n; i++) p[i] = pattern;\n"
    "  }\n"
    "}\n";

int32_t esp_cl_fill(esp_cl_context *context, esp_cl_buffer *buffer, uint64_t offset, uint64_t words,
                    uint32_t pattern) {
  if (words == 0) return 0;
  if (offset % 4 || words > UINT64_MAX / 4 || !inside(buffer, offset, words * 4)) return ESP_CL_BAD_ARGUMENT;
  esp_cl_kernel *kernel = NULL;
  if (!context->fill_program && !context->fill_failed) {
    const char *names[] = {fill_name}, *texts[] = {fill_text};
    const size_t lengths[] = {sizeof fill_text - 1};
    context->fill_failed =
        esp_cl_build(context, names, texts, lengths, 1, NULL, &context->fill_program, NULL, 0) != 0;
  }
  if (context->fill_program) esp_cl_kernel_named(context->fill_program, "esp_cl_fill", &kernel, NULL, 0);
  if (!kernel) {
    return esp_cl.clEnqueueFillBuffer(context->queue, buffer->memory, &pattern, sizeof pattern, offset, words * 4, 0,
                                      NULL, NULL);
  }
  cl_ulong first = offset / 4, count = words;
  cl_int status = esp_cl.clSetKernelArg(kernel->kernel, 0, sizeof(cl_mem), &buffer->memory);
  if (!status) status = esp_cl.clSetKernelArg(kernel->kernel, 1, sizeof first, &first);
  if (!status) status = esp_cl.clSetKernelArg(kernel->kernel, 2, sizeof count, &count);
  if (!status) status = esp_cl.clSetKernelArg(kernel->kernel, 3, sizeof pattern, &pattern);
  uint64_t chunks = (words + 1023) / 1024;
  size_t local = context->entry->device.type == ESP_CL_GPU ? 64 : 1;
  size_t global = (chunks + local - 1) / local * local;
  if (global > ESP_CL_DIMENSION_MAX) global = ESP_CL_DIMENSION_MAX / local * local;
  return status ? status
                : esp_cl.clEnqueueNDRangeKernel(context->queue, kernel->kernel, 1, NULL, &global, &local, 0, NULL,
                                                NULL);
}

#endif
