import { KleisError } from '../../shared/errors.ts';
import { clean } from '../../shared/text.ts';
import { type Answer, textOf } from './answer.ts';
import type { TokenSet } from './tokens.ts';

/** The answer of the device authorization endpoint (RFC 8628 section 3.2). Times in seconds. */
export interface DeviceCode {
  readonly deviceCode: string;
  readonly userCode: string;
  readonly verificationUri: string;
  readonly verificationUriComplete: string | undefined;
  /** Undefined if the provider does not say, as it should. */
  readonly expiresIn: number | undefined;
  readonly interval: number | undefined;
}

/** What came of asking whether the person has used the code (RFC 8628 section 3.5). */
export type PollResult = TokenSet | 'pending' | 'slow_down' | 'expired';

/** Throws `provider_invalid` where what a person needs is not in it. */
export function readDeviceCode({ json, host }: Answer): DeviceCode {
  const deviceCode = textOf(json?.['device_code']);
  const userCode = textOf(json?.['user_code']);
  // An older draft's name is still in use.
  const verificationUri = textOf(json?.['verification_uri']) ?? textOf(json?.['verification_url']);
  if (deviceCode === undefined || userCode === undefined || verificationUri === undefined) {
    throw new KleisError('provider_invalid', `${clean(host)} answers the device sign-in with something else.`);
  }
  return {
    deviceCode,
    userCode,
    verificationUri,
    verificationUriComplete: textOf(json?.['verification_uri_complete']),
    expiresIn: seconds(json?.['expires_in']),
    interval: seconds(json?.['interval']),
  };
}

/** Some send numbers as text. */
function seconds(value: unknown): number | undefined {
  const number = typeof value === 'number' || typeof value === 'string' ? Number(value) : NaN;
  return Number.isFinite(number) && number > 0 ? number : undefined;
}
