import { createHash, createHmac, pbkdf2 } from 'node:crypto'
import { promisify } from 'node:util'

/** What PostgreSQL itself uses (`scram_iterations`, before 16 a constant). Our secrets have 256 bits, so more adds nothing. */
const ITERATIONS = 4096
const stretch = promisify(pbkdf2)

/**
 * What PostgreSQL stores for a password (RFC 5803 §2, RFC 5802 §3), computed here: then the password stands in no statement, and so in no
 * server log. `salt` is 16 bytes of entropy.
 */
export async function scramVerifier(secret: string, salt: Uint8Array): Promise<string> {
  // Other characters would need SASLprep (RFC 5802 §2.2), and a difference in it would be a secret that never works.
  if (!/^[\x21-\x7e]+$/.test(secret)) throw new Error('a secret must be printable ascii')
  const salted = await stretch(secret, salt, ITERATIONS, 32, 'sha256')
  const storedKey = createHash('sha256').update(createHmac('sha256', salted).update('Client Key').digest()).digest('base64')
  const serverKey = createHmac('sha256', salted).update('Server Key').digest('base64')
  return `SCRAM-SHA-256$${ITERATIONS}:${Buffer.from(salt).toString('base64')}$${storedKey}:${serverKey}`
}
