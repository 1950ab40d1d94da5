"""Django with its ORM on PostgreSQL: a page of notes.

    export SECRET_KEY=$(openssl rand -hex 32) PGDATABASE=notes
    python -m django migrate --settings apps.frameworks.django_notes.settings
    greenserve apps.frameworks.django_notes.wsgi:app

`settings` is the file to read: it says how many connections to PostgreSQL all green threads share.
"""
