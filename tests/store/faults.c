/* Stands between a program and the C library, and makes the n-th change of the file system go wrong.

   It is preloaded, so that it sees every change: ours, the Python library's and SQLite's. Only files below the
   directory given to `faults_arm` count. Each change is one point, a write two: before it, and with half of it done. */

#define _GNU_SOURCE
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>

enum { WATCH, DIE, FULL_ONCE, FULL_FROM_THEN_ON, BROKEN_ONCE };

static char root[PATH_MAX];
static size_t root_length;
static int mode, log_to = -1;
static long points, wanted;

#define REAL(type, name, ...) \
  static type (*real)(__VA_ARGS__); \
  if (!real) real = (type(*)(__VA_ARGS__))dlsym(RTLD_NEXT, name)

void faults_arm(const char *directory, int how, long at, int log_descriptor) {
  mode = how;
  points = 0;
  wanted = at;
  log_to = log_descriptor;
  root_length = 0;
  strncpy(root, directory, sizeof root - 1);
  root_length = strlen(root);
}

long faults_disarm(void) {
  root_length = 0;
  return points;
}

static int is_ours(const char *path) { return root_length && path && strncmp(path, root, root_length) == 0; }

static const char *path_of(int descriptor) {
  static char path[PATH_MAX];
  char link[64];
  if (!root_length) return NULL;
  snprintf(link, sizeof link, "/proc/self/fd/%d", descriptor);
  ssize_t length = readlink(link, path, sizeof path - 1);
  if (length < 0) return NULL;
  path[length] = 0;
  return is_ours(path) ? path : NULL;
}

static void note(const char *what, const char *path, const char *other, long size) {
  REAL(ssize_t, "write", int, const void *, size_t);
  if (log_to < 0) return;
  char line[2 * PATH_MAX + 64];
  int length = snprintf(line, sizeof line, "%ld\t%s\t%s\t%s\t%ld\n", points, what, path, other, size);
  if (real(log_to, line, (size_t)length) < 0) _exit(98);
}

/* Return an errno that the present point shall fail with, or 0; die if it is the one to die at. */
static int point(int needs_room) {
  points++;
  if (mode == DIE && points == wanted) _exit(77);
  if (mode == FULL_ONCE && points == wanted && needs_room) return ENOSPC;
  if (mode == FULL_FROM_THEN_ON && points >= wanted && needs_room) return ENOSPC;
  if (mode == BROKEN_ONCE && points == wanted) return EIO;
  return 0;
}

#define FAIL_IF(code) \
  do { \
    int failed = (code); \
    if (failed) { \
      errno = failed; \
      return -1; \
    } \
  } while (0)

static int opened(int (*real)(int, const char *, int, ...), int at, const char *path, int flags, mode_t permissions) {
  int is_change = is_ours(path) && (flags & (O_CREAT | O_TRUNC)) && (flags & O_ACCMODE) != O_RDONLY;
  struct stat before;
  int is_new = is_change && stat(path, &before) != 0;
  if (is_new || (is_change && (flags & O_TRUNC))) FAIL_IF(point(is_new));
  int descriptor = real(at, path, flags, permissions);
  if (descriptor >= 0 && is_new) note("create", path, "", 0);
  if (descriptor >= 0 && is_change && !is_new && (flags & O_TRUNC)) note("size", path, "", 0);
  return descriptor;
}

#define OPEN(name) \
  int name(const char *path, int flags, ...) { \
    REAL(int, "openat64", int, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t permissions = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    return opened(real, AT_FDCWD, path, flags, permissions); \
  }
OPEN(open)
OPEN(open64)

#define OPENAT(name) \
  int name(int at, const char *path, int flags, ...) { \
    REAL(int, "openat64", int, const char *, int, ...); \
    va_list rest; \
    va_start(rest, flags); \
    mode_t permissions = flags & O_CREAT ? va_arg(rest, mode_t) : 0; \
    va_end(rest); \
    return opened(real, at, path, flags, permissions); \
  }
OPENAT(openat)
OPENAT(openat64)

#define WRITTEN(call_half, call_whole, length) \
  const char *path = path_of(descriptor); \
  if (!path) return call_whole; \
  FAIL_IF(point(1)); \
  points++; \
  if (mode == DIE && points == wanted) { \
    if ((length) / 2 && (call_half) < 0) _exit(98); \
    _exit(77); \
  } \
  if (mode == FULL_ONCE && points == wanted && (length) / 2) return call_half; \
  if (mode == FULL_FROM_THEN_ON && points == wanted && (length) / 2) return call_half; \
  ssize_t done = call_whole; \
  note("write", path, "", (long)done); \
  return done

ssize_t write(int descriptor, const void *data, size_t length) {
  REAL(ssize_t, "write", int, const void *, size_t);
  WRITTEN(real(descriptor, data, length / 2), real(descriptor, data, length), length);
}

#define PWRITE(name) \
  ssize_t name(int descriptor, const void *data, size_t length, off64_t offset) { \
    REAL(ssize_t, "pwrite64", int, const void *, size_t, off64_t); \
    WRITTEN(real(descriptor, data, length / 2, offset), real(descriptor, data, length, offset), length); \
  }
PWRITE(pwrite)
PWRITE(pwrite64)

#define FTRUNCATE(name) \
  int name(int descriptor, off64_t size) { \
    REAL(int, "ftruncate64", int, off64_t); \
    const char *path = path_of(descriptor); \
    if (path) { \
      FAIL_IF(point(0)); \
      note("size", path, "", (long)size); \
    } \
    return real(descriptor, size); \
  }
FTRUNCATE(ftruncate)
FTRUNCATE(ftruncate64)

#define TRUNCATE(name) \
  int name(const char *path, off64_t size) { \
    REAL(int, "truncate64", const char *, off64_t); \
    if (is_ours(path)) { \
      FAIL_IF(point(0)); \
      note("size", path, "", (long)size); \
    } \
    return real(path, size); \
  }
TRUNCATE(truncate)
TRUNCATE(truncate64)

static void note_sync(int descriptor, const char *path) {
  struct stat status;
  if (fstat(descriptor, &status) == 0) note(S_ISDIR(status.st_mode) ? "syncdir" : "sync", path, "", status.st_size);
}

#define SYNC(name) \
  int name(int descriptor) { \
    REAL(int, #name, int); \
    const char *path = path_of(descriptor); \
    if (path) FAIL_IF(point(1)); \
    int result = real(descriptor); \
    if (path && result == 0) note_sync(descriptor, path); \
    return result; \
  }
SYNC(fsync)
SYNC(fdatasync)

#define ON_PATH(name, what, room, parameters, path, other, call) \
  int name parameters { \
    REAL(int, #name, const char *, ...); \
    int is_counted = is_ours(path); \
    if (is_counted) FAIL_IF(point(room)); \
    int result = call; \
    if (is_counted && result == 0) note(what, path, other, 0); \
    return result; \
  }
ON_PATH(rename, "rename", 0, (const char *path, const char *target), path, target, real(path, target))
ON_PATH(link, "link", 1, (const char *path, const char *target), path, target, real(path, target))
ON_PATH(unlink, "unlink", 0, (const char *path), path, "", real(path))
ON_PATH(rmdir, "rmdir", 0, (const char *path), path, "", real(path))
ON_PATH(mkdir, "mkdir", 1, (const char *path, mode_t permissions), path, "", real(path, permissions))
