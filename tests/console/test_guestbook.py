"""A person at the guestbook: a real browser, the whole platform behind it."""
EMAIL = 'visitor@example.com'


def sign_in(browser, email, password):
    browser.find('#sign-in').click()
    browser.find('#email').type(email)
    browser.find('#password').type(password)
    browser.find('form button, form input[type=submit]').click()


def greet(browser, text):
    browser.find('#content').type(text)
    browser.find('#sign').click()


def greetings(browser):
    return [e.text for e in browser.find_all('#greetings .content')]


def test_a_visitor_signs_in_leaves_a_greeting_and_signs_out(
        platform, browser, tmp_path):
    password = platform.create_user(EMAIL)
    browser.open(platform.address('guestbook'))
    assert not browser.find('#sign-in').text == ''

    sign_in(browser, EMAIL, password)
    assert 'visitor' in browser.find('#who').text
    assert browser.url.startswith(platform.address('guestbook'))

    greet(browser, 'First of all <b>& more</b> ü')
    browser.find('#greetings .content')
    greet(browser, 'Second')
    browser.find('#greetings > :nth-child(2) .content')     # the page with both
    assert greetings(browser) == ['Second', 'First of all <b>& more</b> ü']
    browser.screenshot(str(tmp_path / 'guestbook.png'))

    browser.find('#sign-out').click()
    browser.find('#sign-in')
    assert greetings(browser) == ['Second', 'First of all <b>& more</b> ü']


def test_a_wrong_password_stays_at_the_door(platform, browser):
    platform.create_user('other@example.com')
    browser.open(platform.address('guestbook'))
    sign_in(browser, 'other@example.com', 'not the password')
    browser.find('.problem')        # the answer is there
    assert '/_ah/login' in browser.url
    browser.open(platform.address('guestbook'))
    browser.find('#sign-in')
