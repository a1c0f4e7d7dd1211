"""What a WSGI server loads: `gunicorn wsgi:app`."""

from epro import create_app

app = create_app()
