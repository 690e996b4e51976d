import { readBundle } from '@writ/policy/bundle'
import { openEngine, type Engine } from '@writ/policy/engine'
import { askedOf, estateFiles } from './decisions-estate.ts'
import { CASBIN_NAME, casbinOf, type Peers } from './decisions-peers.ts'
import { figure, timed, type Figure, type Order, type Timed } from './figure.ts'

const SIZES = [10, 100, 1000] as const
/** The sizes take turns, so that what else the machine does falls on all of them. */
const TURN = 400
const WARM_UP = 4000
/** As many different questions of each sort as are asked in a turn or two. */
const ROUNDS = 200
const BAR = { p50: 0.1, p99: 1, growth: 2 }

type Subject = { readonly size: number; readonly decide: (index: number) => boolean | Promise<boolean>; readonly expected: readonly boolean[] }
type Decided = { readonly timed: Timed; readonly cpuPerOp: number }

/** The decision alone, as the server asks for it: no grant, no store, no record. */
export async function decisionsInProcess({ isQuick, tell }: Order, peers: Peers | null): Promise<readonly Figure[]> {
  const ops = isQuick ? 4000 : 40_000
  const figures: Figure[] = []
  const opened: Engine[] = []
  const ours: Subject[] = []
  for (const size of SIZES) {
    tell(`${size} policies read, checked and compiled`)
    const { engine, ms } = openEstate(size)
    opened.push(engine)
    figures.push(figure(`policies read and checked (${size})`, 1, { p50: ms }))
    const asked = Array.from({ length: ROUNDS }, (_, round) => askedOf((ref) => engine.entity(ref), round)).flat()
    ours.push({
      size, expected: asked.map(({ answer }) => answer === 'allow'),
      decide: (index) => engine.decide(asked[index % asked.length]!.question).answer === 'allow',
    })
  }
  tell('decisions in process')
  const decided = await inTurns(ours, ops)
  for (const engine of opened) engine.close()
  const theirs = peers === null ? undefined : await casbinDecisions(peers, ours, isQuick ? 400 : 4000, tell)
  const smallest = decided[0]!
  SIZES.forEach((size, i) => {
    const one = decided[i]!
    const growth = one.timed.p50 / smallest.timed.p50
    const peer = theirs?.[i]
    const isLargest = i === SIZES.length - 1
    figures.push(figure(`decision in process (${size} policies)`, ops, {
      ...one.timed, cpuPerOp: one.cpuPerOp,
      peer: peer === undefined ? null : { name: CASBIN_NAME, perSecond: peer.timed.perSecond, p50: peer.timed.p50, ratio: one.timed.perSecond / peer.timed.perSecond },
      ...(isLargest ? {
        bar: `p50 <= ${BAR.p50} ms, p99 <= ${BAR.p99} ms, p50 <= ${BAR.growth} times that of ${SIZES[0]} (${growth.toFixed(2)})`,
        isReached: one.timed.p50 <= BAR.p50 && one.timed.p99 <= BAR.p99 && growth <= BAR.growth,
      } : {}),
    }))
  })
  return figures
}

function openEstate(size: number): { readonly engine: Engine; readonly ms: number } {
  const files = estateFiles(size)
  const began = performance.now()
  const bundle = readBundle(files)
  if (!bundle.ok) throw new Error(`the policies of the benchmark do not read: ${JSON.stringify(bundle.refusal[0])}`)
  const engine = openEngine(bundle.value)
  return { engine, ms: performance.now() - began }
}

async function casbinDecisions(peers: Peers, ours: readonly Subject[], ops: number, tell: (progress: string) => void): Promise<readonly Decided[]> {
  const subjects: Subject[] = []
  for (const { size, expected } of ours) subjects.push({ size, expected, decide: await casbinOf(peers, size) })
  tell(`decisions of ${CASBIN_NAME} in process`)
  return inTurns(subjects, ops)
}

/** Each subject as often, some at a time; what is decided wrongly is not measured at all. */
async function inTurns(subjects: readonly Subject[], ops: number): Promise<readonly Decided[]> {
  const taken = subjects.map(() => ({ took: [] as number[], wholeMs: 0, cpuUs: 0 }))
  for (const { size, expected, decide } of subjects) {
    for (let i = 0; i < Math.min(WARM_UP, ops); i++) {
      if (await decide(i) !== expected[i % expected.length]) throw new Error(`question ${i % expected.length} is not answered as it should be among ${size} policies`)
    }
  }
  for (let done = 0; done < ops; done += TURN) {
    for (const [at, { decide }] of subjects.entries()) {
      const one = taken[at]!
      const cpu = process.cpuUsage()
      const began = performance.now()
      for (let i = 0; i < TURN; i++) {
        const before = performance.now()
        const deciding = decide(i)
        // Only casbin's is waited for: a turn of the loop is no part of ours.
        if (typeof deciding !== 'boolean') await deciding
        one.took.push(performance.now() - before)
      }
      one.wholeMs += performance.now() - began
      const { user, system } = process.cpuUsage(cpu)
      one.cpuUs += user + system
    }
  }
  return taken.map(({ took, wholeMs, cpuUs }) => ({ timed: timed(took, wholeMs), cpuPerOp: cpuUs / 1000 / took.length }))
}
