/* recv(2) and send(2) that never wait: with MSG_DONTWAIT they take about a microsecond, and giving the interpreter's
 * lock up for that, as a socket's methods do, costs as much again.
 *
 * More than LARGEST bytes to send is left to Python: copying them is worth the lock. */
#include "sockets.h"

#include <errno.h>
#include <sys/socket.h>
#include <sys/uio.h>

#define LARGEST (64 * 1024 + 16) /* a message of 64 KiB, and the head of its frame */

int descriptor_of(PyObject *number) {
    const long fd = PyLong_AsLong(number);
    if (fd == -1 && PyErr_Occurred())
        return -2;
    return fd < 0 || fd > INT_MAX ? -1 : (int)fd;
}

Py_ssize_t receive_now(int fd, void *buffer, size_t size) {
    for (;;) {
        Py_ssize_t received = recv(fd, buffer, size, MSG_DONTWAIT);
        if (received >= 0)
            return received;
        if (errno != EINTR) {
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        if (PyErr_CheckSignals() < 0) /* PEP 475 */
            return -1;
    }
}

static Py_ssize_t send_parts(int fd, struct iovec *parts, size_t count) {
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = count};
    for (;;) {
        Py_ssize_t sent = sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
        if (sent >= 0)
            return sent;
        if (errno == EAGAIN || errno == EWOULDBLOCK)
            return 0;
        if (errno != EINTR) {
            PyErr_SetFromErrno(PyExc_OSError);
            return -1;
        }
        if (PyErr_CheckSignals() < 0)
            return -1;
    }
}

static PyObject *send_now(PyObject *module, PyObject *const *args, Py_ssize_t count) {
    Py_buffer first, second;
    if (count != 3) {
        PyErr_SetString(PyExc_TypeError, "send_now(fd: int, first: bytes, second: bytes)");
        return NULL;
    }
    const int fd = descriptor_of(args[0]);
    if (fd < -1)
        return NULL;
    if (PyObject_GetBuffer(args[1], &first, PyBUF_SIMPLE) < 0)
        return NULL;
    if (PyObject_GetBuffer(args[2], &second, PyBUF_SIMPLE) < 0) {
        PyBuffer_Release(&first);
        return NULL;
    }
    PyObject *result = NULL;
    if (first.len + second.len > LARGEST)
        result = Py_NewRef(Py_None);
    else {
        struct iovec parts[] = {{first.buf, first.len}, {second.buf, second.len}};
        Py_ssize_t sent = send_parts(fd, parts, second.len ? 2 : 1);
        if (sent >= 0)
            result = PyLong_FromSsize_t(sent);
    }
    PyBuffer_Release(&first);
    PyBuffer_Release(&second);
    return result;
}

PyMethodDef socket_functions[] = {
    {"send_now", (PyCFunction)(void (*)(void))send_now, METH_FASTCALL,
     "send_now(fd, first, second): send what the kernel takes at once; how many bytes, or None if there are too many."},
    {NULL},
};
