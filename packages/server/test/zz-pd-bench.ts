import { authzenBundle, TOOLS_FILE, ORDER_FILES, TOOL_GRANTS } from './authzen-estate.ts'
import { startWrit } from './running-writ.ts'
import { askToken, proofKey } from './oauth-client.ts'
import { parseGrantText } from '@writ/domain/authority'
for (const store of ['sqlite', 'postgres'] as const) {
  const writ = await startWrit({ store })
  await authzenBundle(writ, { ...ORDER_FILES, 'tools.json': TOOLS_FILE })
  const agent = await writ.register('x', { authority: [...TOOL_GRANTS] })
  const key = await proofKey()
  const details = JSON.stringify(TOOL_GRANTS.map((t) => (parseGrantText(t) as any).value))
  const token = (await askToken(writ, agent, { purpose: 'x', authorization_details: details, budget_calls: '1000000', ttl_seconds: '3000' }, { key })).reply
  const path = '/access/v1/evaluation'
  const body = JSON.stringify({ subject: { type: 'agent', id: agent.spiffeId }, action: { name: 'call', properties: { query: 'x' } }, resource: { type: 'tool', id: 'crm/search' } })
  const asOperator = JSON.stringify({ ...JSON.parse(body), context: { task: token.task } })
  const run = async (what: string, parallel: number, n: number, one: () => Promise<number>) => {
    const proofs: number[] = []
    const t0 = performance.now(); let left = n
    await Promise.all(Array.from({ length: parallel }, async () => { while (left-- > 0) { const a = performance.now(); const s = await one(); if (s !== 200) { console.log(writ.log().split('\n').filter((l) => /"level":"(error|warn)"/.test(l)).slice(0,3).join('\n').slice(0, 3000)); throw new Error(String(s)) } proofs.push(performance.now() - a) } }))
    const t = performance.now() - t0
    proofs.sort((a, b) => a - b)
    console.log(store, what, parallel, Math.round(n / t * 1000), '/s p50', proofs[n >> 1]!.toFixed(1), 'p99', proofs[Math.floor(n * 0.99)]!.toFixed(1))
  }
  const op = (b: string) => async () => { const r = await fetch(writ.url + path, { method: 'POST', headers: { authorization: `Bearer ${writ.operatorKey}`, 'content-type': 'application/json' }, body: b }); await r.text(); return r.status }
  const byToken = async () => { const r = await fetch(writ.url + path, { method: 'POST', headers: { authorization: `DPoP ${token.access_token}`, dpop: key.proof({ htu: writ.url + path, htm: 'POST', token: token.access_token }), 'content-type': 'application/json' }, body }); await r.text(); return r.status }
  await run('warm', 4, 200, op(asOperator))
  for (const p of [1, 16]) { await run('attempt by operator', p, 600, op(asOperator)); await run('attempt by token+dpop', p, 600, byToken); await run('advice', p, 600, op(body)) }
  await writ.stop()
}
process.exit(0)
