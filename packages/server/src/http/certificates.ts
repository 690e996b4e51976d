import { X509Certificate } from 'node:crypto'

const PEM = /^(?:\s*-----BEGIN CERTIFICATE-----[A-Za-z0-9+/=\s]+-----END CERTIFICATE-----)+\s*$/

/** One certificate in PEM or several, and nothing else. */
export function isCertificates(pem: string): boolean {
  if (!PEM.test(pem)) return false
  try {
    return pem.split(/(?<=-----END CERTIFICATE-----)/).filter((one) => one.trim() !== '').every((one) => new X509Certificate(one).publicKey !== undefined)
  } catch (error) {
    if (error instanceof Error && 'code' in error) return false
    throw error
  }
}
