"""What the processes of one server count, and where others read it.

On the ground floor, so that all folders may count. Knows no sockets and no HTTP.
"""
