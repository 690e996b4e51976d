import assert from 'node:assert/strict'
import { test } from 'node:test'
import { isFromOwnPage, isJson, signInCookieIn } from './sign-in-cookie.ts'

test('the cookie of a sign-in is found among others, and not where there are two', () => {
  assert.equal(signInCookieIn({ cookie: 'theme=dark; __Host-writ=writ_si_x; a=b' }), 'writ_si_x')
  assert.equal(signInCookieIn({}), undefined)
  for (const cookie of ['', 'writ=writ_si_x', '__host-writ=writ_si_x', '__Host-writ=a; __Host-writ=b', 'x__Host-writ=a']) assert.equal(signInCookieIn({ cookie }), undefined, cookie)
})

const OWN = 'http://localhost:8700'

for (const { headers, own } of [
  { headers: { origin: OWN }, own: true },
  { headers: { 'sec-fetch-site': 'same-origin' }, own: true },
  { headers: { origin: OWN, 'sec-fetch-site': 'same-origin' }, own: true },
  { headers: {}, own: false },
  { headers: { origin: 'null' }, own: false },
  { headers: { origin: `${OWN}.evil.example` }, own: false },
  { headers: { origin: 'https://localhost:8700' }, own: false },
  { headers: { 'sec-fetch-site': 'none' }, own: false },
  { headers: { 'sec-fetch-site': 'same-site' }, own: false },
  { headers: { origin: OWN, 'sec-fetch-site': 'cross-site' }, own: false },
]) {
  test(`a request with ${JSON.stringify(headers)} is ${own ? '' : 'not '}from our own page`, () => {
    assert.equal(isFromOwnPage(headers, OWN), own)
  })
}

test('a form and a text are no JSON, whatever they call themselves', () => {
  for (const type of ['application/json', 'application/json; charset=utf-8', 'Application/JSON']) assert.ok(isJson({ 'content-type': type }))
  for (const type of [undefined, '', 'text/plain', 'application/jsonp', 'text/plain; application/json', 'multipart/form-data']) assert.ok(!isJson({ 'content-type': type }))
})
