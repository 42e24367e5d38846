/* prepared.h - tables of whole numbers kept on disk between runs: data prepared once.
 *
 * An HDF5 file with one contiguous dataset a table, native 32-bit integers [rows, columns]. Its
 * user block (the first 512 bytes, which HDF5 leaves to us) is a line of text,
 *
 *     cairn prepared <version> <bytes that follow the block> <their text_hash, hexadecimal>
 *
 * so that a file that was cut short or altered is known before HDF5 looks at it. Contiguous and
 * plain, not chunked and deflated: the file is mapped into memory and read in any order by any
 * number of threads at the cost of a page; HDF5 itself says where each table lies.
 */
#ifndef DATASETS_PREPARED_H
#define DATASETS_PREPARED_H

#include "runtime/status.h"

#include <stdint.h>

typedef struct PreparedTable {
    const char *name;
    const int32_t *data; // [rows, columns]
    int64_t rows;
    int32_t columns;
} PreparedTable;

typedef struct Prepared Prepared;

/* Writes the tables; under its own name the file is complete or absent. E_IO names the path. */
MUST_CHECK Status prepared_write(const char *path, const PreparedTable *tables, int count);

/* Maps a file that prepared_write() made and fills data and rows of tables[], whose names and
 * columns the caller gives. The data live until prepared_close(). E_IO where it cannot be opened,
 * E_FORMAT where it is cut short, altered, of another version or without one of the tables. */
MUST_CHECK Status prepared_open(const char *path, PreparedTable *tables, int count, Prepared **out);
void prepared_close(Prepared *p); // accepts NULL

#endif
