"""placeholder"""
from greenserve_hub.greenthreads import sleep, spawn
from greenserve_hub.pools import GreenPool
__all__ = ["sleep","spawn","GreenPool"]
