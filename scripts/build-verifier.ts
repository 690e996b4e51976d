import { fileURLToPath } from 'node:url'
import { build } from 'esbuild'

const ROOT = new URL('../', import.meta.url)

/** Bundles the offline verifier into one file that needs nothing but Node 20. */
export async function buildVerifier(outfile: string): Promise<void> {
  await build({
    entryPoints: [fileURLToPath(new URL('packages/ledger/offline/writ-verify.ts', ROOT))],
    outfile,
    bundle: true,
    platform: 'node',
    target: 'node20',
    format: 'esm',
    charset: 'utf8',
    legalComments: 'none',
    logLevel: 'warning',
    banner: { js: '#!/usr/bin/env node\n// Writ offline verifier. SPDX-License-Identifier: Apache-2.0' },
  })
}

if (import.meta.main) {
  const outfile = process.argv[2] ?? fileURLToPath(new URL('dist/writ-verify.mjs', ROOT))
  await buildVerifier(outfile)
  process.stdout.write(`${outfile}\n`)
}
