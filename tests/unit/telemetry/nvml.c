/* Fake of NVIDIA's management library: the functions that nvidia-ml-py calls for the kit's metrics.
   GPUS has one letter for each GPU: o is healthy, l is lost, u does not support utilization, and x is lost after
   its first response. */
#include <stdlib.h>
#include <string.h>

enum { SUCCESS = 0, NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9, GPU_IS_LOST = 15 };
typedef struct { unsigned long long total, free, used; } Memory;
typedef struct { unsigned gpu, memory; } Utilization;

static char gpus[16];

int nvmlInitWithFlags(unsigned flags) {
  const char *letters = getenv("GPUS");
  if (!letters) return DRIVER_NOT_LOADED;
  strncpy(gpus, letters, sizeof gpus - 1);
  return SUCCESS;
}

int nvmlDeviceGetCount_v2(unsigned *count) {
  *count = strlen(gpus);
  return SUCCESS;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, char **gpu) {
  *gpu = &gpus[index];
  return **gpu == 'l' ? GPU_IS_LOST : SUCCESS;
}

int nvmlDeviceGetMemoryInfo(char *gpu, Memory *memory) {
  if (*gpu == 'l') return GPU_IS_LOST;
  *memory = (Memory){.total = 80ULL << 30, .free = 73ULL << 30, .used = 7ULL << 30};
  return SUCCESS;
}

int nvmlDeviceGetUtilizationRates(char *gpu, Utilization *utilization) {
  if (*gpu == 'u') return NOT_SUPPORTED;
  if (*gpu == 'l') return GPU_IS_LOST;
  if (*gpu == 'x') *gpu = 'l';
  *utilization = (Utilization){.gpu = 62, .memory = 9};
  return SUCCESS;
}
