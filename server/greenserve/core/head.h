/* The head of a request, with the environ that was made of it. */
#ifndef GREENSERVE_HEAD_H
#define GREENSERVE_HEAD_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

typedef struct {
    PyObject_HEAD
    PyObject *method, *target, *path, *query, *host, *content_length;
    PyObject *environ;   /* until make_environ() takes it; then None */
    PyObject *dropped;   /* list of the fields without a key, or None */
    PyObject *raw;       /* bytes of the head */
    PyObject *rest;      /* bytes behind it */
    PyObject *fields;    /* NULL until somebody asks */
    PyObject *fields_of; /* callable: makes them of `raw` */
    char keep_alive, is_true, is_false;
} Head;

#endif
