/* A table from bytes to what is known of them: field names, hosts. */
#ifndef GREENSERVE_NAMES_H
#define GREENSERVE_NAMES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>
#include <stdint.h>

#define NAMES_LONGEST 64 /* bytes of a name that is kept */

typedef struct {
    uint64_t hash;
    PyObject *text; /* str of latin-1; NULL: free */
    PyObject *key;  /* str: its key in environ; NULL where it has none */
    uint8_t kind;
} Name;

typedef struct {
    Name *slots;
    Py_ssize_t used;
    uint64_t seed;
} Names;

int names_init(Names *names, uint64_t seed);
void names_clear(Names *names);
void names_free(Names *names);

/* The entry of these bytes, or NULL. */
const Name *names_find(const Names *names, const unsigned char *text, size_t length);

/* Add or replace an entry; `key` may be NULL. Return -1 with an exception, 0 if the table does not keep it, else 1. */
int names_add(Names *names, PyObject *text, PyObject *key, uint8_t kind);

#endif
