"""Pools of objects: eventlet's pools, db_pool and dagpool."""
