"""Reload for development: a process that watches files, and a page that shows why an app can't be imported.

On top of config/ and loading/; called by master/, with the setting `reload` only.
"""
