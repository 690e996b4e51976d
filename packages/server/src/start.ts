import type { KeyObject } from 'node:crypto'
import { rmSync } from 'node:fs'
import { hostname } from 'node:os'
import { join } from 'node:path'
import type { AddressInfo } from 'node:net'
import { STREAMS, type Stream } from '@writ/domain/event'
import { mintId } from '@writ/domain/id'
import { epochMs } from '@writ/domain/time'
import { sql } from 'kysely'
import type { Logger } from 'pino'
import { dpopNonces } from './authenticate/dpop-nonce.ts'
import { authenticationOf } from './authenticate/evidence-of-store.ts'
import { clientSecretFault } from './authenticate/client-secret.ts'
import { issuerKeys } from './authenticate/issuer-keys.ts'
import { relyingPartyOf } from './authenticate/passkey.ts'
import { passkeyChallenges } from './authenticate/passkey-challenge.ts'
import { refusedOften, sparing } from './authenticate/refused-often.ts'
import { useOnce } from './authenticate/one-time.ts'
import { issueToken } from './changes.ts'
import type { Config } from './config/config.ts'
import { directoryFault } from './config/data-directory.ts'
import { BackendFault } from './connectors/connector.ts'
import { postgresConnector } from './connectors/postgres/connector.ts'
import { metadataOf, resourceOf } from './gateway/door.ts'
import { heldBy } from './gateway/held.ts'
import { openGateway, type Gateway } from './gateway/open-gateway.ts'
import { makeApp } from './http/app.ts'
import { atDoorOf, refusalTeller } from './http/at-door.ts'
import { CONSOLE_DIRECTORY, openConsole } from './http/console.ts'
import { openEntrance, type Entrance, type EntranceNeeds } from './http/entrance.ts'
import { resourceChallenge } from './http/evidence.ts'
import { MOST_WAITING } from './http/listener.ts'
import { metrics } from './http/metrics.ts'
import type { ServedAddress } from './http/methods.ts'
import { readiness } from './http/readiness.ts'
import { engines } from './decide/engines.ts'
import { approvalWaiters } from './approvals/waiting.ts'
import { allowance } from './evaluate/allowance.ts'
import { accessRequestRoutes } from './http/routes/access-requests.ts'
import { approvalRoutes } from './http/routes/approvals.ts'
import { authzenRoutes } from './http/routes/authzen.ts'
import { bindingRoutes } from './http/routes/bindings.ts'
import { decisionRoutes } from './http/routes/decisions.ts'
import { doorRoutes } from './http/routes/doors.ts'
import { issuerRoutes } from './http/routes/issuers.ts'
import { liveRoutes } from './http/routes/live.ts'
import { mcpMetadataRoutes, mcpRoutes } from './http/routes/mcp.ts'
import { mcpServerRoutes } from './http/routes/mcp-servers.ts'
import { noticeRoutes } from './http/routes/notices.ts'
import { oauthRoutes } from './http/routes/oauth.ts'
import { backupRoutes } from './http/routes/backup.ts'
import { operatorRoutes } from './http/routes/operators.ts'
import { peopleRoutes } from './http/routes/people.ts'
import { overviewRoutes } from './http/routes/overview.ts'
import { policyRoutes } from './http/routes/policies.ts'
import { recordRoutes } from './http/routes/record.ts'
import { registryRoutes, showOne as showIdentityIn } from './http/routes/registry.ts'
import { signInRoutes } from './http/routes/sign-in.ts'
import { signInFlowRoutes } from './http/routes/sign-in-flows.ts'
import { signingKeyRoutes } from './http/routes/signing-keys.ts'
import { stopRoutes } from './http/routes/stops.ts'
import { surfaceRoutes } from './http/routes/surface.ts'
import { taskRoutes } from './http/routes/tasks.ts'
import { watchedRoutes } from './http/routes/watched.ts'
import type { IssueNeeds } from './issue/issue-lease.ts'
import type { OwnInstance } from './jobs/instances.ts'
import { startJobs, type Jobs } from './jobs/jobs.ts'
import type { Loop } from './jobs/loop.ts'
import { watchRoom } from './jobs/room.ts'
import { signingKeyRound } from './jobs/signing-keys.ts'
import { createKeys } from './keys/key-files.ts'
import { keysMessage, openKeys, type Keys } from './keys/keys.ts'
import { sealerOf } from './keys/seal.ts'
import { tokenKeys as openTokenKeys, type TokenKeys } from './keys/token-keys.ts'
import { bell } from './platform/bell.ts'
import { monotonicClock, type ResyncedClock } from './platform/clock.ts'
import { hostEntropy } from './platform/entropy.ts'
import { mailer } from './platform/mail.ts'
import { outbound } from './platform/outbound.ts'
import { reachBackends } from './reach/reach.ts'
import { offerSignIn } from './offer-sign-in.ts'
import { patiently, patientUntil } from './patience.ts'
import { openStore, RELEASE, snapshotOf } from './open-store.ts'
import { policiesAside } from './policies/aside.ts'
import { installDefaults } from './policies/install-defaults.ts'
import { install } from './record/install.ts'
import { isKeyOfLog, openLog, originOf } from './record/seal.ts'
import type { Store } from './record/tx.ts'
import { settleRotation, type BackendNeeds } from './registry/backends.ts'
import { listBackends } from './store/backends.ts'
import { findInstallation, findNotBefore } from './store/installation.ts'
import { findOwned } from './store/identities.ts'
import { StorageUnavailable } from './store/faults.ts'
import { listSigningKeys } from './store/signing-keys.ts'
import { beginInstance, leaveInstance } from './tools/instances.ts'
import { listRestores } from './store/past-logs.ts'
import { isHalfRestored } from './store/restore-mark.ts'
import { postgresExists, sqliteExists } from './store/peek.ts'
import { VERSION } from './version.ts'

/** Together less than the 30 s that most supervisors wait. */
const LONGEST_CALLS_MS = 25_000
const LONGEST_JOBS_MS = 3000

/** The server must not start like this: the message names what is wrong and the way out. */
export class Unstartable extends Error {
  readonly exitCode = 78
}

export type RunningServer = {
  /** Where a client on this machine finds it; else what everybody calls it. */
  readonly url: string
  /** The address and port of the connections themselves. */
  readonly listensAt: string
  /** Every address that answers. */
  readonly served: readonly ServedAddress[]
  /** The one-time link, as long as there is no operator, or where the configuration asks for one. */
  readonly bootstrapLink: string | undefined
  /** No new requests; running ones end; what was recorded is sealed. */
  stop(): Promise<void>
}

/** Builds the whole server from its parts: the only composition. */
export async function startServer(config: Config, log: Logger, onFault: (error: Error) => void): Promise<RunningServer> {
  const entropy = hostEntropy
  const clock = monotonicClock((skew) => log.warn({ skew_ms: skew }, 'the host\'s clock and the reference differ'))
  let countStranger = (): void => {}
  // First of all: a certificate that can not be used leaves nothing behind.
  const entrance = entranceOf(config, { clock, log, onStranger: () => { countStranger() } })
  const secretFault = config.signInProvider === null ? undefined : clientSecretFault(config.signInProvider.clientSecretFile)
  if (secretFault !== undefined) throw new Unstartable(`WRIT_OIDC_CLIENT_SECRET_FILE \`${config.signInProvider!.clientSecretFile}\` ${secretFault}`)
  const { keys, store: opened } = await openKeysAndStore(config, { clock, onFault })
  const recorded = bell()
  const due = bell()
  const sealed = bell()
  const stopping = new AbortController()
  let loops: readonly Loop[] = []
  let stopJobs: Jobs['stop'] | undefined
  let gateway: Gateway | undefined
  const jobsNow = (): readonly Loop[] => loops
  const measured = metrics({ store: opened, clock, version: VERSION, jobs: jobsNow })
  countStranger = measured.strangerConnected
  const { store: watched, check } = watchRoom(measured.timed(opened), clock)
  let isUp = false
  const store = ringing(patientUntil(() => isUp, watched, clock), () => recorded.ring())
  try {
    const restores = await store.read(listRestores)
    if (await store.read((db) => isHalfRestored(db, store.dialect))) throw new Unstartable(HALF_RESTORED)
    for (const stream of STREAMS) if (!(await isKeyOfLog({ store, signers: keys.signers }, stream))) throw new Unstartable(otherLogKey(stream))
    const installation = await installIn(store, keys, clock)
    const handlePrefix = `writ_${installation.slice(-8)}_`
    const sealNeeds = { store, signers: keys.signers, eventMac: keys.eventMac, clock, entropy }
    for (const stream of STREAMS) await openLog(sealNeeds, stream, originOf(installation, stream))

    await installDefaults({ store, clock })
    const aside = policiesAside()

    const connect: BackendNeeds['connect'] = (_kind, settings, secret) => postgresConnector(settings, secret, { clock, entropy })
    const backends = reachBackends({ store, secrets: keys.secrets, connect })
    const wake = (): void => due.ring()
    const backendNamed: IssueNeeds['backendNamed'] = async (name) => (await store.read(listBackends)).some((one) => one.name === name && one.state === 'active') ? backends.reach(name) : undefined
    const shared = { store, secrets: keys.secrets, clock, entropy, handlePrefix, wake, connect, reach: backends, backendNamed }
    for (const backend of await store.read(listBackends)) if (backend.state === 'active') await settleRotation(shared, backend)

    const tokenKeys = openTokenKeys({ list: () => store.read(listSigningKeys), secrets: keys.secrets, clock })
    // The first round makes the first key; whoever listens has one.
    await signingKeyRound({ store, secrets: keys.secrets, tokenKeys, clock })()
    const instance = mintId('serverInstance', clock.now(), entropy.bytes(10))
    let listening: OwnInstance | undefined
    const outside = outbound({ allow: config.outboundAllow })
    const telling = { outbound: outside, sendMail: mailer(outside), origin: () => consoleOrigin() }
    const held = heldBy(() => gateway)
    const jobs = startJobs({
      ...telling, ...held,
      instance: () => listening,
      ...sealNeeds, tokenKeys, secrets: keys.secrets, retryBase: config.retryBase, handlePrefix, restoredAt: restores.at(-1)?.doneAt ?? null, log, due, recorded, sealed, backends,
      reach: async (id) => (await backends.reach(id)) ?? missing(id),
      settle: (backend) => settleRotation(shared, backend),
      referenceTime: () => databaseTime(store),
    })
    let issuer = config.issuer
    let port = config.port
    /** A passkey is bound to a name, and browsers take `localhost` for secure. */
    const consoleOrigin = (): string => (config.issuer === null ? `${entrance.isHttps ? 'https' : 'http'}://localhost:${port}` : new URL(config.issuer).origin)
    const notBefore = await store.read(findNotBefore)
    const challenges = passkeyChallenges({ eventMac: keys.eventMac, clock, entropy, notBefore })
    const nonces = dpopNonces(keys.nonceKeys)
    const keysOfIssuers = issuerKeys({ clock, outbound: outside, onTrouble: (trusted, trouble) => log.warn({ issuer: trusted, trouble }, 'the keys of an issuer did not come as they should') })
    const often = refusedOften({ clock, most: config.mostPerMinute.refused, onOver: (client) => { log.warn({ client }, 'too much evidence from an address was refused: for the rest of the minute only callers that proved themselves there before are looked at') } })
    const known = sparing(authenticationOf({ store, keysOfIssuers, clock, nonces, nonceRequired: config.dpopNonceRequired, notBefore, issuer: () => issuer ?? '', tokenKeys }), often)
    const nextNonce = (): string | undefined => (config.dpopNonceRequired ? nonces.current(clock.now()) : undefined)
    loops = jobs.loops
    stopJobs = jobs.stop
    // What the log tells is counted from here on.
    await measured.page()
    const whyNotReady = readiness({ check, store, clock, jobs: jobsNow, stopping: stopping.signal, canSign: () => canSign(tokenKeys) })
    const surfaceNeeds = { version: VERSION, origin: () => issuer ?? '', metrics: measured, metricsOpen: config.metricsOpen }
    const about = { ...entrance, stopping: stopping.signal, observed: { metrics: measured, isProxy: entrance.isProxy } }
    const tellRefused = refusalTeller(log, measured.refused)
    const asking = { allowance: allowance({ store, clock, most: config.mostPerMinute }) }
    const [own, questions] = [engines(), sealerOf(keys.forChanges.question, entropy)]
    const approving = { approvalUrl: (id: string) => `${consoleOrigin()}/approvals/${id}`, waiters: approvalWaiters({ store, log, stopping: stopping.signal }) }
    gateway = openGateway({
      ...shared, ...asking, log, engines: own, aside, questions, states: keys.mcpStates, hopKeys: keys.hopKeys, outbound: outside, due, stopping: stopping.signal, issuer: () => issuer ?? '', instance,
      version: VERSION, ...approving, tellRefused, challenge: (server, error, scope) => resourceChallenge(error, metadataOf(issuer ?? '', server), scope),
    })
    const pages = openConsole({ directory: CONSOLE_DIRECTORY, entropy })
    const { app, served } = makeApp({
      ...about, console: pages, consoleOrigin, ownedBy: (owners) => store.read((db) => findOwned(db, owners)), authenticate: atDoorOf(known, tellRefused), atResource: known.atResource, tellRefused, useUp: async (uses) => { await store.change(useOnce, { uses }) }, nextNonce, eventMac: keys.eventMac, clock, entropy,
    }, { raw: mcpRoutes(gateway), forms: oauthRoutes({ ...shared, issueToken, keys: tokenKeys, authentication: known, issuer: () => issuer ?? '' }), routes: [
      ...surfaceRoutes(surfaceNeeds),
      ...doorRoutes({ ...shared, version: VERSION, environment: config.environment, whyNotReady, often, firstPage: pages.page }),
      ...registryRoutes(shared),
      ...operatorRoutes(shared),
      ...peopleRoutes(shared),
      ...signInFlowRoutes({ ...shared, log, outbound: outside, often, consoleOrigin, settings: config.signInProvider, mostBegun: config.mostPerMinute.signIns }),
      ...signInRoutes({ ...shared, challenges, party: () => relyingPartyOf(consoleOrigin()), often, tellRefused }),
      ...bindingRoutes({ ...shared, show: showIdentityIn }),
      ...issuerRoutes({ ...shared, outbound: outside }),
      ...watchedRoutes(shared),
      ...stopRoutes({ ...shared, ...held }),
      ...taskRoutes({ ...shared, closed: sealed, stopping: stopping.signal }),
      ...backupRoutes({ ...shared, release: RELEASE, version: VERSION, snapshot: () => snapshotOf(config), backupKey: (check) => keyOrFault(keys.backupKey(check)) }),
      ...recordRoutes({ store, eventMac: keys.eventMac, clock, sealed, stopping: stopping.signal }),
      ...overviewRoutes({ store, clock }),
      ...noticeRoutes({ ...shared, ...telling }),
      ...liveRoutes({ store, eventMac: keys.eventMac, clock, log, recorded, stopping: stopping.signal }),
      ...policyRoutes({ ...shared, aside }),
      ...mcpServerRoutes({ ...shared, outbound: outside, engines: own, aside, origin: () => issuer ?? '', listTools: gateway.listTools }),
      ...mcpMetadataRoutes({ issuer: () => issuer ?? '', resourceOf }),
      ...authzenRoutes({ ...shared, ...asking, engines: own, origin: () => issuer ?? '', tellRefused }),
      ...approvalRoutes({ ...shared, ...approving, aside, questions, party: () => relyingPartyOf(consoleOrigin()) }),
      ...accessRequestRoutes({ ...shared, ...approving, origin: () => issuer ?? '' }),
      ...decisionRoutes({ ...shared, aside, questions }),
      ...signingKeyRoutes({ store, secrets: keys.secrets, keys: tokenKeys, clock, issuer: () => issuer ?? '' }),
    ] }, log)
    await app.listen({ host: config.host, port: config.port, backlog: MOST_WAITING })
    port = (app.server.address() as AddressInfo).port
    const { url, listensAt } = entrance.urlsOf(port)
    issuer ??= url
    listening = { id: instance, address: reachableAt(listensAt) }
    await store.change(beginInstance, { instance, address: listening.address, now: clock.now() })
    const bootstrapLink = await offerSignIn(config, store, { clock, url, log })
    isUp = true
    return {
      url,
      listensAt,
      served,
      bootstrapLink,
      async stop() {
        stopping.abort()
        // Whoever waits for the log is told what there is.
        sealed.ring()
        if (!(await entrance.listeners.drain(LONGEST_CALLS_MS))) log.warn('calls that had not ended were cut off')
        await app.close()
        await gateway?.close()
        listening = undefined
        if (!(await jobs.stop(LONGEST_JOBS_MS))) log.warn('withdrawals that had not ended go on at the next start')
        entrance.close()
        await store.change(leaveInstance, { instance, now: clock.now() })
        await backends.close()
        await aside.close()
        await store.close()
        rmSync(join(config.dataDirectory, 'bootstrap'), { force: true })
      },
    }
  } catch (error) {
    await gateway?.close()
    await stopJobs?.(0)
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
    return { keys, store: await patiently(needs.clock, () => openStore(config, keys, { now: needs.clock.now(), onFault: needs.onFault })) }
  } catch (cause) {
    if (!(cause instanceof StorageUnavailable) || config.store.kind !== 'postgres') throw cause
    const { hostname, port, pathname } = new URL(config.store.url)
    throw new Error(`PostgreSQL at \`${hostname}:${port || '5432'}${pathname}\` can not be used (${cause.code}): see WRIT_DATABASE_URL`, { cause })
  }
}

async function openOrCreateKeys(config: Config): Promise<Keys> {
  const keys = openKeys(config.keyDirectory, hostEntropy)
  if (keys.ok) return keys.value
  if (keys.refusal.kind !== 'missing') throw new Unstartable(keysMessage(keys.refusal))
  const exists = config.store.kind === 'sqlite' ? sqliteExists(config.store.directory) : await postgresExists(config.store.url)
  // Servers that start together share the directory: another may have made the keys, and the store, since we looked.
  const created = exists ? undefined : createKeys(config.keyDirectory, hostEntropy)
  if (created?.ok === false && created.refusal.kind !== 'already_exists') throw new Unstartable(keysMessage(created.refusal))
  const again = openKeys(config.keyDirectory, hostEntropy)
  if (!again.ok) throw new Unstartable(keysMessage(again.refusal))
  return again.value
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

function entranceOf(config: Config, needs: EntranceNeeds): Entrance {
  const entrance = openEntrance(config, needs)
  if (!entrance.ok) throw new Unstartable(`${entrance.refusal.setting} ${entrance.refusal.message}`)
  return entrance.value
}

/** R18: a key that is there but can not be opened signs nothing. */
async function canSign(tokenKeys: TokenKeys): Promise<boolean> {
  try {
    const active = (await tokenKeys.refresh()).find((key) => key.state === 'active')
    if (active === undefined) return false
    await tokenKeys.sign({}, active.kid)
    return true
  } catch (error) {
    if (error instanceof StorageUnavailable) throw error
    return false
  }
}

/** R38: a store that belongs to another master key is left as it is. */
async function installIn(store: Store, keys: Keys, clock: ResyncedClock): Promise<string> {
  for (;;) {
    const installation = await store.read(findInstallation)
    const checked = installation === undefined ? undefined : keys.checkKey(installation.keyCheck)
    if (checked?.ok === false) throw new Unstartable(keysMessage(checked.refusal))
    const now = clock.now()
    const id = mintId('installation', now, hostEntropy.bytes(10))
    const installed = await store.change(install, { id, keyCheck: keys.keyCheck(), seen: installation?.keyCheck ?? null, version: VERSION, now })
    if (installed.ok) return installed.value
  }
}

/** The database's time is the authority where several servers share it (R33); elsewhere it is the host's. */
async function databaseTime(store: Store): Promise<number | undefined> {
  if (store.dialect.name === 'sqlite') return undefined
  const now = await store.read(async (db) => (await sql<{ now: string }>`select extract(epoch from clock_timestamp()) * 1000 as now`.execute(db)).rows[0]!.now)
  return epochMs(Math.floor(Number(now)))
}

/** One that listens everywhere is found by the name of its host. */
function reachableAt(listensAt: string): string {
  const { hostname: name, protocol, port } = new URL(listensAt)
  return name === '0.0.0.0' || name === '[::]' ? `${protocol}//${hostname()}:${port}` : listensAt
}

const HALF_RESTORED = 'a restore into this store was not finished: run `writ restore` again, or remove the store'

/** The key check was checked at the start. */
function keyOrFault(key: ReturnType<Keys['backupKey']>): KeyObject {
  if (!key.ok) throw new Error(keysMessage(key.refusal))
  return key.value
}

const otherLogKey = (stream: Stream): string => `the ${stream} log is signed by another key than \`log-${stream}.key\`: put back the key directory that belongs to this store`

function missing(id: string): never {
  throw new BackendFault(`back end ${id} is not in the store`, 'no_such_backend')
}
