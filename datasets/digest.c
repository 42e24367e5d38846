/* digest.c - SHA-256 and git's blob name of a file, by OpenSSL. */
#include "datasets/digest.h"

#include <errno.h>
#include <openssl/evp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { BLOCK = 1 << 18 };

static bool absorb(EVP_MD_CTX *c, DigestKind kind, FILE *f, char *block)
{
    struct stat s;
    char head[48];
    size_t count;

    if (!EVP_DigestInit_ex(c, kind == DIGEST_SHA256 ? EVP_sha256() : EVP_sha1(), NULL))
        return false;
    if (kind == DIGEST_GIT_BLOB) {
        if (fstat(fileno(f), &s) != 0)
            return false;
        const int length = snprintf(head, sizeof head, "blob %lld", (long long)s.st_size);
        if (!EVP_DigestUpdate(c, head, (size_t)length + 1)) // the NUL belongs to it
            return false;
    }
    while ((count = fread(block, 1, BLOCK, f)) > 0)
        if (!EVP_DigestUpdate(c, block, count))
            return false;
    return !ferror(f);
}

Status digest_file(const char *path, DigestKind kind, char hex[DIGEST_TEXT])
{
    unsigned char bytes[EVP_MAX_MD_SIZE];
    unsigned int count = 0;
    FILE *f = fopen(path, "rb");

    if (!f)
        return fail(E_IO, "%s: %s", path, strerror(errno));
    EVP_MD_CTX *c = EVP_MD_CTX_new();
    char *block = malloc(BLOCK);
    errno = 0;
    const bool good =
        c && block && absorb(c, kind, f, block) && EVP_DigestFinal_ex(c, bytes, &count);
    const int reason = errno;

    EVP_MD_CTX_free(c);
    free(block);
    fclose(f);
    if (!good)
        return fail(E_IO, "%s: its digest cannot be computed: %s", path,
                    reason ? strerror(reason) : "the cryptographic library refused");
    for (unsigned int i = 0; i < count; i++)
        snprintf(hex + 2 * i, 3, "%02x", bytes[i]);
    return OK;
}

bool digest_is_hex(const char *text, int digits)
{
    return (int)strlen(text) == digits && (int)strspn(text, "0123456789abcdef") == digits;
}
