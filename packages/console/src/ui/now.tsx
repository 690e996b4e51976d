import { createContext, useContext, useEffect, useState, type ReactNode } from 'react'
import { serverNow } from '../clock.ts'

const Now = createContext(0)
const TICK_MS = 1000

/** One tick for everything that shows an age or a countdown; a hidden page does not tick. */
export function NowProvider({ children }: { readonly children: ReactNode }) {
  const [now, setNow] = useState(serverNow)
  useEffect(() => {
    const tick = (): void => { if (!document.hidden) setNow(serverNow()) }
    const timer = setInterval(tick, TICK_MS)
    document.addEventListener('visibilitychange', tick)
    return () => {
      clearInterval(timer)
      document.removeEventListener('visibilitychange', tick)
    }
  }, [])
  return <Now value={now}>{children}</Now>
}

export const useNow = (): number => useContext(Now)
