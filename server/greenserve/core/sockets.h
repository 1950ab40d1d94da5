/* What is read and sent without giving the interpreter's lock up: see sockets.c. */
#ifndef GREENSERVE_SOCKETS_H
#define GREENSERVE_SOCKETS_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

/* The number, -1 for a socket that is closed, which the kernel refuses; -2 with an exception. */
int descriptor_of(PyObject *number);

/* Read at most `size` bytes that are there already. Return how many, 0 at the end; -1 with an OSError, which is a
   BlockingIOError where nothing is there. */
Py_ssize_t receive_now(int fd, void *buffer, size_t size);

extern PyMethodDef socket_functions[];

#endif
