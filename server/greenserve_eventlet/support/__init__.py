"""Small functions that programs import from eventlet."""
