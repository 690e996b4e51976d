const PAGES: Readonly<Record<string, string>> = {
  nhi: '/identities/', tsk: '/tasks/', dec: '/decisions/', apr: '/approvals/', evt: '/audit?event=', psn: '/settings?person=', stp: '/stops/',
}

/** Where an id is shown, by its prefix; undefined of what has no page. */
export function pageOfId(id: string): string | undefined {
  const text = id.trim()
  const prefix = /^([a-z]{3})_[0-9a-z]{26}$/.exec(text)?.[1]
  return prefix !== undefined && Object.hasOwn(PAGES, prefix) ? PAGES[prefix]! + text : undefined
}
