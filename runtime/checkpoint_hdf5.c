/* checkpoint_hdf5.c - HDF5's errors, types and selections, as the checkpoint needs them. */
#include "runtime/checkpoint_parts.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void silence_begin(Silence *s)
{
    H5Eget_auto2(H5E_DEFAULT, &s->print, &s->data);
    H5Eset_auto2(H5E_DEFAULT, NULL, NULL);
}

void silence_end(const Silence *s)
{
    H5Eset_auto2(H5E_DEFAULT, s->print, s->data);
}

/* Keeps the system's message, else the innermost description. */
static herr_t keep_reason(unsigned depth, const H5E_error2_t *error, void *context)
{
    static const char MARK[] = "error message = '";
    char *reason = context;
    const char *text = error->desc ? error->desc : "";
    const char *message = strstr(text, MARK);

    if (message) {
        message += sizeof MARK - 1;
        snprintf(reason, 200, "%.*s", (int)strcspn(message, "'"), message);
        return 1;
    }
    if (depth == 0)
        snprintf(reason, 200, "%.199s", text);
    return 0;
}

Status hdf5_fail(Status code, const char *format, ...)
{
    char text[600], reason[200] = "";
    va_list args;

    va_start(args, format);
    vsnprintf(text, sizeof text, format, args);
    va_end(args);
    H5Ewalk2(H5E_DEFAULT, H5E_WALK_UPWARD, keep_reason, reason);
    H5Eclear2(H5E_DEFAULT);
    return fail(code, "%s: %s", text, *reason ? reason : "the HDF5 library refuses");
}

hid_t hdf5_type(StoredDtype dtype)
{
    switch (dtype) {
    case STORED_BOOL:
    case STORED_U8:
        return H5T_STD_U8LE;
    case STORED_I8:
        return H5T_STD_I8LE;
    case STORED_I16:
        return H5T_STD_I16LE;
    case STORED_U16:
    case STORED_F16:
    case STORED_BF16:
        return H5T_STD_U16LE;
    case STORED_I32:
        return H5T_STD_I32LE;
    case STORED_U32:
        return H5T_STD_U32LE;
    case STORED_F32:
        return H5T_IEEE_F32LE;
    case STORED_F64:
        return H5T_IEEE_F64LE;
    case STORED_I64:
        return H5T_STD_I64LE;
    case STORED_U64:
        return H5T_STD_U64LE;
    default:
        return -1;
    }
}

bool hdf5_dtype(hid_t type, StoredDtype *out)
{
    static const StoredDtype PLAIN[] = {STORED_U8,  STORED_I8,  STORED_I16, STORED_U16, STORED_I32,
                                        STORED_U32, STORED_F32, STORED_F64, STORED_I64, STORED_U64};

    for (size_t i = 0; i < sizeof PLAIN / sizeof *PLAIN; i++)
        if (H5Tequal(type, hdf5_type(PLAIN[i])) > 0) {
            *out = PLAIN[i];
            return true;
        }
    return false;
}

bool hdf5_select_rows(const OpenArray *a, int64_t rows, hid_t *file, hid_t *memory)
{
    const int ndim = a->info.ndim;
    hsize_t start[STORED_MAX_DIMS] = {(hsize_t)a->done}, count[STORED_MAX_DIMS] = {(hsize_t)rows};

    *file = H5Dget_space(a->dataset);
    if (ndim == 0) {
        *memory = H5Screate(H5S_SCALAR);
        return *file >= 0 && *memory >= 0;
    }
    for (int i = 1; i < ndim; i++)
        count[i] = (hsize_t)a->info.dim[i];
    *memory = H5Screate_simple(ndim, count, NULL);
    return *file >= 0 && *memory >= 0 &&
           H5Sselect_hyperslab(*file, H5S_SELECT_SET, start, NULL, count, NULL) >= 0;
}

void array_begin(OpenArray *a)
{
    a->rows = a->info.ndim ? a->info.dim[0] : 1;
    a->row_bytes = a->rows ? a->info.bytes / (size_t)a->rows : 0;
    a->done = 0;
    checksum_begin(&a->checksum);
}

void array_close(OpenArray *a)
{
    if (a->dataset > 0)
        H5Dclose(a->dataset);
    free((char *)a->info.name);
    *a = (OpenArray){0};
}
