import react from '@vitejs/plugin-react'
import { defineConfig } from 'vite'

/** The server puts a nonce in its place, another for each page that it sends. */
export const NONCE_PLACE = '__WRIT_NONCE__'

// oxlint-disable-next-line import/no-default-export -- Vite reads it so
export default defineConfig({
  root: import.meta.dirname,
  plugins: [react()],
  html: { cspNonce: NONCE_PLACE },
  // The policies' own engine, in a browser: the same functions, started another way.
  resolve: { alias: { '@cedar-policy/cedar-wasm/nodejs': '@cedar-policy/cedar-wasm/web' } },
  worker: { format: 'es' },
  build: {
    target: 'baseline-widely-available',
    outDir: 'dist',
    emptyOutDir: true,
    // `data:` is open to pictures alone.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
    chunkSizeWarningLimit: 2000,
  },
})
