import { IDENTITY_CLASSES, PROFILES } from '@writ/domain/profile'

const ACTIONS_WITH_A_BUDGET = ['call', 'connect', 'delegate', 'list', 'read'].map((action) => `Writ::Action::"${action}"`).join(', ')

/** The classes that need a person's answer, as the profiles say and not as somebody copied them. */
const ANSWERED_FOR = IDENTITY_CLASSES.filter((one) => PROFILES[one].approvalByDefault).map((one) => `"${one}"`).join(', ')

/** What a task may do within its grant. */
export const DEFAULT_PERMITS = `// What a task may do. Nothing is allowed that no permit here allows, and no permit here allows what
// the task's grant does not hold: the grant says on what, these say when.
//
// A task passes work on while it has calls left to share.
@id("delegate-in-grant")
permit (
  principal,
  action == Writ::Action::"delegate",
  resource
)
when { context.budget_left > 0 };

// A lease on a back end, by a template that the grant names.
@id("connect-in-grant")
permit (
  principal,
  action == Writ::Action::"connect",
  resource
)
when { context.budget_left > 0 };

// Looking at what there is: the tools of a server, the entry of a back end.
@id("look-in-grant")
permit (
  principal,
  action in [Writ::Action::"list", Writ::Action::"read"],
  resource
)
when { context.budget_left > 0 };

// A tool that only reads. What it brings in is remembered as labels of the whole task tree.
@id("read-tools-in-grant")
permit (
  principal,
  action in Writ::Action::"call",
  resource is Writ::Tool
)
when { resource.effect == "read" };

// A write that stays inside and that can be taken back.
@id("reversible-writes-in-grant")
permit (
  principal,
  action in Writ::Action::"call",
  resource is Writ::Tool
)
when { resource.effect == "write" && resource.reversible };

// What goes out, or can't be taken back, is free only to a class whose acts a person has read
// beforehand: a script.
@id("other-writes-by-script")
permit (
  principal,
  action in Writ::Action::"call",
  resource is Writ::Tool
)
when { ![${ANSWERED_FOR}].contains(context.class) };

// Everybody else asks a person, for this very call.
@id("other-writes-approved")
permit (
  principal,
  action in Writ::Action::"call",
  resource is Writ::Tool
)
when { context.approved };
`

/** What no permit and no person's answer outweighs. */
export const DEFAULT_FORBIDS = `// What no permit outweighs, and no approval either.
//
// The chain "read what a stranger wrote, read a secret, send it out": after the first two, nothing of
// this task tree goes out any more. In which order, and by which task of the tree, does not matter.
@id("nothing-out-after-both")
forbid (
  principal,
  action in Writ::Action::"call",
  resource is Writ::Tool
)
when { resource.effect == "external" && context.labels.containsAll(["confidential", "untrusted"]) };

// The same for a lease on a back end that others read.
@id("no-lease-out-after-both")
forbid (
  principal,
  action == Writ::Action::"connect",
  resource is Writ::Backend
)
when { resource.effect == "external" && context.labels.containsAll(["confidential", "untrusted"]) };

// Whoever works in production names the change that it works on, unless it only reads.
@id("production-needs-a-change")
forbid (
  principal,
  action in Writ::Action::"call",
  resource is Writ::Tool
)
when { context.environment == "production" && resource.effect != "read" }
unless { context has change };

// A lease needs one where the back end itself is said to be in production, in entities.json. A back
// end of which nobody has said so is not guessed about.
@id("production-lease-needs-a-change")
forbid (
  principal,
  action == Writ::Action::"connect",
  resource is Writ::Backend
)
when
{ resource has environment && resource.environment == "production" && resource.effect != "read" }
unless { context has change };

// A budget that is spent stays spent, whatever else is permitted.
@id("budget-is-spent")
forbid (
  principal,
  action in
    [${ACTIONS_WITH_A_BUDGET.replaceAll(', ', ',\n     ')}],
  resource
)
when { context.budget_left <= 0 };
`
