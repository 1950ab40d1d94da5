"""eventlet.patcher: greenserve's monkey patching."""

from greenserve_hub import import_patched, is_monkey_patched, monkey_patch, original

__all__ = ["import_patched", "is_monkey_patched", "monkey_patch", "original"]
