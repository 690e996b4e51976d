/** The tables about people, as `tables.ts` has the others. */
export type PeopleTables = {
  person: PersonRow
  role_rule: RoleRuleRow
  person_role: PersonRoleRow
  sign_in: SignInRow
  passkey: PasskeyRow
  invitation: InvitationRow
  provider_sign_in: ProviderSignInRow
  device_sign_in: DeviceSignInRow
}

export type PersonRow = {
  id: string
  issuer: string
  subject: string
  name: string
  email: string | null
  /** JSON: names. */
  group_names: string
  registered_at: number
  signed_in_at: number | null
  blocked_at: number | null
}

/** `roles`: JSON. */
export type RoleRuleRow = { group_name: string; roles: string; set_by: string; set_at: number }
export type PersonRoleRow = { person_id: string; role: string; given_by: string; given_at: number }

export type SignInRow = {
  id: string
  person_id: string
  secret_hash: Uint8Array
  kind: string
  how: string
  made_at: number
  idle_until: number
  ends_at: number
  revoked_at: number | null
  stepped_up_at: number | null
}

export type PasskeyRow = {
  id: string
  person_id: string
  /** In base64url. */
  credential_id: string
  /** As a COSE key (RFC 9052 §7). */
  public_key: Uint8Array
  counter: number
  name: string
  enrolled_event: string
  enrolled_at: number
  used_at: number | null
  removed_at: number | null
}

export type InvitationRow = {
  code_hash: Uint8Array
  name: string
  email: string | null
  /** JSON. */
  roles: string
  offered_by: string
  offered_at: number
  ends_at: number
  used_at: number | null
}

export type ProviderSignInRow = { state_hash: Uint8Array; browser_hash: Uint8Array; return_to: string; begun_at: number; ends_at: number }

export type DeviceSignInRow = {
  device_hash: Uint8Array
  user_code: string
  asked_from: string
  claimed_device: string | null
  begun_at: number
  ends_at: number
  /** In milliseconds. */
  pace_ms: number
  asked_again_at: number | null
  state: string
  answered_by: string | null
  answered_at: number | null
}
