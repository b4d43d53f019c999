"""A guest book: sign in, leave a greeting, see the newest ones.

Greetings of one book share an ancestor, so a greeting shows up in the list as
soon as it was written.  The list is kept in memcache until the next greeting.
"""
import secrets
from urllib.parse import urlencode

from flask import Flask, abort, redirect, render_template, request
from google.appengine.api import memcache, users, wrap_wsgi_app
from google.appengine.ext import ndb

DEFAULT_BOOK = 'default'
SHOWN = 20
LONGEST = 1000
CACHE_SECONDS = 300

app = Flask(__name__)
app.wsgi_app = wrap_wsgi_app(app.wsgi_app)


class Guestbook(ndb.Model):
    """Never stored: its key is what the greetings of a book have in common."""


class Greeting(ndb.Model):
    author_id = ndb.StringProperty(indexed=False)
    author = ndb.StringProperty(indexed=False)
    content = ndb.TextProperty()
    date = ndb.DateTimeProperty(auto_now_add=True)


def cache_key(book):
    return f'greetings:{book}'


def newest(book):
    """The newest greetings as plain dicts, newest first."""
    found = memcache.get(cache_key(book))
    if found is not None:
        return found
    query = Greeting.query(ancestor=ndb.Key(Guestbook, book))
    found = [{'author': g.author, 'content': g.content,
              'date': g.date.strftime('%-d %B %Y, %H:%M')}
             for g in query.order(-Greeting.date).fetch(SHOWN)]
    # add() respects the lock of forget(): a list that was read before another
    # visitor wrote is not put back over it.
    memcache.add(cache_key(book), found, time=CACHE_SECONDS)
    return found


def forget(book):
    memcache.delete(cache_key(book), seconds=2)


def book_name():
    book = request.values.get('book', '').strip() or DEFAULT_BOOK
    if len(book) > 100:
        abort(400, 'The name of a book has at most 100 characters.')
    return book


def check_csrf():
    """The form must carry what only our own page could read."""
    cookie = request.cookies.get('csrf', '')
    field = request.form.get('csrf', '')
    if not cookie or not secrets.compare_digest(cookie.encode(),
                                                field.encode()):
        abort(403, 'This form is too old. Go back, load the page again, and '
                   'send it once more.')


@app.get('/')
def show():
    book = book_name()
    csrf = request.cookies.get('csrf') or secrets.token_urlsafe(24)
    response = app.make_response(render_template(
        'index.html', book=book, default=DEFAULT_BOOK, csrf=csrf,
        greetings=newest(book), longest=LONGEST,
        user=users.get_current_user(), admin=users.is_current_user_admin(),
        login_url=users.create_login_url(request.full_path),
        logout_url=users.create_logout_url('/')))
    response.set_cookie('csrf', csrf, httponly=True, samesite='Lax',
                        secure=request.is_secure)
    return response


@app.post('/sign')
def sign():
    user = users.get_current_user()
    if not user:
        return redirect(users.create_login_url('/'))
    check_csrf()
    book = book_name()
    content = request.form.get('content', '').strip()
    if not content:
        return redirect(page_of(book))
    if len(content) > LONGEST:
        abort(400, f'A greeting has at most {LONGEST} characters.')
    Greeting(parent=ndb.Key(Guestbook, book), author=user.nickname(),
             author_id=user.user_id(), content=content).put()
    forget(book)
    return redirect(page_of(book))


@app.get('/sign')
def after_login():
    """Where a visitor lands who had to sign in before signing the book."""
    return redirect(page_of(book_name()))


def page_of(book):
    return '/' if book == DEFAULT_BOOK else '/?' + urlencode({'book': book})


@app.errorhandler(400)
@app.errorhandler(403)
@app.errorhandler(404)
def sorry(error):
    return render_template('error.html', error=error), error.code
