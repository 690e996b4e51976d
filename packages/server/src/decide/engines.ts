import { readCheckedBundle, type BundleFiles } from '@writ/policy/bundle'
import { openEngine, type Engine } from '@writ/policy/engine'
import type { Engines } from '../record/tx.ts'

/** A change that began before a new version was applied may still ask the one before it. */
const KEPT = 2

/** One for each thread: what Cedar has parsed stays in its thread. */
export function engines(): Engines {
  const kept = new Map<number, Promise<Engine>>()
  return {
    engineOf(version, files) {
      const known = kept.get(version)
      if (known !== undefined) return known
      const opening = files().then(open)
      kept.set(version, opening)
      // A version that could not be read just now may be readable in a moment.
      opening.catch(() => kept.delete(version))
      for (const old of [...kept.keys()].slice(0, -KEPT)) {
        void kept.get(old)!.then((engine) => engine.close(), () => {})
        kept.delete(old)
      }
      return opening
    },
  }
}

/** Law 5: a version that does not read any more, as after a damage to its row, lets nothing through. */
function open(files: BundleFiles): Engine {
  const bundle = readCheckedBundle(files)
  if (!bundle.ok) throw new Error(`the policies in force can not be read: ${bundle.refusal.map((one) => `${one.file}:${one.line} ${one.message}`).join('; ')}`)
  return openEngine(bundle.value)
}
