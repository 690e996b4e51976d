import type { ReactNode } from 'react'

/** A page with nothing around it. */
export function Alone({ title, children }: { readonly title: string; readonly children: ReactNode }) {
  return (
    <main className="w-alone">
      <div className="w-alone-card">
        <p className="w-brand"><span aria-hidden="true">◆</span> Writ</p>
        <h1>{title}</h1>
        {children}
        <p className="w-dim w-alone-foot">{window.location.host}</p>
      </div>
    </main>
  )
}

/** WebAuthn Level 3 §13.4.9: a secure context, and no IP address as the site's name. */
export const canUsePasskeys = (): boolean => window.isSecureContext && 'PublicKeyCredential' in window && !isAddress()

const isAddress = (): boolean => /^[\d.]+$|^\[/.test(window.location.hostname)

export function NoPasskeys() {
  const { hostname, port, pathname, hash } = window.location
  if (isAddress() && (hostname === '127.0.0.1' || hostname === '[::1]')) {
    return <p className="w-problem">Passkeys need a name and no address: open <a href={`http://localhost:${port}${pathname}${hash}`}>localhost:{port}</a> instead.</p>
  }
  return <p className="w-problem">This browser can use no passkey here: it needs https, and a name that is no address.</p>
}
