/* digest.h - digests of whole files, to tell a true copy from any other.
 *
 * SHA-256 (FIPS 180-4), and the name that git gives a file: SHA-1 of "blob <bytes>\0" and the
 * file's bytes, which is what the Hugging Face hub states for files outside its large storage.
 */
#ifndef DATASETS_DIGEST_H
#define DATASETS_DIGEST_H

#include "runtime/status.h"

#include <stdbool.h>

typedef enum { DIGEST_SHA256, DIGEST_GIT_BLOB } DigestKind;
enum { DIGEST_TEXT = 65 }; // room for the hexadecimal text of either, with its NUL

/* Writes the digest of the file as lower-case hexadecimal. E_IO names the path. */
MUST_CHECK Status digest_file(const char *path, DigestKind kind, char hex[DIGEST_TEXT]);

/* True where text is exactly `digits` lower-case hexadecimal digits. */
bool digest_is_hex(const char *text, int digits);

#endif
