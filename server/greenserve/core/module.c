/* greenserve._core: what every request does, in C, behind the same functions as the Python that it stands for.
 *
 * Nothing here is static that changes: each interpreter has its own state, each server its own tables. */
#include "core.h"
#include "frames.h"
#include "sockets.h"

static int run_module(PyObject *module) {
    CoreState *state = PyModule_GetState(module);
    state->head_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &head_spec, NULL);
    if (state->head_type == NULL || PyModule_AddType(module, state->head_type) < 0)
        return -1;
    state->ordinary_heads_type = (PyTypeObject *)PyType_FromModuleAndSpec(module, &ordinary_heads_spec, NULL);
    if (state->ordinary_heads_type == NULL || PyModule_AddType(module, state->ordinary_heads_type) < 0)
        return -1;
    if (PyModule_AddFunctions(module, frame_functions) < 0)
        return -1;
    if (PyModule_AddIntMacro(module, SEAMS) < 0)
        return -1;
    return keys_init(&state->keys);
}

static int traverse_module(PyObject *module, visitproc visit, void *arg) {
    CoreState *state = PyModule_GetState(module);
    Py_VISIT(state->head_type);
    Py_VISIT(state->ordinary_heads_type);
    return 0;
}

static int clear_module(PyObject *module) {
    CoreState *state = PyModule_GetState(module);
    Py_CLEAR(state->head_type);
    Py_CLEAR(state->ordinary_heads_type);
    keys_clear(&state->keys);
    return 0;
}

static void free_module(void *module) {
    clear_module(module);
}

static PyModuleDef_Slot slots[] = {
    {Py_mod_exec, run_module},
#if PY_VERSION_HEX >= 0x030C0000
    {Py_mod_multiple_interpreters, Py_MOD_PER_INTERPRETER_GIL_SUPPORTED},
#endif
    {0, NULL},
};

PyModuleDef core_module = {
    PyModuleDef_HEAD_INIT,
    .m_name = "greenserve._core",
    .m_size = sizeof(CoreState),
    .m_methods = socket_functions,
    .m_slots = slots,
    .m_traverse = traverse_module,
    .m_clear = clear_module,
    .m_free = free_module,
};

PyMODINIT_FUNC PyInit__core(void) {
    return PyModuleDef_Init(&core_module);
}
