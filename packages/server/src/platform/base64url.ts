/** RFC 4648 §5 without padding. */
export const toBase64url = (bytes: Uint8Array): string => Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength).toString('base64url')

/** The bytes, or undefined unless the text is their only spelling: no padding, no line breaks, no spare bits that are not zero (RFC 4648 §3.5). */
export function fromBase64url(text: string): Uint8Array | undefined {
  const bytes = Buffer.from(text, 'base64url')
  return bytes.toString('base64url') === text ? new Uint8Array(bytes) : undefined
}
