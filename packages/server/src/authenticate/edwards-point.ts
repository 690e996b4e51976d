/** The field and the curve of RFC 8032 §5.1. */
const P = 2n ** 255n - 19n
const D = modulo(-121_665n * power(121_666n, P - 2n))

/**
 * The y of the points whose order divides 8, in numbers below P: the neutral point, the one of order 2, those of order 4 and of order 8.
 * Under such a key a signature made without any private key can verify.
 */
const Y_OF_ORDER_8 = 0x05fc536d880238b13933c6d305acdfd5f098eff289f4c345b027b2c28f95e826n
const SMALL_ORDER: ReadonlySet<bigint> = new Set([0n, 1n, P - 1n, Y_OF_ORDER_8, P - Y_OF_ORDER_8])

/** Whether 32 bytes are an Ed25519 public key worth trusting: canonical, on the curve, not of small order. OpenSSL looks at none of it. */
export function isUsableEd25519Point(bytes: Uint8Array): boolean {
  if (bytes.length !== 32) return false
  const y = bytes.reduceRight((value, byte) => (value << 8n) | BigInt(byte), 0n) & (2n ** 255n - 1n)
  return y < P && !SMALL_ORDER.has(y) && isOnCurve(y)
}

/** RFC 8032 §5.1.3: x^2 = (y^2 - 1) / (d y^2 + 1) has a solution; by Euler's criterion, without taking the root. */
function isOnCurve(y: bigint): boolean {
  const square = modulo((y * y - 1n) * power(modulo(D * y * y + 1n), P - 2n))
  return power(square, (P - 1n) / 2n) <= 1n
}

function modulo(value: bigint): bigint {
  const rest = value % P
  return rest < 0n ? rest + P : rest
}

function power(base: bigint, exponent: bigint): bigint {
  let result = 1n
  for (let square = base % P, rest = exponent; rest > 0n; rest >>= 1n) {
    if (rest & 1n) result = (result * square) % P
    square = (square * square) % P
  }
  return result
}
