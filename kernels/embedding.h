/* embedding.h - the inputs of an embedding; its argument is the dtype of the output. */
#ifndef KERNELS_EMBEDDING_H
#define KERNELS_EMBEDDING_H

enum { OFFSETS, IDS, TABLE, EMBEDDING_TABLES = 3 }; // c->in[]; then ids and table of the others

#endif
