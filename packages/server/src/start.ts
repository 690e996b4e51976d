import { createHash } from 'node:crypto'
import { mkdirSync, rmSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import type { AddressInfo } from 'node:net'
import { setTimeout as pause } from 'node:timers/promises'
import { STREAMS, type Stream } from '@writ/domain/event'
import { mintId, type OperatorId } from '@writ/domain/id'
import { SECRET_PREFIX, toSecret } from '@writ/domain/secret'
import { epochMs, milliseconds, plus } from '@writ/domain/time'
import { sql } from 'kysely'
import type { Logger } from 'pino'
import { authenticateOperator } from './authenticate/operator-key.ts'
import { privateKeyJwt, type RegisteredKey } from './authenticate/private-key-jwt.ts'
import type { Config } from './config/config.ts'
import { directoryFault } from './config/data-directory.ts'
import { BackendFault } from './connectors/connector.ts'
import { postgresConnector } from './connectors/postgres/connector.ts'
import { makeApp } from './http/app.ts'
import type { AnyCaller } from './http/call.ts'
import { doorRoutes, useProof } from './http/routes/doors.ts'
import { recordRoutes } from './http/routes/record.ts'
import { registryRoutes } from './http/routes/registry.ts'
import { taskRoutes } from './http/routes/tasks.ts'
import { watchedRoutes } from './http/routes/watched.ts'
import { startJobs } from './jobs/jobs.ts'
import { watchRoom } from './jobs/room.ts'
import { createKeys } from './keys/key-files.ts'
import { keysMessage, openKeys, type Keys } from './keys/keys.ts'
import { bell } from './platform/bell.ts'
import { monotonicClock, type ResyncedClock } from './platform/clock.ts'
import { hostEntropy } from './platform/entropy.ts'
import { reachBackends } from './reach/reach.ts'
import { install } from './record/install.ts'
import { isKeyOfLog, openLog, originOf } from './record/seal.ts'
import type { Store } from './record/tx.ts'
import { settleRotation, type BackendNeeds } from './registry/backends.ts'
import { BOOTSTRAP_LIVES_MS, offerBootstrap } from './registry/operators.ts'
import { listBackends } from './store/backends.ts'
import { findIdentity, listCredentials } from './store/identities.ts'
import { countOperators, findInstallation, findOperatorByKey } from './store/installation.ts'
import { StorageUnavailable } from './store/faults.ts'
import { MIGRATIONS } from './store/migrations/all.ts'
import { openPostgres } from './store/postgres.ts'
import { postgresExists, sqliteExists } from './store/peek.ts'
import { openSqlite } from './store/sqlite.ts'
import type { WriterGiven } from './writer.ts'
import { VERSION } from './version.ts'

const START_PATIENCE_MS = 5000
const START_PACE_MS = 250

/** Counts up with every release that brings migrations. */
const RELEASE = 1

/** The server must not start like this: the message names what is wrong and the way out. */
export class Unstartable extends Error {
  readonly exitCode = 78
}

export type RunningServer = {
  readonly url: string
  /** The one-time link, as long as there is no operator. */
  readonly bootstrapLink: string | undefined
  /** No new requests; running ones end; what was recorded is sealed. */
  stop(): Promise<void>
}

/** Builds the whole server from its parts: the only composition. */
export async function startServer(config: Config, log: Logger, onFault: (error: Error) => void): Promise<RunningServer> {
  const entropy = hostEntropy
  const clock = monotonicClock((skew) => log.warn({ skew_ms: skew }, 'the host\'s clock and the reference differ'))
  const { keys, store: opened } = await openKeysAndStore(config, { clock, onFault })
  const recorded = bell()
  const due = bell()
  const sealed = bell()
  const { store: watched, check } = watchRoom(opened, clock)
  const store = ringing(watched, () => recorded.ring())
  try {
    for (const stream of STREAMS) if (!(await isKeyOfLog({ store, signers: keys.signers }, stream))) throw new Unstartable(otherLogKey(stream))
    const installation = await installIn(store, keys, clock)
    const handlePrefix = `writ_${installation.slice(-8)}_`
    const sealNeeds = { store, signers: keys.signers, eventMac: keys.eventMac, clock, entropy }
    for (const stream of STREAMS) await openLog(sealNeeds, stream, originOf(installation, stream))

    const connect: BackendNeeds['connect'] = (_kind, settings, secret) => postgresConnector(settings, secret, { clock, entropy })
    const backends = reachBackends({ store, secrets: keys.secrets, connect })
    const wake = (): void => due.ring()
    const shared = { store, secrets: keys.secrets, clock, entropy, handlePrefix, wake, connect, reach: backends }
    for (const backend of await store.read(listBackends)) if (backend.state === 'active') await settleRotation(shared, backend)

    const jobs = startJobs({
      ...sealNeeds, secrets: keys.secrets, retryBase: config.retryBase, handlePrefix, log, due, recorded, sealed, backends,
      reach: async (id) => (await backends.reach(id)) ?? missing(id),
      settle: (backend) => settleRotation(shared, backend),
      referenceTime: () => databaseTime(store),
    })
    let issuer = config.issuer
    const authenticate = authenticator({ store, clock, log, issuer: () => issuer ?? '' })
    const whyNotReady = async (): Promise<string | undefined> => {
      await check()
      const late = jobs.loops.find((loop) => ['seal', 'end-due', 'withdraw'].includes(loop.name) && loop.sinceRound() > 5000)
      return late === undefined ? undefined : `job \`${late.name}\` stands still`
    }
    const app = makeApp({ authenticate, eventMac: keys.eventMac, clock, entropy }, [
      ...doorRoutes({ ...shared, version: VERSION, whyNotReady }),
      ...registryRoutes(shared),
      ...watchedRoutes(shared),
      ...taskRoutes({ ...shared, closed: sealed, backendNamed: async (name) => (await store.read(listBackends)).some((one) => one.name === name && one.state === 'active') ? backends.reach(name) : undefined }),
      ...recordRoutes({ store, eventMac: keys.eventMac, clock, sealed }),
    ], log)
    await app.listen({ host: config.host, port: config.port })
    const url = `http://${config.host.includes(':') ? `[${config.host}]` : config.host}:${(app.server.address() as AddressInfo).port}`
    issuer ??= url
    const bootstrapLink = await offerFirstSignIn(config, store, { clock, url })
    return {
      url,
      bootstrapLink,
      async stop() {
        await app.close()
        await jobs.stop()
        await backends.close()
        await store.close()
        rmSync(join(config.dataDirectory, 'bootstrap'), { force: true })
      },
    }
  } catch (error) {
    await opened.close()
    throw error
  }
}

type StoreNeeds = { readonly clock: ResyncedClock; readonly onFault: (error: Error) => void }

/** A database that can not be asked is named by its place; the rest of its URL holds a password. */
async function openKeysAndStore(config: Config, needs: StoreNeeds): Promise<{ readonly keys: Keys; readonly store: Store }> {
  const unusable = directoryFault(config.dataDirectory)
  if (unusable !== undefined) {
    throw new Unstartable(`WRIT_DATA \`${config.dataDirectory}\` ${unusable}: name a directory that the user that runs writ may write to`)
  }
  try {
    const keys = await patiently(needs.clock, () => openOrCreateKeys(config))
    return { keys, store: await patiently(needs.clock, () => openStore(config, keys, needs)) }
  } catch (cause) {
    if (!(cause instanceof StorageUnavailable) || config.store.kind !== 'postgres') throw cause
    const { hostname, port, pathname } = new URL(config.store.url)
    throw new Error(`PostgreSQL at \`${hostname}:${port || '5432'}${pathname}\` can not be used (${cause.code}): see WRIT_DATABASE_URL`, { cause })
  }
}

/** A database that is being started together with us, or that is slow, is given a few seconds; a wrong password is not. */
async function patiently<T>(clock: ResyncedClock, open: () => Promise<T>): Promise<T> {
  const until = clock.now() + START_PATIENCE_MS
  for (;;) {
    try {
      return await open()
    } catch (cause) {
      if (!(cause instanceof StorageUnavailable) || isRefused(cause) || clock.now() >= until) throw cause
    }
    await pause(START_PACE_MS)
  }
}

/** SQLSTATE class 28 (the login) and 3D000 (the database): the same in a second. */
const isRefused = ({ code }: StorageUnavailable): boolean => code.startsWith('28') || code === '3D000'

async function openOrCreateKeys(config: Config): Promise<Keys> {
  const keys = openKeys(config.keyDirectory, hostEntropy)
  if (keys.ok) return keys.value
  const exists = config.store.kind === 'sqlite' ? sqliteExists(config.store.directory) : await postgresExists(config.store.url)
  if (keys.refusal.kind !== 'missing' || exists) throw new Unstartable(keysMessage(keys.refusal))
  const created = createKeys(config.keyDirectory, hostEntropy)
  if (!created.ok) throw new Unstartable(keysMessage(created.refusal))
  const again = openKeys(config.keyDirectory, hostEntropy)
  if (!again.ok) throw new Unstartable(keysMessage(again.refusal))
  return again.value
}

async function openStore(config: Config, keys: Keys, more: StoreNeeds): Promise<Store> {
  const migrations = { release: RELEASE, list: MIGRATIONS }
  const now = more.clock.now()
  if (config.store.kind === 'postgres') {
    const { url, allowMissingChecksums } = config.store
    return openPostgres({ url, allowMissingChecksums, migrations, now, context: { eventMac: keys.eventMac, entropy: hostEntropy } })
  }
  const context: WriterGiven = { eventMacKeys: keys.eventMacKeys }
  return openSqlite({ directory: config.store.directory, writer: new URL('./writer.ts', import.meta.url), context, migrations, now, onFault: more.onFault })
}

/** Every change grows the record: whoever seals it hears of it. */
function ringing(store: Store, ring: () => void): Store {
  return {
    ...store,
    async change(change, input) {
      const outcome = await store.change(change, input)
      if (change.name !== 'log.seal') ring()
      return outcome
    },
    async changeOnce(change, input, once) {
      const outcome = await store.changeOnce(change, input, once)
      ring()
      return outcome
    },
  }
}

/** R38: a store that belongs to another master key is left as it is. */
async function installIn(store: Store, keys: Keys, clock: ResyncedClock): Promise<string> {
  const installation = await store.read(findInstallation)
  const checked = installation === undefined ? undefined : keys.checkKey(installation.keyCheck)
  if (checked?.ok === false) throw new Unstartable(keysMessage(checked.refusal))
  const now = clock.now()
  const installed = await store.change(install, { id: mintId('installation', now, hostEntropy.bytes(10)), keyCheck: keys.keyCheck(), version: VERSION, now })
  if (!installed.ok) throw new Error('the installation could not be recorded')
  return installed.value
}

function authenticator({ store, clock, log, issuer }: { readonly store: Store; readonly clock: ResyncedClock; readonly log: Logger; readonly issuer: () => string }) {
  const byKey = privateKeyJwt({
    clock,
    get issuer() {
      return issuer()
    },
    keysOf: (spiffeId) => store.read(async (db): Promise<readonly RegisteredKey[]> => {
      const identity = await findIdentity(db, spiffeId)
      if (identity === undefined) return []
      const credentials = await listCredentials(db, [identity.id])
      return credentials.filter((one) => one.state === 'live').map((one) => ({
        identity: identity.id, state: identity.state, credential: one.id, thumbprint: one.thumbprint,
        alg: one.alg as RegisteredKey['alg'], jwk: one.jwk as RegisteredKey['jwk'],
      }))
    }),
    async useOnce(hash, until) {
      const used = await store.change(useProof, { hash, expiresAt: until })
      return used.ok && used.value
    },
  })
  return async (bearer: string, traceId: string): Promise<AnyCaller | undefined> => {
    if (bearer.startsWith('writ_')) {
      let name = ''
      const operatorOf = async (keyHash: Uint8Array): Promise<OperatorId | undefined> => {
        const found = await store.read((db) => findOperatorByKey(db, keyHash))
        name = found?.name ?? ''
        return found?.id
      }
      const operator = await authenticateOperator(bearer, { operatorOf })
      if (operator.ok) return { ...operator.value, name }
      log.info({ trace_id: traceId, refusal: operator.refusal.kind }, 'an operator key was refused')
      return undefined
    }
    const caller = await byKey.authenticate(bearer)
    if (caller.ok) return caller.value
    log.info({ trace_id: traceId, refusal: caller.refusal }, 'a client assertion was refused')
    return undefined
  }
}

/** The first sign-in: a one-time link, also left in a file that only this user can read, so that the command line next door can take it. */
async function offerFirstSignIn(config: Config, store: Store, { clock, url }: { readonly clock: ResyncedClock; readonly url: string }): Promise<string | undefined> {
  const file = join(config.dataDirectory, 'bootstrap')
  rmSync(file, { force: true })
  if ((await store.read(countOperators)) > 0) return undefined
  const code = toSecret(SECRET_PREFIX.bootstrap, hostEntropy.bytes(32))
  const now = clock.now()
  await store.change(offerBootstrap, { codeHash: new Uint8Array(createHash('sha256').update(code).digest()), now, expiresAt: plus(now, milliseconds(BOOTSTRAP_LIVES_MS)) })
  // The code stands behind `#`: no browser sends that part, so it reaches no server's log.
  const link = `${url}/first#${code}`
  mkdirSync(config.dataDirectory, { recursive: true, mode: 0o700 })
  writeFileSync(file, `${link}\n`, { mode: 0o600 })
  return link
}

/** The database's time is the authority where several servers share it (R33); elsewhere it is the host's. */
async function databaseTime(store: Store): Promise<number | undefined> {
  if (store.dialect.name === 'sqlite') return undefined
  const now = await store.read(async (db) => (await sql<{ now: string }>`select extract(epoch from clock_timestamp()) * 1000 as now`.execute(db)).rows[0]!.now)
  return epochMs(Math.floor(Number(now)))
}

const otherLogKey = (stream: Stream): string => `the ${stream} log is signed by another key than \`log-${stream}.key\`: put back the key directory that belongs to this store`

function missing(id: string): never {
  throw new BackendFault(`back end ${id} is not in the store`, 'no_such_backend')
}
