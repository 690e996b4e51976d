import { agoText, utcText } from './spans.ts'
import { useNow } from './now.tsx'

/** When something was or will be: near to now in words, exactly on hover. */
export function Ago({ at }: { readonly at: string }) {
  const instant = Date.parse(at)
  return <time dateTime={at} title={utcText(instant)}>{agoText(instant, useNow())}</time>
}

/** The same to the second, for what is compared with other records. */
export function Exactly({ at }: { readonly at: string }) {
  return <time dateTime={at} title={at}>{utcText(Date.parse(at))}</time>
}
