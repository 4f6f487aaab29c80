/* Preloaded into PostgreSQL: its wall clock is the machine's plus what stands in a file of eight bytes, in nanoseconds.
 * The file is mapped, so that whoever writes it moves the clock of every process of the cluster at once. */
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>

static const int64_t second = 1000000000;
static const volatile int64_t none = 0;
static const volatile int64_t *offset = &none;

__attribute__((constructor)) static void attach(void) {
  const char *name = getenv("FAULTS_CLOCK_FILE");
  int file = name == NULL ? -1 : open(name, O_RDONLY | O_CLOEXEC);
  if (file < 0) return;
  void *mapped = mmap(NULL, sizeof(int64_t), PROT_READ, MAP_SHARED, file, 0);
  if (mapped != MAP_FAILED) offset = mapped;
  close(file);
}

int clock_gettime(clockid_t clock, struct timespec *at) {
  int64_t moved;
  /* Again if the offset moved meanwhile: a process that stood still in between would tell a time that never was, that of
   * before the set-back by the offset of after it. */
  do {
    moved = *offset;
    /* The system call itself: the C library's way to it is what this function stands in for. */
    if (syscall(SYS_clock_gettime, clock, at) != 0) return -1;
    if (clock != CLOCK_REALTIME && clock != CLOCK_REALTIME_COARSE) return 0;
  } while (*offset != moved);
  int64_t ns = at->tv_sec * second + at->tv_nsec + moved;
  at->tv_sec = ns / second;
  at->tv_nsec = ns % second;
  return 0;
}

int gettimeofday(struct timeval *at, void *zone) {
  struct timespec now;
  (void)zone;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  at->tv_sec = now.tv_sec;
  at->tv_usec = now.tv_nsec / 1000;
  return 0;
}

time_t time(time_t *at) {
  struct timespec now;
  if (clock_gettime(CLOCK_REALTIME, &now) != 0) return -1;
  if (at != NULL) *at = now.tv_sec;
  return now.tv_sec;
}
