/* checkpoint_driver.c - how HDF5 writes a checkpoint's bytes: a virtual file driver over pwrite().
 *
 * HDF5's own driver tells the library of a full disk, and then the library cannot close the file:
 * it keeps it, tries again when the process ends, and crashes there. This one keeps the reason for
 * the writer, drops what follows, and lets the library close in peace.
 */
#include "runtime/checkpoint_parts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

typedef struct DriverFile {
    H5FD_t base; // first: HDF5 knows the file by it
    int file;
    haddr_t end_used, end_written;
    int *reason; // the writer's
} DriverFile;

typedef struct DriverInfo {
    int *reason;
} DriverInfo;

static H5FD_t *driver_open(const char *name, unsigned flags, hid_t access, haddr_t most)
{
    const DriverInfo *info = H5Pget_driver_info(access);
    DriverFile *f = calloc(1, sizeof *f);

    (void)flags, (void)most; // always a fresh file
    if (!f || !info) {
        free(f);
        return NULL;
    }
    f->reason = info->reason;
    f->file = open(name, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0666);
    if (f->file < 0) {
        *f->reason = errno;
        free(f);
        return NULL;
    }
    return &f->base;
}

static herr_t driver_close(H5FD_t *base)
{
    DriverFile *f = (DriverFile *)base;

    if (close(f->file) != 0 && !*f->reason)
        *f->reason = errno;
    free(f);
    return 0;
}

static herr_t driver_query(const H5FD_t *base, unsigned long *flags)
{
    (void)base;
    *flags = H5FD_FEAT_AGGREGATE_METADATA | H5FD_FEAT_ACCUMULATE_METADATA | H5FD_FEAT_DATA_SIEVE |
             H5FD_FEAT_AGGREGATE_SMALLDATA;
    return 0;
}

static haddr_t driver_get_eoa(const H5FD_t *base, H5FD_mem_t kind)
{
    (void)kind;
    return ((const DriverFile *)base)->end_used;
}

static herr_t driver_set_eoa(H5FD_t *base, H5FD_mem_t kind, haddr_t end)
{
    (void)kind;
    ((DriverFile *)base)->end_used = end;
    return 0;
}

static haddr_t driver_get_eof(const H5FD_t *base, H5FD_mem_t kind)
{
    (void)kind;
    return ((const DriverFile *)base)->end_written;
}

static herr_t driver_read(H5FD_t *base, H5FD_mem_t kind, hid_t transfer, haddr_t at, size_t size,
                          void *data)
{
    const DriverFile *f = (const DriverFile *)base;
    char *out = data;

    (void)kind, (void)transfer;
    while (size) {
        const ssize_t got = pread(f->file, out, size, (off_t)at);
        if (got < 0 && errno == EINTR)
            continue;
        if (got <= 0)
            break;
        out += got, at += (haddr_t)got, size -= (size_t)got;
    }
    memset(out, 0, size); // beyond the end, as HDF5 expects
    return 0;
}

static herr_t driver_write(H5FD_t *base, H5FD_mem_t kind, hid_t transfer, haddr_t at, size_t size,
                           const void *data)
{
    DriverFile *f = (DriverFile *)base;
    const char *in = data;
    const haddr_t end = at + size;

    (void)kind, (void)transfer;
    while (size && !*f->reason) {
        const ssize_t put = pwrite(f->file, in, size, (off_t)at);
        if (put < 0 && errno != EINTR)
            *f->reason = errno;
        if (put > 0)
            in += put, at += (haddr_t)put, size -= (size_t)put;
    }
    if (end > f->end_written)
        f->end_written = end;
    return 0;
}

static herr_t driver_truncate(H5FD_t *base, hid_t transfer, hbool_t closing)
{
    DriverFile *f = (DriverFile *)base;

    (void)transfer, (void)closing;
    if (f->end_used != f->end_written && !*f->reason && ftruncate(f->file, (off_t)f->end_used) != 0)
        *f->reason = errno;
    f->end_written = f->end_used;
    return 0;
}

static const H5FD_class_t DRIVER = {
    .name = "cairn_checkpoint",
    .maxaddr = INT64_MAX,
    .fc_degree = H5F_CLOSE_STRONG,
    .fapl_size = sizeof(DriverInfo),
    .open = driver_open,
    .close = driver_close,
    .query = driver_query,
    .get_eoa = driver_get_eoa,
    .set_eoa = driver_set_eoa,
    .get_eof = driver_get_eof,
    .read = driver_read,
    .write = driver_write,
    .truncate = driver_truncate,
    .fl_map = H5FD_FLMAP_DICHOTOMY,
};

hid_t driver_file_create(const char *path, int *reason, hid_t *driver)
{
    const DriverInfo info = {reason};
    hid_t access = H5Pcreate(H5P_FILE_ACCESS), file = -1;

    // The newer format has checksums in its metadata and attributes beyond 64 KiB.
    H5Pset_libver_bounds(access, H5F_LIBVER_V18, H5F_LIBVER_LATEST);
    *driver = H5FDregister(&DRIVER);
    if (*driver >= 0 && H5Pset_driver(access, *driver, &info) >= 0)
        file = H5Fcreate(path, H5F_ACC_TRUNC, H5P_DEFAULT, access);
    H5Pclose(access);
    return file;
}
