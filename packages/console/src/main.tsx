import './styles.ts'
import { MantineProvider } from '@mantine/core'
import { QueryClientProvider } from '@tanstack/react-query'
import { RouterProvider } from '@tanstack/react-router'
import { setNonce } from 'get-nonce'
import { StrictMode } from 'react'
import { createRoot } from 'react-dom/client'
import { watchTouches } from './attended.ts'
import { queries } from './queries.ts'
import { router } from './router.tsx'
import { accessible, theme } from './theme.ts'
import { NowProvider } from './ui/now.tsx'

const nonce = document.querySelector<HTMLMetaElement>('meta[name="csp-nonce"]')?.content ?? ''
// INVARIANT: before anything is drawn. What locks scrolling below a dialog makes a `<style>` of its own.
setNonce(nonce)
watchTouches(window)

createRoot(document.getElementById('root')!).render(
  <StrictMode>
    <MantineProvider theme={theme} cssVariablesResolver={accessible} getStyleNonce={() => nonce} defaultColorScheme="auto" deduplicateInlineStyles>
      <QueryClientProvider client={queries}>
        <NowProvider>
          <RouterProvider router={router} />
        </NowProvider>
      </QueryClientProvider>
    </MantineProvider>
  </StrictMode>,
)
