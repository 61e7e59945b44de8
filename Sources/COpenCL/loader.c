// Opens the OpenCL library and lists the devices of all its platforms.
#include "internal.h"

#include <stdarg.h>
#include <stdio.h>

int32_t esp_cl_fail(int32_t status, char *error, size_t capacity, const char *format, ...) {
  if (error && capacity) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(error, capacity, format, arguments);
    va_end(arguments);
  }
  return status;
}

#if ESP_HAVE_CL

#include <dlfcn.h>
#include <stdlib.h>
#include <string.h>

esp_cl_functions esp_cl;

static esp_cl_entry *entries;
static int32_t entry_count;
static bool loaded;
static int32_t load_status;
static char load_text[512];

static int32_t load_symbols(const char *library) {
  const char *name = library ? library : "libOpenCL.so.1";
  void *handle = dlopen(name, RTLD_NOW | RTLD_LOCAL);
  const char *why = handle ? NULL : dlerror();
  if (!handle && !library) handle = dlopen("libOpenCL.so", RTLD_NOW | RTLD_LOCAL);
  if (!handle) {
    return esp_cl_fail(ESP_CL_NO_LOADER, load_text, sizeof load_text, "no OpenCL loader: %s", why ? why : name);
  }
#define ESP_CL_LOAD(function)                                                                                     \
  *(void **)&esp_cl.function = dlsym(handle, #function);                                                          \
  if (!esp_cl.function) {                                                                                         \
    return esp_cl_fail(ESP_CL_NO_SYMBOL, load_text, sizeof load_text, "%s is too old: it lacks %s", name, #function); \
  }
  ESP_CL_FUNCTIONS(ESP_CL_LOAD)
#undef ESP_CL_LOAD
  return 0;
}

static const char *platform_text(cl_platform_id platform, cl_platform_info field) {
  size_t size = 0;
  if (esp_cl.clGetPlatformInfo(platform, field, 0, NULL, &size) || size == 0) return "";
  char *text = calloc(1, size + 1);
  if (!text || esp_cl.clGetPlatformInfo(platform, field, size, text, NULL)) return "";
  return text;  // kept for the life of the process
}

static const char *device_text(cl_device_id device, cl_device_info field) {
  size_t size = 0;
  if (esp_cl.clGetDeviceInfo(device, field, 0, NULL, &size) || size == 0) return "";
  char *text = calloc(1, size + 1);
  if (!text || esp_cl.clGetDeviceInfo(device, field, size, text, NULL)) return "";
  return text;
}

// Numbers come back in 1 to 8 bytes; on a little-endian machine they land in the low end of a zeroed 64-bit word.
static uint64_t device_number(cl_device_id device, cl_device_info field) {
  uint64_t value = 0;
  return esp_cl.clGetDeviceInfo(device, field, sizeof value, &value, NULL) ? 0 : value;
}

static int32_t vendor_kind(const esp_cl_device *device) {
  if (strstr(device->name, "Oclgrind") || strstr(device->platform, "Oclgrind")) return ESP_CL_OCLGRIND;
  if (strstr(device->platform, "Portable Computing Language") || strstr(device->version, "PoCL")) return ESP_CL_POCL;
  if (strstr(device->vendor, "NVIDIA")) return ESP_CL_NVIDIA;
  if (strstr(device->vendor, "AMD") || strstr(device->vendor, "Advanced Micro")) return ESP_CL_AMD;
  if (strstr(device->vendor, "Intel")) return ESP_CL_INTEL;
  return ESP_CL_UNKNOWN_DRIVER;
}

static void describe(esp_cl_entry *entry) {
  cl_device_id id = entry->id;
  esp_cl_device *device = &entry->device;
  device->name = device_text(id, CL_DEVICE_NAME);
  device->vendor = device_text(id, CL_DEVICE_VENDOR);
  device->driver = device_text(id, CL_DRIVER_VERSION);
  device->version = device_text(id, CL_DEVICE_VERSION);
  device->language = device_text(id, CL_DEVICE_OPENCL_C_VERSION);
  device->extensions = device_text(id, CL_DEVICE_EXTENSIONS);
  device->platform = platform_text(entry->platform, CL_PLATFORM_NAME);
  device->global_memory = device_number(id, CL_DEVICE_GLOBAL_MEM_SIZE);
  device->max_allocation = device_number(id, CL_DEVICE_MAX_MEM_ALLOC_SIZE);
  device->local_memory = device_number(id, CL_DEVICE_LOCAL_MEM_SIZE);
  device->compute_units = (uint32_t)device_number(id, CL_DEVICE_MAX_COMPUTE_UNITS);
  device->alignment = (uint32_t)(device_number(id, CL_DEVICE_MEM_BASE_ADDR_ALIGN) / 8);
  device->max_group = (uint32_t)device_number(id, CL_DEVICE_MAX_WORK_GROUP_SIZE);
  device->clock_mhz = (uint32_t)device_number(id, CL_DEVICE_MAX_CLOCK_FREQUENCY);
  device->unified_memory = device_number(id, CL_DEVICE_HOST_UNIFIED_MEMORY) != 0;
  uint64_t type = device_number(id, CL_DEVICE_TYPE);
  device->type = type & CL_DEVICE_TYPE_GPU           ? ESP_CL_GPU
                 : type & CL_DEVICE_TYPE_CPU         ? ESP_CL_CPU
                 : type & CL_DEVICE_TYPE_ACCELERATOR ? ESP_CL_ACCELERATOR
                                                     : ESP_CL_OTHER;
  device->fp64 = strstr(device->extensions, "cl_khr_fp64") != NULL;
  device->vendor_kind = vendor_kind(device);
}

static int32_t list_devices(void) {
  cl_uint platforms = 0;
  int32_t status = esp_cl.clGetPlatformIDs(0, NULL, &platforms);
  if (status == -1001 || (status == 0 && platforms == 0)) {
    const char *folder = getenv("OCL_ICD_VENDORS");
    return esp_cl_fail(ESP_CL_NO_PLATFORM, load_text, sizeof load_text,
                       "no OpenCL driver: no .icd file in %s names a library that opens",
                       folder ? folder : "/etc/OpenCL/vendors");
  }
  if (status) {
    return esp_cl_fail(status, load_text, sizeof load_text, "clGetPlatformIDs: %s", esp_cl_status_name(status));
  }
  cl_platform_id *ids = calloc(platforms, sizeof *ids);
  if (!ids || (status = esp_cl.clGetPlatformIDs(platforms, ids, NULL))) {
    free(ids);
    return esp_cl_fail(status ? status : CL_OUT_OF_HOST_MEMORY, load_text, sizeof load_text, "clGetPlatformIDs failed");
  }
  bool pocl = false;
  for (cl_uint p = 0; p < platforms; p++) {
    cl_uint count = 0;  // stays unwritten where there is no device
    if (esp_cl.clGetDeviceIDs(ids[p], CL_DEVICE_TYPE_ALL, 0, NULL, &count) || count == 0) {
      pocl |= strstr(platform_text(ids[p], CL_PLATFORM_NAME), "Portable") != NULL;
      continue;
    }
    cl_device_id *devices = calloc(count, sizeof *devices);
    esp_cl_entry *grown = realloc(entries, (size_t)(entry_count + (int32_t)count) * sizeof *entries);
    if (grown) entries = grown;
    if (devices && grown && !esp_cl.clGetDeviceIDs(ids[p], CL_DEVICE_TYPE_ALL, count, devices, NULL)) {
      for (cl_uint d = 0; d < count; d++) {
        entries[entry_count] = (esp_cl_entry){.platform = ids[p], .id = devices[d]};
        describe(&entries[entry_count++]);
      }
    }
    free(devices);
  }
  free(ids);
  if (entry_count) return 0;
  return esp_cl_fail(ESP_CL_NO_DEVICE, load_text, sizeof load_text, "%u OpenCL driver(s), but no device%s", platforms,
                     pocl ? " (PoCL reports none where its cache folder, POCL_CACHE_DIR, cannot be written)" : "");
}

int32_t esp_cl_load(const char *library, char *error, size_t capacity) {
  if (!loaded) {
    loaded = true;
    setenv("POCL_AFFINITY", "1", 0);  // else PoCL's threads may share one core for seconds
    load_status = load_symbols(library);
    if (!load_status) load_status = list_devices();
  }
  return load_status ? esp_cl_fail(load_status, error, capacity, "%s", load_text) : 0;
}

const esp_cl_entry *esp_cl_entry_at(int32_t index) {
  return index >= 0 && index < entry_count ? &entries[index] : NULL;
}

int32_t esp_cl_device_count(void) { return entry_count; }

const esp_cl_device *esp_cl_device_at(int32_t index) {
  const esp_cl_entry *entry = esp_cl_entry_at(index);
  return entry ? &entry->device : NULL;
}

#endif
