"""CPython's tests of multiprocessing, as its test_multiprocessing_fork.test_threads has them."""

from test._test_multiprocessing import install_tests_in_module_dict

install_tests_in_module_dict(globals(), "fork", only_type="threads")
