import assert from 'node:assert/strict'
import { execFileSync } from 'node:child_process'
import { createHash } from 'node:crypto'
import { mkdtempSync, rmSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { after, before, describe, test } from 'node:test'
import type { OpenApiDocument } from '@writ/contract/openapi'
import { pino } from 'pino'
import { readConfig } from '../../src/config/config.ts'
import { startServer, type RunningServer } from '../../src/start.ts'
import { eventually } from '../eventually.ts'
import { checkExposition } from '../exposition.ts'
import { complete, opened } from '../governed-writ.ts'
import { rawRequest } from '../raw-request.ts'
import { startWrit, type RunningWrit } from '../running-writ.ts'

const textOf = async (url: string, headers: Readonly<Record<string, string>> = {}): Promise<string> => {
  const answer = await fetch(url, { headers })
  assert.equal(answer.status, 200, url)
  return answer.text()
}

const isWithPromtool = ((): boolean => {
  try {
    execFileSync('promtool', ['--version'], { stdio: 'ignore' })
    return true
  } catch {
    return false
  }
})()

describe('what the server says of itself', () => {
  const folder = mkdtempSync(join(tmpdir(), 'writ-surface-'))
  let server: RunningServer
  let document: OpenApiDocument
  before(async () => {
    const config = readConfig({ WRIT_DATA: join(folder, 'data'), WRIT_PORT: '0' })
    assert.ok(config.ok)
    server = await startServer(config.value, pino({ level: 'silent' }), (error) => { throw error })
    document = JSON.parse(await textOf(`${server.url}/openapi.json`)) as OpenApiDocument
  })
  after(async () => {
    await server.stop()
    rmSync(folder, { recursive: true, force: true })
  })

  test('every address that answers is documented, and every address that is documented answers', () => {
    const documented = Object.entries(document.paths).flatMap(([path, methods]) => Object.keys(methods).map((method) => `${method.toUpperCase()} ${path}`))
    const served = server.served.filter(({ method }) => method !== 'HEAD').map(({ method, path }) => `${method} ${path.replace('*', '{path}')}`)
    assert.deepEqual(served.toSorted(), documented.toSorted())
    assert.deepEqual(document.servers, [{ url: server.url }])
  })

  test('an address tells by which methods it is asked, whatever else is tried', async () => {
    for (const [path, methods] of Object.entries(document.paths)) {
      // What is a stream has no head of its own.
      const isStream = path.startsWith('/mcp/')
      const wanted = Object.keys(methods).flatMap((method) => (method === 'get' && !isStream ? ['GET', 'HEAD'] : [method.toUpperCase()])).toSorted().join(', ')
      for (const method of ['GET', 'POST', 'PUT', 'DELETE', 'PATCH', 'OPTIONS', 'TRACE', 'PROPFIND'].filter((one) => !wanted.includes(one))) {
        const got = await rawRequest(server.url, { method, path: path.replaceAll(/\{\w+\}/g, 'entries') })
        assert.deepEqual([got.status, got.header('allow'), got.type], [405, wanted, 'application/problem+json; charset=utf-8'], `${method} ${path}: ${got.text}`)
      }
    }
    assert.equal((await rawRequest(server.url, { method: 'DELETE', path: '/v1/tasks/x/nowhere' })).status, 404)
  })

  test('the reference page names every endpoint, every field and every problem, and runs and loads nothing', async () => {
    const answer = await fetch(`${server.url}/docs`)
    const page = await answer.text()
    assert.equal(answer.headers.get('content-type'), 'text/html; charset=utf-8')
    const style = /<style>([\s\S]*?)<\/style>/.exec(page)![1]!
    assert.equal(answer.headers.get('content-security-policy'),
      `default-src 'none'; style-src 'sha256-${createHash('sha256').update(style).digest('base64')}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'`)
    assert.doesNotMatch(page, /<script|<img|<link|<iframe|\son\w+=|style=|javascript:|@import|url\(/i)
    assert.deepEqual([...page.matchAll(/href="(?!#)([^"]*)"/g)].map(([, href]) => href), ['/openapi.json'])
    const ids = new Set([...page.matchAll(/ id="([^"]+)"/g)].map(([, id]) => id))
    for (const [, target = ''] of page.matchAll(/href="#([^"]+)"/g)) assert.ok(ids.has(target), target)
    for (const [, target = ''] of page.matchAll(/aria-labelledby="([^"]+)"/g)) assert.ok(ids.has(target), target)
    for (const methods of Object.values(document.paths)) for (const { operationId } of Object.values(methods)) assert.ok(ids.has(operationId), operationId)
    for (const schema of Object.values(document.components.schemas)) {
      for (const field of Object.keys(schema['properties'] ?? {})) assert.ok(page.includes(`<b>${field}</b>`), field)
    }
    assert.deepEqual([...page.matchAll(/<h(\d)/g)].map(([, level]) => Number(level)).filter((level, i, all) => level > (all[i - 1] ?? 1) + 1), [], 'no level of heading is left out')
  })
})

describe('the metrics', () => {
  let writ: RunningWrit
  const page = (): Promise<string> => textOf(`${writ.url}/metrics`)
  const valueOf = (text: string, series: string): number | undefined => {
    const line = text.split('\n').find((one) => one.startsWith(`${series} `))
    return line === undefined ? undefined : Number(line.split(' ')[1])
  }
  before(async () => { writ = await startWrit() })
  after(() => writ.stop())

  test('are what Prometheus reads, and its own checker has nothing to say', async (t) => {
    const text = await page()
    checkExposition(text)
    if (isWithPromtool) assert.equal(execFileSync('promtool', ['check', 'metrics'], { input: text, encoding: 'utf8' }), '')
    else t.diagnostic('there is no promtool here: our own checks only')
  })

  test('count what happens to tasks, from the log, and what is open now', async () => {
    const agent = await writ.register('counted')
    const [one] = [await opened(agent), await opened(agent)]
    assert.equal((await complete(agent, one)).status, 200)
    const text = await eventually('the end is counted', async () => {
      const read = await page()
      return valueOf(read, 'writ_tasks_ended_total{reason="completed"}') === 1 && read
    })
    assert.deepEqual(['writ_tasks_opened_total', 'writ_tasks_open', 'writ_store_up', 'writ_leases_open', 'writ_tasks_ended_total{reason="silence"}'].map((series) => valueOf(text, series)), [2, 1, 1, 0, 0])
    assert.ok(valueOf(text, 'writ_log_leaves{stream="non-human"}')! >= 3)
  })

  test('hold no word of a caller: an address that leads nowhere, a method and a refusal are counted under names of ours', async () => {
    const marks = ['/nowhere-canary', '/v1/tasks/canary"}%0a', '/v1/tasks/canary/end?canary=1']
    for (const path of marks) await rawRequest(writ.url, { path, headers: [['authorization', 'Bearer canary'], ['user-agent', 'canary']] })
    await rawRequest(writ.url, { path: '/canary', method: 'PROPFIND' })
    const text = await page()
    assert.ok(!text.includes('canary'))
    assert.ok(valueOf(text, 'writ_http_requests_total{method="GET",route="none",status="4xx"}')! >= 1)
    assert.ok(valueOf(text, 'writ_http_requests_total{method="other",route="none",status="4xx"}')! >= 1)
    assert.match(text, /writ_authentication_refusals_total\{kind="\w+"\} \d/)
    const routes = new Set([...text.matchAll(/route="([^"]*)"/g)].map(([, route]) => route))
    assert.ok([...routes].every((route) => route === 'none' || route!.startsWith('/')), [...routes].join(' '))
    checkExposition(text)
  })

  test('are for operators where others can ask, and for anyone where that was said', async () => {
    await writ.kill('SIGTERM')
    await writ.restart({ WRIT_TRUSTED_PROXY: '127.0.0.1', WRIT_ISSUER: 'https://writ.acme.example' })
    assert.equal((await fetch(`${writ.url}/metrics`)).status, 401)
    const agent = await writ.register('curious')
    const asIdentity = { authorization: `Bearer ${agent.assertion({ aud: 'https://writ.acme.example' })}` }
    assert.equal((await fetch(`${writ.url}/metrics`, { headers: asIdentity })).status, 403)
    checkExposition(await textOf(`${writ.url}/metrics`, { authorization: `Bearer ${writ.operatorKey}` }))
    await writ.kill('SIGTERM')
    await writ.restart({ WRIT_TRUSTED_PROXY: '127.0.0.1', WRIT_ISSUER: 'https://writ.acme.example', WRIT_METRICS: 'open' })
    checkExposition(await page())
  })
})
