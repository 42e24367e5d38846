/* checkpoint_write.c - writes a checkpoint under a temporary name. */
#include "runtime/checkpoint_parts.h"
#include "runtime/file.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

struct CheckpointWriter {
    char *path, *part;
    hid_t file; // negative: not open
    hid_t driver;
    int reason;  // errno of the first write that failed
    hid_t links; // property list: makes the groups of a name
    OpenArray array;
};

/* What a call of HDF5 came to: the system's reason counts, then HDF5's own. */
static Status outcome(const CheckpointWriter *w, bool good, const char *array)
{
    const char *before = array ? ": array " : "";

    if (w->reason)
        return fail(E_IO, "%s: cannot be written: %s", w->path, strerror(w->reason));
    return good ? OK
                : hdf5_fail(E_IO, "%s%s%s: cannot be written", w->path, before, array ? array : "");
}

static Status file_make(CheckpointWriter *w)
{
    w->file = driver_file_create(w->part, &w->reason, &w->driver);
    Status s = outcome(w, w->file >= 0, NULL);
    w->links = H5Pcreate(H5P_LINK_CREATE);
    H5Pset_create_intermediate_group(w->links, 1);
    return s;
}

Status checkpoint_create(const char *path, CheckpointWriter **out)
{
    CheckpointWriter *w = calloc(1, sizeof *w);
    Silence silence;

    if (!w)
        return fail(E_MEMORY, "%s: no memory to write it", path);
    if (file_is_special(path)) {
        free(w);
        return fail(E_IO, "%s: is no regular file, which HDF5 needs", path);
    }
    w->file = w->links = w->driver = -1;
    w->path = file_target(path);
    if (!w->path || asprintf(&w->part, "%s.part-%ld", w->path, (long)getpid()) < 0)
        w->part = NULL;
    silence_begin(&silence);
    Status s = w->path && w->part ? file_make(w)
                                  : fail(E_IO, "%s: cannot be written: %s", path, strerror(errno));
    silence_end(&silence);
    if (s) {
        checkpoint_discard(w);
        return s;
    }
    *out = w;
    return OK;
}

static Status write_attribute(hid_t object, const char *name, hid_t type, const void *value)
{
    hid_t space = H5Screate(H5S_SCALAR);
    hid_t attribute = H5Acreate2(object, name, type, space, H5P_DEFAULT, H5P_DEFAULT);
    const bool good = attribute >= 0 && H5Awrite(attribute, type, value) >= 0;
    Status s = good ? OK : hdf5_fail(E_IO, "attribute %s cannot be written", name);

    if (attribute >= 0)
        H5Aclose(attribute);
    H5Sclose(space);
    return s;
}

static Status write_text(hid_t object, const char *name, const char *value)
{
    hid_t type = H5Tcopy(H5T_C_S1);

    H5Tset_size(type, strlen(value) + 1);
    H5Tset_cset(type, H5T_CSET_UTF8);
    Status s = write_attribute(object, name, type, value);
    H5Tclose(type);
    return s;
}

static Status dataset_make(CheckpointWriter *w)
{
    OpenArray *a = &w->array;
    hsize_t dim[STORED_MAX_DIMS];
    hid_t layout = H5Pcreate(H5P_DATASET_CREATE);

    for (int i = 0; i < a->info.ndim; i++)
        dim[i] = (hsize_t)a->info.dim[i];
    hid_t space = a->info.ndim ? H5Screate_simple(a->info.ndim, dim, NULL) : H5Screate(H5S_SCALAR);
    H5Pset_fill_time(layout, H5D_FILL_TIME_NEVER);
    a->dataset = H5Dcreate2(w->file, a->info.name, hdf5_type(a->info.dtype), space, w->links,
                            layout, H5P_DEFAULT);
    Status s = outcome(w, a->dataset >= 0, a->info.name);
    if (!s)
        s = write_text(a->dataset, CHECKPOINT_DTYPE, stored_dtype_name(a->info.dtype));
    if (a->dataset < 0)
        a->dataset = 0;
    H5Sclose(space);
    H5Pclose(layout);
    return s;
}

static Status array_finish(CheckpointWriter *w)
{
    OpenArray *a = &w->array;
    const uint64_t sum = checksum_end(&a->checksum);
    Status s = write_attribute(a->dataset, CHECKPOINT_CHECKSUM, H5T_NATIVE_UINT64, &sum);

    array_close(a);
    return s;
}

static Status array_describe(const CheckpointWriter *w, const char *name, StoredTensor *t,
                             const int64_t dim[])
{
    if (w->array.dataset)
        return fail(E_SHAPE, "%s: array %s has %" PRId64 " of its %" PRId64 " rows", w->path,
                    w->array.info.name, w->array.done, w->array.rows);
    if (t->ndim < 0 || t->ndim > STORED_MAX_DIMS)
        return fail(E_SHAPE, "%s: array %s has %d dimensions, expected at most %d", w->path, name,
                    t->ndim, STORED_MAX_DIMS);
    if (t->ndim)
        memcpy(t->dim, dim, (size_t)t->ndim * sizeof *dim);
    if (!stored_measure(t))
        return fail(E_SHAPE, "%s: array %s has a shape whose bytes cannot be counted", w->path,
                    name);
    if (hdf5_type(t->dtype) < 0)
        return fail(E_DTYPE, "%s: array %s is %s, which checkpoints do not hold", w->path, name,
                    stored_dtype_name(t->dtype));
    t->name = strdup(name);
    return t->name ? OK : fail(E_MEMORY, "%s: no memory for array %s", w->path, name);
}

Status checkpoint_begin_array(CheckpointWriter *w, const char *name, StoredDtype dtype, int ndim,
                              const int64_t dim[])
{
    StoredTensor t = {.dtype = dtype, .ndim = ndim};
    Status s = array_describe(w, name, &t, dim);
    Silence silence;

    if (s)
        return s;
    w->array = (OpenArray){.info = t};
    array_begin(&w->array);
    silence_begin(&silence);
    s = dataset_make(w);
    if (!s && w->array.rows == 0)
        s = array_finish(w);
    silence_end(&silence);
    return s;
}

Status checkpoint_put_rows(CheckpointWriter *w, int64_t rows, const void *data)
{
    OpenArray *a = &w->array;
    hid_t file = -1, memory = -1;
    Silence silence;

    if (!a->dataset || rows < 0 || rows > a->rows - a->done)
        return fail(E_SHAPE, "%s: array %s gets more than its %" PRId64 " rows", w->path,
                    a->info.name ? a->info.name : "(none)", a->rows);
    if (rows == 0)
        return OK;
    checksum_add(&a->checksum, data, (size_t)rows * a->row_bytes);
    silence_begin(&silence);
    const bool good = hdf5_select_rows(a, rows, &file, &memory) &&
                      (a->row_bytes == 0 || H5Dwrite(a->dataset, hdf5_type(a->info.dtype), memory,
                                                     file, H5P_DEFAULT, data) >= 0);
    Status s = outcome(w, good, a->info.name);
    if (file >= 0)
        H5Sclose(file);
    if (memory >= 0)
        H5Sclose(memory);
    a->done += rows;
    if (!s && a->done == a->rows)
        s = array_finish(w);
    silence_end(&silence);
    return s;
}

Status checkpoint_put_array(CheckpointWriter *w, const char *name, StoredDtype dtype, int ndim,
                            const int64_t dim[], const void *data)
{
    Status s = checkpoint_begin_array(w, name, dtype, ndim, dim);

    if (s || !w->array.dataset)
        return s; // an array without rows is finished already
    return checkpoint_put_rows(w, w->array.rows, data);
}

/* Opens the group of a name, making it where it is missing; *last is what follows the "/". */
static hid_t group_open(CheckpointWriter *w, const char *name, const char **last)
{
    const char *slash = strrchr(name, '/');

    *last = slash ? slash + 1 : name;
    if (!slash)
        return H5Gopen2(w->file, "/", H5P_DEFAULT);
    char *group = strndup(name, (size_t)(slash - name));
    hid_t id = -1;
    if (group) {
        id = H5Gopen2(w->file, group, H5P_DEFAULT);
        if (id < 0)
            id = H5Gcreate2(w->file, group, w->links, H5P_DEFAULT, H5P_DEFAULT);
    }
    free(group);
    return id;
}

static Status put_attribute(CheckpointWriter *w, const char *name, hid_t type, const void *value)
{
    Silence silence;
    const char *last;

    silence_begin(&silence);
    hid_t group = group_open(w, name, &last);
    Status s = group < 0  ? hdf5_fail(E_IO, "group of %s cannot be made", name)
               : type < 0 ? write_text(group, last, value)
                          : write_attribute(group, last, type, value);
    if (group >= 0)
        H5Gclose(group);
    silence_end(&silence);
    return s ? fail_within(s, "%s", w->path) : OK;
}

Status checkpoint_put_int(CheckpointWriter *w, const char *name, int64_t value)
{
    return put_attribute(w, name, H5T_STD_I64LE, &value);
}

Status checkpoint_put_real(CheckpointWriter *w, const char *name, double value)
{
    return put_attribute(w, name, H5T_IEEE_F64LE, &value);
}

Status checkpoint_put_text(CheckpointWriter *w, const char *name, const char *value)
{
    return put_attribute(w, name, -1, value);
}

Status checkpoint_commit(CheckpointWriter *w)
{
    Silence silence;
    Status s = OK;

    silence_begin(&silence);
    if (w->array.dataset)
        s = fail(E_SHAPE, "%s: array %s has %" PRId64 " of its %" PRId64 " rows", w->path,
                 w->array.info.name, w->array.done, w->array.rows);
    else {
        const bool good = H5Fclose(w->file) >= 0;
        w->file = -1;
        s = outcome(w, good, NULL);
    }
    silence_end(&silence);
    if (!s)
        s = file_publish(w->part, w->path);
    checkpoint_discard(w);
    return s;
}

void checkpoint_discard(CheckpointWriter *w)
{
    Silence silence;

    if (!w)
        return;
    silence_begin(&silence);
    array_close(&w->array);
    if (w->file >= 0)
        H5Fclose(w->file);
    if (w->driver >= 0)
        H5FDunregister(w->driver);
    if (w->links >= 0)
        H5Pclose(w->links);
    silence_end(&silence);
    if (w->part)
        unlink(w->part);
    free(w->part);
    free(w->path);
    free(w);
}
