// The same functions where OpenCL's headers were missing at build time: loading says so, nothing else can be reached.
#include "internal.h"

#if !ESP_HAVE_CL

int32_t esp_cl_load(const char *, char *error, size_t capacity) {
  return esp_cl_fail(ESP_CL_NO_HEADERS, error, capacity, "built without OpenCL headers");
}
int32_t esp_cl_device_count(void) { return 0; }
const esp_cl_device *esp_cl_device_at(int32_t) { return NULL; }

int32_t esp_cl_open(int32_t, int32_t, esp_cl_context **out, char *error, size_t capacity) {
  *out = NULL;
  return esp_cl_load(NULL, error, capacity);
}
void esp_cl_close(esp_cl_context *) {}
uint64_t esp_cl_bytes_used(const esp_cl_context *) { return 0; }
uint64_t esp_cl_bytes_peak(const esp_cl_context *) { return 0; }
uint64_t esp_cl_bytes_limit(const esp_cl_context *) { return 0; }
void esp_cl_set_bytes_limit(esp_cl_context *, uint64_t) {}
void esp_cl_set_binary_folder(esp_cl_context *, const char *) {}
int32_t esp_cl_program_is_binary(const esp_cl_program *) { return 0; }

int32_t esp_cl_buffer_create(esp_cl_context *, uint64_t, esp_cl_buffer **out, char *error, size_t capacity) {
  *out = NULL;
  return esp_cl_load(NULL, error, capacity);
}
int32_t esp_cl_buffer_slice(esp_cl_context *, esp_cl_buffer *, uint64_t, uint64_t, esp_cl_buffer **out, char *error,
                            size_t capacity) {
  *out = NULL;
  return esp_cl_load(NULL, error, capacity);
}
int32_t esp_cl_pinned_create(esp_cl_context *, uint64_t, esp_cl_buffer **out, void **memory, char *error,
                             size_t capacity) {
  *out = NULL;
  *memory = NULL;
  return esp_cl_load(NULL, error, capacity);
}
void esp_cl_pinned_release(esp_cl_context *, esp_cl_buffer *, void *) {}
void esp_cl_buffer_release(esp_cl_context *, esp_cl_buffer *) {}
uint64_t esp_cl_buffer_bytes(const esp_cl_buffer *) { return 0; }

int32_t esp_cl_write(esp_cl_context *, esp_cl_buffer *, uint64_t, uint64_t, const void *, int32_t) {
  return ESP_CL_NO_HEADERS;
}
int32_t esp_cl_read(esp_cl_context *, esp_cl_buffer *, uint64_t, uint64_t, void *, int32_t) {
  return ESP_CL_NO_HEADERS;
}
int32_t esp_cl_copy(esp_cl_context *, esp_cl_buffer *, uint64_t, esp_cl_buffer *, uint64_t, uint64_t) {
  return ESP_CL_NO_HEADERS;
}
int32_t esp_cl_fill(esp_cl_context *, esp_cl_buffer *, uint64_t, uint64_t, uint32_t) { return ESP_CL_NO_HEADERS; }
int32_t esp_cl_flush(esp_cl_context *) { return ESP_CL_NO_HEADERS; }
int32_t esp_cl_finish(esp_cl_context *) { return ESP_CL_NO_HEADERS; }

int32_t esp_cl_build(esp_cl_context *, const char *const *, const char *const *, const size_t *, int32_t,
                     const char *, esp_cl_program **out, char *log, size_t capacity) {
  *out = NULL;
  return esp_cl_load(NULL, log, capacity);
}
int32_t esp_cl_kernel_named(esp_cl_program *, const char *, esp_cl_kernel **out, char *error, size_t capacity) {
  *out = NULL;
  return esp_cl_load(NULL, error, capacity);
}
int32_t esp_cl_kernel_arguments(const esp_cl_kernel *) { return 0; }
int32_t esp_cl_launch(esp_cl_context *, esp_cl_kernel *, esp_cl_buffer *const *, int32_t, esp_cl_buffer *, uint64_t,
                      uint64_t, uint32_t, uint32_t) {
  return ESP_CL_NO_HEADERS;
}
int32_t esp_cl_launch_from(esp_cl_context *, esp_cl_kernel *, esp_cl_buffer *const *, int32_t, esp_cl_buffer *,
                           uint64_t, uint64_t, uint64_t, uint32_t) {
  return ESP_CL_NO_HEADERS;
}
int32_t esp_cl_launch_timed(esp_cl_context *, esp_cl_kernel *, esp_cl_buffer *const *, int32_t, esp_cl_buffer *,
                            uint64_t, uint64_t, uint32_t, uint32_t, uint64_t *nanoseconds) {
  *nanoseconds = 0;
  return ESP_CL_NO_HEADERS;
}

#endif
