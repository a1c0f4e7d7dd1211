"""What a WSGI server loads: `gunicorn wsgi:app`."""

from epro import create_app, production

app = create_app()
production.refuse_unsafe_start(app)
