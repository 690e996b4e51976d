/** The cases that stand beside the default policies: each rule both ways. */
export const PERMIT_CASES = `[
  { "name": "work is passed on", "action": "delegate", "resource": "Agent spiffe://example.test/child",
    "expect": "allow", "by": ["delegate-in-grant"] },
  { "name": "work is not passed on without a budget", "action": "delegate", "resource": "Agent spiffe://example.test/child",
    "context": { "budget_left": 0 }, "expect": "deny" },

  { "name": "a lease is had on a back end", "action": "connect", "resource": "Backend shop",
    "expect": "allow", "by": ["connect-in-grant"] },
  { "name": "a lease is not had without a budget", "action": "connect", "resource": "Backend shop",
    "context": { "budget_left": 0 }, "expect": "deny" },

  { "name": "the tools of a server are listed", "action": "list", "resource": "Server mail", "expect": "allow", "by": ["look-in-grant"] },
  { "name": "nothing is listed without a budget", "action": "list", "resource": "Server mail",
    "context": { "budget_left": 0 }, "expect": "deny" },

  { "name": "a tool that reads is called", "action": "call", "expect": "allow", "by": ["read-tools-in-grant"],
    "resource": { "type": "Tool", "id": "case/read", "attributes": { "effect": "read" } } },
  { "name": "a write that can be taken back is called", "action": "call", "expect": "allow", "by": ["reversible-writes-in-grant"],
    "resource": { "type": "Tool", "id": "case/write", "attributes": { "effect": "write", "reversible": true } } },
  { "name": "a write for good needs approval", "action": "call", "expect": "needs_approval", "by": ["other-writes-approved"],
    "resource": { "type": "Tool", "id": "case/write", "attributes": { "effect": "write", "reversible": false } } },

  { "name": "an autonomous agent needs approval for what goes out", "action": "call",
    "expect": "needs_approval", "by": ["other-writes-approved"],
    "resource": { "type": "Tool", "id": "case/send", "attributes": { "effect": "external" } } },
  { "name": "a chatbot needs approval for what goes out", "action": "call", "context": { "class": "chatbot" }, "expect": "needs_approval",
    "resource": { "type": "Tool", "id": "case/send", "attributes": { "effect": "external" } } },
  { "name": "an assisted agent needs approval for what goes out", "action": "call",
    "context": { "class": "assisted" }, "expect": "needs_approval",
    "resource": { "type": "Tool", "id": "case/send", "attributes": { "effect": "external" } } },
  { "name": "a script sends without approval", "action": "call",
    "context": { "class": "script" }, "expect": "allow", "by": ["other-writes-by-script"],
    "resource": { "type": "Tool", "id": "case/send", "attributes": { "effect": "external" } } },
  { "name": "an approved call goes out", "action": "call",
    "context": { "approved": true }, "expect": "allow", "by": ["other-writes-approved"],
    "resource": { "type": "Tool", "id": "case/send", "attributes": { "effect": "external" } } }
]
`

export const FORBID_CASES = `[
  { "name": "nothing goes out after untrusted and confidential", "action": "call", "expect": "deny", "by": ["nothing-out-after-both"],
    "resource": { "type": "Tool", "id": "case/send", "attributes": { "effect": "external" } },
    "context": { "labels": ["untrusted", "confidential"], "approved": true } },
  { "name": "untrusted alone may go out with an approval", "action": "call", "expect": "allow",
    "resource": { "type": "Tool", "id": "case/send", "attributes": { "effect": "external" } },
    "context": { "labels": ["untrusted"], "approved": true } },
  { "name": "confidential alone may go out with an approval", "action": "call", "expect": "allow",
    "resource": { "type": "Tool", "id": "case/send", "attributes": { "effect": "external" } },
    "context": { "labels": ["confidential"], "approved": true } },
  { "name": "reading goes on after untrusted and confidential", "action": "call", "expect": "allow",
    "resource": { "type": "Tool", "id": "case/read", "attributes": { "effect": "read" } },
    "context": { "labels": ["untrusted", "confidential"] } },

  { "name": "no lease out after untrusted and confidential", "action": "connect", "expect": "deny", "by": ["no-lease-out-after-both"],
    "resource": { "type": "Backend", "id": "feed", "attributes": { "effect": "external" } },
    "context": { "labels": ["untrusted", "confidential"] } },
  { "name": "a lease inside after untrusted and confidential", "action": "connect", "expect": "allow",
    "resource": { "type": "Backend", "id": "shop", "attributes": { "effect": "write" } },
    "context": { "labels": ["untrusted", "confidential"] } },

  { "name": "production is not written to without a change", "action": "call", "expect": "deny", "by": ["production-needs-a-change"],
    "resource": { "type": "Tool", "id": "case/write", "attributes": { "effect": "write", "reversible": true } },
    "context": { "environment": "production" } },
  { "name": "production is written to under a change", "action": "call", "expect": "allow",
    "resource": { "type": "Tool", "id": "case/write", "attributes": { "effect": "write", "reversible": true } },
    "context": { "environment": "production", "change": "CHG-1" } },
  { "name": "production is read without a change", "action": "call", "expect": "allow",
    "resource": { "type": "Tool", "id": "case/read", "attributes": { "effect": "read" } }, "context": { "environment": "production" } },

  { "name": "no lease in production without a change", "action": "connect", "expect": "deny", "by": ["production-lease-needs-a-change"],
    "resource": { "type": "Backend", "id": "shop", "attributes": { "environment": "production", "effect": "write" } } },
  { "name": "a lease in production under a change", "action": "connect", "context": { "change": "CHG-1" }, "expect": "allow",
    "resource": { "type": "Backend", "id": "shop", "attributes": { "environment": "production", "effect": "write" } } },
  { "name": "a lease that only reads in production", "action": "connect", "expect": "allow",
    "resource": { "type": "Backend", "id": "shop", "attributes": { "environment": "production", "effect": "read" } } },
  { "name": "a lease on a back end of which nobody says where it is", "action": "connect",
    "context": { "environment": "production" }, "expect": "allow",
    "resource": { "type": "Backend", "id": "shop", "attributes": { "effect": "write" } } },

  { "name": "the last call of a budget is made", "action": "call", "context": { "budget_left": 1 }, "expect": "allow",
    "resource": { "type": "Tool", "id": "case/read", "attributes": { "effect": "read" } } },
  { "name": "no call past the budget", "action": "call",
    "context": { "budget_left": 0, "approved": true }, "expect": "deny", "by": ["budget-is-spent"],
    "resource": { "type": "Tool", "id": "case/read", "attributes": { "effect": "read" } } }
]
`
