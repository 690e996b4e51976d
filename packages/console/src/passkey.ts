import { startAuthentication, startRegistration } from '@simplewebauthn/browser'
import type { AssertionOptions, AssertionResponse, EnrolmentOptions, EnrolmentResponse } from '@writ/contract/people'

/** A passkey's signature, as the contract takes it (WebAuthn Level 3 §5.1 `AuthenticationResponseJSON`). */
export async function signWithPasskey(options: AssertionOptions): Promise<AssertionResponse> {
  const signed = await startAuthentication({ optionsJSON: options })
  return { ...signed, response: { ...signed.response } }
}

/** A new passkey, as the contract takes it (WebAuthn Level 3 §5.1 `RegistrationResponseJSON`). */
export async function makePasskey(options: EnrolmentOptions): Promise<EnrolmentResponse> {
  const made = await startRegistration({ optionsJSON: options })
  return { ...made, response: { ...made.response } }
}
