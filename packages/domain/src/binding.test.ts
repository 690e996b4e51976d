import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { claimsMatch, exactSubject, parseMatchers, type IssuerKind, type MatcherFault } from './binding.ts'

const GITHUB = { kind: 'oidc', url: 'https://token.actions.githubusercontent.com' } as const
const GITLAB = { kind: 'oidc', url: 'https://gitlab.com' } as const
const CLUSTER = { kind: 'oidc', url: 'https://kubernetes.default.svc' } as const
const DOMAIN = { kind: 'spiffe', url: 'spiffe://acme.example' } as const

type Asked = Readonly<Record<string, string | readonly string[]>>
type Row = { readonly when: string; readonly issuer?: { readonly kind: IssuerKind; readonly url: string }; readonly asked: Asked; readonly refused?: readonly [MatcherFault, string | null] }

const many = (count: number, text = 'x'): readonly string[] => Array.from({ length: count }, (_, i) => `${text}${i}`)

for (const { when, issuer = CLUSTER, asked, refused } of [
  { when: 'it names nothing', asked: {}, refused: ['no_claims', null] },
  { when: 'a matcher is empty', asked: { sub: '' }, refused: ['empty', 'sub'] },
  { when: 'a matcher is blank', asked: { sub: ' \t' }, refused: ['empty', 'sub'] },
  { when: 'a matcher is an empty list', asked: { sub: [] }, refused: ['empty', 'sub'] },
  { when: 'a list holds nothing', asked: { sub: ['a:b', ''] }, refused: ['empty', 'sub'] },
  { when: 'a matcher is `*`', asked: { sub: '*' }, refused: ['matches_anything', 'sub'] },
  { when: 'a matcher is `**`', asked: { sub: '**' }, refused: ['matches_anything', 'sub'] },
  { when: 'another claim is `*`', asked: { sub: 'system:serviceaccount:shop:deployer', namespace: '*' }, refused: ['matches_anything', 'namespace'] },
  { when: 'a list holds `*`', asked: { sub: ['*'] }, refused: ['star_in_a_list', 'sub'] },
  { when: 'a list holds a beginning', asked: { sub: ['a:b', 'a:c:*'] }, refused: ['star_in_a_list', 'sub'] },
  { when: 'the star stands first', asked: { sub: '*:deployer' }, refused: ['star_not_at_the_end', 'sub'] },
  { when: 'the star stands in the middle', asked: { sub: 'system:*:deployer' }, refused: ['star_not_at_the_end', 'sub'] },
  { when: 'the star cuts a word', asked: { sub: 'system:serviceaccount:shop-*' }, refused: ['star_not_at_the_end', 'sub'] },
  { when: 'there are two stars', asked: { sub: 'system:serviceaccount:**' }, refused: ['star_not_at_the_end', 'sub'] },
  { when: 'it means every pod', asked: { sub: 'system:serviceaccount:*' }, refused: ['matches_anything', 'sub'] },
  { when: 'it means every URL', asked: { sub: 'https://*' }, refused: ['matches_anything', 'sub'] },
  { when: 'it means every path', asked: { sub: '/*' }, refused: ['matches_anything', 'sub'] },
  { when: 'it names no subject', asked: { namespace: 'shop' }, refused: ['subject_not_named', null] },
  { when: 'it names the subject one step too deep', asked: { '/kubernetes.io/sub': 'system:serviceaccount:shop:deployer' }, refused: ['subject_not_named', null] },
  { when: 'it says the issuer again', asked: { sub: 'a', iss: 'https://kubernetes.default.svc' }, refused: ['checked_anyway', 'iss'] },
  { when: 'it says the audience again', asked: { sub: 'a', aud: 'x' }, refused: ['checked_anyway', 'aud'] },
  { when: 'it says the end', asked: { sub: 'a', exp: '1' }, refused: ['checked_anyway', 'exp'] },
  { when: 'a pointer says the audience again', asked: { sub: 'a', '/aud': 'x' }, refused: ['checked_anyway', '/aud'] },
  { when: 'a claim has no name', asked: { '': 'a' }, refused: ['bad_name', ''] },
  { when: 'a name has blanks around it', asked: { ' sub': 'a' }, refused: ['bad_name', ' sub'] },
  { when: 'a pointer has an empty step', asked: { sub: 'a', '/a//b': 'x' }, refused: ['bad_name', '/a//b'] },
  { when: 'a pointer has a wrong escape', asked: { sub: 'a', '/a~2b': 'x' }, refused: ['bad_name', '/a~2b'] },
  { when: 'a claim is named twice', asked: { sub: 'a', '/sub': 'b' }, refused: ['named_twice', '/sub'] },
  { when: 'a text is too long', asked: { sub: 'a'.repeat(2049) }, refused: ['too_long', 'sub'] },
  { when: 'a list is too long', asked: { sub: many(21) }, refused: ['too_many_texts', 'sub'] },
  { when: 'there are too many claims', asked: Object.fromEntries(many(21).map((name) => [name, 'a'])), refused: ['too_many_claims', null] },

  { when: 'GitHub\'s word is bound to a branch of nobody\'s', issuer: GITHUB, asked: { ref: 'refs/heads/main' }, refused: ['subject_not_named', null] },
  { when: 'GitHub\'s word is bound to an environment of nobody\'s', issuer: GITHUB, asked: { environment: 'production' }, refused: ['subject_not_named', null] },
  { when: 'GitHub\'s word is bound to a workflow that anybody may call', issuer: GITHUB, asked: { job_workflow_ref: 'acme/flows/.github/workflows/x.yml@refs/heads/main' }, refused: ['subject_not_named', null] },
  { when: 'GitHub\'s word is bound to all of GitHub', issuer: GITHUB, asked: { sub: 'repo:*' }, refused: ['matches_anything', 'sub'] },
  { when: 'GitHub\'s word is bound to a subject without an owner', issuer: GITHUB, asked: { sub: 'environment:production' }, refused: ['subject_not_named', 'sub'] },
  { when: 'one of GitHub\'s subjects has no owner', issuer: GITHUB, asked: { sub: ['repo:acme/shop:ref:refs/heads/main', 'ref:refs/heads/main'] }, refused: ['subject_not_named', 'sub'] },
  { when: 'GitHub\'s word is bound to an enterprise\'s branch', issuer: { ...GITHUB, url: `${GITHUB.url}/acme` }, asked: { ref: 'refs/heads/main' }, refused: ['subject_not_named', null] },
  { when: 'GitLab\'s word is bound to a protected branch of nobody\'s', issuer: GITLAB, asked: { ref_protected: 'true' }, refused: ['subject_not_named', null] },
  { when: 'GitLab\'s word is bound to all of GitLab', issuer: GITLAB, asked: { sub: 'project_path:*' }, refused: ['matches_anything', 'sub'] },

  { when: 'a trust domain\'s word is bound to all of it', issuer: DOMAIN, asked: { sub: 'spiffe://acme.example/*' }, refused: ['matches_anything', 'sub'] },
  { when: 'a trust domain\'s word is bound to every trust domain', issuer: DOMAIN, asked: { sub: 'spiffe://*' }, refused: ['matches_anything', 'sub'] },
  { when: 'a trust domain\'s word is bound to the domain itself', issuer: DOMAIN, asked: { sub: 'spiffe://acme.example' }, refused: ['not_of_the_trust_domain', 'sub'] },
  { when: 'a trust domain\'s word is bound to another\'s workload', issuer: DOMAIN, asked: { sub: 'spiffe://other.example/bot' }, refused: ['not_of_the_trust_domain', 'sub'] },
  { when: 'a trust domain\'s word is bound to a name that begins alike', issuer: DOMAIN, asked: { sub: 'spiffe://acme.example.evil/bot' }, refused: ['not_of_the_trust_domain', 'sub'] },
  { when: 'a trust domain\'s word is bound to what is no SPIFFE ID', issuer: DOMAIN, asked: { sub: 'bot' }, refused: ['not_of_the_trust_domain', 'sub'] },
  { when: 'a trust domain\'s word is bound to a claim alone', issuer: DOMAIN, asked: { team: 'shop' }, refused: ['subject_not_named', null] },

  { when: 'it names a pod\'s service account', asked: { sub: 'system:serviceaccount:shop:deployer' } },
  { when: 'it names all of a namespace', asked: { sub: 'system:serviceaccount:shop:*' } },
  { when: 'it names a deeper claim as well', asked: { sub: 'system:serviceaccount:shop:deployer', '/kubernetes.io/pod/name': 'web-0' } },
  { when: 'it names several subjects', asked: { sub: ['a', 'b'] } },
  { when: 'GitHub\'s word is bound to a repository', issuer: GITHUB, asked: { repository: 'acme/shop', ref: 'refs/heads/main' } },
  { when: 'GitHub\'s word is bound to an owner', issuer: GITHUB, asked: { sub: 'repo:acme/*' } },
  { when: 'GitLab\'s word is bound to a project', issuer: GITLAB, asked: { project_path: 'acme/shop', ref_protected: 'true' } },
  { when: 'a GitLab of one\'s own is bound by subject', issuer: { kind: 'oidc', url: 'https://gitlab.acme.example' }, asked: { sub: 'project_path:acme/shop:*' } },
  { when: 'a trust domain\'s word is bound to a workload', issuer: DOMAIN, asked: { sub: 'spiffe://acme.example/shop/web' } },
  { when: 'a trust domain\'s word is bound to all below a path', issuer: DOMAIN, asked: { sub: 'spiffe://acme.example/shop/*' } },
] satisfies readonly Row[] as readonly Row[]) {
  test(`a binding is ${refused === undefined ? 'taken' : 'refused'} when ${when}`, () => {
    const parsed = parseMatchers(issuer, asked)
    assert.deepEqual(parsed.ok ? undefined : [parsed.refusal.kind, parsed.refusal.claim], refused)
  })
}

const CLAIMS = {
  sub: 'system:serviceaccount:shop:deployer', ref: 'refs/heads/main', 'https://acme.example/team': 'shop', attempts: 1, admin: true, groups: ['ops'],
  'kubernetes.io': { namespace: 'shop', pod: { name: 'web-0' }, 'a/b~c': 'odd' },
}

for (const { when, asked, fits } of [
  { when: 'all of it is said', asked: { sub: 'system:serviceaccount:shop:deployer', ref: 'refs/heads/main' }, fits: true },
  { when: 'one claim says something else', asked: { sub: 'system:serviceaccount:shop:deployer', ref: 'refs/heads/dev' }, fits: false },
  { when: 'one claim is not there', asked: { sub: 'system:serviceaccount:shop:deployer', environment: 'production' }, fits: false },
  { when: 'the case differs', asked: { sub: 'System:ServiceAccount:shop:deployer' }, fits: false },
  { when: 'the subject begins so', asked: { sub: 'system:serviceaccount:shop:*' }, fits: true },
  { when: 'the subject begins like it in another namespace', asked: { sub: 'system:serviceaccount:shop2:*' }, fits: false },
  { when: 'the subject is one of them', asked: { sub: ['x', 'system:serviceaccount:shop:deployer'] }, fits: true },
  { when: 'the subject is none of them', asked: { sub: ['x', 'y'] }, fits: false },
  { when: 'a deeper claim says so', asked: { sub: 'system:serviceaccount:shop:deployer', '/kubernetes.io/pod/name': 'web-0' }, fits: true },
  { when: 'a deeper claim says something else', asked: { sub: 'system:serviceaccount:shop:deployer', '/kubernetes.io/pod/name': 'web-1' }, fits: false },
  { when: 'a deeper claim has an odd name', asked: { sub: 'system:serviceaccount:shop:deployer', '/kubernetes.io/a~1b~0c': 'odd' }, fits: true },
  { when: 'a plain name holds slashes', asked: { sub: 'system:serviceaccount:shop:deployer', 'https://acme.example/team': 'shop' }, fits: true },
  { when: 'the claim is a number', asked: { sub: 'system:serviceaccount:shop:deployer', attempts: '1' }, fits: false },
  { when: 'the claim is true', asked: { sub: 'system:serviceaccount:shop:deployer', admin: 'true' }, fits: false },
  { when: 'the claim is a list', asked: { sub: 'system:serviceaccount:shop:deployer', groups: 'ops' }, fits: false },
  { when: 'the claim is an object', asked: { sub: 'system:serviceaccount:shop:deployer', 'kubernetes.io': 'shop' }, fits: false },
  { when: 'the name reaches for what every object has', asked: { sub: 'system:serviceaccount:shop:deployer', '/toString/name': 'toString' }, fits: false },
] as readonly { when: string; asked: Asked; fits: boolean }[]) {
  test(`a token ${fits ? 'fits' : 'does not fit'} a binding when ${when}`, () => {
    const parsed = parseMatchers(CLUSTER, asked)
    assert.ok(parsed.ok)
    assert.equal(claimsMatch(parsed.value, CLAIMS), fits)
  })
}

test('a beginning stands for more than itself', () => {
  const parsed = parseMatchers(CLUSTER, { sub: 'team:shop:*' })
  assert.ok(parsed.ok)
  assert.deepEqual(['team:shop:', 'team:shop:a', 'team:shop:*', 'team:shop'].map((sub) => claimsMatch(parsed.value, { sub })), [false, true, true, false])
})

test('two ways to write one binding are one', () => {
  const [one, other] = [parseMatchers(GITHUB, { ref: 'r', repository: ['b/b', 'a/a', 'b/b'] }), parseMatchers(GITHUB, { '/repository': ['a/a', 'b/b'], ref: 'r' })]
  assert.deepEqual(JSON.stringify(one), JSON.stringify(other))
})

test('a subject is exact only where it is one text', () => {
  const subjects = ['a', 'team:a:*', ['a', 'b']].map((sub) => {
    const parsed = parseMatchers(CLUSTER, { sub })
    return parsed.ok ? exactSubject(parsed.value) : assert.fail()
  })
  assert.deepEqual(subjects, ['a', undefined, undefined])
})

test('whatever is asked for, a binding that is taken refuses a token that says nothing', () => {
  const matcher = fc.oneof(fc.string(), fc.array(fc.string(), { maxLength: 3 }), fc.string().map((text) => `${text}:*`))
  fc.assert(fc.property(fc.dictionary(fc.oneof(fc.string(), fc.constant('sub')), matcher), (asked) => {
    const parsed = parseMatchers(CLUSTER, asked)
    if (parsed.ok) assert.equal(claimsMatch(parsed.value, {}), false)
  }), { numRuns: 2000 })
})
