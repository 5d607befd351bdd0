"""The site that the quickstart serves: a plain WSGI app, its pages and its style.

Must not know gunicorn, files or secrets: any server can run it behind ``SessionMiddleware``.
"""
