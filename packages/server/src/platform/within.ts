/** Whether it came within this time; what comes later, or fails later, is nobody's any more. */
export async function within(work: Promise<unknown>, ms: number): Promise<boolean> {
  const { promise, resolve } = Promise.withResolvers<false>()
  const timer = setTimeout(resolve, ms, false)
  try {
    return await Promise.race([work.then(() => true as const), promise])
  } finally {
    clearTimeout(timer)
    work.catch(() => {})
  }
}
