import type { Cluster } from '../postgres-cluster.ts'
import type { Figure, Measure } from './figure.ts'
import { answers } from './people-answers.ts'
import { bigStops } from './people-stop.ts'
import { waiting, WAITING } from './people-waiting.ts'

/** People and agents who wait for each other: approvals, and stops. */
export const people = (cluster: Cluster): Measure => async (order) => {
  const count = order.isQuick ? WAITING / 10 : WAITING
  const figures: Figure[] = []
  for (const store of ['sqlite', 'postgres'] as const) {
    figures.push(...await answers(store, order), ...await bigStops(store, order, cluster), ...await waiting({ store, count }, order, cluster))
  }
  return figures
}
