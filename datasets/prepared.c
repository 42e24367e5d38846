/* prepared.c - tables of whole numbers in an HDF5 file that is checked and mapped. */
#include "datasets/prepared.h"

#include "datasets/text.h"
#include "runtime/file.h"

#include <errno.h>
#include <fcntl.h>
#include <hdf5.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

enum { VERSION = 1, BLOCK = 512 };

struct Prepared {
    char *map;
    size_t bytes;
};

static Status system_failed(const char *path)
{
    return fail(E_IO, "%s: %s", path, strerror(errno));
}

static Status map_open(const char *path, Prepared *p)
{
    struct stat about;
    const int f = open(path, O_RDONLY | O_CLOEXEC);

    if (f < 0)
        return system_failed(path);
    if (fstat(f, &about)) {
        close(f);
        return system_failed(path);
    }
    p->bytes = (size_t)about.st_size;
    p->map = p->bytes ? mmap(NULL, p->bytes, PROT_READ, MAP_SHARED, f, 0) : NULL;
    close(f);
    if (p->map == MAP_FAILED) {
        p->map = NULL;
        return system_failed(path);
    }
    return OK;
}

static void map_close(Prepared *p)
{
    if (p->map)
        munmap(p->map, p->bytes);
}

/* The bytes behind the block and their hash, as the block states them. */
static void block_write(const Prepared *p, char block[BLOCK])
{
    memset(block, 0, BLOCK);
    snprintf(block, BLOCK, "cairn prepared %d %zu %016" PRIx64 "\n", VERSION, p->bytes - BLOCK,
             text_hash(p->map + BLOCK, p->bytes - BLOCK, 0));
}

static bool table_write(hid_t file, const PreparedTable *t)
{
    const hsize_t shape[2] = {(hsize_t)t->rows, (hsize_t)t->columns};
    const hid_t space = H5Screate_simple(2, shape, NULL);
    const hid_t set =
        H5Dcreate2(file, t->name, H5T_NATIVE_INT32, space, H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT);
    bool good = set >= 0;

    if (good && t->rows)
        good = H5Dwrite(set, H5T_NATIVE_INT32, H5S_ALL, H5S_ALL, H5P_DEFAULT, t->data) >= 0;
    if (set >= 0)
        good = H5Dclose(set) >= 0 && good;
    H5Sclose(space);
    return good;
}

static bool tables_write(const char *path, const PreparedTable *tables, int count)
{
    const hid_t create = H5Pcreate(H5P_FILE_CREATE);
    bool good = create >= 0 && H5Pset_userblock(create, BLOCK) >= 0;
    const hid_t file = good ? H5Fcreate(path, H5F_ACC_TRUNC, create, H5P_DEFAULT) : -1;

    good = file >= 0;
    for (int i = 0; i < count && good; i++)
        good = table_write(file, &tables[i]);
    if (file >= 0)
        good = H5Fclose(file) >= 0 && good;
    H5Pclose(create);
    return good;
}

Status prepared_write(const char *path, const PreparedTable *tables, int count)
{
    Prepared p = {0};
    FileWriter w;
    char block[BLOCK];
    bool good = false;
    Status s = file_open(&w, path);

    if (!s && !w.part) {
        file_discard(&w);
        s = fail(E_IO, "%s: is no regular file, which HDF5 needs", path);
    }
    if (s)
        return s;
    H5E_BEGIN_TRY
    {
        good = tables_write(w.part, tables, count);
    }
    H5E_END_TRY
    s = good ? map_open(w.part, &p) : fail(E_IO, "%s: HDF5 could not write it", path);
    if (!s) {
        block_write(&p, block);
        map_close(&p);
        if (fwrite(block, 1, BLOCK, w.stream) != BLOCK)
            s = system_failed(path);
    }
    if (s) {
        file_discard(&w);
        return s;
    }
    return file_commit(&w);
}

static Status block_check(const char *path, const Prepared *p)
{
    char block[BLOCK], want[BLOCK];

    if (p->bytes <= BLOCK || strncmp(p->map, "cairn prepared ", 15) != 0)
        return fail(E_FORMAT, "%s: expected prepared data, found another file of %zu bytes", path,
                    p->bytes);
    block_write(p, want);
    memcpy(block, p->map, BLOCK);
    if (memcmp(block, want, BLOCK) != 0)
        return fail(E_FORMAT, "%s: its bytes are not those that were written", path);
    return OK;
}

/* Where the table lies in the file: HDF5 keeps a contiguous dataset as one run of bytes. */
static bool table_find(hid_t file, const Prepared *p, PreparedTable *t)
{
    hsize_t shape[2] = {0};
    const hid_t set = H5Dopen2(file, t->name, H5P_DEFAULT);
    bool good = set >= 0;

    if (!good)
        return false;
    const hid_t space = H5Dget_space(set), type = H5Dget_type(set);
    good = H5Sget_simple_extent_ndims(space) == 2 &&
           H5Sget_simple_extent_dims(space, shape, NULL) == 2 && shape[1] == (hsize_t)t->columns &&
           H5Tequal(type, H5T_NATIVE_INT32) > 0;
    if (good && shape[0]) {
        const haddr_t at = H5Dget_offset(set);
        const size_t bytes = (size_t)(shape[0] * shape[1]) * sizeof(int32_t);
        good = at != HADDR_UNDEF && at % sizeof(int32_t) == 0 && at <= p->bytes &&
               bytes <= p->bytes - at;
        t->data = good ? (const int32_t *)(const void *)(p->map + at) : NULL;
    }
    t->rows = good ? (int64_t)shape[0] : 0;
    H5Tclose(type);
    H5Sclose(space);
    H5Dclose(set);
    return good;
}

static Status tables_find(const char *path, const Prepared *p, PreparedTable *tables, int count)
{
    const hid_t file = H5Fopen(path, H5F_ACC_RDONLY, H5P_DEFAULT);
    Status s = file < 0 ? fail(E_FORMAT, "%s: HDF5 cannot open it", path) : OK;

    for (int i = 0; i < count && !s; i++)
        if (!table_find(file, p, &tables[i]))
            s = fail(E_FORMAT, "%s: expected a table '%s' of %d columns", path, tables[i].name,
                     tables[i].columns);
    if (file >= 0)
        H5Fclose(file);
    return s;
}

Status prepared_open(const char *path, PreparedTable *tables, int count, Prepared **out)
{
    Prepared *p = calloc(1, sizeof *p);
    Status s = p ? map_open(path, p) : fail(E_MEMORY, "%s: no memory to open it", path);

    if (!s)
        s = block_check(path, p);
    if (!s) {
        H5E_BEGIN_TRY
        {
            s = tables_find(path, p, tables, count);
        }
        H5E_END_TRY
    }
    if (s) {
        prepared_close(p);
        return s;
    }
    *out = p;
    return OK;
}

void prepared_close(Prepared *p)
{
    if (p)
        map_close(p);
    free(p);
}
