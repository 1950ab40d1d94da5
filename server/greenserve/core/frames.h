/* WebSocket frames: see frames.c. */
#ifndef GREENSERVE_FRAMES_H
#define GREENSERVE_FRAMES_H

#define PY_SSIZE_T_CLEAN
#include <Python.h>

extern PyMethodDef frame_functions[];

#endif
