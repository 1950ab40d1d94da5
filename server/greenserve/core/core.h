/* What the files of this folder share: the state of the module, which each interpreter has one of. */
#ifndef GREENSERVE_CORE_H
#define GREENSERVE_CORE_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* Changes with each function, type or table here; core/__init__.py wants the same number. */
#define SEAMS 2

/* Keys of environ that each request sets. */
typedef struct {
    PyObject *method, *path, *query, *raw_uri, *request_uri, *peer, *peer_port;
} Keys;

typedef struct {
    PyTypeObject *head_type;
    PyTypeObject *ordinary_heads_type;
    Keys keys;
} CoreState;

extern PyModuleDef core_module;

extern PyType_Spec head_spec;
extern PyType_Spec ordinary_heads_spec;

int keys_init(Keys *keys);
void keys_clear(Keys *keys);

#endif
