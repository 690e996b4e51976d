import { hash } from 'node:crypto'
import { envelopeOf, type ApprovalChoice, type EnvelopeFields } from '@writ/domain/approval'
import { exactText, type ExactRecord } from '@writ/domain/exact'
import { canonical } from '@writ/ledger/canonical'
import type { Approval } from '../store/approvals.ts'

export const sha256Hex = (text: string): string => hash('sha256', text, 'hex')

/** In canonical JSON: its SHA-256 is what an approver answers to, and what a passkey signs. */
export const envelopeText = (fields: EnvelopeFields): string => canonical(envelopeOf(fields))

/** As it was asked for, for one way of saying yes to it. */
export const fieldsOf = (approval: Approval, choice: ApprovalChoice): EnvelopeFields => ({ ...approval, approval: approval.id, rootTask: approval.root, choice })

/** The bytes that are kept, hashed, shown and carried out. A template is an argument like any other to whoever reads them. */
export const argumentText = (args: ExactRecord, template: string | undefined): string => exactText(template === undefined ? args : { ...args, template })

/** Where the arguments of a request are sealed for. */
export const argumentsPlace = (id: string): string => `approval:${id}:arguments`
export const editedPlace = (id: string): string => `approval:${id}:edited`
export const intentPlace = (id: string): string => `approval:${id}:intent`
