"""CPython's tests of multiprocessing, as its test_multiprocessing_forkserver.test_manager has them."""

from test._test_multiprocessing import install_tests_in_module_dict

install_tests_in_module_dict(globals(), "forkserver", only_type="manager")
