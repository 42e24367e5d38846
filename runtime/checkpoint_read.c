/* checkpoint_read.c - lists and reads a checkpoint, checking type, shape and checksum. */
#include "runtime/checkpoint_parts.h"

#include <errno.h>
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { TEXT_LIMIT = 64 << 20 };

struct Checkpoint {
    char *path;
    hid_t file;
    StoredTensor *array;
    CheckpointAttribute *attribute;
    int arrays, attributes, others;
    Status status; // while listing
    const char *group;
    OpenArray open;
};

static void *grow(void *list, int count, size_t width)
{
    if (count & (count - 1)) // room doubles at powers of two
        return list;
    return realloc(list, (count ? 2 * (size_t)count : 1) * width);
}

/* A text attribute of fixed length into memory that the caller frees; NULL: it is none. */
static char *read_text(hid_t attribute, hid_t type)
{
    const size_t size = H5Tget_size(type);

    if (H5Tget_class(type) != H5T_STRING || H5Tis_variable_str(type) || size > TEXT_LIMIT)
        return NULL;
    char *text = calloc(1, size + 1);
    hid_t same = H5Tcopy(type);
    if (text && H5Aread(attribute, same, text) < 0) {
        free(text);
        text = NULL;
    }
    H5Tclose(same);
    return text;
}

static bool is_scalar(hid_t attribute)
{
    hid_t space = H5Aget_space(attribute);
    const bool scalar = space >= 0 && H5Sget_simple_extent_npoints(space) == 1;

    if (space >= 0)
        H5Sclose(space);
    return scalar;
}

/* False for what is neither number nor text. */
static bool read_attribute(hid_t attribute, CheckpointAttribute *a)
{
    hid_t type = H5Aget_type(attribute);
    const H5T_class_t kind = H5Tget_class(type);
    bool good = false;

    if (is_scalar(attribute) && kind == H5T_INTEGER) {
        a->kind = ATTRIBUTE_INT;
        good = H5Aread(attribute, H5T_NATIVE_INT64, &a->number) >= 0;
    } else if (is_scalar(attribute) && kind == H5T_FLOAT) {
        a->kind = ATTRIBUTE_REAL;
        good = H5Aread(attribute, H5T_NATIVE_DOUBLE, &a->real) >= 0;
    } else if (is_scalar(attribute) && kind == H5T_STRING) {
        a->kind = ATTRIBUTE_TEXT;
        a->text = read_text(attribute, type);
        good = a->text != NULL;
    }
    H5Tclose(type);
    return good;
}

static herr_t list_attribute(hid_t object, const char *name, const H5A_info_t *info, void *context)
{
    Checkpoint *c = context;
    CheckpointAttribute a = {0};
    CheckpointAttribute *list = grow(c->attribute, c->attributes, sizeof *list);

    (void)info;
    if (list)
        c->attribute = list;
    if (!list || asprintf(&a.name, "%s%s%s", c->group, *c->group ? "/" : "", name) < 0) {
        c->status = fail(E_MEMORY, "%s: no memory to list it", c->path);
        return -1;
    }
    hid_t attribute = H5Aopen(object, name, H5P_DEFAULT);
    if (attribute >= 0 && read_attribute(attribute, &a))
        c->attribute[c->attributes++] = a;
    else
        free(a.name);
    if (attribute >= 0)
        H5Aclose(attribute);
    return 0;
}

/* What the dataset's own attribute says, where that fits its HDF5 type; else the type. */
static bool array_dtype(hid_t dataset, hid_t type, StoredDtype *out)
{
    char *name = NULL;

    if (H5Aexists(dataset, CHECKPOINT_DTYPE) > 0) {
        hid_t attribute = H5Aopen(dataset, CHECKPOINT_DTYPE, H5P_DEFAULT);
        hid_t text = H5Aget_type(attribute);
        name = is_scalar(attribute) ? read_text(attribute, text) : NULL;
        H5Tclose(text);
        H5Aclose(attribute);
    }
    const bool stated = name && stored_dtype_find(name, out) && hdf5_type(*out) >= 0 &&
                        H5Tequal(type, hdf5_type(*out)) > 0;
    free(name);
    return stated || hdf5_dtype(type, out);
}

static bool array_info(hid_t dataset, StoredTensor *t)
{
    hsize_t dim[H5S_MAX_RANK];
    hid_t space = H5Dget_space(dataset), type = H5Dget_type(dataset);
    const int ndim = H5Sget_simple_extent_ndims(space);
    const H5S_class_t kind = H5Sget_simple_extent_type(space);
    bool good = (kind == H5S_SIMPLE || kind == H5S_SCALAR) && ndim >= 0 &&
                ndim <= STORED_MAX_DIMS && H5Sget_simple_extent_dims(space, dim, NULL) >= 0 &&
                array_dtype(dataset, type, &t->dtype);

    for (int i = 0; i < ndim && good; i++) {
        good = dim[i] <= INT64_MAX;
        t->dim[i] = (int64_t)dim[i];
    }
    t->ndim = ndim;
    H5Tclose(type);
    H5Sclose(space);
    return good && stored_measure(t);
}

static herr_t list_dataset(Checkpoint *c, hid_t root, const char *name)
{
    StoredTensor t = {0};
    StoredTensor *list = grow(c->array, c->arrays, sizeof *list);
    hid_t dataset = H5Dopen2(root, name, H5P_DEFAULT);

    if (list)
        c->array = list;
    const bool known = dataset >= 0 && array_info(dataset, &t);
    if (dataset >= 0)
        H5Dclose(dataset);
    if (!known) {
        c->others++;
        return 0;
    }
    t.name = strdup(name);
    if (!list || !t.name) {
        free((char *)t.name);
        c->status = fail(E_MEMORY, "%s: no memory to list it", c->path);
        return -1;
    }
    c->array[c->arrays++] = t;
    return 0;
}

static herr_t list_object(hid_t root, const char *name, const H5O_info_t *info, void *context)
{
    Checkpoint *c = context;

    if (info->type == H5O_TYPE_DATASET)
        return list_dataset(c, root, name);
    if (info->type != H5O_TYPE_GROUP)
        return 0;
    hid_t group = H5Gopen2(root, name, H5P_DEFAULT);
    c->group = strcmp(name, ".") ? name : "";
    const herr_t listed =
        group < 0 ? -1 : H5Aiterate2(group, H5_INDEX_NAME, H5_ITER_INC, NULL, list_attribute, c);
    if (group >= 0)
        H5Gclose(group);
    return listed < 0 ? -1 : 0;
}

static int compare_arrays(const void *a, const void *b)
{
    return strcmp(((const StoredTensor *)a)->name, ((const StoredTensor *)b)->name);
}

static Status list_all(Checkpoint *c)
{
    c->file = H5Fopen(c->path, H5F_ACC_RDONLY, H5P_DEFAULT);
    if (c->file < 0)
        return hdf5_fail(E_FORMAT, "%s: is no complete HDF5 file", c->path);
    if (H5Ovisit2(c->file, H5_INDEX_NAME, H5_ITER_INC, list_object, c, H5O_INFO_BASIC) < 0)
        return c->status ? c->status : hdf5_fail(E_FORMAT, "%s: is corrupt", c->path);
    if (c->arrays)
        qsort(c->array, (size_t)c->arrays, sizeof *c->array, compare_arrays);
    return OK;
}

Status checkpoint_open(const char *path, Checkpoint **out)
{
    Silence silence;

    if (access(path, R_OK) != 0)
        return fail(E_IO, "%s: %s", path, strerror(errno));
    Checkpoint *c = calloc(1, sizeof *c);
    if (!c || !(c->path = strdup(path))) {
        free(c);
        return fail(E_MEMORY, "%s: no memory to open it", path);
    }
    silence_begin(&silence);
    Status s = list_all(c);
    silence_end(&silence);
    if (s) {
        checkpoint_close(c);
        return s;
    }
    *out = c;
    return OK;
}

void checkpoint_close(Checkpoint *c)
{
    Silence silence;

    if (!c)
        return;
    silence_begin(&silence);
    array_close(&c->open);
    if (c->file > 0)
        H5Fclose(c->file);
    silence_end(&silence);
    for (int i = 0; i < c->arrays; i++)
        free((char *)c->array[i].name);
    for (int i = 0; i < c->attributes; i++) {
        free(c->attribute[i].name);
        free(c->attribute[i].text);
    }
    free(c->array);
    free(c->attribute);
    free(c->path);
    free(c);
}

const char *checkpoint_path(const Checkpoint *c)
{
    return c->path;
}

int checkpoint_array_count(const Checkpoint *c)
{
    return c->arrays;
}

const StoredTensor *checkpoint_array_at(const Checkpoint *c, int i)
{
    return &c->array[i];
}

const StoredTensor *checkpoint_find_array(const Checkpoint *c, const char *name)
{
    const StoredTensor key = {.name = name};

    return c->arrays ? bsearch(&key, c->array, (size_t)c->arrays, sizeof key, compare_arrays)
                     : NULL;
}

int checkpoint_others(const Checkpoint *c)
{
    return c->others;
}

int checkpoint_attribute_count(const Checkpoint *c)
{
    return c->attributes;
}

const CheckpointAttribute *checkpoint_attribute_at(const Checkpoint *c, int i)
{
    return &c->attribute[i];
}

const CheckpointAttribute *checkpoint_find_attribute(const Checkpoint *c, const char *name)
{
    for (int i = 0; i < c->attributes; i++)
        if (!strcmp(c->attribute[i].name, name))
            return &c->attribute[i];
    return NULL;
}

static Status attribute_of(const Checkpoint *c, const char *name, AttributeKind kind,
                           const CheckpointAttribute **out)
{
    static const char *const KINDS[] = {"an integer", "a real number", "a text"};

    *out = checkpoint_find_attribute(c, name);
    if (!*out)
        return fail(E_FORMAT, "%s: attribute %s is missing", c->path, name);
    if ((*out)->kind != kind)
        return fail(E_DTYPE, "%s: attribute %s is %s, expected %s", c->path, name,
                    KINDS[(*out)->kind], KINDS[kind]);
    return OK;
}

Status checkpoint_get_int(const Checkpoint *c, const char *name, int64_t *out)
{
    const CheckpointAttribute *a;
    Status s = attribute_of(c, name, ATTRIBUTE_INT, &a);

    if (!s)
        *out = a->number;
    return s;
}

Status checkpoint_get_real(const Checkpoint *c, const char *name, double *out)
{
    const CheckpointAttribute *a;
    Status s = attribute_of(c, name, ATTRIBUTE_REAL, &a);

    if (!s)
        *out = a->real;
    return s;
}

Status checkpoint_get_text(const Checkpoint *c, const char *name, const char **out)
{
    const CheckpointAttribute *a;
    Status s = attribute_of(c, name, ATTRIBUTE_TEXT, &a);

    if (!s)
        *out = a->text;
    return s;
}

static Status check_expected(const Checkpoint *c, const char *name, StoredTensor *want,
                             const int64_t dim[])
{
    const StoredTensor *t = checkpoint_find_array(c, name);
    char is[120], expected[120];

    if (!t)
        return fail(E_FORMAT, "%s: array %s is missing", c->path, name);
    if (t->dtype != want->dtype)
        return fail(E_DTYPE, "%s: array %s is %s, expected %s", c->path, name,
                    stored_dtype_name(t->dtype), stored_dtype_name(want->dtype));
    if (want->ndim)
        memcpy(want->dim, dim, (size_t)want->ndim * sizeof *dim);
    if (t->ndim != want->ndim || memcmp(t->dim, want->dim, (size_t)t->ndim * sizeof *dim)) {
        stored_shape_text(t, is, sizeof is);
        stored_shape_text(want, expected, sizeof expected);
        return fail(E_SHAPE, "%s: array %s is %s, expected %s", c->path, name, is, expected);
    }
    *want = *t;
    want->name = strdup(name);
    return want->name ? OK : fail(E_MEMORY, "%s: no memory for array %s", c->path, name);
}

Status checkpoint_open_array(Checkpoint *c, const char *name, StoredDtype dtype, int ndim,
                             const int64_t dim[])
{
    StoredTensor want = {.dtype = dtype, .ndim = ndim};
    Silence silence;
    Status s = check_expected(c, name, &want, dim);

    if (s)
        return s;
    silence_begin(&silence);
    array_close(&c->open);
    c->open = (OpenArray){.info = want, .dataset = H5Dopen2(c->file, name, H5P_DEFAULT)};
    array_begin(&c->open);
    if (c->open.dataset < 0) {
        c->open.dataset = 0;
        s = hdf5_fail(E_FORMAT, "%s: array %s cannot be read", c->path, name);
    }
    silence_end(&silence);
    return s;
}

static Status check_sum(Checkpoint *c)
{
    OpenArray *a = &c->open;
    uint64_t stored = 0;

    if (H5Aexists(a->dataset, CHECKPOINT_CHECKSUM) <= 0)
        return OK; // a file that others wrote
    hid_t attribute = H5Aopen(a->dataset, CHECKPOINT_CHECKSUM, H5P_DEFAULT);
    const bool good = attribute >= 0 && is_scalar(attribute) &&
                      H5Aread(attribute, H5T_NATIVE_UINT64, &stored) >= 0;
    if (attribute >= 0)
        H5Aclose(attribute);
    if (!good)
        return hdf5_fail(E_FORMAT, "%s: array %s: its checksum cannot be read", c->path,
                         a->info.name);
    if (stored != checksum_end(&a->checksum))
        return fail(E_FORMAT, "%s: array %s is damaged: its bytes do not fit its checksum", c->path,
                    a->info.name);
    return OK;
}

Status checkpoint_get_rows(Checkpoint *c, int64_t rows, void *out)
{
    OpenArray *a = &c->open;
    hid_t file = -1, memory = -1;
    Silence silence;
    Status s = OK;

    if (!a->dataset || rows < 0 || rows > a->rows - a->done)
        return fail(E_SHAPE, "%s: array %s has only %" PRId64 " rows", c->path,
                    a->info.name ? a->info.name : "(none)", a->rows);
    if (rows == 0 || a->row_bytes == 0)
        return OK;
    silence_begin(&silence);
    if (!hdf5_select_rows(a, rows, &file, &memory) ||
        H5Dread(a->dataset, hdf5_type(a->info.dtype), memory, file, H5P_DEFAULT, out) < 0)
        s = hdf5_fail(E_FORMAT, "%s: array %s cannot be read", c->path, a->info.name);
    if (file >= 0)
        H5Sclose(file);
    if (memory >= 0)
        H5Sclose(memory);
    a->done += rows;
    if (!s)
        checksum_add(&a->checksum, out, (size_t)rows * a->row_bytes);
    if (!s && a->done == a->rows)
        s = check_sum(c);
    silence_end(&silence);
    return s;
}

Status checkpoint_get_array(Checkpoint *c, const char *name, StoredDtype dtype, int ndim,
                            const int64_t dim[], void *out)
{
    Status s = checkpoint_open_array(c, name, dtype, ndim, dim);

    return s ? s : checkpoint_get_rows(c, c->open.rows, out);
}

bool checkpoint_is_hdf5(const char *path)
{
    static const char MARK[8] = "\x89HDF\r\n\x1a\n";
    char begin[8];
    FILE *f = fopen(path, "rb");
    const bool is =
        f && fread(begin, 1, sizeof begin, f) == sizeof begin && !memcmp(begin, MARK, sizeof MARK);

    if (f)
        fclose(f);
    return is;
}
