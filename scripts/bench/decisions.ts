import type { Cluster } from '../postgres-cluster.ts'
import { decisionsInProcess } from './decisions-in-process.ts'
import { decisionsOverHttp } from './decisions-over-http.ts'
import { fetchPeers } from './decisions-peers.ts'
import { decisionsReplayed } from './decisions-replay.ts'
import type { Measure } from './figure.ts'

/** The decision at the moment of access: alone, as a service whose answer is in the record before it is given, and once more for a draft. */
export function decisions(cluster: Cluster): Measure {
  return async (order) => {
    const peers = await fetchPeers(order.tell)
    try {
      return [...await decisionsInProcess(order, peers), ...await decisionsOverHttp(order, cluster, peers), ...await decisionsReplayed(order)]
    } finally {
      peers?.remove()
    }
  }
}
